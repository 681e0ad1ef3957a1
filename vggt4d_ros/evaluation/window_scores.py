# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Scores an estimate of a window against its truth, and sums up many windows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.datatypes import Array
from vggt4d_ros.evaluation.known_window import KnownWindow, Slot
from vggt4d_ros.evaluation.metrics.calibration import depth_sparsification
from vggt4d_ros.evaluation.metrics.depth import DepthAlignment, depth_metrics
from vggt4d_ros.evaluation.metrics.flow import flow_metrics
from vggt4d_ros.evaluation.metrics.mask import mask_metrics
from vggt4d_ros.evaluation.metrics.trajectory import rotation_angle_deg
from vggt4d_ros.evaluation.results import Metrics
from vggt4d_ros.evaluation.tally import Tally
from vggt4d_ros.geometry import se3

Map = NDArray[np.float32]

LEAST_PIXELS = 100  # fewer with known depth say nothing of a window
LEAST_MOVE = 0.01  # metres: shorter ways have no direction


@dataclass(frozen=True, slots=True, eq=False)
class WindowEstimate:
    """What a method says of a window; where a slot is absent it says nothing."""

    depth: Mapping[Slot, Map] = field(default_factory=dict)  # (H, W) along z, any unit
    depth_confidence: Mapping[Slot, Map] = field(default_factory=dict)  # (H, W), larger is surer
    depth_m: Mapping[Slot, Map] = field(default_factory=dict)  # (H, W) metres
    flow_forward: Mapping[Slot, Map] = field(default_factory=dict)  # (H, W, 2) px
    flow_backward: Mapping[Slot, Map] = field(default_factory=dict)
    dynamic: Mapping[Slot, NDArray[np.bool_]] = field(default_factory=dict)  # (H, W)
    world_from_cam: Mapping[Slot, Array] = field(default_factory=dict)  # (4, 4), any world and unit
    fov_deg: Mapping[Slot, float] = field(default_factory=dict)  # horizontal


class WindowScores:
    """Sums up windows: a depth counts by window, flow by pixel, angles go into one median.

    Groups and variants are those of ``RunResult.metrics``; ``mask.head`` is the network's own mask,
    with the IoU over all pixels of all windows beside J and F of the frames where something moves;
    ``calibration.depth`` counts by frame;
    further ``poses``, angles of cameras relative to the window's first: of all (``all``), of the
    same camera at other times (``time``), of other cameras at the same time (``views``).
    """

    def __init__(self) -> None:
        self._tally = Tally()
        self._angles: dict[str, dict[str, list[float]]] = {}
        self._both = self._any = self._masks = 0

    def add(self, known: KnownWindow, estimate: WindowEstimate) -> None:
        """Scores one window."""
        self._add_depth(known, estimate.depth, ("median", "scale_shift"))
        for slot, confidence in estimate.depth_confidence.items():
            self._add_confidence(known, slot, estimate.depth[slot], confidence)
        if known.metric:
            self._add_depth(known, estimate.depth_m, ("metric",))
        self._add_flow(known, estimate)
        for slot, found in estimate.dynamic.items():
            self._add_mask(known, slot, found)
        for variant, name, value in _angles(known, estimate):
            self._angles.setdefault(variant, {}).setdefault(name, []).append(value)

    def summary(self) -> Metrics:
        """Numbers by group and variant."""
        result = self._tally.result()
        for group in ("depth", "flow"):
            for numbers in result.get(group, {}).values():
                numbers["windows"] = numbers.pop("frames")
        if self._masks:
            mask = result.setdefault("mask", {}).setdefault("head", {})
            mask["iou"] = self._both / self._any if self._any else 1.0
        for variant, angles in self._angles.items():
            poses = result.setdefault("poses", {}).setdefault(variant, {})
            for name, values in angles.items():
                poses[f"{name}_median"] = float(np.median(values))
                poses[f"{name}_mean"] = float(np.mean(values))
            poses["pairs"] = float(len(angles.get("rotation_deg", ())))
        return result

    def _add_depth(
        self,
        known: KnownWindow,
        depth: Mapping[Slot, Map],
        alignments: tuple[DepthAlignment, ...],
    ) -> None:
        found, true = [], []
        for slot, truth in known.truth.items():
            if truth.depth is not None and slot in depth:
                found.append(depth[slot].ravel())
                true.append(truth.depth.ravel())
        if not found:
            return
        all_found, all_true = np.concatenate(found), np.concatenate(true)
        is_known = np.isfinite(all_true) & (all_true > 0)
        is_found = np.isfinite(all_found) & (all_found > 0)
        if is_known.sum() < LEAST_PIXELS or not (is_known & is_found).any():
            return
        for alignment in alignments:
            self._tally.add("depth", alignment, depth_metrics(all_found, all_true, alignment))

    def _add_confidence(self, known: KnownWindow, slot: Slot, depth: Map, confidence: Map) -> None:
        truth = known.truth[slot].depth if slot in known.truth else None
        if truth is None or (np.isfinite(truth) & (truth > 0)).sum() < LEAST_PIXELS:
            return
        curve = depth_sparsification(depth, truth, confidence)
        if curve is not None:
            self._tally.add("calibration", "depth", {"ause": curve.ause, "aurg": curve.aurg})

    def _add_flow(self, known: KnownWindow, estimate: WindowEstimate) -> None:
        pairs, seen = [], []
        for slot, truth in known.truth.items():
            forward, backward = estimate.flow_forward, estimate.flow_backward
            if truth.flow_forward is not None and slot in forward:
                pair = forward[slot].reshape(-1, 2), truth.flow_forward.reshape(-1, 2)
                pairs.append(pair)
                if truth.occluded_forward is not None:
                    seen.append((*pair, ~truth.occluded_forward.ravel()))
            if truth.flow_backward is not None and slot in backward:
                pairs.append((backward[slot].reshape(-1, 2), truth.flow_backward.reshape(-1, 2)))
        if any(np.isfinite(true).any() for _, true in pairs):
            found, true = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
            self._tally.add("flow", "all", flow_metrics(found, true))
        if any((np.isfinite(true).all(-1) & here).any() for _, true, here in seen):
            found, true, here = (np.concatenate(parts) for parts in zip(*seen, strict=True))
            self._tally.add("flow", "visible", flow_metrics(found, true, here))

    def _add_mask(self, known: KnownWindow, slot: Slot, found: NDArray[np.bool_]) -> None:
        true = known.truth[slot].dynamic
        if true is None:
            return
        # over all pixels of all windows: where nothing moves, only false alarms count
        self._both += int((found & true).sum())
        self._any += int((found | true).sum())
        self._masks += 1
        if true.any():
            self._tally.add("mask", "head", mask_metrics(found, true))


def _angles(known: KnownWindow, estimate: WindowEstimate) -> Iterator[tuple[str, str, float]]:
    """Variant, name and value (degrees) of each error of pose or field of view."""
    for slot, found_fov in estimate.fov_deg.items():
        model = known.model(slot)
        if model is not None:
            true_fov = horizontal_fov_deg(model.fx, model.width)
            yield "all", "fov_deg", abs(found_fov - true_fov)
    poses = [
        (slot, estimate.world_from_cam[slot], truth.world_from_cam)
        for slot, truth in sorted(known.truth.items())
        if truth.world_from_cam is not None and slot in estimate.world_from_cam
    ]
    if not poses:
        return
    first, found_first, true_first = poses[0]
    for slot, found_pose, true_pose in poses[1:]:
        variants = ["all"]
        if slot[1] == first[1]:
            variants.append("time")
        elif slot[0] == first[0]:
            variants.append("views")
        found = se3.inverse(found_first) @ found_pose
        true = se3.inverse(true_first) @ true_pose
        turn = float(rotation_angle_deg(true[:3, :3].T @ found[:3, :3]))
        ways = np.linalg.norm(found[:3, 3]), np.linalg.norm(true[:3, 3])
        for variant in variants:
            yield variant, "rotation_deg", turn
        if ways[0] > 0 and ways[1] > LEAST_MOVE:
            cosine = float(found[:3, 3] @ true[:3, 3] / (ways[0] * ways[1]))
            for variant in variants:
                yield (
                    variant,
                    "translation_deg",
                    float(np.degrees(np.arccos(np.clip(cosine, -1, 1)))),
                )


def horizontal_fov_deg(focal: float, width: int) -> float:
    """Horizontal field of view of a pinhole camera, as the network counts it, degrees."""
    return float(np.degrees(2 * np.arctan(width / (2 * focal))))
