# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Medians and quantiles without numpy's price per call."""

from __future__ import annotations

import numpy as np
import pytest

from vggt4d_ros.geometry.robust import median, medians, quantile


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 100, 1001])
def test_medians_and_quantiles_are_those_of_numpy(count):
    values = np.random.default_rng(count).normal(size=count)
    rows = np.stack([values, -values, values**2])

    assert median(values) == np.median(values)
    assert medians(rows).tolist() == np.median(rows, axis=1).tolist()
    for share in (0.0, 0.1, 0.4, 0.5, 0.9, 1.0):
        assert quantile(values, share) == pytest.approx(np.quantile(values, share), abs=1e-12)


def test_median_of_nothing_is_not_a_number():
    assert np.isnan(median(np.zeros(0)))
