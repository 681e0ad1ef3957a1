# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Averages of measures: who counts how much."""

from __future__ import annotations

import numpy as np
import pytest

from vggt4d_ros.evaluation.metrics import depth_metrics, flow_metrics, pool, pool_scenes


def test_without_weights_every_frame_counts_the_same() -> None:
    result = pool([{"abs_rel": 0.1, "pixels": 10.0}, {"abs_rel": 0.3, "pixels": 1000.0}])

    assert result == {"abs_rel": pytest.approx(0.2), "pixels": 1010.0}


def test_weighted_by_pixels_the_result_is_that_of_all_pixels_together() -> None:
    rng = np.random.default_rng(0)
    truth = [rng.uniform(1, 9, count) for count in (5, 50)]
    found = [t * rng.uniform(0.5, 2.0, t.shape) for t in truth]

    result = pool(
        [depth_metrics(f, t, "none") for f, t in zip(found, truth, strict=True)], "pixels"
    )

    together = depth_metrics(np.concatenate(found), np.concatenate(truth), "none")
    assert result == pytest.approx(together, abs=1e-12)


def test_weighted_outliers_of_flow_are_those_of_all_pixels() -> None:
    rng = np.random.default_rng(0)
    truth = [rng.normal(0, 50, (count, 2)) for count in (7, 70)]
    found = [t + rng.normal(0, 3, t.shape) for t in truth]

    result = pool([flow_metrics(f, t) for f, t in zip(found, truth, strict=True)], "pixels")

    together = flow_metrics(np.concatenate(found), np.concatenate(truth))
    assert result == pytest.approx(together, abs=1e-12)


def test_a_key_is_averaged_over_those_that_have_it() -> None:
    assert pool([{"a": 1.0, "b": 4.0}, {"a": 3.0}]) == {"a": 2.0, "b": 4.0}


def test_a_long_scene_counts_no_more_than_a_short_one() -> None:
    short, long = [{"epe": 1.0}], [{"epe": 3.0}] * 9

    assert pool_scenes({"short": short, "long": long})["epe"] == 2.0


def test_nothing_to_pool_is_an_error() -> None:
    with pytest.raises(ValueError, match="got none"):
        pool([])
    with pytest.raises(ValueError, match="scene 'b' has no frame"):
        pool_scenes({"a": [{"x": 1.0}], "b": []})
    with pytest.raises(ValueError, match="positive 'pixels'"):
        pool([{"epe": 1.0}], "pixels")
