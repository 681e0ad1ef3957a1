# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How good the geometry is where everything is known: scale, drift, covariance, scene flow.

The network is replaced by ground truth of an analytic room plus stated noise, under a random
similarity in each window. So what is measured is the geometry alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.data.analytic_drive import AnalyticDrive, Noise, outward_rig
from vggt4d_ros.datatypes import Array, CameraModel, Prediction, Window
from vggt4d_ros.geometry import se3
from vggt4d_ros.geometry.depth import DepthLimits, metric_depth
from vggt4d_ros.geometry.flow_pair import DenseView
from vggt4d_ros.geometry.scale import ScaleSource
from vggt4d_ros.geometry.scene_flow import SceneFlow, compute_scene_flow
from vggt4d_ros.geometry.tracked import TrackedWindow
from vggt4d_ros.geometry.tracker import Tracker

# 2 % of depth at each pixel and 1 % of each frame as a whole; 3 mm and 0.1 degree of each camera
TRACKING_NOISE = Noise(depth=0.02, frame_depth=0.01, centre_m=0.003, rotation_rad=0.002)
# 2 % of depth that is wrong alike in consecutive frames, as a network's is, 0.05 % that is not
FLOW_NOISE = Noise(
    depth=0.0005,
    surface_depth=0.02,
    frame_depth=0.01,
    centre_m=0.003,
    rotation_rad=0.002,
    flow_px=0.1,
)
# coarse depth gives the tracker its samples all the same, at a tenth of the time
_TRACKING_CAMERA = CameraModel(48, 36, 30.0, 30.3, 24.1, 17.6)
_FLOW_CAMERA = CameraModel(320, 240, 240.0, 241.0, 160.3, 119.2)
_FIRST = 3  # the first window of four steps ends here


@dataclass(frozen=True, slots=True)
class TrackingAccuracy:
    """Scale and trajectory of one drive."""

    scale_error: float  # mean of |found / true - 1| over windows
    scale_error_max: float
    drift: float  # error of the last position over the length of the path
    path_m: float
    nees: float  # mean normalised error squared of the pose per degree of freedom; 1: honest


def track_drive(source: ScaleSource, windows: int, seed: int) -> TrackingAccuracy:
    """Drives a circle at 1 m/s and 0.5 rad/s, four cameras, or one with perfect odometry.

    Args:
        source: RIG or MOTION.
        windows: consecutive windows of four steps, 0.1 s apart.
        seed: of the noise and of the windows' own worlds.

    Raises:
        ValueError: another source, or one the tracker did not find.
    """
    if source not in (ScaleSource.RIG, ScaleSource.MOTION):
        raise ValueError(f"source must be RIG or MOTION, got {source!r}")
    by_rig = source is ScaleSource.RIG
    rig = outward_rig(4 if by_rig else 1)
    drive = AnalyticDrive(
        model=_TRACKING_CAMERA, noise=TRACKING_NOISE, base_from_cam=rig, seed=seed
    )
    tracker = Tracker()
    fixed_from_world = se3.inverse(drive.base(0))
    scales, found, true, covariances = [], [], [], []
    for newest in range(_FIRST, _FIRST + windows):
        odometry = None if by_rig else drive.odom_from_cam(newest)
        tracked, _ = _track(drive, tracker, newest, odometry)
        if tracked.scale.source is not source:
            raise ValueError(f"window {newest}: {tracked.scale.reason}")
        scales.append(tracked.scale.value / drive.metres_per_unit - 1.0)
        found.append(tracked.world_from_base[-1])
        true.append(fixed_from_world @ drive.base(newest))
        covariances.append(tracked.covariance[-1])
    return _tracking_accuracy(np.abs(scales), np.stack(found), np.stack(true), covariances)


def _track(
    drive: AnalyticDrive, tracker: Tracker, newest: int, odom_from_cam: Array | None
) -> tuple[TrackedWindow, Prediction]:
    window = drive.window(newest)
    prediction = drive.predict(newest, tracker.dense_steps(window, flow=False))
    tracked = tracker.update(window, prediction, drive.rig, odom_from_cam=odom_from_cam)
    return tracked, prediction


def _tracking_accuracy(
    scale_errors: Array, found: Array, true: Array, covariances: list[Array]
) -> TrackingAccuracy:
    places, truth = found[:, :3, 3], true[:, :3, 3]
    path_m = float(np.linalg.norm(np.diff(truth, axis=0), axis=1).sum())
    turns = se3.rotation_vector(found[:, :3, :3] @ np.swapaxes(true[:, :3, :3], -1, -2))
    errors = np.concatenate([places - truth, turns], axis=1)
    weighted = np.linalg.solve(np.stack(covariances), errors[..., None])[..., 0]
    return TrackingAccuracy(
        scale_error=float(scale_errors.mean()),
        scale_error_max=float(np.max(scale_errors)),
        drift=float(np.linalg.norm(places[-1] - truth[-1])) / path_m,
        path_m=path_m,
        nees=float((errors * weighted).sum(axis=1).mean()) / errors.shape[1],
    )


@dataclass(frozen=True, slots=True, eq=False)
class FlowView:
    """Scene flow of one camera beside the truth."""

    flow: SceneFlow
    velocity: Array  # (H, W, 3) true, fixed frame
    moving: NDArray[np.bool_]  # (H, W) true


@dataclass(frozen=True, slots=True)
class FlowAccuracy:
    """Scene flow of a robot that drives and turns among things that move."""

    static_speed_mps: float  # median over points that stand still
    moving_speed_error: float  # median of |found / true - 1| over points that move
    mask_iou: float  # of the dynamic mask with what truly moves, over all pixels with a velocity
    valid_share: float  # of all pixels


def flow_views(windows: int, seed: int) -> Iterator[FlowView]:
    """Gives the scene flow of each camera in each window, at 1 m/s and 0.5 rad/s."""
    drive = AnalyticDrive(model=_FLOW_CAMERA, noise=FLOW_NOISE, seed=seed)
    tracker = Tracker()
    fixed_from_world = se3.inverse(drive.base(0))[:3, :3]
    for newest in range(_FIRST, _FIRST + windows):
        window = drive.window(newest)
        steps = tracker.dense_steps(window, flow=True)
        prediction = drive.predict(newest, steps, flow=True)
        tracked = tracker.update(window, prediction, drive.rig)
        for view in range(drive.views):
            seen = drive.view(newest, view)
            flow = _scene_flow(window, prediction, tracked, view)
            yield FlowView(flow, seen.velocity @ fixed_from_world.T, seen.moving)


def _scene_flow(
    window: Window, prediction: Prediction, tracked: TrackedWindow, view: int
) -> SceneFlow:
    last = window.shape[0] - 1
    views = []
    for step in (last, last - 1):
        frame = window.frame(step, view)
        if frame is None:
            raise ValueError(f"the drive has no image of camera {view} at step {step}")
        dense = prediction.frames[step, view]
        depth = metric_depth(dense, tracked.scale.value, DepthLimits())
        pose = tracked.world_from_cam[step, view]
        views.append(DenseView(depth, tracked.models[step, view], pose, frame.stamp_ns))
    backward = prediction.frames[last, view].flow_backward
    forward = prediction.frames[last - 1, view].flow_forward
    if backward is None:
        raise ValueError("the drive was asked for no optical flow")
    return compute_scene_flow(views[0], views[1], backward, flow_back=forward)


def flow_accuracy(windows: int, seed: int) -> FlowAccuracy:
    """Measures scene flow over some windows of four cameras."""
    still, error = [], []
    both = either = valid = pixels = 0
    for view in flow_views(windows, seed):
        flow, known = view.flow, view.flow.valid
        moves = known & view.moving
        still.append(flow.speed[known & ~view.moving])
        true = np.linalg.norm(view.velocity[moves], axis=-1)
        error.append(np.abs(flow.speed[moves] / true - 1))
        both += int((flow.dynamic & moves).sum())
        either += int(((flow.dynamic | view.moving) & known).sum())
        valid += int(known.sum())
        pixels += known.size
    return FlowAccuracy(
        static_speed_mps=float(np.median(np.concatenate(still))),
        moving_speed_error=float(np.median(np.concatenate(error))),
        mask_iou=both / max(either, 1),
        valid_share=valid / pixels,
    )
