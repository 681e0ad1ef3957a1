# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Depth of OpenCV's semi-global matching, where two cameras are a rectified stereo pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.evaluation.metrics.depth import depth_metrics
from vggt4d_ros.evaluation.score_depth import match_size
from vggt4d_ros.evaluation.sources import FrameTruth, Map
from vggt4d_ros.evaluation.tally import Tally
from vggt4d_ros.geometry import se3
from vggt4d_ros.processor import Processed
from vggt4d_ros.products import ViewProducts

_BLOCK = 5
_TURN_RAD = 2e-3  # more is no rectified pair
_ASIDE_SHARE = 0.01  # of the baseline


class StereoBaseline:
    """Scores ``cv2.StereoSGBM`` on the first pair of cameras that is rectified."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def score(
        self,
        processed: Processed,
        views: Sequence[ViewProducts],
        truths: Mapping[int, FrameTruth],
    ) -> None:
        """Scores one window, where its left camera has true depth."""
        for left in views:
            truth = truths.get(left.view)
            if truth is None or truth.depth is None:
                continue
            true = match_size(truth.depth, left.depth.shape, sparse=truth.sparse)
            if true is None:
                continue
            for right in views:
                baseline = baseline_m(processed, left, right)
                if baseline is None:
                    continue
                found = sgbm_depth(left, right, baseline)
                for alignment in ("median", "metric"):
                    try:
                        numbers = depth_metrics(found, true, alignment)
                    except ValueError:
                        continue
                    self._tally.add("depth", alignment, numbers)
                return


def baseline_m(processed: Processed, left: ViewProducts, right: ViewProducts) -> float | None:
    """How far the right camera stands to the right; None: not a rectified pair."""
    poses = [processed.rig.base_from_cam[view.view] for view in (left, right)]
    if left is right or poses[0] is None or poses[1] is None:
        return None
    if left.depth.shape != right.depth.shape or left.model.fx != right.model.fx:
        return None
    left_from_right = se3.inverse(poses[0]) @ poses[1]
    x, y, z = left_from_right[:3, 3]
    turned = float(se3.rotation_angle(left_from_right[:3, :3])) > _TURN_RAD
    if x <= 0 or turned or max(abs(y), abs(z)) > _ASIDE_SHARE * x:
        return None
    return float(x)


def sgbm_depth(left: ViewProducts, right: ViewProducts, baseline: float) -> Map:
    """Depth (H, W) of the left image, NaN where the matcher keeps silent."""
    grey = [cv2.cvtColor(view.frame.image.rgb(), cv2.COLOR_RGB2GRAY) for view in (left, right)]
    width = grey[0].shape[1]
    matcher = cv2.StereoSGBM.create(
        minDisparity=0,
        numDisparities=max(16, width // 6 // 16 * 16),
        blockSize=_BLOCK,
        P1=8 * _BLOCK**2,
        P2=32 * _BLOCK**2,
        disp12MaxDiff=1,
        uniquenessRatio=10,
        speckleWindowSize=100,
        speckleRange=2,
    )
    disparity = matcher.compute(grey[0], grey[1]).astype(np.float32) / 16
    shift: NDArray[np.float32] = disparity + np.float32(right.model.cx - left.model.cx)
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = np.float32(left.model.fx * baseline) / shift
    return np.where((disparity > 0) & (shift > 0), depth, np.float32(np.nan))
