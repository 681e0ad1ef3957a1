# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Estimates of a window by the network and by each baseline, in one form to be scored."""

from __future__ import annotations

import numpy as np

from vggt4d_ros.datatypes import FramePrediction
from vggt4d_ros.evaluation.baselines import (
    classical_flow,
    constant_depth,
    is_rectified_pair,
    sgbm_depth,
    zero_flow,
)
from vggt4d_ros.evaluation.known_window import KnownWindow, Slot
from vggt4d_ros.evaluation.window_scores import WindowEstimate, horizontal_fov_deg
from vggt4d_ros.geometry import se3
from vggt4d_ros.geometry.parallax import view_pairs
from vggt4d_ros.geometry.scale import ScaleEstimate
from vggt4d_ros.geometry.tracker import Tracker
from vggt4d_ros.model.engine import Engine

MOVES = 0.5  # probability above which a pixel counts as moving


def network_estimate(known: KnownWindow, engine: Engine) -> tuple[WindowEstimate, ScaleEstimate]:
    """What the network says, and the metres of its unit by the rig's true extrinsics.

    The scale is that of the node's own tracker, begun anew: a window alone must show it. Where it
    does not, there is no metric depth.
    """
    window = known.window
    pairs = view_pairs(known.rig.base_from_cam)
    prediction = engine.predict(window, range(window.shape[0]), view_pairs=pairs)
    tracked = Tracker().update(window, prediction, known.rig)
    frames = prediction.frames
    scale = tracked.scale
    usable = [slot for slot in known.truth if prediction.valid[slot]]
    estimate = WindowEstimate(
        depth={slot: frame.depth for slot, frame in frames.items()},
        depth_confidence={slot: frame.depth_confidence for slot, frame in frames.items()},
        depth_m={s: f.depth * np.float32(scale.value) for s, f in frames.items()}
        if scale.known
        else {},
        flow_forward=_given(frames, "flow_forward"),
        flow_backward=_given(frames, "flow_backward"),
        dynamic={slot: p > MOVES for slot, p in _given(frames, "dynamic").items()},
        world_from_cam={s: se3.inverse(prediction.cam_from_world[s]) for s in usable},
        fov_deg={
            s: horizontal_fov_deg(prediction.intrinsics[s][0, 0], known.rgb(s).shape[1])
            for s in usable
        },
    )
    return estimate, scale


def _given(frames: dict[Slot, FramePrediction], name: str) -> dict[Slot, np.ndarray]:
    found = {slot: getattr(frame, name) for slot, frame in frames.items()}
    return {slot: value for slot, value in found.items() if value is not None}


def baseline_estimates(known: KnownWindow) -> dict[str, WindowEstimate]:
    """What each simple method says that has something to say of this window."""
    truth = known.truth
    depths = [t.depth.ravel() for t in truth.values() if t.depth is not None]
    found: dict[str, WindowEstimate] = {}
    if depths and np.isfinite(np.concatenate(depths)).any():
        level = float(constant_depth(np.concatenate(depths))[0])
        flat = {
            slot: np.full_like(t.depth, level) for slot, t in truth.items() if t.depth is not None
        }
        found["constant_depth"] = WindowEstimate(depth=flat)
    sgbm = _stereo(known)
    if sgbm:
        found["sgbm"] = WindowEstimate(depth=sgbm, depth_m=sgbm)
    forward = [slot for slot, t in truth.items() if t.flow_forward is not None]
    backward = [slot for slot, t in truth.items() if t.flow_backward is not None]
    if forward or backward:
        still = {slot: zero_flow(*known.rgb(slot).shape[:2]) for slot in {*forward, *backward}}
        found["zero_flow"] = WindowEstimate(flow_forward=still, flow_backward=still)
        found["dis"] = WindowEstimate(
            flow_forward=_matched(known, forward, 1), flow_backward=_matched(known, backward, -1)
        )
    if any(t.world_from_cam is not None for t in truth.values()):
        found["static_camera"] = WindowEstimate(world_from_cam=dict.fromkeys(truth, np.eye(4)))
    masks = [slot for slot, t in truth.items() if t.dynamic is not None]
    if masks:
        everything = {slot: np.ones(known.rgb(slot).shape[:2], dtype=bool) for slot in masks}
        found["all_moves"] = WindowEstimate(dynamic=everything)
    return found


def _matched(known: KnownWindow, slots: list[Slot], sign: int) -> dict[Slot, np.ndarray]:
    """DIS flow to the next (+1) or last (-1) step, where there is one."""
    found = {}
    for step, view in slots:
        other = (step + sign, view)
        if other in known.truth:
            found[step, view] = classical_flow(known.rgb((step, view)), known.rgb(other))
    return found


def _stereo(known: KnownWindow) -> dict[Slot, np.ndarray]:
    """Depth in metres of the left image of each rectified pair whose truth is known."""
    found: dict[Slot, np.ndarray] = {}
    if not known.metric:
        return found
    for slot, truth in known.truth.items():
        right_slot = (slot[0], slot[1] + 1)
        right_truth = known.truth.get(right_slot)
        if truth.depth is None or truth.world_from_cam is None or right_truth is None:
            continue
        left, right = known.model(slot), known.model(right_slot)
        if left is None or right is None or right_truth.world_from_cam is None:
            continue
        right_from_left = se3.inverse(right_truth.world_from_cam) @ truth.world_from_cam
        if is_rectified_pair(left, right, right_from_left):
            images = known.rgb(slot), known.rgb(right_slot)
            found[slot] = sgbm_depth(*images, left, right, right_from_left)
    return found
