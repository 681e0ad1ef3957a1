# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``vggt4d bench geometry``: what follows the network, in milliseconds per window.

The network is replaced by an exact room that a rig of cameras drives through, with noise.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.benchmark_machine import machine, machine_line
from vggt4d_ros.cli import CommandError
from vggt4d_ros.commands.pairs import pair
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
from vggt4d_ros.geometry.cloud import write_cloud
from vggt4d_ros.geometry.depth import DepthLimits, metric_depth
from vggt4d_ros.geometry.flow_pair import DenseView
from vggt4d_ros.geometry.optical_flow import dis_flow
from vggt4d_ros.geometry.pinhole import project, ray_planes
from vggt4d_ros.geometry.scene_flow import compute_scene_flow
from vggt4d_ros.geometry.tracked import TrackedWindow
from vggt4d_ros.geometry.tracker import Tracker
from vggt4d_ros.geometry.voxel import merge_clouds

Result = TypeVar("Result")
Lap = dict[str, tuple[float, float]]  # stage -> wall and CPU milliseconds

_STEP_NS = 100_000_000
_ROOM = np.array([7.0, 6.0, 3.0])  # half extents, m
_STAGES = ("tracking", "depth", "clouds", "scene flow", "merged cloud", "correspondence")
_CORE = ("tracking", "depth", "clouds")  # what every window needs


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument("--grid", default="4x4", metavar="TxV", help="time steps x cameras")
    parser.add_argument("--size", default="480x640", metavar="HxW", help="of the camera images")
    parser.add_argument("--windows", type=int, default=30, help="timed windows")
    parser.add_argument("--voxel-size", type=float, default=0.05, help="of the merged cloud, m")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there")


def run(arguments: argparse.Namespace) -> int:
    """Prints and writes milliseconds p50 and p95 of each stage."""
    steps, views = pair(arguments.grid, "--grid")
    height, width = pair(arguments.size, "--size")
    if arguments.windows < 1 or steps < 2:
        raise CommandError("--windows must be at least 1, and --grid at least 2 time steps")
    _warm_heap()
    scene = _Scene(steps, views, CameraModel(width, height, 0.8 * width, 0.8 * width,
                                             width / 2 - 0.5, height / 2 - 0.5))  # fmt: skip
    tracker, warm_up = Tracker(), 3
    laps = [
        _one_window(scene, tracker, index, arguments.voxel_size)
        for index in range(arguments.windows + warm_up)
    ]
    report = _report(arguments, laps[warm_up:])
    print("\n".join(_lines(report)))
    if arguments.json is not None:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


def _warm_heap() -> None:
    """Frees one large block, as the network and the images do in the node.

    From then on glibc takes arrays of this size from its heap; before, every one of them is mapped
    and paged in anew, which costs more than the work on it.
    """
    np.ones(31 * 2**20, dtype=np.uint8)


class _Scene:
    """A room, a rig, and what a network would say of it. Rendered once per frame."""

    def __init__(self, steps: int, views: int, model: CameraModel) -> None:
        self.steps, self.views, self.model = steps, views, model
        self._rng = np.random.default_rng(0)
        turns = se3.exp(np.array([[0, 0, 0, 0, 0, 2 * np.pi * v / views] for v in range(views)]))
        forward = se3.make_transform(np.eye(3), np.array([0.3, 0.0, 0.4]))
        self.base_from_cam: Array = turns @ forward @ se3.BODY_FROM_OPTICAL
        image = self._rng.integers(0, 255, (model.height // 8, model.width // 8, 3))
        self.rgb = np.asarray(
            cv2.resize(image.astype(np.uint8), (model.width, model.height)), dtype=np.uint8
        )

    def pose(self, index: int, view: int) -> Array:
        """Gives world_from_cam: 1 m/s on a circle of 2 m."""
        turn = se3.exp(np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.05 * index]))
        return np.asarray(
            turn @ se3.make_transform(np.eye(3), np.array([0.0, 2.0, 0.0]))
            @ self.base_from_cam[view],
            dtype=np.float64,
        )  # fmt: skip

    def depth(self, index: int, view: int) -> NDArray[np.float32]:
        """Gives the depth (H, W) of the room's walls."""
        pose = self.pose(index, view)
        rays = ray_planes(self.model)
        directions = np.stack([*rays, np.ones_like(rays[0])], axis=-1) @ pose[:3, :3].T
        walls = np.copysign(_ROOM, directions)
        with np.errstate(divide="ignore"):
            distances = (walls - pose[:3, 3]) / directions
        return distances.min(axis=-1).astype(np.float32)

    def flow(self, index: int, other: int, view: int) -> NDArray[np.float32]:
        """Gives the optical flow (H, W, 2) of still walls from one frame to another."""
        rays = ray_planes(self.model)
        depth = self.depth(index, view)
        points = np.stack([rays[0] * depth, rays[1] * depth, depth], axis=-1).reshape(-1, 3)
        other_from_one = se3.inverse(self.pose(other, view)) @ self.pose(index, view)
        pixels = project(se3.transform_points(other_from_one, points), self.model)
        grid = np.stack(np.meshgrid(np.arange(self.model.width), np.arange(self.model.height)), -1)
        return np.asarray(pixels.reshape(grid.shape) - grid, dtype=np.float32)

    def window(self, index: int) -> Window:
        """Gives the window whose newest set is ``index + steps - 1``."""
        return Window(
            tuple(
                FrameSet(
                    tuple(
                        Frame(view, (index + step) * _STEP_NS, LazyImage.from_array(self.rgb),
                              f"camera_{view}", self.model)
                        for view in range(self.views)
                    )
                )
                for step in range(self.steps)
            ),
            index,
        )  # fmt: skip

    def predict(self, index: int, dense: tuple[int, ...]) -> Prediction:
        """Gives poses of all frames and depth of the dense steps, with noise, in units of 0.4 m."""
        shape = (self.steps, self.views)
        poses = np.stack(
            [[self.pose(index + s, v) for v in range(self.views)] for s in range(self.steps)]
        )
        poses = poses @ se3.exp(self._rng.normal(0, 0.002, (*shape, 6)))
        poses[..., :3, 3] /= 0.4
        frames = {}
        for step in dense:
            for view in range(self.views):
                depth = self.depth(index + step, view) / np.float32(0.4)
                noise = self._rng.normal(1, 0.01, depth.shape).astype(np.float32)
                frames[step, view] = FramePrediction(depth * noise, self._confidence())
        intrinsics = np.broadcast_to(self.model.matrix, (*shape, 3, 3)).copy()
        return Prediction(np.ones(shape, dtype=bool), se3.inverse(poses), intrinsics, frames)

    def _confidence(self) -> NDArray[np.float32]:
        """Gives (H, W), smooth as a network's: what is unsure lies together."""
        coarse = self._rng.uniform(1, 9, (12, 16)).astype(np.float32)
        size = (self.model.width, self.model.height)
        return np.asarray(cv2.resize(coarse, size), dtype=np.float32)


def _one_window(scene: _Scene, tracker: Tracker, index: int, voxel_size: float) -> Lap:
    """Does what the node does after the network; gives wall and CPU milliseconds by stage."""
    window = scene.window(index)
    dense = tracker.dense_steps(window, flow=True)
    prediction = scene.predict(index, dense)
    rig = Rig(tuple(scene.base_from_cam))
    newest, views = scene.steps - 1, range(scene.views)
    flows = [
        (scene.flow(index + newest, index + newest - 1, v),
         scene.flow(index + newest - 1, index + newest, v))
        for v in views
    ]  # fmt: skip
    lap: Lap = {}
    tracked = _timed(lap, "tracking", lambda: tracker.update(window, prediction, rig))
    limits = DepthLimits(confidence_min=1.5, confidence_percentile=10.0, range_max=30.0)
    scale = tracked.scale.value
    depths = _timed(
        lap, "depth", lambda: [metric_depth(prediction.frames[newest, v], scale, limits)
                               for v in views]
    )  # fmt: skip
    clouds = _timed(
        lap, "clouds", lambda: [
            write_cloud(depths[v], scene.model, scene.rgb,
                        prediction.frames[newest, v].depth_confidence)
            for v in views
        ]
    )  # fmt: skip
    before = [metric_depth(prediction.frames[newest - 1, v], scale, limits) for v in views]
    _timed(
        lap, "scene flow", lambda: [
            compute_scene_flow(
                _dense_view(scene, tracked, window, depths[v], newest, v),
                _dense_view(scene, tracked, window, before[v], newest - 1, v),
                flows[v][0], flow_back=flows[v][1],
            )
            for v in views
        ]
    )  # fmt: skip
    poses = list(tracked.world_from_cam[newest])
    _timed(lap, "merged cloud", lambda: merge_clouds(clouds, poses, voxel_size))
    size = (scene.model.width, scene.model.height)
    _timed(
        lap, "correspondence",
        lambda: [dis_flow(scene.rgb, scene.rgb, *size) for _ in views for _ in range(2)],
    )  # fmt: skip
    return lap


def _dense_view(
    scene: _Scene,
    tracked: TrackedWindow,
    window: Window,
    depth: NDArray[np.float32],
    step: int,
    view: int,
) -> DenseView:
    stamp_ns = window.sets[step].stamp_ns
    return DenseView(depth, scene.model, tracked.world_from_cam[step, view], stamp_ns)


def _timed(lap: Lap, name: str, work: Callable[[], Result]) -> Result:
    started, busy = time.perf_counter(), time.process_time()
    result = work()
    lap[name] = (time.perf_counter() - started) * 1e3, (time.process_time() - busy) * 1e3
    return result


def _report(arguments: argparse.Namespace, laps: list[Lap]) -> dict[str, object]:
    stages = {name: np.array([lap[name] for lap in laps]) for name in _STAGES}  # (N, 2)
    core = np.sum([stages[name] for name in _CORE], axis=0)
    rows = {
        **stages,
        "tracking + depth + clouds": core,
        "the same + scene flow": core + stages["scene flow"],
    }
    return {
        "machine": machine(),
        "grid": arguments.grid,
        "size": arguments.size,
        "windows": arguments.windows,
        "voxel_size_m": arguments.voxel_size,
        "ms": {
            name: {
                "p50": float(np.median(ms[:, 0])),
                "p95": float(np.quantile(ms[:, 0], 0.95)),
                "cpu_p50": float(np.median(ms[:, 1])),  # of all threads
            }
            for name, ms in rows.items()
        },
    }


def _lines(report: dict[str, object]) -> list[str]:
    table, about = report["ms"], report["machine"]
    assert isinstance(table, dict)
    assert isinstance(about, dict)
    rows = [
        f"{name:28s} {ms['p50']:8.1f} {ms['p95']:8.1f} {ms['cpu_p50']:8.1f}"
        for name, ms in table.items()
    ]
    return [
        machine_line(about),
        f"geometry of {report['grid']} frames of {report['size']}, {report['windows']} windows",
        f"{'ms per window':28s} {'p50':>8s} {'p95':>8s} {'CPU p50':>8s}",
        *rows,
    ]
