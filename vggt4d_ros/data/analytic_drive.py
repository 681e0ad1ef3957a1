# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A rig that drives through an analytic room, and what a network would say of it.

``AnalyticDrive.predict`` gives ground truth with the noise that is asked for, in a world of its
own: origin, axes and unit are drawn anew for each window, as those of a network are.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.data.analytic import (
    FURNISHED_ROOM,
    AnalyticScene,
    AnalyticView,
    exact_flow,
    render,
)
from vggt4d_ros.datatypes import (
    Array,
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

STEP_S = 0.1
START_NS = 1_700_000_000_000_000_000
SMALL_CAMERA = CameraModel(160, 120, 100.0, 101.0, 80.3, 59.2)


def body_pose(time_s: float, speed: float = 1.0, turn: float = 0.5) -> Array:
    """World_from_base (4, 4) on a circle at ``speed`` m/s and ``turn`` rad/s, with some sway.

    With both zero nothing moves at all.
    """
    heading = turn * time_s
    if turn:
        radius = speed / turn
        place = [radius * np.sin(heading), radius * (1 - np.cos(heading)) - radius]
    else:
        place = [speed * time_s, 0.0]
    moving = 1.0 if speed or turn else 0.0
    roll, pitch = 0.02 * np.sin(1.3 * time_s), 0.02 * np.sin(0.9 * time_s)
    yaw = se3.exp(np.array([0, 0, 0, 0, 0, heading]))
    pose: Array = yaw @ se3.exp(moving * np.array([0, 0, 0, roll, pitch, 0.0]))
    pose[:3, 3] = [*place, 0.6 + moving * 0.02 * np.sin(2 * time_s)]
    return pose


def outward_rig(views: int = 4, radius: float = 0.25) -> Array:
    """Base_from_cam (V, 4, 4) of cameras that look outwards all around."""
    mounts = []
    for view in range(views):
        yaw = se3.exp(np.array([0, 0, 0, 0, 0, 2 * np.pi * view / max(views, 3)]))
        forward = se3.make_transform(np.eye(3), np.array([radius, 0.03 * view, 0.3]))
        mounts.append(yaw @ forward @ se3.BODY_FROM_OPTICAL)
    return np.stack(mounts)


def stereo_rig(baseline: float) -> Array:
    """Base_from_cam (2, 4, 4) of two cameras that look ahead, ``baseline`` metres apart."""
    left, right = (
        se3.make_transform(np.eye(3), np.array([0.2, sign * baseline / 2, 0.4]))
        @ se3.BODY_FROM_OPTICAL
        for sign in (1, -1)
    )
    return np.stack([left, right])


@dataclass(frozen=True, slots=True)
class Noise:
    """What is wrong with the stand-in for the network; 0: nothing."""

    depth: float = 0.0  # relative, of each pixel on its own
    frame_depth: float = 0.0  # relative, of a frame as a whole
    surface_depth: float = 0.0  # relative, smooth along surfaces, the same whenever they are seen
    centre_m: float = 0.0  # of each camera centre, each axis
    rotation_rad: float = 0.0  # of each camera, each axis
    flow_px: float = 0.0
    outliers: float = 0.0  # share of pixels whose depth is nonsense


@dataclass
class AnalyticDrive:
    """A rig on its way, cut into windows.

    Not frozen: it draws from its own generator, and renders each frame once.
    """

    base_from_cam: Array = field(default_factory=outward_rig)
    speed: float = 1.0  # m/s
    turn: float = 0.5  # rad/s
    length: int = 4  # steps of a window
    noise: Noise = field(default_factory=Noise)
    seed: int = 0
    model: CameraModel = SMALL_CAMERA
    jitter_s: tuple[float, ...] = ()  # per camera, from the set's nominal time
    missing: set[tuple[int, int]] = field(default_factory=set)  # (set index, view)
    step_s: float = STEP_S
    scene: AnalyticScene = FURNISHED_ROOM
    rgb: NDArray[np.uint8] | None = None  # every image; None: decoding one is an error
    confidence: NDArray[np.float32] | None = None  # of every frame; None: the same everywhere
    metres_per_unit: float = field(default=1.0, init=False)  # of the newest prediction

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self._views: dict[tuple[int, int], AnalyticView] = {}

    @property
    def views(self) -> int:
        """Number of cameras."""
        return len(self.base_from_cam)

    @property
    def rig(self) -> Rig:
        """True extrinsics."""
        return Rig(tuple(self.base_from_cam))

    def time_s(self, index: int, view: int) -> float:
        """When a camera took its image of a set."""
        return index * self.step_s + (self.jitter_s[view] if self.jitter_s else 0.0)

    def stamp_ns(self, index: int, view: int) -> int:
        """The same as a stamp."""
        return START_NS + round(self.time_s(index, view) * 1e9)

    def base(self, index: float) -> Array:
        """True world_from_base (4, 4) at a set's nominal time."""
        return body_pose(index * self.step_s, self.speed, self.turn)

    def world_from_cam(self, index: int, view: int) -> Array:
        """True pose (4, 4) at the camera's own time."""
        pose = body_pose(self.time_s(index, view), self.speed, self.turn)
        return np.asarray(pose @ self.base_from_cam[view], dtype=np.float64)

    def odom_from_cam(self, newest: int) -> Array:
        """Gives true poses (T, V, 4, 4) of a window, as perfect odometry would."""
        indices = range(newest - self.length + 1, newest + 1)
        return np.stack(
            [[self.world_from_cam(index, view) for view in range(self.views)] for index in indices]
        )

    def view(self, index: int, view: int) -> AnalyticView:
        """What a camera sees; kept as long as windows may ask for it."""
        if (index, view) not in self._views:
            for old in [key for key in self._views if key[0] < index - self.length]:
                del self._views[old]
            pose = self.world_from_cam(index, view)
            seen = render(pose, self.time_s(index, view), self.model, self.scene)
            self._views[index, view] = seen
        return self._views[index, view]

    def window(self, newest: int, models: bool = True) -> Window:
        """The window that ends with set ``newest``; without ``models`` it is uncalibrated."""
        sets = []
        for index in range(newest - self.length + 1, newest + 1):
            frames = tuple(
                None
                if (index, view) in self.missing
                else Frame(
                    camera=view,
                    stamp_ns=self.stamp_ns(index, view),
                    image=self._image(),
                    frame_id=f"cam{view}_optical",
                    model=self.model if models else None,
                )
                for view in range(self.views)
            )
            sets.append(FrameSet(frames))
        return Window(tuple(sets), index=newest)

    def image_rgb(self) -> NDArray[np.uint8]:
        """The image (H, W, 3) that every camera gives.

        Raises:
            AssertionError: there is none, since nobody should look at images.
        """
        if self.rgb is None:
            raise AssertionError("geometry must not decode images")
        return self.rgb

    def _image(self) -> LazyImage:
        if self.rgb is not None:
            return LazyImage.from_array(self.rgb)
        return LazyImage(self.image_rgb, self.model.width, self.model.height)

    def predict(self, newest: int, dense_steps: tuple[int, ...], flow: bool = False) -> Prediction:
        """What a network would say of the window, in a world of its own."""
        rng, noise, shape = self.rng, self.noise, (self.length, self.views)
        unit = np.exp(rng.uniform(-1.5, 1.5))  # network units per metre
        self.metres_per_unit = float(1 / unit)
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
                pose = self.world_from_cam(index, view)
                turn = se3.exp(np.r_[0, 0, 0, rng.normal(0, noise.rotation_rad, 3)])
                pose[:3, :3] = pose[:3, :3] @ turn[:3, :3]
                pose[:3, 3] += rng.normal(0, noise.centre_m, 3)
                pose = net_from_world @ pose
                pose[:3, 3] *= unit
                cam_from_net[step, view] = se3.inverse(pose)
                intrinsics[step, view] = self.model.matrix
                if step in dense_steps:
                    ahead = flow and step + 1 < self.length  # as a network: not out of the window
                    others = ((index - 1) if flow and step else None, index + 1 if ahead else None)
                    frames[step, view] = self._dense(index, view, unit, others)
        return Prediction(valid, cam_from_net, intrinsics, frames)

    def _dense(
        self, index: int, view: int, unit: float, flow_to: tuple[int | None, int | None]
    ) -> FramePrediction:
        rng, noise = self.rng, self.noise
        seen = self.view(index, view)
        factor = np.exp(
            rng.normal(0, noise.depth, seen.depth.shape)
            + rng.normal() * noise.frame_depth
            + noise.surface_depth * self._surface_error(index, view)
        )
        wrong = rng.random(seen.depth.shape) < noise.outliers
        factor[wrong] = np.exp(rng.uniform(-2, 2, int(wrong.sum())))
        confidence = self.confidence
        if confidence is None:
            confidence = np.full(seen.depth.shape, 5.0, np.float32)
        before, after = flow_to
        return FramePrediction(
            depth=(seen.depth * factor * unit).astype(np.float32),
            depth_confidence=confidence,
            flow_backward=None if before is None else self._flow(index, before, view),
            flow_forward=None if after is None else self._flow(index, after, view),
        )

    def _surface_error(self, index: int, view: int) -> Array:
        """A field (H, W) of deviation 1 that is fixed to every surface, some metres smooth."""
        if not self.noise.surface_depth:
            return np.zeros(())
        seen = self.view(index, view)
        at_start = seen.points - self.time_s(index, view) * seen.velocity
        waves = np.array([[1.1, 0.4, 0.7], [-0.6, 1.3, 0.2], [0.5, -0.9, 1.2]])  # rad/m
        total = np.sin(at_start @ waves.T + np.array([0.3, 1.7, 4.1])).sum(axis=-1)
        return np.asarray(total / np.sqrt(len(waves) / 2), dtype=np.float64)

    def _flow(self, index: int, other: int, view: int) -> NDArray[np.float32]:
        cam_from_world = se3.inverse(self.world_from_cam(other, view))
        dt_s = self.time_s(other, view) - self.time_s(index, view)
        exact = exact_flow(self.view(index, view), cam_from_world, dt_s, self.model)
        if self.noise.flow_px:
            exact += self.rng.normal(0, self.noise.flow_px, exact.shape).astype(np.float32)
        return exact
