# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Point clouds of all cameras of an instant against those of the true depth and poses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from vggt4d_ros.datatypes import Array, CameraModel
from vggt4d_ros.evaluation.metrics.points import point_metrics
from vggt4d_ros.evaluation.metrics.trajectory import umeyama
from vggt4d_ros.evaluation.score_depth import match_size
from vggt4d_ros.evaluation.sources import FrameTruth, Map
from vggt4d_ros.evaluation.tally import Tally
from vggt4d_ros.geometry import se3
from vggt4d_ros.geometry.pinhole import unproject_depth
from vggt4d_ros.processor import Processed
from vggt4d_ros.products import ViewProducts

_POINTS = 3000  # of each camera
_LEAST = 50
_THRESHOLD_SHARE = 0.05  # of the median true depth


class PointScorer:
    """Scores the merged points of each window.

    The estimate's fixed frame is not the truth's: clouds are laid over each other by the pixels
    both have, with a scale (``all``) and without (``metric``, where the scale is known).
    """

    def __init__(self, tally: Tally, *, metric: bool) -> None:
        self._tally = tally
        self._metric = metric

    def score(
        self,
        processed: Processed,
        views: Sequence[ViewProducts],
        truths: Mapping[int, FrameTruth],
    ) -> dict[str, float]:
        """Scores one window; gives columns for windows.csv."""
        parts = []
        for view in views:
            truth = truths.get(view.view)
            if truth is not None and view.has_pose:
                part = _corresponding(view, truth)
                if part is not None:
                    parts.append(part)
        if sum(len(part[0]) for part in parts) < _LEAST:
            return {}
        found, true, normals, true_normals = (
            np.concatenate([part[i] for part in parts]) for i in range(4)
        )
        threshold = _THRESHOLD_SHARE * float(np.median([part[4] for part in parts]))
        columns = {}
        for variant, with_scale in (("all", True), ("metric", False)):
            if variant == "metric" and not (self._metric and processed.tracked.scale.known):
                continue
            try:
                rotation, shift, scale = umeyama(found, true, with_scale)
            except ValueError:
                continue  # all points at one place: no scale
            moved = scale * found @ rotation.T + shift
            numbers = point_metrics(moved, true, threshold, normals @ rotation.T, true_normals)
            self._tally.add("points", variant, {**numbers, "threshold_m": threshold})
            columns["chamfer" if with_scale else "metric_chamfer"] = 0.5 * (
                numbers["accuracy"] + numbers["completeness"]
            )
        return columns


def _corresponding(
    view: ViewProducts, truth: FrameTruth
) -> tuple[Array, Array, Array, Array, float] | None:
    """Points found and true (N, 3) of the same pixels, their normals, and the median true depth."""
    if truth.depth is None or truth.world_from_cam is None or truth.sparse:
        return None
    true_depth = match_size(truth.depth, view.depth.shape, sparse=False)
    if true_depth is None:
        return None
    found, normals = _points_and_normals(view.depth, view.model)
    true, true_normals = _points_and_normals(true_depth, view.model)
    usable = np.isfinite(normals).all(-1) & np.isfinite(true_normals).all(-1)
    chosen = np.flatnonzero(usable)
    chosen = chosen[:: max(1, len(chosen) // _POINTS)]
    if not len(chosen):
        return None
    pick = [a.reshape(-1, 3)[chosen] for a in (found, true, normals, true_normals)]
    own, theirs = view.world_from_cam, truth.world_from_cam
    return (
        se3.transform_points(own, pick[0]),
        se3.transform_points(theirs, pick[1]),
        pick[2] @ own[:3, :3].T,
        pick[3] @ theirs[:3, :3].T,
        float(np.nanmedian(true_depth)),
    )


def _points_and_normals(depth: Map, model: CameraModel) -> tuple[Array, Array]:
    """Points (H, W, 3) and unit normals from the neighbours on both sides; NaN where none."""
    points = unproject_depth(depth, model).astype(np.float64)
    across, down = np.full_like(points, np.nan), np.full_like(points, np.nan)
    across[:, 1:-1] = points[:, 2:] - points[:, :-2]
    down[1:-1] = points[2:] - points[:-2]
    normals = np.cross(across, down)
    with np.errstate(invalid="ignore", divide="ignore"):
        normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    normals[~np.isfinite(points).all(-1)] = np.nan
    return points, normals
