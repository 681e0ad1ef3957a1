# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``vggt4d bench encode``: arrays to messages, against copying the same bytes once.

Depth images and organized clouds of all cameras, from the network's arrays to messages ready to
be published, as the node makes them. Rounds of both take turns, so that what else the machine does
strikes both; CPU time is what a loaded machine cannot stretch. What rclpy does with a message when
it is published is measured beside it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.benchmark_machine import machine, machine_line
from vggt4d_ros.cli import CommandError
from vggt4d_ros.commands.pairs import pair
from vggt4d_ros.datatypes import CameraModel, FramePrediction
from vggt4d_ros.geometry.cloud import CLOUD_FIELDS, write_cloud
from vggt4d_ros.geometry.depth import DepthLimits, metric_depth

if TYPE_CHECKING:
    from vggt4d_ros.messages.encode import Message

Plane = NDArray[np.float32]

_SCALE = 0.4  # metres per network unit
_LIMITS = {
    "": DepthLimits(),
    ", every limit": DepthLimits(confidence_min=1.5, confidence_percentile=10.0, range_max=30.0),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--size", default="480x640", metavar="HxW", help="of the camera images")
    parser.add_argument("--rounds", type=int, default=50, help="timed rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there")


def run(arguments: argparse.Namespace) -> int:
    """Prints and writes milliseconds and the ratios to a copy."""
    height, width = pair(arguments.size, "--size")
    if arguments.rounds < 1 or arguments.cameras < 1:
        raise CommandError("--rounds and --cameras must be at least 1")
    report = measure(arguments.cameras, height, width, arguments.rounds)
    print("\n".join(_lines(report)))
    if arguments.json is not None:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


def measure(cameras: int, height: int, width: int, rounds: int) -> dict[str, object]:
    """Gives CPU and wall milliseconds p50 of each stage for all cameras, and ratios to the copy.

    Raises:
        CommandError: there is no rclpy.
    """
    try:
        stages = _stages(cameras, height, width)
    except ImportError as error:
        raise CommandError(
            f"the messages are rclpy's: source a ROS 2 environment ({error})"
        ) from error
    cpu: dict[str, list[float]] = {name: [] for name in stages}
    wall: dict[str, list[float]] = {name: [] for name in stages}
    warm_up = 3
    for index in range(rounds + warm_up):
        for name, work in stages.items():
            began, busy = time.perf_counter(), time.thread_time()
            work()
            busy, began = time.thread_time() - busy, time.perf_counter() - began
            if index >= warm_up:
                cpu[name].append(1e3 * busy)
                wall[name].append(1e3 * began)
    copy = float(np.median(cpu["copy"]))
    return {
        "machine": machine(),
        "cameras": cameras,
        "size": [height, width],
        "rounds": rounds,
        "bytes": cameras * height * width * 4 * (1 + len(CLOUD_FIELDS)),
        "cpu_ms": {name: round(float(np.median(ms)), 4) for name, ms in cpu.items()},
        "wall_ms": {name: round(float(np.median(ms)), 4) for name, ms in wall.items()},
        "ratio_to_copy": {n: round(float(np.median(ms)) / copy, 3) for n, ms in cpu.items()},
    }


def _stages(cameras: int, height: int, width: int) -> dict[str, Callable[[], object]]:
    from rclpy.serialization import serialize_message

    from vggt4d_ros.ros.encode import ENCODER
    from vggt4d_ros.ros.memory import MessageMemory, keep_freed_memory

    keep_freed_memory()  # as the node's process does
    memory, inputs = MessageMemory(), [_Input(view, height, width) for view in range(cameras)]
    depths = [np.empty((height, width), dtype=np.float32) for _ in inputs]
    clouds = [np.empty((height, width, len(CLOUD_FIELDS)), dtype=np.float32) for _ in inputs]
    written = [(source, np.ones_like(source)) for source in (*depths, *clouds)]

    def copy() -> None:
        for target, source in written:
            np.copyto(target, source)

    def depth(view: int, limits: DepthLimits) -> Message:
        given = inputs[view]
        out = memory.plane("depth", view, (height, width))
        metres = metric_depth(given.frame, _SCALE, limits, out)
        return ENCODER.image(metres, "32FC1", ENCODER.header(1, f"cam{view}"))

    def cloud(view: int) -> Message:
        given = inputs[view]
        out = memory.plane("cloud", view, (height, width, len(CLOUD_FIELDS)))
        metres = memory.plane("depth", view, (height, width))
        confidence = given.frame.depth_confidence
        points = write_cloud(metres, given.model, given.rgb, confidence, out=out)
        return ENCODER.cloud(points, CLOUD_FIELDS, ENCODER.header(1, f"cam{view}"))

    views = range(cameras)
    stages: dict[str, Callable[[], object]] = {"copy": copy}
    for name, limits in _LIMITS.items():
        stages[f"depth{name}"] = partial(lambda by: [depth(v, by) for v in views], limits)
    stages["clouds"] = lambda: [cloud(v) for v in views]
    stages["depth + clouds"] = lambda: [(depth(v, _LIMITS[""]), cloud(v)) for v in views]
    messages = [message for v in views for message in (depth(v, _LIMITS[""]), cloud(v))]
    stages["serialization by rclpy"] = lambda: [serialize_message(m) for m in messages]
    return stages


class _Input:
    """What the network and the camera give for one frame."""

    def __init__(self, view: int, height: int, width: int) -> None:
        rng = np.random.default_rng(view)
        depth = rng.uniform(1.0, 20.0, (height, width)).astype(np.float32)
        coarse = rng.uniform(1, 9, (12, 16)).astype(np.float32)  # what is unsure lies together
        confidence = np.asarray(cv2.resize(coarse, (width, height)), dtype=np.float32)
        self.frame = FramePrediction(depth, confidence)
        self.rgb = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
        centre = (width / 2 - 0.5, height / 2 - 0.5)
        self.model = CameraModel(width, height, 0.8 * width, 0.8 * width, *centre)


def _lines(report: dict[str, object]) -> list[str]:
    about, cpu, wall = report["machine"], report["cpu_ms"], report["wall_ms"]
    ratios, size = report["ratio_to_copy"], report["size"]
    assert isinstance(about, dict)
    assert isinstance(cpu, dict)
    assert isinstance(wall, dict)
    assert isinstance(ratios, dict)
    assert isinstance(size, list)
    return [
        machine_line(about),
        f"{report['cameras']} cameras of {size[1]}x{size[0]}, {report['rounds']} rounds",
        f"{'all cameras, p50':26s} {'CPU ms':>8s} {'wall ms':>8s} {'x copy':>7s}",
        *(
            f"{name:26s} {cpu[name]:8.2f} {wall[name]:8.2f} {ratio:7.2f}"
            for name, ratio in ratios.items()
        ),
    ]
