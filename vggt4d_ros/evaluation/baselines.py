# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What simple methods make of the same images, to stand beside a network's numbers."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.datatypes import Array, CameraModel
from vggt4d_ros.geometry import se3
from vggt4d_ros.geometry.optical_flow import dis_flow

Image = NDArray[np.uint8]
Map = NDArray[np.float32]

DISPARITY_SHARE = 0.25  # of the image's width: the largest disparity that is searched
MOST_TURNED = 1e-3  # rad, and
MOST_ASIDE = 0.01  # of the baseline: how far from rectified a pair may be
BLOCK = 5  # px


def constant_depth(truth: Map) -> Map:
    """The median of the true depth everywhere: what no look at the image can give.

    Raises:
        ValueError: no depth is known.
    """
    known = truth[np.isfinite(truth) & (truth > 0)]
    if not known.size:
        raise ValueError(f"no depth is known among {truth.size} pixels")
    return np.full(truth.shape, np.median(known), dtype=np.float32)


def zero_flow(height: int, width: int) -> Map:
    """Flow (H, W, 2) of a still image."""
    return np.zeros((height, width, 2), dtype=np.float32)


def classical_flow(rgb_from: Image, rgb_to: Image) -> Map:
    """Flow (H, W, 2) in pixels of OpenCV's DIS (Kroeger et al., ECCV 2016), preset medium."""
    return dis_flow(rgb_from, rgb_to, rgb_from.shape[1], rgb_from.shape[0], preset="medium")


def is_rectified_pair(left: CameraModel, right: CameraModel, right_from_left: Array) -> bool:
    """Whether points lie in the same row of both images, and the second camera is to the right."""
    shift = right_from_left[:3, 3]
    aside = float(np.max(np.abs(shift[1:])))
    return (
        not (left.distortion or right.distortion)
        and math.isclose(left.fx, right.fx, rel_tol=1e-3)
        and math.isclose(left.fy, right.fy, rel_tol=1e-3)
        and abs(left.cy - right.cy) < 0.5
        and (left.width, left.height) == (right.width, right.height)
        and float(se3.rotation_angle(right_from_left[:3, :3])) < MOST_TURNED
        and shift[0] < 0
        and aside <= MOST_ASIDE * -shift[0]
    )


def sgbm_depth(
    left_rgb: Image,
    right_rgb: Image,
    left: CameraModel,
    right: CameraModel,
    right_from_left: Array,
) -> Map:
    """Depth (H, W) of the left image by OpenCV's semi-global matching (Hirschmueller, PAMI 2008).

    Metres; NaN where nothing was matched. P1 and P2 are those of OpenCV's own example.

    Raises:
        ValueError: the pair is not rectified, or its images differ in size.
    """
    if left_rgb.shape != right_rgb.shape:
        raise ValueError(f"images differ in size: {left_rgb.shape} and {right_rgb.shape}")
    if not is_rectified_pair(left, right, right_from_left):
        raise ValueError(f"not a rectified pair: {left}, {right}, {right_from_left.tolist()}")
    offset = left.cx - right.cx  # disparity of what is infinitely far
    count = 16 * math.ceil(DISPARITY_SHARE * left.width / 16)
    lowest = math.floor(offset)
    create = vars(cv2)["StereoSGBM_create"]  # OpenCV's own type stubs leave it out
    matcher = create(
        minDisparity=lowest,
        numDisparities=count,
        blockSize=BLOCK,
        P1=8 * 3 * BLOCK**2,
        P2=32 * 3 * BLOCK**2,
        disp12MaxDiff=1,
        uniquenessRatio=10,
        speckleWindowSize=100,
        speckleRange=2,
    )
    # matching begins `count` columns into the image: shown a wider one, it covers all of it
    wide = [
        cv2.copyMakeBorder(image, 0, 0, count, 0, cv2.BORDER_REPLICATE)
        for image in (left_rgb, right_rgb)
    ]
    raw = matcher.compute(*wide)[:, count:].astype(np.float32) / 16
    # what was matched in the border that was added is no match
    matched = (raw >= lowest) & (np.arange(left.width) >= raw)
    disparity = raw - np.float32(offset)
    with np.errstate(divide="ignore"):
        depth = np.float32(-right_from_left[0, 3] * left.fx) / disparity
    return np.where(matched & (disparity > 0), depth, np.float32(np.nan))
