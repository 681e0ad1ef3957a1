# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A room of boxes in closed form: exact depth, flow and velocity for a rig that drives through it.

Stands in for the network: ``predict`` gives what a network would, with the noise that is asked for
and a random similarity between the world and the network's own one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from vggt4d_ros.datatypes import (
    CameraModel,
    Frame,
    FramePrediction,
    FrameSet,
    LazyImage,
    Prediction,
    Rig,
    Window,
)
from vggt4d_ros.geometry import se3

DT = 0.1
START_NS = 1_700_000_000_000_000_000
MODEL = CameraModel(160, 120, 100.0, 101.0, 80.3, 59.2)

# (low corner, high corner, velocity): the room is seen from inside
ROOM = (np.array([-7.0, -6.0, 0.0]), np.array([7.0, 6.0, 3.5]))
BOXES = [
    ((-6.0, -5.5, 0.0), (-4.5, -4.0, 1.5)),
    ((4.0, -5.0, 0.0), (6.0, -3.5, 2.5)),
    ((4.5, 3.0, 0.0), (6.0, 5.0, 1.0)),
    ((-5.5, 3.5, 0.0), (-3.5, 5.5, 2.0)),
    ((-0.6, 4.5, 0.0), (0.8, 5.5, 1.2)),
    ((-0.5, -5.5, 0.0), (0.7, -4.3, 2.8)),
]
MOVING = [  # corners at time 0, velocity m/s
    ((-6.0, -3.0, 0.2), (-4.9, -1.9, 1.8), (0.0, 1.2, 0.0)),
    ((4.6, 2.2, 0.1), (5.6, 2.9, 1.7), (-0.9, -0.9, 0.0)),
]


def body_pose(time: float, speed: float = 1.0, turn: float = 0.5) -> np.ndarray:
    """A circle at ``speed`` m/s and ``turn`` rad/s, with a little sway; (4, 4)."""
    heading = turn * time
    radius = speed / turn if turn else 0.0
    if turn:
        place = [radius * np.sin(heading), radius * (1 - np.cos(heading)) - radius]
    else:
        place = [speed * time, 0.0]
    sway = [0.02 * np.sin(1.3 * time), 0.02 * np.sin(0.9 * time)]
    # zero speed and turn: nothing moves at all
    moving = 1.0 if speed or turn else 0.0
    yaw = se3.exp(np.array([0, 0, 0, 0, 0, heading]))
    tilt = se3.exp(moving * np.array([0, 0, 0, sway[0], sway[1], 0.0]))
    pose = yaw @ tilt
    pose[:3, 3] = [*place, 0.6 + moving * 0.02 * np.sin(2 * time)]
    return pose


def rig_of(views: int = 4, radius: float = 0.25) -> np.ndarray:
    """Cameras that look outwards from a platform, (V, 4, 4) base_from_cam."""
    mounts = []
    for view in range(views):
        yaw = se3.exp(np.array([0, 0, 0, 0, 0, 2 * np.pi * view / max(views, 3)]))
        forward = se3.make_transform(np.eye(3), np.array([radius, 0.03 * view, 0.3]))
        mounts.append(yaw @ forward @ se3.BODY_FROM_OPTICAL)
    return np.stack(mounts)


def stereo_rig(baseline: float) -> np.ndarray:
    left, right = (
        se3.make_transform(np.eye(3), np.array([0.2, sign * baseline / 2, 0.4]))
        @ se3.BODY_FROM_OPTICAL
        for sign in (1, -1)
    )
    return np.stack([left, right])


@dataclass(frozen=True)
class View:
    depth: np.ndarray  # (H, W)
    velocity: np.ndarray  # (H, W, 3) of the point, world axes
    moving: np.ndarray  # (H, W) bool
    points: np.ndarray  # (H, W, 3) world


def render(world_from_cam: np.ndarray, time: float, model: CameraModel = MODEL) -> View:
    """Casts one ray per pixel against all boxes (slab method)."""
    columns, rows = np.meshgrid(np.arange(model.width), np.arange(model.height))
    rays = np.stack(
        [(columns - model.cx) / model.fx, (rows - model.cy) / model.fy, np.ones(columns.shape)], -1
    )
    direction = rays @ world_from_cam[:3, :3].T
    origin = world_from_cam[:3, 3]
    best = _slab(origin, direction, *ROOM)[1]
    velocity = np.zeros((*best.shape, 3))
    solids = [(np.array(low), np.array(high), np.zeros(3)) for low, high in BOXES]
    solids += [
        (np.array(a) + time * np.array(v), np.array(b) + time * np.array(v), np.array(v))
        for a, b, v in MOVING
    ]
    for low, high, speed in solids:
        near, far = _slab(origin, direction, low, high)
        hit = (near < far) & (near > 1e-3) & (near < best)
        best = np.where(hit, near, best)
        velocity[hit] = speed
    points = origin + direction * best[..., None]
    return View(best, velocity, np.linalg.norm(velocity, axis=-1) > 0, points)


def _slab(origin, direction, low, high):
    with np.errstate(divide="ignore", invalid="ignore"):
        first = (low - origin) / direction
        second = (high - origin) / direction
    near = np.minimum(first, second).max(axis=-1)
    far = np.maximum(first, second).min(axis=-1)
    return near, far


def exact_flow(view: View, other_from_world: np.ndarray, dt: float, model: CameraModel = MODEL):
    """Pixels (H, W, 2) that each point moves until ``dt`` later, seen by the other camera."""
    points = view.points + dt * view.velocity
    local = points @ other_from_world[:3, :3].T + other_from_world[:3, 3]
    with np.errstate(divide="ignore", invalid="ignore"):
        u = model.fx * local[..., 0] / local[..., 2] + model.cx
        v = model.fy * local[..., 1] / local[..., 2] + model.cy
    columns, rows = np.meshgrid(np.arange(model.width), np.arange(model.height))
    flow = np.stack([u - columns, v - rows], axis=-1)
    flow[local[..., 2] <= 0] = np.nan
    return flow.astype(np.float32)


@dataclass
class Noise:
    """What is wrong with the stand-in network; 0: nothing."""

    depth: float = 0.0  # relative, of each pixel on its own
    frame_depth: float = 0.0  # relative, of a frame as a whole
    centre_m: float = 0.0  # of each camera centre, each axis
    rotation_rad: float = 0.0  # of each camera, each axis
    flow_px: float = 0.0
    outliers: float = 0.0  # share of pixels whose depth is nonsense


@dataclass
class Drive:
    """A rig on its way, cut into windows."""

    base_from_cam: np.ndarray = field(default_factory=rig_of)
    speed: float = 1.0
    turn: float = 0.5
    length: int = 4
    noise: Noise = field(default_factory=Noise)
    seed: int = 0
    model: CameraModel = MODEL
    jitter_s: tuple[float, ...] = ()  # per camera, from the set's nominal time
    missing: set[tuple[int, int]] = field(default_factory=set)  # (set index, view)
    dt: float = DT

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self._views: dict[tuple[int, int], View] = {}

    @property
    def views(self) -> int:
        return len(self.base_from_cam)

    @property
    def rig(self) -> Rig:
        return Rig(tuple(self.base_from_cam))

    def time(self, index: int, view: int) -> float:
        return index * self.dt + (self.jitter_s[view] if self.jitter_s else 0.0)

    def stamp_ns(self, index: int, view: int) -> int:
        return START_NS + round(self.time(index, view) * 1e9)

    def base(self, index: float) -> np.ndarray:
        return body_pose(index * self.dt, self.speed, self.turn)

    def world_from_cam(self, index: int, view: int) -> np.ndarray:
        pose = body_pose(self.time(index, view), self.speed, self.turn)
        return pose @ self.base_from_cam[view]

    def view(self, index: int, view: int) -> View:
        if (index, view) not in self._views:
            pose = self.world_from_cam(index, view)
            self._views[index, view] = render(pose, self.time(index, view), self.model)
        return self._views[index, view]

    def window(self, newest: int, models: bool = True) -> Window:
        sets = []
        for index in range(newest - self.length + 1, newest + 1):
            frames = tuple(
                None
                if (index, view) in self.missing
                else Frame(
                    camera=view,
                    stamp_ns=self.stamp_ns(index, view),
                    image=LazyImage(_no_image, self.model.width, self.model.height),
                    frame_id=f"cam{view}_optical",
                    model=self.model if models else None,
                )
                for view in range(self.views)
            )
            sets.append(FrameSet(frames))
        return Window(tuple(sets), index=newest)

    def predict(self, newest: int, dense_steps: tuple[int, ...], flow: bool = False) -> Prediction:
        """What a network says of the window, in a world of its own."""
        rng, noise, shape = self.rng, self.noise, (self.length, self.views)
        unit = np.exp(rng.uniform(-1.5, 1.5))  # network units per metre
        net_from_world = se3.exp(np.concatenate([rng.normal(0, 3, 3), rng.uniform(-1.7, 1.7, 3)]))
        valid = np.ones(shape, dtype=bool)
        cam_from_net = np.full((*shape, 4, 4), np.nan)
        intrinsics = np.full((*shape, 3, 3), np.nan)
        frames = {}
        for step in range(self.length):
            index = newest - self.length + 1 + step
            for view in range(self.views):
                if (index, view) in self.missing:
                    valid[step, view] = False
                    continue
                pose = self.world_from_cam(index, view).copy()
                pose[:3, :3] = (
                    pose[:3, :3]
                    @ se3.exp(np.r_[0, 0, 0, rng.normal(0, noise.rotation_rad, 3)])[:3, :3]
                )
                pose[:3, 3] += rng.normal(0, noise.centre_m, 3)
                pose = net_from_world @ pose
                pose[:3, 3] *= unit
                cam_from_net[step, view] = se3.inverse(pose)
                intrinsics[step, view] = self.model.matrix
                if step in dense_steps:
                    frames[step, view] = self._dense(index, view, unit, flow)
        return Prediction(valid, cam_from_net, intrinsics, frames)

    def _dense(self, index: int, view: int, unit: float, flow: bool) -> FramePrediction:
        rng, noise = self.rng, self.noise
        seen = self.view(index, view)
        factor = np.exp(
            rng.normal(0, noise.depth, seen.depth.shape) + rng.normal() * noise.frame_depth
        )
        wrong = rng.random(seen.depth.shape) < noise.outliers
        factor[wrong] = np.exp(rng.uniform(-2, 2, int(wrong.sum())))
        flows = {}
        if flow:
            for name, other in (("flow_backward", index - 1), ("flow_forward", index + 1)):
                cam_from_world = se3.inverse(self.world_from_cam(other, view))
                exact = exact_flow(seen, cam_from_world, (other - index) * self.dt, self.model)
                exact += rng.normal(0, noise.flow_px, exact.shape).astype(np.float32)
                flows[name] = exact
        return FramePrediction(
            depth=(seen.depth * factor * unit).astype(np.float32),
            depth_confidence=np.full(seen.depth.shape, 5.0, np.float32),
            **flows,
        )


def _no_image() -> np.ndarray:
    raise AssertionError("geometry must not decode images")
