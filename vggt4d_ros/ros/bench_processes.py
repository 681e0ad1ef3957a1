# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The processes around the node in ``vggt4d bench node``: cameras, a floor to beat, a meter.

Each runs as ``python -m vggt4d_ros.ros.bench_processes ROLE JSON`` and prints one JSON line at its
end. The floor does what no node can do without: it takes every image and, for ``echo``, publishes
as many depth bytes.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from array import array
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import rclpy
from geometry_msgs.msg import TransformStamped
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage

from vggt4d_ros.datatypes import CameraModel
from vggt4d_ros.messages.stamps import ns_from_stamp
from vggt4d_ros.msg import WindowStatus
from vggt4d_ros.ros.encode import bytes_of, camera_info_msg, header
from vggt4d_ros.ros.executor import make_executor
from vggt4d_ros.ros.qos import output_qos, sensor_qos

_WARM_UP_S = 2.0  # the measurement begins a second or two later
_LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Cameras(Node):
    """Publishes N cameras at a rate for some seconds, all stamped alike, as a trigger does."""

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__("bench_cameras")
        self._options = options
        width, height = options["width"], options["height"]
        self.sent = 0
        self.names = [f"cam{i}" for i in range(options["cameras"])]
        qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        self._images = [self.create_publisher(Image, f"{n}/image_raw", qos) for n in self.names]
        self._infos = [
            self.create_publisher(CameraInfo, f"{n}/camera_info", qos) for n in self.names
        ]
        self._static = self.create_publisher(TFMessage, "/tf_static", _LATCHED)
        self._static.publish(TFMessage(transforms=[self._mount(i) for i in range(len(self.names))]))
        pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
        self._data = bytes_of(pixels)
        self._model = CameraModel(width, height, width, width, (width - 1) / 2, (height - 1) / 2)

    def _mount(self, index: int) -> TransformStamped:
        message = TransformStamped(child_frame_id=f"cam{index}_optical")
        message.header.frame_id = "base_link"
        message.transform.translation.y = 0.1 * index
        rotation = message.transform.rotation
        rotation.x, rotation.y, rotation.z, rotation.w = -0.5, 0.5, -0.5, 0.5
        return message

    def run(self) -> dict[str, Any]:
        """Waits for the subscriber, then publishes with a steady period."""
        deadline = time.monotonic() + 30.0
        while min(p.get_subscription_count() for p in self._images) == 0:
            if time.monotonic() > deadline:
                return {"error": "nobody subscribed to the cameras within 30 s"}
            time.sleep(0.05)
        time.sleep(1.0)  # discovery is one-sided for a moment
        period = 1.0 / self._options["rate"]
        begin = time.monotonic()
        while (elapsed := time.monotonic() - begin) < self._options["seconds"]:
            late = self.sent * period - elapsed
            if late > 0:
                time.sleep(late)
            self._publish()
        return {"sent": self.sent * len(self.names), "seconds": time.monotonic() - begin}

    def _publish(self) -> None:
        stamp_ns = self.get_clock().now().nanoseconds
        width, height = self._model.width, self._model.height
        for index, name in enumerate(self.names):
            head = header(stamp_ns, f"{name}_optical")
            self._infos[index].publish(camera_info_msg(self._model, head))
            message = Image(header=head, height=height, width=width, encoding="rgb8")
            message.step = width * 3
            message.data = self._data
            self._images[index].publish(message)
        self.sent += 1


class Floor(Node):
    """Takes every image; with ``echo`` publishes a ready-made depth image for each."""

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__("bench_floor")
        self.received = 0
        self._depth = array("B", bytes(4 * options["width"] * options["height"]))
        self._size = options["width"], options["height"]
        for index in range(options["cameras"]):
            publisher = None
            if options["echo"]:
                topic = f"/vggt4d/cam{index}/depth/image_rect"
                publisher = self.create_publisher(Image, topic, output_qos())
            self.create_subscription(
                Image, f"cam{index}/image_raw", self._take(publisher), sensor_qos()
            )

    def _take(self, publisher: Any) -> Callable[[Image], None]:
        def take(message: Image) -> None:
            self.received += 1
            if publisher is not None:
                width, height = self._size
                out = Image(header=message.header, height=height, width=width, encoding="32FC1")
                out.step = 4 * width
                out.data = self._depth
                publisher.publish(out)

        return take

    def result(self) -> dict[str, Any]:
        """What it counted."""
        return {"received": self.received}


class Meter(Node):
    """Takes the depth images and says how old they are, and keeps the last status.

    It listens to the status while the node warms up, for the times of the stages, and from SIGUSR1
    on, for the final counts: in between nobody asks for more than the floor gives.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__("bench_meter")
        self._latency_ms: list[float] = []
        self._per_camera: Counter[int] = Counter()
        self._status: WindowStatus | None = None
        self._stages: dict[str, list[float]] = {}
        for index in range(options["cameras"]):
            topic = f"/vggt4d/cam{index}/depth/image_rect"
            self.create_subscription(Image, topic, self._depth(index), sensor_qos(depth=5))
        self._first: float | None = None  # time.monotonic() of the first depth image
        self._ending = False
        self._listening: Subscription | None = None
        self.create_timer(0.1, self._choose_status)
        self._choose_status()

    def end(self, *_: object) -> None:
        """Listens to the status again."""
        self._ending = True

    def _choose_status(self) -> None:
        warm = self._first is not None and time.monotonic() - self._first > _WARM_UP_S
        if (self._ending or not warm) and self._listening is None:
            topic = "/vggt4d/status"
            self._listening = self.create_subscription(WindowStatus, topic, self._on_status, 10)
        elif warm and not self._ending and self._listening is not None:
            self.destroy_subscription(self._listening)
            self._listening = None

    def _depth(self, camera: int) -> Callable[[Image], None]:
        def take(message: Image) -> None:
            self._first = self._first or time.monotonic()
            age_ns = self.get_clock().now().nanoseconds - ns_from_stamp(message.header.stamp)
            self._latency_ms.append(age_ns / 1e6)
            self._per_camera[camera] += 1

        return take

    def _on_status(self, message: WindowStatus) -> None:
        self._status = message
        for stage in message.stage_times:
            self._stages.setdefault(stage.name, []).append(stage.milliseconds)

    def result(self) -> dict[str, Any]:
        """Latency percentiles, counts, drops, stages."""
        latency = np.array(self._latency_ms[len(self._latency_ms) // 10 :] or [np.nan])
        status = self._status or WindowStatus()
        return {
            "depth_images": sum(self._per_camera.values()),
            "latency_ms": {
                f"p{q}": round(float(np.percentile(latency, q)), 2) for q in (50, 95, 99)
            },
            "frames_received": status.frames_received,
            "frames_used": status.frames_used,
            "frames_dropped": {c.name: c.count for c in status.frames_dropped},
            "sets": status.sets,
            "windows": status.windows,
            "stage_ms": {
                name: {
                    "p50": round(float(np.percentile(values, 50)), 3),
                    "p95": round(float(np.percentile(values, 95)), 3),
                }
                for name, values in self._stages.items()
            },
        }


def main() -> int:
    """Runs one role until its end or SIGINT."""
    role, options = sys.argv[1], json.loads(sys.argv[2])
    rclpy.init()
    try:
        if role == "cameras":
            print(json.dumps(Cameras(options).run()), flush=True)
            return 0
        node = Floor(options) if role == "floor" else Meter(options)
        if isinstance(node, Meter):
            signal.signal(signal.SIGUSR1, node.end)
        with suppress(KeyboardInterrupt, ExternalShutdownException):
            executor = make_executor(options["floor_executor"])
            executor.add_node(node)
            executor.spin()
        print(json.dumps(node.result()), flush=True)
        return 0
    finally:
        rclpy.try_shutdown()


if __name__ == "__main__":
    sys.exit(main())
