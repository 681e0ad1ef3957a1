# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Optical flow, scene flow and masks of what moves, against their truth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.datatypes import Array, CameraModel, Frame
from vggt4d_ros.evaluation.baselines import classical_flow
from vggt4d_ros.evaluation.metrics.flow import flow_metrics
from vggt4d_ros.evaluation.metrics.mask import mask_metrics
from vggt4d_ros.evaluation.metrics.scene_flow import scene_flow_metrics
from vggt4d_ros.evaluation.sources import FrameTruth, Map
from vggt4d_ros.evaluation.tally import Tally
from vggt4d_ros.geometry import se3
from vggt4d_ros.geometry.pinhole import unproject_depth
from vggt4d_ros.processor import Processed
from vggt4d_ros.products import ViewProducts

_LIKELY = 0.5  # a pixel moves where the head gives more


class MotionScorer:
    """Scores what the newest two steps of a window say of motion.

    Args:
        tally: of the network.
        zero, dis: of the baselines; None: not wanted.
        metric: truth is in metres.
    """

    def __init__(
        self, tally: Tally, zero: Tally | None, dis: Tally | None, *, metric: bool
    ) -> None:
        self._tally = tally
        self._zero = zero
        self._dis = dis
        self._metric = metric
        self._masked: set[tuple[int, int]] = set()  # (camera, stamp) whose head's mask is scored

    def score(
        self,
        processed: Processed,
        view: ViewProducts,
        truth: FrameTruth | None,
        truth_before: FrameTruth | None,
    ) -> dict[str, float]:
        """Scores one camera; gives columns for windows.csv."""
        before = processed.window.frame(-2, view.view) if processed.window.shape[0] > 1 else None
        columns: dict[str, float] = {}
        if truth_before is not None and before is not None:
            columns |= self._score_head_mask(processed, before, truth_before, step=-2)
        if truth is None:
            return columns
        columns |= self._score_head_mask(processed, view.frame, truth, step=-1)
        columns |= self._score_mask(view, truth)
        if before is None or truth_before is None or truth.step != truth_before.step + 1:
            return columns
        columns |= self._score_forward(processed, view, before, truth_before)
        self._score_backward(view, truth)
        columns |= self._score_scene_flow(processed, view, before, truth, truth_before)
        return columns

    def _score_forward(
        self, processed: Processed, view: ViewProducts, before: Frame, truth: FrameTruth
    ) -> dict[str, float]:
        """Flow from the step before to the newest: the truth that data sets give."""
        dense = processed.prediction.frames.get((processed.window.shape[0] - 2, view.view))
        true = truth.flow_forward
        if true is None:
            return {}
        if self._zero is not None:
            self._zero.add("flow", "all", flow_metrics(np.zeros_like(true), true))
        if self._dis is not None:
            images = before.image.rgb(), view.frame.image.rgb()
            if images[0].shape == images[1].shape == (*true.shape[:2], 3):
                self._dis.add("flow", "all", flow_metrics(classical_flow(*images), true))
        if dense is None or dense.flow_forward is None or dense.flow_forward.shape != true.shape:
            return {}
        numbers = flow_metrics(dense.flow_forward, true)
        self._tally.add("flow", "all", numbers)
        if truth.occluded_forward is not None and not truth.occluded_forward.all():
            seen = flow_metrics(dense.flow_forward, true, ~truth.occluded_forward)
            self._tally.add("flow", "visible", seen)
        return {name: numbers[name] for name in ("epe", "fl_all")}

    def _score_backward(self, view: ViewProducts, truth: FrameTruth) -> None:
        true, found = truth.flow_backward, view.prediction.flow_backward
        if true is not None and found is not None and found.shape == true.shape:
            self._tally.add("flow", "backward", flow_metrics(found, true))

    def _score_head_mask(
        self, processed: Processed, frame: Frame, truth: FrameTruth, *, step: int
    ) -> dict[str, float]:
        """The network's own mask, once for each frame that it is dense for."""
        key = frame.camera, frame.stamp_ns
        dense = processed.prediction.frames.get((processed.window.shape[0] + step, frame.camera))
        if truth.dynamic is None or dense is None or dense.dynamic is None or key in self._masked:
            return {}
        if dense.dynamic.shape != truth.dynamic.shape:
            return {}
        # only neighbours of this window can be asked for again
        self._masked = {other for other in self._masked if other[1] > frame.stamp_ns - 10**10}
        self._masked.add(key)
        numbers = mask_metrics(dense.dynamic > _LIKELY, truth.dynamic)
        self._tally.add("mask", "head", numbers)
        return {"head_j": numbers["j"]}

    def _score_mask(self, view: ViewProducts, truth: FrameTruth) -> dict[str, float]:
        """The mask that is published: speed against its own uncertainty."""
        mask = view.dynamic_mask
        if truth.dynamic is None or mask is None or mask.shape != truth.dynamic.shape:
            return {}
        numbers = mask_metrics(mask > 0, truth.dynamic)
        self._tally.add("mask", "all", numbers)
        return {name: numbers[name] for name in ("j", "f")}

    def _score_scene_flow(
        self,
        processed: Processed,
        view: ViewProducts,
        before: Frame,
        truth: FrameTruth,
        truth_before: FrameTruth,
    ) -> dict[str, float]:
        flow = view.scene_flow
        true = true_displacements(truth_before, truth, view.model)
        if flow is None or true is None or not self._metric:
            return {}
        u, v, moved = true
        interval_s = (view.frame.stamp_ns - before.stamp_ns) * 1e-9
        velocity = flow.velocity_in(view.world_from_cam[:3, :3].T)[v, u].astype(np.float64)
        found = velocity * interval_s
        known = processed.tracked.scale.known
        for variant, factor in (("all", 1.0), ("median", _median_ratio(view.depth, truth.depth))):
            if variant == "all" and not known:
                continue
            try:
                numbers = scene_flow_metrics(found * factor, moved, interval_s=interval_s)
            except ValueError:
                return {}
            self._tally.add("scene_flow", variant, numbers)
        if self._zero is not None:
            still = scene_flow_metrics(np.zeros_like(moved), moved, interval_s=interval_s)
            self._zero.add("scene_flow", "all", still)
        return {"epe3d": numbers["epe3d"]}


def _median_ratio(found: Map, true: Map | None) -> float:
    if true is None or true.shape != found.shape:
        return 1.0
    both = np.isfinite(found) & np.isfinite(true)
    return float(np.median(true[both]) / np.median(found[both])) if both.any() else 1.0


def true_displacements(
    before: FrameTruth, now: FrameTruth, model: CameraModel
) -> tuple[NDArray[np.intp], NDArray[np.intp], Array] | None:
    """How points moved in the world up to the newest frame, in the axes of its camera.

    Each pixel of the frame before is followed by its true flow; where the point is not hidden
    there, both depths and poses give its displacement. None: something needed is not known.

    Returns:
        u, v (N,) pixels of the newest frame, and displacements (N, 3) m.
    """
    flow, first, second = before.flow_forward, before.depth, now.depth
    poses = before.world_from_cam, now.world_from_cam
    if flow is None or first is None or second is None or poses[0] is None or poses[1] is None:
        return None
    if before.sparse or first.shape != second.shape or flow.shape[:2] != first.shape:
        return None
    if first.shape != (model.height, model.width):
        return None
    height, width = first.shape
    rows, columns = np.mgrid[:height, :width]
    with np.errstate(invalid="ignore"):
        target_u, target_v = columns + flow[..., 0], rows + flow[..., 1]
        use = np.isfinite(target_u) & np.isfinite(first) & (first > 0)
        use &= (target_u > -0.5) & (target_u < width - 0.5)
        use &= (target_v > -0.5) & (target_v < height - 0.5)
    if before.occluded_forward is not None:
        use &= ~before.occluded_forward
    u, v = np.rint(target_u[use]).astype(np.intp), np.rint(target_v[use]).astype(np.intp)
    start = unproject_depth(first, model)[use].astype(np.float64)
    end = unproject_depth(second, model)[v, u].astype(np.float64)
    cam_from_world = se3.inverse(poses[1])
    shift = end - se3.transform_points(cam_from_world @ poses[0], start)
    known = np.isfinite(shift).all(axis=-1)
    if not known.any():
        return None
    return u[known], v[known], shift[known]
