# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Flow errors against values by hand and KITTI's rule for outliers."""

from __future__ import annotations

import numpy as np
import pytest

from vggt4d_ros.evaluation.metrics.flow import flow_metrics

NAN = float("nan")


def test_flow_errors_equal_those_by_hand() -> None:
    truth = np.zeros((1, 4, 2))
    found = np.array([[[3.0, 4.0], [0.5, 0.0], [0.0, 2.0], [0.0, 0.0]]])

    result = flow_metrics(found, truth)

    assert result["epe"] == pytest.approx((5.0 + 0.5 + 2.0) / 4, abs=1e-12)
    assert (result["px1"], result["px3"], result["px5"]) == (0.5, 0.75, 0.75)
    assert result["fl_all"] == 0.25
    assert result["pixels"] == 4.0


@pytest.mark.parametrize(
    ("length", "error", "bad"),
    [
        (10.0, 3.01, 1.0),  # both
        (10.0, 2.99, 0.0),  # more than 5 %, not more than 3 px
        (100.0, 4.99, 0.0),  # more than 3 px, not more than 5 %
        (100.0, 5.01, 1.0),
        (0.0, 3.01, 1.0),  # no length: any error is more than 5 %
    ],
)
def test_an_outlier_of_kitti_is_above_three_pixels_and_five_percent(
    length: float, error: float, bad: float
) -> None:
    result = flow_metrics(np.array([[length, error]]), np.array([[length, 0.0]]))

    assert result["fl_all"] == bad


def test_five_percent_are_of_the_true_flow_not_of_the_one_found() -> None:
    # 5.2 px are 5.2 % of 100 px, but 4.9 % of 105.2 px
    result = flow_metrics(np.array([[105.2, 0.0]]), np.array([[100.0, 0.0]]))

    assert result["fl_all"] == 1.0


def test_fl_all_equals_the_rule_of_the_devkit_pixel_by_pixel() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(0, 60, (12, 20, 2))
    found = truth + rng.normal(0, 3, truth.shape)
    outliers = 0
    for f, t in zip(found.reshape(-1, 2), truth.reshape(-1, 2), strict=True):
        distance = np.hypot(*(f - t))
        outliers += bool(distance > 3.0 and distance / np.hypot(*t) > 0.05)
    assert 0 < outliers < truth.size / 2

    assert flow_metrics(found, truth)["fl_all"] == pytest.approx(outliers / 240, abs=1e-12)


def test_invalid_pixels_are_left_out_and_counted() -> None:
    truth = np.array([[1.0, 0.0], [NAN, 0.0], [1.0, 0.0], [1.0, 0.0]])
    found = np.array([[2.0, 0.0], [0.0, 0.0], [NAN, NAN], [9.0, 0.0]])

    result = flow_metrics(found, truth, valid=np.array([True, True, True, False]))

    assert (result["epe"], result["pixels"], result["coverage"]) == (1.0, 1.0, 0.5)


def test_nothing_to_compare_and_wrong_shapes_are_errors() -> None:
    with pytest.raises(ValueError, match="1 are found, 0 are known"):
        flow_metrics(np.zeros((1, 2)), np.full((1, 2), NAN))
    with pytest.raises(ValueError, match=r"found must be \(..., 2\), got \(4, 3\)"):
        flow_metrics(np.zeros((4, 3)), np.zeros((4, 3)))
    with pytest.raises(ValueError, match=r"valid \(3,\)"):
        flow_metrics(np.zeros((4, 2)), np.zeros((4, 2)), np.ones(3, dtype=bool))
