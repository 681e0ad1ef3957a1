# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How good a network is on windows with ground truth."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vggt4d_ros.data.windows import WindowBatch
from vggt4d_ros.evaluation.metrics.calibration import depth_sparsification
from vggt4d_ros.evaluation.metrics.depth import depth_metrics
from vggt4d_ros.evaluation.metrics.flow import flow_metrics
from vggt4d_ros.evaluation.metrics.trajectory import rotation_angle_deg
from vggt4d_ros.model.camera_head import quaternion_to_matrix
from vggt4d_ros.model.vggt4d import VGGT4D
from vggt4d_ros.train.targets import Targets, make_targets

LEAST_PIXELS = 100  # fewer with known depth say nothing of a window
Sums = dict[str, list[float]]


@torch.no_grad()
def evaluate(model: VGGT4D, batches: Iterable[WindowBatch]) -> dict[str, float]:
    """Means over windows (medians for angles) of all metrics that the windows allow.

    Keys: ``abs_rel`` and ``delta125`` (depth after median scaling over the window),
    ``abs_rel_constant`` (the window's median depth everywhere), ``aurg`` (how far the confidence of
    depth tells its errors, 0: not at all; see ``depth_sparsification``), ``epe``, ``epe_zero``
    (flow that is always 0), ``epe_visible``, ``fl`` (share of pixels worse than 3 px and 5 %),
    ``mask_iou`` (over all pixels of all windows), ``rotation_deg`` (median, relative to the
    reference),
    ``rotation_deg_static`` (of cameras that keep the reference's rotation), ``translation_deg``
    (direction, median), ``fov_deg``, ``track_px`` and ``track_px_still`` (mean distance of tracks
    from the truth where the point is seen at another step, and of points that stay in place).
    """
    training = model.training
    model.eval()
    sums: Sums = {}
    for batch in batches:
        output = model(batch.images, batch.valid, queries=batch.queries)
        targets = make_targets(batch)
        if output.depth is not None:
            _depth_metrics(sums, output.depth, output.depth_conf, targets)
        _pose_metrics(sums, output.pose_enc[-1], targets)
        if output.motion is not None:
            for name in ("forward", "backward"):
                field = getattr(output.motion, name)
                if field is not None:
                    _flow_metrics(sums, field.flow, batch, name, list(field.steps))
            if output.motion.dynamic is not None:
                _mask_metrics(sums, output.motion.dynamic, batch)
            if output.motion.tracks is not None:
                _track_metrics(sums, output.motion.tracks, batch)
    model.train(training)
    return _summary(sums)


def _array(values: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[Any]]:
    return np.asarray(values.detach().cpu().numpy())


def _add(sums: Sums, name: str, value: float) -> None:
    sums.setdefault(name, []).append(value)


def _depth_metrics(sums: Sums, depth: Tensor, confidence: Tensor | None, targets: Targets) -> None:
    for row in range(len(depth)):
        known = _array(targets.depth_valid[row])
        if known.sum() < LEAST_PIXELS:
            continue
        truth, found = _array(targets.depth[row]), _array(depth[row])
        scores = depth_metrics(found, truth, "median", known)
        _add(sums, "abs_rel", scores["abs_rel"])
        _add(sums, "delta125", scores["delta1"])
        flat = depth_metrics(np.ones_like(truth), truth, "median", known)
        _add(sums, "abs_rel_constant", flat["abs_rel"])
        if confidence is not None:
            curve = depth_sparsification(found, np.where(known, truth, 0), _array(confidence[row]))
            if curve is not None:
                _add(sums, "aurg", curve.aurg)


def rotation_angle(first: Tensor, second: Tensor) -> Tensor:
    """Angle in degrees between rotations (..., 3, 3)."""
    between = _array(first.transpose(-1, -2) @ second)
    return torch.from_numpy(np.asarray(rotation_angle_deg(between))).to(first)


def _pose_metrics(sums: Sums, pose: Tensor, targets: Targets) -> None:
    for row in range(len(pose)):
        there = targets.pose_valid[row].flatten()
        index = there.nonzero()[:, 0]
        if not len(index):
            continue
        found, truth = (
            pose[row].flatten(0, 1)[index],
            targets.pose_encoding[row].flatten(0, 1)[index],
        )
        _add(sums, "fov_deg", float(torch.rad2deg((found[:, 8] - truth[:, 8]).abs()).mean()))
        if len(index) < 2:
            continue
        turned = quaternion_to_matrix(found[:, 3:7])
        true_turned = quaternion_to_matrix(truth[:, 3:7])
        relative = turned[1:] @ turned[:1].transpose(1, 2)
        true_relative = true_turned[1:] @ true_turned[:1].transpose(1, 2)
        for value in rotation_angle(relative, true_relative).tolist():
            _add(sums, "rotation_deg", value)
        for value in rotation_angle(true_relative, torch.eye(3).to(relative)).tolist():
            _add(sums, "rotation_deg_static", value)
        center = -(turned.transpose(1, 2) @ found[:, :3, None])[..., 0]
        true_center = -(true_turned.transpose(1, 2) @ truth[:, :3, None])[..., 0]
        move, true_move = center[1:] - center[:1], true_center[1:] - true_center[:1]
        for a, b in zip(move, true_move, strict=True):
            if float(b.norm()) > 0.01:
                cosine = torch.nn.functional.cosine_similarity(a, b, dim=0).clamp(-1, 1)
                _add(sums, "translation_deg", float(torch.rad2deg(cosine.acos())))


def _flow_metrics(
    sums: Sums, flow: Tensor, batch: WindowBatch, name: str, steps: list[int]
) -> None:
    truth = getattr(batch, f"flow_{name}")[:, steps]
    known = getattr(batch, f"flow_{name}_valid")[:, steps]
    hidden = getattr(batch, f"occluded_{name}")[:, steps]
    for row in range(len(flow)):
        use, seen = _array(known[row]), _array(known[row] & ~hidden[row])
        if not use.any():
            continue
        found, true = _array(flow[row]), _array(truth[row])
        scores = flow_metrics(found, true, use)
        _add(sums, "epe", scores["epe"])
        _add(sums, "fl", scores["fl_all"])
        _add(sums, "epe_zero", flow_metrics(np.zeros_like(true), true, use)["epe"])
        if seen.any():
            _add(sums, "epe_visible", flow_metrics(found, true, seen)["epe"])
            still = flow_metrics(np.zeros_like(true), true, seen)
            _add(sums, "epe_visible_zero", still["epe"])


def _track_metrics(sums: Sums, found: Tensor, batch: WindowBatch) -> None:
    if batch.tracks is None or batch.tracks_seen is None or batch.queries is None:
        return
    steps = torch.arange(batch.shape[1], device=found.device)
    other = batch.queries[..., :1] != steps  # (B, N, T): not the query's own step
    own = batch.queries[..., [3, 2]][:, :, None].to(found.dtype)
    for row in range(len(found)):
        use = batch.tracks_seen[row] & other[row]
        if use.any():
            error = (found[row] - batch.tracks[row]).norm(dim=-1)[use]
            still = (own[row] - batch.tracks[row]).norm(dim=-1)[use]
            _add(sums, "track_px", float(error.mean()))
            _add(sums, "track_px_still", float(still.mean()))


def _mask_metrics(sums: Sums, logits: Tensor, batch: WindowBatch) -> None:
    known = batch.dynamic_valid
    found, truth = (logits > 0) & known, batch.dynamic & known
    for row in range(len(logits)):
        _add(sums, "mask_both", float((found[row] & truth[row]).sum()))
        _add(sums, "mask_any", float((found[row] | truth[row]).sum()))
        _add(sums, "mask_true", float(truth[row].sum()))
        _add(sums, "mask_known", float(known[row].sum()))


def _summary(sums: Sums) -> dict[str, float]:
    result = {}
    for name, values in sums.items():
        if name.startswith("mask_"):
            continue
        middle = (
            np.median
            if name in ("rotation_deg", "translation_deg", "rotation_deg_static")
            else np.mean
        )
        result[name] = float(middle(values))
    if sum(sums.get("mask_any", [0.0])):
        result["mask_iou"] = sum(sums["mask_both"]) / sum(sums["mask_any"])
        # a mask that says everything moves
        result["mask_iou_all"] = sum(sums["mask_true"]) / sum(sums["mask_known"])
    result["windows"] = float(len(sums.get("abs_rel", [])))
    return result
