# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Lengths that somebody gives: heights by parameter, depth images of other sensors."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.config import Config
from vggt4d_ros.datatypes import Prediction
from vggt4d_ros.geometry.scale import GivenScale

_SHAPE_TOLERANCE = 0.02  # of width over height: depth aligned with an image has its shape


def given_heights(config: Config) -> dict[int, float]:
    """Gives the height above ground (m) by view index that the parameters state, if any."""
    height, of = config.geometry.camera_height, config.geometry.camera_height_of
    if not height or not config.cameras.names:
        return {}
    return {config.cameras.names.index(of) if of else 0: height}


def depth_from_image(image: NDArray[np.generic]) -> NDArray[np.float32]:
    """Gives metres (H, W), NaN where unknown, of a REP-118 depth image.

    Args:
        image: float32 metres, or uint16 millimetres with 0 for unknown.

    Raises:
        ValueError: neither of the two.
    """
    if image.ndim != 2 or image.dtype not in (np.dtype(np.float32), np.dtype(np.uint16)):
        raise ValueError(f"depth must be (H, W) float32 or uint16, got {image.shape} {image.dtype}")
    depth = image.astype(np.float32)
    if image.dtype == np.uint16:
        depth *= np.float32(1e-3)
    with np.errstate(invalid="ignore"):
        depth[~((depth > 0) & np.isfinite(depth))] = np.nan
    return depth


def fit_given(given: GivenScale, prediction: Prediction) -> GivenScale:
    """Gives the depth at the size of the prediction's, pixel by nearest pixel.

    Depth of another shape than the image, or of a frame without dense outputs, is left out: it
    cannot be aligned with them.
    """
    fitted = {}
    for slot, depth_m in given.depth_m.items():
        dense = prediction.frames.get(slot)
        if dense is None:
            continue
        height, width = dense.depth.shape
        ratio = (depth_m.shape[1] / depth_m.shape[0]) / (width / height)
        if abs(ratio - 1) > _SHAPE_TOLERANCE:
            continue
        if depth_m.shape != (height, width):
            depth_m = np.asarray(
                cv2.resize(depth_m, (width, height), interpolation=cv2.INTER_NEAREST),
                dtype=np.float32,
            )
        fitted[slot] = depth_m
    return replace(given, depth_m=fitted)
