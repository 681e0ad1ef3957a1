# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Network depth to metres, and which pixels of it are worth publishing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.config import GeometryConfig
from vggt4d_ros.datatypes import FramePrediction
from vggt4d_ros.geometry.robust import quantile

Plane = NDArray[np.float32]

_PERCENTILE_SAMPLES = 20_000  # the threshold's own standard error stays below 0.4 % of the pixels


@dataclass(frozen=True, slots=True)
class DepthLimits:
    """What a depth pixel must fulfil to be valid."""

    confidence_min: float = 0.0
    confidence_percentile: float = 0.0  # %, this share of the least confident pixels is invalid
    range_min: float = 0.0  # m, along z
    range_max: float = 0.0  # m, along z; 0: no limit

    @classmethod
    def from_config(cls, config: GeometryConfig) -> DepthLimits:
        """Takes the limits from the node's parameters."""
        return cls(
            config.confidence_min, config.confidence_percentile, config.range_min, config.range_max
        )


def confidence_threshold(confidence: Plane, limits: DepthLimits) -> float:
    """Gives the least confidence of a valid pixel, from the absolute limit and the percentile.

    The percentile is that of an even grid of about 20,000 pixels: a full sort of a frame costs
    more than all other work on it.
    """
    if limits.confidence_percentile <= 0:
        return limits.confidence_min
    step = max(1, int(np.sqrt(confidence.size / _PERCENTILE_SAMPLES)))
    sample = confidence[::step, ::step].ravel()
    finite = np.isfinite(sample)
    sample = sample if finite.all() else sample[finite]
    if not sample.size:
        return limits.confidence_min
    return max(limits.confidence_min, quantile(sample, limits.confidence_percentile / 100))


def metric_depth(
    frame: FramePrediction, scale: float, limits: DepthLimits, out: Plane | None = None
) -> Plane:
    """Gives depth along z (H, W) in metres; NaN where it is outside of the limits.

    Args:
        frame: the network's view of one image.
        scale: metres per network unit.
        limits: what makes a pixel valid.
        out: (H, W) float32 to write into, where it is in one piece; else a new array is made.

    Raises:
        ValueError: the scale is not positive.
    """
    if not 0 < scale < np.inf:
        raise ValueError(f"scale must be positive and finite, got {scale}")
    if out is None or not out.flags.c_contiguous:
        out = np.empty(frame.depth.shape, dtype=np.float32)
    depth: Plane = np.multiply(frame.depth, np.float32(scale), out=out)
    low = max(np.float32(limits.range_min), np.finfo(np.float32).tiny)  # 0 is no depth
    high = np.float32(limits.range_max) if limits.range_max > 0 else np.finfo(np.float32).max
    threshold = np.float32(confidence_threshold(frame.depth_confidence, limits))
    with np.errstate(invalid="ignore"):
        if _within(frame.depth_confidence, depth, threshold, low, high):
            return depth
        valid = frame.depth_confidence >= threshold
        valid &= depth >= low
        valid &= depth <= high
    forget(depth, np.logical_not(valid, out=valid))
    return depth


def _within(
    confidence: Plane, depth: Plane, threshold: np.float32, low: np.float32, high: np.float32
) -> bool:
    """Whether all pixels are valid, as they mostly are: then no mask of them is needed."""
    # NaN is the least and the greatest of all numbers to numpy, and compares as False
    return bool(np.min(confidence) >= threshold and np.min(depth) >= low and np.max(depth) <= high)


def forget(plane: Plane, where: NDArray[np.bool_]) -> None:
    """Sets pixels of a plane (H, W), which lies in one piece, to NaN; numpy takes ten times."""
    cv2.copyTo(_nothing(*plane.shape), where.view(np.uint8), plane)


@lru_cache(maxsize=16)
def _nothing(height: int, width: int) -> Plane:
    """(H, W) of NaN; cached, not to be written to."""
    plane = np.full((height, width), np.nan, dtype=np.float32)
    plane.flags.writeable = False
    return plane


def depth_to_millimetres(depth: Plane) -> NDArray[np.uint16]:
    """Gives depth (H, W) as uint16 millimetres (REP-118); 0: invalid or beyond 65.535 m."""
    with np.errstate(invalid="ignore"):
        millimetres = np.rint(depth * np.float32(1000))
        valid = millimetres <= 65535  # False for NaN
    result: NDArray[np.uint16] = np.where(valid, millimetres, 0).astype(np.uint16)
    return result
