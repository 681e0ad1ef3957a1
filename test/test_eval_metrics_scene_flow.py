# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Scene flow errors against values by hand and against the challenge's rule, point by point."""

from __future__ import annotations

import numpy as np
import pytest

from vggt4d_ros.evaluation.metrics.scene_flow import scene_flow_metrics


def along_x(*lengths: float) -> np.ndarray:
    return np.array([[length, 0.0, 0.0] for length in lengths])


def test_scene_flow_errors_equal_those_by_hand() -> None:
    truth = along_x(1.0, 1.0, 1.0, 0.0)
    found = along_x(1.04, 1.08, 1.5, 0.2)

    result = scene_flow_metrics(found, truth)

    assert result["epe3d"] == pytest.approx((0.04 + 0.08 + 0.5 + 0.2) / 4, abs=1e-12)
    # strict: 4 cm. relaxed: 8 cm too. outliers: 50 cm, and 20 cm where nothing moves
    assert (result["acc_s"], result["acc_r"], result["outliers"]) == (0.25, 0.5, 0.5)
    assert result["epe3d_moving"] == pytest.approx(0.62 / 3, abs=1e-12)
    assert result["epe3d_static"] == pytest.approx(0.2, abs=1e-12)
    assert result["points"] == 4.0


@pytest.mark.parametrize(
    ("length", "error", "strict", "relaxed", "outlier"),
    [
        (10.0, 0.2, 1.0, 1.0, 0.0),  # 2 %
        (10.0, 0.35, 1.0, 1.0, 1.0),  # 3.5 %, but more than 0.3 m
        (10.0, 0.55, 0.0, 1.0, 1.0),  # 5.5 %
        (10.0, 1.1, 0.0, 0.0, 1.0),
        (0.2, 0.045, 1.0, 1.0, 1.0),  # 22 %, but less than 5 cm
        (3.0, 0.2, 0.0, 1.0, 0.0),  # 6.7 %
    ],
)
def test_either_limit_makes_a_point_accurate_or_an_outlier(
    length: float, error: float, strict: float, relaxed: float, outlier: float
) -> None:
    result = scene_flow_metrics(along_x(length + error), along_x(length))

    assert (result["acc_s"], result["acc_r"], result["outliers"]) == (strict, relaxed, outlier)


def test_no_motion_found_scores_one_in_the_moving_buckets() -> None:
    truth = np.random.default_rng(0).normal(0, 0.3, (500, 3))

    result = scene_flow_metrics(np.zeros_like(truth), truth)

    assert result["bucketed"] == pytest.approx(1.0, abs=1e-12)


def test_buckets_count_the_same_whether_full_or_not() -> None:
    # 1 m/s and 10 m/s, 0.1 s apart: displacements of 0.1 and 1.0 m
    truth = along_x(0.1, 0.1, 0.1, 1.0)
    found = along_x(0.15, 0.1, 0.1, 1.5)

    result = scene_flow_metrics(found, truth)

    assert result["bucketed"] == pytest.approx((0.05 / 3 / 0.1 + 0.5) / 2, abs=1e-9)
    assert "bucketed_static" not in result
    # 1 m/s is no standing still
    assert result["epe3d_moving"] == result["epe3d"]


def test_buckets_equal_those_of_the_challenge_taken_one_by_one() -> None:
    rng = np.random.default_rng(1)
    truth = rng.normal(0, 1, (800, 3)) * rng.choice([0.01, 0.1, 2.0], (800, 1))
    found = truth + rng.normal(0, 0.05, truth.shape)
    error, speed = np.linalg.norm(found - truth, axis=1), np.linalg.norm(truth, axis=1)
    edges = [*np.linspace(0, 2.0, 51), np.inf]
    per_bucket = []
    for low, high in zip(edges, edges[1:], strict=False):
        here = (speed >= low) & (speed < high)
        if here.any():
            per_bucket.append((error[here].mean(), speed[here].mean()))
    assert speed.max() > 2.0

    result = scene_flow_metrics(found, truth)

    assert result["bucketed_static"] == pytest.approx(per_bucket[0][0], abs=1e-9)
    normalised = np.mean([e / s for e, s in per_bucket[1:]])
    assert result["bucketed"] == pytest.approx(normalised, abs=1e-9)


def test_the_interval_makes_speeds_of_displacements() -> None:
    truth, found = along_x(0.3), along_x(0.1)

    assert "bucketed" in scene_flow_metrics(found, truth, interval_s=0.5)  # 0.6 m/s
    assert "bucketed" not in scene_flow_metrics(found, truth, interval_s=1.0)  # 0.3 m/s


def test_the_split_given_is_taken_and_an_empty_side_is_left_out() -> None:
    truth, found = along_x(1.0, 0.0), along_x(1.5, 0.1)

    given = scene_flow_metrics(found, truth, moving=np.array([False, True]))
    all_still = scene_flow_metrics(found, truth, moving=np.array([False, False]))

    assert (given["epe3d_moving"], given["epe3d_static"]) == (0.1, 0.5)
    assert "epe3d_moving" not in all_still


def test_invalid_points_are_left_out_and_none_is_an_error() -> None:
    truth, found = along_x(1.0, np.nan, 1.0), along_x(1.0, 1.0, np.inf)

    assert scene_flow_metrics(found, truth)["points"] == 1.0
    with pytest.raises(ValueError, match="0 are found, 2 are known"):
        scene_flow_metrics(np.full((3, 3), np.nan), truth)
    with pytest.raises(ValueError, match=r"moving \(2,\)"):
        scene_flow_metrics(found, truth, np.ones(2, dtype=bool))
    with pytest.raises(ValueError, match="got 0 s"):
        scene_flow_metrics(found, truth, interval_s=0)
