# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""J and F against values by hand and against DAVIS' rule with dilated boundaries."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vggt4d_ros.evaluation.metrics.mask import boundary, mask_metrics


def box(top: int, left: int, bottom: int, right: int, shape: tuple[int, int] = (60, 80)):
    mask = np.zeros(shape, dtype=bool)
    mask[top:bottom, left:right] = True
    return mask


def davis_boundary(mask: np.ndarray) -> np.ndarray:
    """Pixel by pixel: which differ from a neighbour to the right, below or both ways."""
    rows, columns = mask.shape
    edge = np.zeros_like(mask)
    for y in range(rows):
        for x in range(columns):
            for dy, dx in ((0, 1), (1, 0), (1, 1)):
                if y + dy < rows and x + dx < columns:
                    edge[y, x] |= mask[y, x] != mask[y + dy, x + dx]
    return edge


def davis_f(found: np.ndarray, truth: np.ndarray) -> float:
    reach = int(np.ceil(0.008 * np.linalg.norm(found.shape)))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disk = (x**2 + y**2 <= reach**2).astype(np.uint8)
    edges = [davis_boundary(mask).astype(np.uint8) for mask in (found, truth)]
    wide = [cv2.dilate(edge, disk) for edge in edges]
    precision = (edges[0] & wide[1]).sum() / edges[0].sum()
    recall = (edges[1] & wide[0]).sum() / edges[1].sum()
    return 2 * precision * recall / (precision + recall)


def test_j_is_the_share_of_the_union_that_both_hold() -> None:
    result = mask_metrics(box(0, 0, 10, 10), box(0, 5, 10, 15))

    assert result["j"] == pytest.approx(50 / 150, abs=1e-12)
    assert (result["pixels"], result["true_pixels"]) == (60 * 80, 100)


def test_equal_masks_score_one_and_masks_apart_nothing() -> None:
    same = mask_metrics(box(5, 5, 20, 20), box(5, 5, 20, 20))
    apart = mask_metrics(box(5, 5, 20, 20), box(40, 40, 50, 50))

    assert (same["j"], same["f"]) == (1.0, 1.0)
    assert (apart["j"], apart["f"]) == (0.0, 0.0)


def test_a_boundary_may_be_off_by_one_percent_of_the_diagonal() -> None:
    # diagonal 100 px: ceil(0.8) = 1 px
    near = mask_metrics(box(10, 10, 30, 30), box(11, 11, 31, 31))
    far = mask_metrics(box(10, 10, 30, 30), box(13, 13, 33, 33))

    assert near["f"] == pytest.approx(1.0, abs=0.03)
    assert far["f"] < 0.2


def test_f_equals_the_rule_of_davis_on_ragged_masks() -> None:
    rng = np.random.default_rng(0)
    for size in (3.0, 6.0):
        noise = [cv2.GaussianBlur(rng.normal(size=(150, 170)), (0, 0), size) for _ in range(2)]
        truth, found = noise[0] > 0, noise[0] + 0.3 * noise[1] > 0

        f = mask_metrics(found, truth)["f"]

        assert 0.2 < f < 0.99
        assert f == pytest.approx(davis_f(found, truth), abs=1e-9)


def test_the_boundary_reaches_the_border_of_the_image_as_davis_has_it() -> None:
    mask = box(20, 30, 60, 80)
    mask[-1, -5] = False

    np.testing.assert_array_equal(boundary(mask), davis_boundary(mask))


def test_nothing_to_find_and_nothing_found_agree() -> None:
    nothing, something = box(0, 0, 0, 0), box(5, 5, 9, 9)

    assert (mask_metrics(nothing, nothing)["j"], mask_metrics(nothing, nothing)["f"]) == (1.0, 1.0)
    for pair in ((nothing, something), (something, nothing)):
        assert (mask_metrics(*pair)["j"], mask_metrics(*pair)["f"]) == (0.0, 0.0)


def test_what_is_not_known_counts_on_neither_side() -> None:
    known = np.ones((60, 80), dtype=bool)
    known[:, 40:] = False

    result = mask_metrics(box(0, 30, 10, 60), box(0, 30, 10, 40), known)

    assert (result["j"], result["f"], result["pixels"]) == (1.0, 1.0, 60 * 40)


def test_what_is_no_mask_is_named() -> None:
    mask = box(0, 0, 5, 5)
    with pytest.raises(ValueError, match=r"found must be \(H, W\) bool, got \(60, 80\) float64"):
        mask_metrics(mask.astype(float), mask)
    with pytest.raises(ValueError, match=r"truth \(2, 2\)"):
        mask_metrics(mask, np.zeros((2, 2), dtype=bool))
    with pytest.raises(ValueError, match="none of 4800 is known"):
        mask_metrics(mask, mask, np.zeros_like(mask))
