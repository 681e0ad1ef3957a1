# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Distances of clouds against values by hand and against every pair taken one by one."""

from __future__ import annotations

import numpy as np
import pytest

from vggt4d_ros.evaluation.metrics.points import point_metrics


def test_distances_of_clouds_equal_those_by_hand() -> None:
    truth = np.array([[0.0, 0, 0], [1, 0, 0], [5, 0, 0]])
    found = np.array([[0.0, 0.1, 0], [1, 0.3, 0]])

    result = point_metrics(found, truth, threshold=0.2)

    far = np.hypot(4.0, 0.3)
    assert result["accuracy"] == pytest.approx(0.2, abs=1e-12)
    assert result["accuracy_median"] == pytest.approx(0.2, abs=1e-12)
    assert result["completeness"] == pytest.approx((0.1 + 0.3 + far) / 3, abs=1e-12)
    assert result["completeness_median"] == pytest.approx(0.3, abs=1e-12)
    assert (result["precision"], result["recall"]) == (0.5, pytest.approx(1 / 3))
    assert result["f_score"] == pytest.approx(2 * 0.5 / 3 / (0.5 + 1 / 3), abs=1e-12)
    assert result["points"] == 2.0
    assert "normal_consistency" not in result


def test_distances_and_normals_equal_those_of_all_pairs() -> None:
    rng = np.random.default_rng(0)
    found, truth = rng.normal(size=(70, 3)), rng.normal(size=(90, 3))
    normals, true_normals = rng.normal(size=(70, 3)), rng.normal(size=(90, 3))
    away = np.linalg.norm(found[:, None] - truth[None], axis=-1)
    unit, true_unit = (n / np.linalg.norm(n, axis=1)[:, None] for n in (normals, true_normals))
    cosine = np.abs(unit @ true_unit.T)
    forth = np.mean([cosine[i, away[i].argmin()] for i in range(70)])
    back = np.mean([cosine[away[:, j].argmin(), j] for j in range(90)])

    result = point_metrics(found, truth, 0.3, normals, true_normals)

    assert result["accuracy"] == pytest.approx(away.min(1).mean(), abs=1e-9)
    assert result["completeness"] == pytest.approx(away.min(0).mean(), abs=1e-9)
    assert result["precision"] == pytest.approx(np.mean(away.min(1) < 0.3), abs=1e-9)
    assert result["recall"] == pytest.approx(np.mean(away.min(0) < 0.3), abs=1e-9)
    assert result["normal_consistency"] == pytest.approx((forth + back) / 2, abs=1e-9)


def test_a_normal_may_point_either_way_and_have_any_length() -> None:
    points = np.array([[0.0, 0, 0], [1, 0, 0]])
    normals = np.array([[0.0, 0, 1], [0, 2, 0]])

    result = point_metrics(points, points, 0.1, -3 * normals, normals)

    assert result["normal_consistency"] == pytest.approx(1.0, abs=1e-12)


def test_point_maps_with_holes_are_taken_as_they_are() -> None:
    points = np.random.default_rng(0).normal(size=(4, 5, 3))
    holed = points.copy()
    holed[1, 2] = np.nan

    result = point_metrics(holed, points, 0.01)

    assert (result["points"], result["accuracy"], result["precision"]) == (19.0, 0.0, 1.0)
    assert result["recall"] == pytest.approx(19 / 20)


def test_clouds_apart_have_no_f_score() -> None:
    assert point_metrics(np.zeros((2, 3)), np.ones((2, 3)), 0.1)["f_score"] == 0.0


def test_what_is_no_cloud_is_named() -> None:
    points = np.zeros((4, 3))
    with pytest.raises(ValueError, match="found holds no valid point: none of 4"):
        point_metrics(np.full((4, 3), np.nan), points, 0.1)
    with pytest.raises(ValueError, match="truth holds no valid point: none of 0"):
        point_metrics(points, np.zeros((0, 3)), 0.1)
    with pytest.raises(ValueError, match=r"truth must be \(..., 3\), got \(4, 2\)"):
        point_metrics(points, np.zeros((4, 2)), 0.1)
    with pytest.raises(ValueError, match="got 0.0 m"):
        point_metrics(points, points, 0.0)
    with pytest.raises(ValueError, match="normals"):
        point_metrics(points, points, 0.1, np.zeros((3, 3)), points)
