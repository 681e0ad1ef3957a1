# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Asks the sources of metric scale in their order, and the window before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from vggt4d_ros.datatypes import Array, FramePrediction, Prediction, ViewMatches
from vggt4d_ros.geometry.observation import DepthSamples, Observation
from vggt4d_ros.geometry.parallax import RigParallax, compare_views
from vggt4d_ros.geometry.rig import poses_at_set_stamps, shift_poses
from vggt4d_ros.geometry.scale import (
    GivenScale,
    ScaleEstimate,
    ScaleSource,
    compare_centres,
    depth_scale,
    height_scale,
    motion_scale,
    no_scale,
    rig_scale,
)
from vggt4d_ros.geometry.se3 import BODY_FROM_OPTICAL


def compare_cameras(
    seen: Observation,
    matches: Sequence[ViewMatches],
    frames: Mapping[tuple[int, int], FramePrediction],
    base_from_cam: Array,
    twist: Array,
) -> RigParallax:
    """Gives what calibrated cameras both see.

    Args:
        seen: the window.
        matches: all of one step.
        frames: dense outputs of that step.
        base_from_cam: (V, 4, 4) metres, NaN not known.
        twist: (6,) of the platform, metres, NaN not known: cameras are hardly ever triggered at
            once, and each is where that has taken it.
    """
    if matches:
        step = matches[0].step
        shifts = np.where(seen.valid[step], seen.stamps_ns[step] - seen.set_stamps_ns[step], 0)
        still = np.tile(np.eye(4), (len(shifts), 1, 1))
        base_from_cam = shift_poses(still, np.tile(twist, (len(shifts), 1)), shifts) @ base_from_cam
    known = {s: model for s, model in seen.models.items() if s not in seen.predicted_intrinsics}
    return compare_views(matches, frames, known, base_from_cam)


def measure_scale(
    seen: Observation,
    prediction: Prediction,
    base_from_cam: Array,
    odom_from_cam: Array | None,
    given: GivenScale | None,
    parallax: RigParallax | None = None,
) -> ScaleEstimate:
    """Gives the first estimate that holds: rig, motion, given depth, given height; else why none.

    Args:
        seen: the window.
        prediction: of the window.
        base_from_cam: (V, 4, 4) metres, NaN not known.
        odom_from_cam: (T, V, 4, 4) metres, NaN not known.
        given: lengths that somebody knows.
        parallax: what the cameras both see, where the network compares them: then it is not
            asked where it has its cameras, which rests on the same matches and on less.
    """
    estimates = [_by_baseline(seen, base_from_cam) if parallax is None else parallax.scale]
    if not estimates[-1].known and odom_from_cam is not None:
        estimates.append(
            motion_scale(seen.net_from_cam, seen.valid, odom_from_cam, seen.median_depth)
        )
    if not estimates[-1].known and given is not None:
        estimates.append(_from_depth(prediction, given))
    if not estimates[-1].known and given is not None:
        estimates.append(_from_height(seen, base_from_cam, given))
    if estimates[-1].known:
        return estimates[-1]
    return no_scale("; ".join(estimate.reason for estimate in estimates if estimate.reason))


def _by_baseline(seen: Observation, base_from_cam: Array) -> ScaleEstimate:
    if len(base_from_cam) < 2:
        return no_scale("one camera alone has no baseline")
    synced = poses_at_set_stamps(seen.net_from_cam, seen.stamps_ns, seen.set_stamps_ns, seen.valid)
    return rig_scale(synced, seen.valid, base_from_cam, seen.median_depth)


def _from_depth(prediction: Prediction, given: GivenScale) -> ScaleEstimate:
    """Compares given depth images with the predicted ones, at every pixel that has both."""
    net, metric, weights = [], [], []
    for slot, depth_m in given.depth_m.items():
        dense = prediction.frames.get(slot)
        if dense is None:
            continue
        if depth_m.shape != dense.depth.shape:
            raise ValueError(
                f"given depth of {slot} must be of {dense.depth.shape}, got {depth_m.shape}"
            )
        with np.errstate(invalid="ignore"):
            both = (depth_m > 0) & (dense.depth > 0) & (dense.depth_confidence > 0)
        net.append(dense.depth[both].astype(np.float64))
        metric.append(depth_m[both].astype(np.float64))
        weights.append(dense.depth_confidence[both].astype(np.float64))
    if not net:
        return no_scale("")
    return _depth_scale(net, metric, weights)


def _depth_scale(net: list[Array], metric: list[Array], weights: list[Array]) -> ScaleEstimate:
    """``depth_scale`` of pixels listed frame by frame."""
    frames = np.repeat(np.arange(len(net)), [len(part) for part in net])
    return depth_scale(np.concatenate(net), np.concatenate(metric), np.concatenate(weights), frames)


def _from_height(seen: Observation, base_from_cam: Array, given: GivenScale) -> ScaleEstimate:
    """Looks for the ground below the first camera whose height is given."""
    estimate = no_scale("")
    for (_, view), samples in sorted(seen.samples.items(), reverse=True):
        height = given.camera_height_m.get(view)
        if height is None or estimate.known:
            continue
        known = bool(np.isfinite(base_from_cam[view]).all())
        turn = (base_from_cam[view] if known else BODY_FROM_OPTICAL)[:3, :3]
        estimate = height_scale(samples.points(1.0) @ turn.T, samples.confidence, height)
    return estimate


def carried_scale(
    seen: Observation,
    world_from_cam: Mapping[tuple[int, int], Array],
    samples: Mapping[tuple[int, int], tuple[DepthSamples, float]],
) -> ScaleEstimate:
    """Says what this window's unit is in lengths of the window before.

    By the depth of frames that were dense in both; else by the distances of shared camera centres.

    Args:
        seen: the window.
        world_from_cam: of the window before, by (view, stamp_ns).
        samples: depth of its dense frames, and its unit.
    """
    net, before, weights = [], [], []
    for slot, now in seen.samples.items():
        old, unit = samples.get(seen.keys[slot], (None, 1.0))
        if old is None or len(old.depth) != len(now.depth):
            continue
        net.append(now.depth)
        before.append(old.depth * unit)
        weights.append(np.sqrt(now.confidence * old.confidence))
    if net:
        estimate = _depth_scale(net, before, weights)
        if estimate.known:
            return estimate
    shared = [(slot, key) for slot, key in seen.keys.items() if key in world_from_cam]
    if len(shared) < 2:
        return no_scale("no depth shared with the window before")
    return compare_centres(
        np.stack([seen.net_from_cam[slot] for slot, _ in shared]),
        np.stack([world_from_cam[key] for _, key in shared]),
        np.zeros(len(shared), dtype=np.intp),
        seen.median_depth,
        ScaleSource.MOTION,
        "shared camera centres",
    )
