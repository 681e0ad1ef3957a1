# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Listens to all that the node publishes, so that all of it is made, and says what came.

Ends by itself when the player has gone and the node has nothing left to do.
"""

from __future__ import annotations

import struct
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage, Image
from tf2_msgs.msg import TFMessage

from vggt4d_ros.demo.observed import Observed, Tally
from vggt4d_ros.messages import topics
from vggt4d_ros.msg import WindowStatus
from vggt4d_ros.ros.demo_picture import PictureData
from vggt4d_ros.ros.process import Stop, message_class, parameter, ros_process

QUEUE_DEPTH = 20
KEPT_STAMPS = 3  # the newest instants of each output that the picture may need
KEPT_INPUTS = 64  # inputs wait here for the outputs that are made of them
# of which instant's messages the picture is made
PICTURE = (topics.DEPTH, topics.CONFIDENCE, topics.FLOW_RGB, topics.DYNAMIC_MASK, topics.MERGED)


class DemoMonitor(Node):
    """Counts and times everything by the wall clock.

    Parameters: ``cameras``, ``node`` (full name), ``inputs`` (image topics, in camera order),
    ``output`` (folder for what was seen), ``settle_s`` (silence after which a drained node is
    believed), ``quiet_s`` (silence after which an undrained one is given up), ``limit_s``.
    """

    def __init__(self) -> None:
        super().__init__("demo_monitor", start_parameter_services=False)
        self._cameras = parameter(self, "cameras", ("",))
        self._node = parameter(self, "node", "/vggt4d")
        self._inputs = parameter(self, "inputs", ("",))
        self._folder = Path(parameter(self, "output", "."))
        self._settle_s = parameter(self, "settle_s", 1.0)
        self._quiet_s = parameter(self, "quiet_s", 15.0)
        self._limit_s = parameter(self, "limit_s", 300.0)
        self.observed = Observed()
        self._kept: dict[str, OrderedDict[int, bytes]] = {}
        self._arrivals: dict[int, float] = {}
        self._tf_static: dict[str, Any] = {}
        self._odometry: list[bytes] = []
        self._last_arrival_s = 0.0
        self._subscribe_all()

    def _subscribe_all(self) -> None:
        for topic in self._inputs:
            compressed = topic.endswith("/compressed")
            kind = "sensor_msgs/CompressedImage" if compressed else "sensor_msgs/Image"
            self.observed.inputs[topic] = Tally(kind)
            message = CompressedImage if compressed else Image
            self._subscribe(message, topic, self._on_input(topic))
        for entry in topics.TOPICS:
            for camera in self._cameras if entry.per_camera else ("",):
                name = entry.resolve(camera).replace("~", self._node, 1)
                self._watch(name, entry.type, self._keeper(entry, name), latched=entry.latched)
        self._watch("/tf", "tf2_msgs/TFMessage", lambda raw: None)
        self._watch("/diagnostics", "diagnostic_msgs/DiagnosticArray", lambda raw: None)
        self._subscribe(TFMessage, "/tf_static", self._on_tf_static, latched=True)

    def _subscribe(
        self, kind: Any, topic: str, callback: Callable[[bytes], None], *, latched: bool = False
    ) -> None:
        durability = DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE
        qos = QoSProfile(depth=QUEUE_DEPTH, durability=durability)
        # raw: most of it is only counted, and unpacking every cloud would take the node's CPU time
        self.create_subscription(kind, topic, callback, qos, raw=True)

    def _watch(
        self, topic: str, kind: str, keep: Callable[[bytes], None], *, latched: bool = False
    ) -> None:
        tally = self.observed.outputs.setdefault(topic, Tally(kind))

        def on_message(raw: bytes) -> None:
            self._last_arrival_s = time.monotonic()
            tally.add(self._last_arrival_s)
            keep(raw)

        message = message_class(kind.replace("/", "/msg/"))
        self._subscribe(message, topic, on_message, latched=latched)

    def _on_input(self, topic: str) -> Callable[[bytes], None]:
        tally = self.observed.inputs[topic]
        kept = self._kept.setdefault(topic, OrderedDict())

        def on_message(raw: bytes) -> None:
            now_s = time.monotonic()
            self._last_arrival_s = now_s
            tally.add(now_s)
            stamp_ns = stamp_of(raw)
            self._arrivals[stamp_ns] = now_s
            _keep_newest(kept, stamp_ns, raw, KEPT_INPUTS)

        return on_message

    def _keeper(self, entry: topics.Topic, name: str) -> Callable[[bytes], None]:
        """What is done with an output besides counting it."""
        if entry is topics.STATUS:
            return self._on_status
        if entry is topics.ODOMETRY:
            return self._odometry.append
        if entry not in PICTURE:
            return lambda raw: None
        kept = self._kept.setdefault(name, OrderedDict())

        def keep(raw: bytes) -> None:
            stamp_ns = stamp_of(raw)
            _keep_newest(kept, stamp_ns, raw, KEPT_STAMPS)
            if entry is topics.DEPTH and stamp_ns in self._arrivals:
                late_s = time.monotonic() - self._arrivals[stamp_ns]
                self.observed.image_to_depth_ms.append(late_s * 1e3)

        return keep

    def _on_tf_static(self, raw: bytes) -> None:
        for transform in deserialize_message(raw, TFMessage).transforms:
            self._tf_static[transform.child_frame_id] = transform

    def _on_status(self, raw: bytes) -> None:
        status, seen = deserialize_message(raw, WindowStatus), self.observed
        seen.frames_received = status.frames_received
        seen.frames_used = status.frames_used
        seen.frames_pending = status.frames_pending
        seen.frames_dropped = {item.name: item.count for item in status.frames_dropped}
        seen.sets, seen.windows = status.sets, status.windows
        seen.windows_superseded = status.windows_superseded
        for stage in status.stage_times:
            seen.stage_ms.setdefault(stage.name, []).append(stage.milliseconds)
        if status.stage_times:  # of a window, not of a wait or the end
            seen.warnings += [text for text in status.warnings if text not in seen.warnings]
            seen.steps, seen.device, seen.model = status.steps, status.device, status.model
            seen.memory_bytes = status.memory
            seen.scale_source, seen.scale = int(status.scale_source), status.scale

    def watch(self, stop: Stop) -> None:
        """Listens until the run is over, then writes what was seen."""
        executor = SingleThreadedExecutor()
        executor.add_node(self)
        begin_s = time.monotonic()
        while not self.observed.ended:
            executor.spin_once(timeout_sec=0.1)
            if stop.is_set():
                self.observed.ended = "stopped"
            elif time.monotonic() - begin_s > self._limit_s:
                self.observed.ended = f"limit of {self._limit_s:.0f} s reached"
            else:
                self.observed.ended = self._reason_to_end()
        executor.shutdown()
        self._write()

    def _reason_to_end(self) -> str:
        """Gives why nothing more will come, or nothing while it may."""
        has_begun = all(tally.count for tally in self.observed.inputs.values())
        silence_s = time.monotonic() - self._last_arrival_s
        if (
            not has_begun
            or silence_s < self._settle_s
            or any(map(self.count_publishers, self._inputs))
        ):
            return ""
        seen = self.observed
        if seen.frames_received and not seen.frames_pending:
            return "drained"
        return f"silent for {self._quiet_s:.0f} s" if silence_s > self._quiet_s else ""

    def _write(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        data = PictureData(self._cameras, self._node, self._inputs)
        self.observed.picture_stamp_ns = data.choose(self._kept)
        data.write(self._folder, self._kept, self._odometry, self._tf_static)
        self.observed.write(self._folder)
        self.get_logger().info(f"watched until: {self.observed.ended}")


def stamp_of(raw: bytes) -> int:
    """Gives the stamp in ns of a serialized message that begins with a header.

    CDR: 4 B encapsulation (second byte odd: little endian), then int32 sec, uint32 nanosec.
    """
    seconds, nanoseconds = struct.unpack_from("<iI" if raw[1] & 1 else ">iI", raw, 4)
    return int(seconds * 10**9 + nanoseconds)


def _keep_newest(kept: OrderedDict[int, bytes], stamp_ns: int, raw: bytes, count: int) -> None:
    kept[stamp_ns] = raw
    kept.move_to_end(stamp_ns)  # a loop brings old stamps anew
    while len(kept) > count:
        kept.popitem(last=False)


def main(args: list[str] | None = None) -> int:
    """Watches until the run is over; gives the exit status."""
    with ros_process(args) as stop:
        monitor = DemoMonitor()
        try:
            monitor.watch(stop)
        finally:
            monitor.destroy_node()
    return 0


if __name__ == "__main__":
    sys.exit(main())
