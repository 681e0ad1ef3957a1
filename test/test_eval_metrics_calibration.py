# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Sparsification and NEES against values by hand and against what chance gives."""

from __future__ import annotations

import numpy as np
import pytest

from vggt4d_ros.evaluation.metrics.calibration import depth_sparsification, nees, sparsification


def errors(count: int = 5000) -> np.ndarray:
    return np.abs(np.random.default_rng(0).normal(size=count))


def test_confidence_that_orders_errors_is_perfect() -> None:
    error = errors()

    result = sparsification(error, -error)

    assert result.ause == pytest.approx(0.0, abs=1e-12)
    assert result.aurg > 0.3


def test_areas_equal_those_by_hand() -> None:
    # 100 pixels: one of error 100, none else; taken away first by the oracle, last by confidence
    error = np.zeros(100)
    error[0] = 100.0
    confidence = np.zeros(100)
    confidence[0] = 1.0

    shares, found, oracle = sparsification(error, confidence).curves

    np.testing.assert_allclose(shares, np.arange(100) / 100)
    np.testing.assert_allclose(found, 100.0 / (100 - np.arange(100)), rtol=1e-12)
    np.testing.assert_allclose(oracle, [1.0] + [0.0] * 99, atol=1e-12)
    by_hand = sum((found[i] + found[i + 1] - oracle[i] - oracle[i + 1]) / 200 for i in range(99))
    result = sparsification(error, confidence)
    assert result.ause == pytest.approx(by_hand, abs=1e-9)
    assert result.aurg == pytest.approx(sum(2 - found[i] - found[i + 1] for i in range(99)) / 200)


def test_confidence_that_says_nothing_gains_nothing() -> None:
    error = errors()

    chance = sparsification(error, np.random.default_rng(1).normal(size=error.size))
    constant = sparsification(error, np.ones_like(error))
    wrong = sparsification(error, error)

    assert abs(chance.aurg) < 0.05
    # pixels of equal confidence have no order, least of all that of the image
    assert sparsification(np.sort(error), np.ones_like(error)).aurg == pytest.approx(0, abs=1e-12)
    assert constant.aurg == pytest.approx(0.0, abs=1e-12)
    assert wrong.aurg < -0.3


def test_invalid_pixels_are_left_out() -> None:
    error, confidence = errors(100), -errors(100)
    error[3], confidence[4] = np.nan, np.nan
    use = np.ones(100, dtype=bool)
    use[[3, 4]] = False

    assert sparsification(error, confidence)[:2] == sparsification(error[use], confidence[use])[:2]


def test_depth_is_scaled_before_its_confidence_is_judged() -> None:
    # each error once to the far and once to the near side: the median is the truth's
    error = np.repeat(np.linspace(0.01, 0.4, 12), 2).reshape(4, 6)
    depth = 2.0 * (1 + error * np.tile([1.0, -1.0], (4, 3)))
    truth = np.full((4, 6), 2.0)
    confidence = np.random.default_rng(3).normal(size=(4, 6)) - 10 * error
    truth[0, :2], depth[1, 2:4] = np.nan, -1.0  # both of a pair are not known, not found
    use = np.isfinite(truth) & (depth > 0)

    found = depth_sparsification(7 * depth, truth, confidence)
    expected = sparsification(error[use], confidence[use])

    assert found is not None
    assert found.aurg > 0.2
    assert found[:2] == pytest.approx(expected[:2])


def test_nothing_is_said_of_depth_without_truth_or_without_error() -> None:
    ones = np.ones((4, 4))

    assert depth_sparsification(ones, np.full((4, 4), np.nan), ones) is None
    assert depth_sparsification(2 * ones, ones, ones) is None
    with pytest.raises(ValueError, match="shapes differ"):
        depth_sparsification(ones, ones, ones[:2])


def test_errors_that_cannot_be_ordered_are_named() -> None:
    with pytest.raises(ValueError, match="2 are found, 0 are known"):
        sparsification(np.full(2, np.nan), np.ones(2))
    with pytest.raises(ValueError, match="got -1.0 to 1.0"):
        sparsification(np.array([-1.0, 1.0]), np.ones(2))
    with pytest.raises(ValueError, match="not all 0"):
        sparsification(np.zeros(2), np.ones(2))
    with pytest.raises(ValueError, match=r"confidence \(3,\)"):
        sparsification(np.zeros(2), np.ones(3))


def test_nees_equals_that_by_hand() -> None:
    covariances = np.stack([np.diag([4.0, 1.0]), np.array([[2.0, 1.0], [1.0, 2.0]])])
    wrong = np.array([[2.0, 3.0], [1.0, -1.0]])

    result = nees(wrong, covariances)

    # 1 + 9 = 10; the inverse of the second is [[2, -1], [-1, 2]] / 3: 6 / 3 = 2
    assert result["nees"] == pytest.approx(6.0, abs=1e-12)
    assert result["nees_per_dof"] == pytest.approx(3.0, abs=1e-12)
    # chi-square with 2 degrees: 95 % below -2 ln 0.05 = 5.99
    assert (result["inside"], result["count"]) == (0.5, 2.0)
    # and with 4 degrees the tables say 0.484 and 11.143
    assert result["lower"] == pytest.approx(0.4844 / 2, abs=1e-4)
    assert result["upper"] == pytest.approx(11.1433 / 2, abs=1e-4)


@pytest.mark.parametrize(("claimed", "ratio"), [(1.0, 1.0), (0.5, 4.0), (2.0, 0.25)])
def test_nees_tells_sure_from_careful(claimed: float, ratio: float) -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(6, 6))
    spread = root @ root.T + np.eye(6)
    wrong = rng.multivariate_normal(np.zeros(6), spread, 4000)

    result = nees(wrong, np.tile(claimed**2 * spread, (4000, 1, 1)))

    assert result["nees_per_dof"] == pytest.approx(ratio, rel=0.03)
    if claimed == 1.0:
        assert result["lower"] < result["nees"] < result["upper"]
        assert result["inside"] == pytest.approx(0.95, abs=0.015)


def test_rows_without_a_covariance_are_left_out_and_wrong_ones_named() -> None:
    covariances = np.tile(np.eye(2), (3, 1, 1))
    covariances[1] = np.nan

    assert nees(np.ones((3, 2)), covariances)["count"] == 2.0
    with pytest.raises(ValueError, match="not positive definite"):
        nees(np.ones((1, 2)), np.array([[[1.0, 2.0], [2.0, 1.0]]]))
    with pytest.raises(ValueError, match=r"\(3, 2\) and \(2, 2, 2\)"):
        nees(np.ones((3, 2)), np.ones((2, 2, 2)))
    with pytest.raises(ValueError, match="0 are found, 1 are known"):
        nees(np.ones((1, 2)), np.full((1, 2, 2), np.nan))
