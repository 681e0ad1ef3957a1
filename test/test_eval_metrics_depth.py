# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Depth errors against values by hand and against what each alignment must undo."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vggt4d_ros.evaluation.metrics.depth import depth_metrics

NAN = float("nan")


def scene(shape: tuple[int, ...] = (6, 8)) -> np.ndarray:
    return np.random.default_rng(0).uniform(1.0, 20.0, shape)


def test_depth_errors_equal_those_by_hand() -> None:
    truth = np.array([[2.0, 4.0]])
    found = np.array([[3.0, 3.0]])

    result = depth_metrics(found, truth, "none")

    # errors +1 and -1; ratios 1.5 and 4/3: 1.25 < both < 1.25^2
    assert result["abs_rel"] == pytest.approx((1 / 2 + 1 / 4) / 2, abs=1e-12)
    assert result["sq_rel"] == pytest.approx((1 / 2 + 1 / 4) / 2, abs=1e-12)
    assert result["rmse"] == pytest.approx(1.0, abs=1e-12)
    by_hand = math.sqrt((math.log(1.5) ** 2 + math.log(0.75) ** 2) / 2)
    assert result["rmse_log"] == pytest.approx(by_hand, abs=1e-12)
    assert (result["delta1"], result["delta2"], result["delta3"]) == (0.0, 1.0, 1.0)
    assert (result["pixels"], result["coverage"]) == (2.0, 1.0)


def test_delta_counts_a_ratio_below_its_power_only() -> None:
    truth = np.array([1.0, 1.0, 1.0, 1.0])
    found = np.array([1.25, 1.5, 1.9, 4.0])

    result = depth_metrics(found, truth, "none")

    # 1.25 itself is not below 1.25; 1.25^2 = 1.5625, 1.25^3 = 1.953
    assert (result["delta1"], result["delta2"], result["delta3"]) == (0.0, 0.5, 0.75)


def test_median_alignment_undoes_a_factor_and_nothing_else() -> None:
    truth = scene()

    scaled = depth_metrics(0.037 * truth, truth, "median")
    shifted = depth_metrics(truth + 3.0, truth, "median")

    assert scaled["abs_rel"] == pytest.approx(0.0, abs=1e-12)
    assert shifted["abs_rel"] > 0.05


def test_median_alignment_takes_the_ratio_of_the_medians() -> None:
    truth, found = np.array([1.0, 2.0, 10.0]), np.array([1.0, 1.0, 4.0])

    # medians 2 and 1: found becomes 2, 2, 8
    expected = (1 / 1 + 0 + 2 / 10) / 3
    assert depth_metrics(found, truth, "median")["abs_rel"] == pytest.approx(expected, abs=1e-12)


def test_scale_and_shift_alignment_undoes_both() -> None:
    truth = scene()

    result = depth_metrics(0.2 * truth + 1.7, truth, "scale_shift")

    assert result["rmse"] == pytest.approx(0.0, abs=1e-9)


def test_scale_and_shift_alignment_is_least_squares() -> None:
    truth, found = scene(), scene()[::-1] + 1.0
    slope, offset = np.polyfit(found.ravel(), truth.ravel(), 1)
    fitted = np.maximum(slope * found + offset, 1e-3)

    result = depth_metrics(found, truth, "scale_shift")

    assert result["rmse"] == pytest.approx(float(np.sqrt(np.mean((fitted - truth) ** 2))), abs=1e-9)


def test_a_shift_below_zero_leaves_finite_logarithms() -> None:
    truth = np.array([1.0, 1.0, 1.0, 1.0, 20.0])
    found = np.array([1.0, 2.0, 3.0, 4.0, 5.0])

    result = depth_metrics(found, truth, "scale_shift")

    # the best line is 3.8 found - 6.6: -2.8 at the first pixel, which is cut off at 1 mm
    assert all(math.isfinite(value) for value in result.values())
    errors = [0.001 - 1, 1 - 1, 4.8 - 1, 8.6 - 1, 12.4 - 20]
    assert result["rmse"] == pytest.approx(math.sqrt(sum(e * e for e in errors) / 5), abs=1e-9)


@pytest.mark.parametrize("alignment", ["none", "metric"])
def test_without_alignment_a_factor_stays(alignment: str) -> None:
    truth = scene()

    assert depth_metrics(1.1 * truth, truth, alignment)["abs_rel"] == pytest.approx(0.1, abs=1e-12)


def test_invalid_pixels_of_either_side_are_left_out_and_counted() -> None:
    truth = np.array([[2.0, NAN, 0.0, 2.0, np.inf, 2.0, 2.0]])
    found = np.array([[2.0, 5.0, 5.0, NAN, 5.0, -1.0, 4.0]])

    result = depth_metrics(found, truth, "none")

    assert result["pixels"] == 2.0
    assert result["abs_rel"] == pytest.approx(0.5, abs=1e-12)
    assert result["coverage"] == pytest.approx(2 / 4)


def test_a_mask_leaves_only_its_pixels() -> None:
    truth, found = np.ones((2, 2)), np.array([[1.0, 2.0], [3.0, 4.0]])

    result = depth_metrics(found, truth, "none", mask=np.array([[False, True], [False, False]]))

    assert (result["abs_rel"], result["pixels"]) == (1.0, 1.0)


def test_input_is_unchanged() -> None:
    truth, found = scene(), scene() * 2
    before = truth.copy(), found.copy()

    depth_metrics(found, truth, "scale_shift")

    np.testing.assert_array_equal(truth, before[0])
    np.testing.assert_array_equal(found, before[1])


def test_nothing_to_compare_is_an_error_that_counts_both_sides() -> None:
    with pytest.raises(ValueError, match="2 are found, 1 are known"):
        depth_metrics(np.array([1.0, 1.0, NAN]), np.array([NAN, NAN, 1.0]), "none")


def test_wrong_shapes_and_alignments_are_named() -> None:
    with pytest.raises(ValueError, match=r"found \(2,\), truth \(3,\)"):
        depth_metrics(np.ones(2), np.ones(3), "none")
    with pytest.raises(ValueError, match="'mean'"):
        depth_metrics(np.ones(2), np.ones(2), "mean")  # type: ignore[arg-type]
