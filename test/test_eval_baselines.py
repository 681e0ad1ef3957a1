# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Simple methods on images made so that the right answer is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vggt4d_ros.datatypes import CameraModel
from vggt4d_ros.evaluation.baselines import (
    classical_flow,
    constant_depth,
    is_rectified_pair,
    sgbm_depth,
    zero_flow,
)
from vggt4d_ros.evaluation.metrics import depth_metrics

LEFT = CameraModel(160, 120, 150.0, 150.0, 80.0, 60.0)
BASELINE = 0.2


def texture(width: int = 400) -> np.ndarray:
    noise = np.random.default_rng(0).uniform(0, 255, (120, width)).astype(np.float32)
    grey = cv2.GaussianBlur(noise, (0, 0), 1.2)
    grey = (grey - grey.min()) / np.ptp(grey) * 255
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=-1)


def pair(disparity: int, offset: float = 0.0) -> tuple[np.ndarray, np.ndarray, CameraModel]:
    """Left and right image of a wall, the right camera's principal point moved by ``offset``."""
    wide = texture()
    shift = round(disparity - offset)
    right = CameraModel(160, 120, 150.0, 150.0, 80.0 + offset, 60.0)
    return wide[:, 100:260], wide[:, 100 + shift : 260 + shift], right


def right_from_left(x: float = -BASELINE, y: float = 0.0) -> np.ndarray:
    transform = np.eye(4)
    transform[:2, 3] = x, y
    return transform


def test_constant_depth_is_the_median_of_what_is_known() -> None:
    truth = np.array([[1.0, 2.0, 9.0], [np.nan, 0.0, np.inf]], dtype=np.float32)

    np.testing.assert_array_equal(constant_depth(truth), np.full((2, 3), 2.0))
    with pytest.raises(ValueError, match="among 1 pixels"):
        constant_depth(np.array([np.nan], dtype=np.float32))


def test_zero_flow_is_of_the_image() -> None:
    assert zero_flow(3, 5).shape == (3, 5, 2)
    assert not zero_flow(3, 5).any()


def test_classical_flow_follows_an_image_that_moves() -> None:
    wide = texture()

    flow = classical_flow(wide[:, 100:260], wide[:, 97:257])

    np.testing.assert_allclose(np.median(flow.reshape(-1, 2), axis=0), [3.0, 0.0], atol=0.1)


@pytest.mark.parametrize(("disparity", "offset"), [(10, 0.0), (24, 0.0), (10, 6.0), (10, -4.0)])
def test_semi_global_matching_finds_a_wall(disparity: int, offset: float) -> None:
    left_rgb, right_rgb, right = pair(disparity, offset)
    truth = np.full((120, 160), BASELINE * 150.0 / disparity)

    depth = sgbm_depth(left_rgb, right_rgb, LEFT, right, right_from_left())

    result = depth_metrics(depth, truth, "metric")
    assert result["delta1"] > 0.98
    assert np.nanmedian(depth) == pytest.approx(truth[0, 0], rel=0.02)
    # the left strip that the right image does not show is not made up
    assert result["coverage"] > 0.75
    assert np.isnan(depth[:, : disparity - round(offset) - 3]).mean() > 0.9


def test_only_rectified_pairs_are_matched() -> None:
    left_rgb, right_rgb, right = pair(10)
    turned = right_from_left()
    turned[:3, :3] = cv2.Rodrigues(np.array([0.0, 0.01, 0.0]))[0]

    assert is_rectified_pair(LEFT, right, right_from_left())
    assert not is_rectified_pair(LEFT, right, right_from_left(x=BASELINE))
    assert not is_rectified_pair(LEFT, right, right_from_left(x=0.0))
    assert not is_rectified_pair(LEFT, right, right_from_left(y=0.01))
    assert not is_rectified_pair(LEFT, right, turned)
    with pytest.raises(ValueError, match="not a rectified pair"):
        sgbm_depth(left_rgb, right_rgb, LEFT, right, turned)
    with pytest.raises(ValueError, match="differ in size"):
        sgbm_depth(left_rgb, right_rgb[:50], LEFT, right, right_from_left())
