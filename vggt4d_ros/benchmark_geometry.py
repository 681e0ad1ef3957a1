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
from vggt4d_ros.data.analytic import BARE_ROOM, MOVING_BOXES, AnalyticScene
from vggt4d_ros.data.analytic_drive import AnalyticDrive, Noise, outward_rig
from vggt4d_ros.datatypes import CameraModel, FramePrediction, Window
from vggt4d_ros.geometry.cloud import write_cloud
from vggt4d_ros.geometry.depth import DepthLimits, metric_depth
from vggt4d_ros.geometry.flow_pair import DenseView
from vggt4d_ros.geometry.optical_flow import dis_flow
from vggt4d_ros.geometry.scene_flow import compute_scene_flow
from vggt4d_ros.geometry.tracked import TrackedWindow
from vggt4d_ros.geometry.tracker import Tracker
from vggt4d_ros.geometry.voxel import merge_clouds

Result = TypeVar("Result")
Lap = dict[str, tuple[float, float]]  # stage -> wall and CPU milliseconds

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
    model = CameraModel(width, height, 0.8 * width, 0.8 * width, width / 2 - 0.5, height / 2 - 0.5)
    drive = _drive(steps, views, model)
    tracker, warm_up = Tracker(), 3
    laps = [
        _one_window(drive, tracker, index, arguments.voxel_size)
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


def _drive(steps: int, views: int, model: CameraModel) -> AnalyticDrive:
    """Four walls, two things that move, and a rig of cameras all around that drives a circle."""
    rng = np.random.default_rng(0)
    size = (model.width, model.height)
    image = rng.integers(0, 255, (model.height // 8, model.width // 8, 3)).astype(np.uint8)
    coarse = rng.uniform(1, 9, (12, 16)).astype(np.float32)
    return AnalyticDrive(
        outward_rig(views),
        length=steps,
        noise=Noise(depth=0.01, centre_m=0.002, rotation_rad=0.002),
        model=model,
        scene=AnalyticScene(BARE_ROOM.room, MOVING_BOXES),
        rgb=np.asarray(cv2.resize(image, size), dtype=np.uint8),
        # smooth as a network's: what is unsure lies together
        confidence=np.asarray(cv2.resize(coarse, size), dtype=np.float32),
    )


def _one_window(drive: AnalyticDrive, tracker: Tracker, index: int, voxel_size: float) -> Lap:
    """Does what the node does after the network; gives wall and CPU milliseconds by stage."""
    newest, views = drive.length - 1, range(drive.views)
    window = drive.window(newest + index)
    dense = tracker.dense_steps(window, flow=True)
    prediction = drive.predict(newest + index, dense, flow=True)
    lap: Lap = {}
    tracked = _timed(lap, "tracking", lambda: tracker.update(window, prediction, drive.rig))
    limits = DepthLimits(confidence_min=1.5, confidence_percentile=10.0, range_max=30.0)
    scale, rgb = tracked.scale.value, drive.image_rgb()
    depths = _timed(
        lap, "depth", lambda: [metric_depth(prediction.frames[newest, v], scale, limits)
                               for v in views]
    )  # fmt: skip
    clouds = _timed(
        lap, "clouds", lambda: [
            write_cloud(depths[v], drive.model, rgb,
                        prediction.frames[newest, v].depth_confidence)
            for v in views
        ]
    )  # fmt: skip
    before = [metric_depth(prediction.frames[newest - 1, v], scale, limits) for v in views]
    _timed(
        lap, "scene flow", lambda: [
            compute_scene_flow(
                _dense_view(drive, tracked, window, depths[v], newest, v),
                _dense_view(drive, tracked, window, before[v], newest - 1, v),
                _backward(prediction.frames[newest, v]),
                flow_back=prediction.frames[newest - 1, v].flow_forward,
            )
            for v in views
        ]
    )  # fmt: skip
    poses = list(tracked.world_from_cam[newest])
    _timed(lap, "merged cloud", lambda: merge_clouds(clouds, poses, voxel_size))
    size = (drive.model.width, drive.model.height)
    _timed(
        lap, "correspondence",
        lambda: [dis_flow(rgb, rgb, *size) for _ in views for _ in range(2)],
    )  # fmt: skip
    return lap


def _backward(dense: FramePrediction) -> NDArray[np.float32]:
    if dense.flow_backward is None:
        raise ValueError("the drive was asked for no optical flow")
    return dense.flow_backward


def _dense_view(
    drive: AnalyticDrive,
    tracked: TrackedWindow,
    window: Window,
    depth: NDArray[np.float32],
    step: int,
    view: int,
) -> DenseView:
    stamp_ns = window.sets[step].stamp_ns
    return DenseView(depth, drive.model, tracked.world_from_cam[step, view], stamp_ns)


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
