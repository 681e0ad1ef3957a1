# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A small recording for the tests of player and recorder, and processes to run them in."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from vggt4d_ros.evaluation.bag_writer import BagWriter

START_NS = 1_700_000_000_000_000_000
STEP_NS = 50_000_000
STEPS = 20
IMAGE_TOPICS = ("/left/image_raw/compressed", "/right/image_raw/compressed")
IMAGE = "sensor_msgs/msg/CompressedImage"
TF = "tf2_msgs/msg/TFMessage"
ROOT = Path(__file__).resolve().parents[1]


def header(types, stamp_ns: int, frame_id: str):
    stamp = types["builtin_interfaces/msg/Time"](stamp_ns // 10**9, stamp_ns % 10**9)
    return types["std_msgs/msg/Header"](stamp, frame_id)


def write_sample(path: Path, *, image_bytes: int = 1000) -> Path:
    """Two cameras of 20 images 50 ms apart, their first byte the number, and two /tf_static."""
    with BagWriter(path) as writer:
        store = writer.typestore
        writer.add_topic("/tf_static", TF, is_latched=True)
        for topic in IMAGE_TOPICS:
            writer.add_topic(topic, IMAGE)
        for child in ("left_optical", "right_optical"):
            transform = store.types["geometry_msgs/msg/TransformStamped"](
                header(store.types, START_NS, "base_link"),
                child,
                store.types["geometry_msgs/msg/Transform"](
                    store.types["geometry_msgs/msg/Vector3"](1.0, 2.0, 3.0),
                    store.types["geometry_msgs/msg/Quaternion"](0.0, 0.0, 0.0, 1.0),
                ),
            )
            message = store.types[TF]([transform])
            writer.write("/tf_static", START_NS, bytes(store.serialize_cdr(message, TF)))
        for step in range(STEPS):
            stamp_ns = START_NS + step * STEP_NS
            for camera, topic in enumerate(IMAGE_TOPICS):
                data = np.random.default_rng(step).integers(0, 256, image_bytes, dtype=np.uint8)
                data[:2] = step, camera
                message = store.types[IMAGE](header(store.types, stamp_ns, "left"), "jpeg", data)
                writer.write(topic, stamp_ns, bytes(store.serialize_cdr(message, IMAGE)))
    return path


@contextmanager
def running(module: str, *parameters: str, remap: tuple[str, ...] = ()) -> Iterator[Tool]:
    """Runs a module of vggt4d_ros.ros with ROS parameters; ends it where the test has not."""
    command = [sys.executable, "-m", f"vggt4d_ros.ros.{module}", "--ros-args"]
    for text in parameters:
        command += ["-p", text]
    for rule in remap:
        command += ["-r", rule]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    try:
        yield Tool(process)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


class Tool:
    """A running process of ours."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def finish(self, timeout_s: float, stop_with: signal.Signals | None = None) -> tuple[int, str]:
        """Waits for the end, after a signal where one is given; gives exit status and output."""
        if stop_with is not None:
            self._process.send_signal(stop_with)
        output, _ = self._process.communicate(timeout=timeout_s)
        return self._process.returncode, output

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None
