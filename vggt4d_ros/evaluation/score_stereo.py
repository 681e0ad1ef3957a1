# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Depth of semi-global matching beside the network's, where two cameras are a rectified pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from vggt4d_ros.datatypes import Array
from vggt4d_ros.evaluation.baselines import is_rectified_pair, sgbm_depth
from vggt4d_ros.evaluation.metrics.depth import DepthAlignment, depth_metrics
from vggt4d_ros.evaluation.score_depth import match_size
from vggt4d_ros.evaluation.sources import FrameTruth
from vggt4d_ros.evaluation.tally import Tally
from vggt4d_ros.geometry import se3
from vggt4d_ros.processor import Processed
from vggt4d_ros.products import ViewProducts

_ALIGNMENTS: tuple[DepthAlignment, ...] = ("median", "metric")


class StereoBaseline:
    """Scores the first pair of cameras that is rectified and has true depth."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def score(
        self,
        processed: Processed,
        views: Sequence[ViewProducts],
        truths: Mapping[int, FrameTruth],
    ) -> None:
        """Scores one window."""
        for left in views:
            truth = truths.get(left.view)
            right = _partner(processed, views, left)
            if truth is None or truth.depth is None or right is None:
                continue
            found = sgbm_depth(
                left.frame.image.rgb(),
                right[0].frame.image.rgb(),
                left.model,
                right[0].model,
                right[1],
            )
            true = match_size(truth.depth, found.shape, sparse=truth.sparse)
            if true is None or not (np.isfinite(found) & np.isfinite(true)).any():
                continue
            for alignment in _ALIGNMENTS:
                self._tally.add("depth", alignment, depth_metrics(found, true, alignment))
            return


def _partner(
    processed: Processed, views: Sequence[ViewProducts], left: ViewProducts
) -> tuple[ViewProducts, Array] | None:
    """The right camera of a rectified pair and right_from_left; None: there is none."""
    own = processed.rig.base_from_cam[left.view]
    for right in views:
        theirs = processed.rig.base_from_cam[right.view]
        if right is left or own is None or theirs is None:
            continue
        right_from_left = se3.inverse(theirs) @ own
        same_size = left.frame.image.rgb().shape == right.frame.image.rgb().shape
        if same_size and is_rectified_pair(left.model, right.model, right_from_left):
            return right, right_from_left
    return None
