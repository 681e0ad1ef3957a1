# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One camera's topics: images and intrinsics in, checked Frames out, all else counted by cause."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

from message_filters import SimpleFilter, Subscriber
from rclpy.clock import Clock
from rclpy.node import Node
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from vggt4d_ros.config import Config
from vggt4d_ros.datatypes import DecodeError, Frame
from vggt4d_ros.geometry.camera_info import Calibration
from vggt4d_ros.geometry.rectify import Rectifier
from vggt4d_ros.messages.encode import NANOSECONDS
from vggt4d_ros.ros.decode import (
    calibration_from_msg,
    image_from_compressed_msg,
    image_from_msg,
    rectified,
)
from vggt4d_ros.ros.encode import ns_from_stamp
from vggt4d_ros.ros.qos import NO_SUBSCRIPTION_EVENTS, OVERRIDABLE, sensor_qos
from vggt4d_ros.stream.pipeline import StreamPipeline

_RATE_SAMPLES = 30
_AFTER_STAMP = 12  # CDR: 4 bytes of encapsulation, header.stamp.sec and .nanosec


@dataclass(frozen=True, slots=True)
class CameraTopics:
    """Topics of one camera, relative names as configured."""

    name: str
    image: str
    info: str
    compressed: bool


def camera_topics(config: Config) -> tuple[CameraTopics, ...]:
    """Topics of each camera by the rules of the ``cameras`` section."""
    cameras = config.cameras
    compressed = cameras.transport == "compressed"
    found = []
    for index, name in enumerate(cameras.names):
        image = cameras.image_topics[index] if cameras.image_topics else f"{name}/image_raw"
        beside = image.rsplit("/", 1)[0] + "/camera_info" if "/" in image else "camera_info"
        info = cameras.info_topics[index] if cameras.info_topics else beside
        found.append(CameraTopics(name, image, info, compressed))
    return tuple(found)


@dataclass
class Arrivals:
    """What came on one topic, for reports."""

    count: int = 0
    last_wall: float = 0.0  # time.monotonic() of the last arrival
    walls: deque[float] = field(default_factory=lambda: deque(maxlen=_RATE_SAMPLES))
    bytes_last: int = 0

    def note(self, size: int = 0) -> None:
        """Counts one message."""
        self.count += 1
        self.last_wall = time.monotonic()
        self.walls.append(self.last_wall)
        self.bytes_last = size

    @property
    def rate_hz(self) -> float:
        """Rate over the last messages; 0 with fewer than two."""
        if len(self.walls) < 2:
            return 0.0
        return (len(self.walls) - 1) / max(self.walls[-1] - self.walls[0], 1e-9)

    @property
    def age_s(self) -> float:
        """Seconds since the last message; inf without one."""
        return time.monotonic() - self.last_wall if self.count else float("inf")


class CameraInput(SimpleFilter):
    """A message filter that signals a Frame for every image that can be used.

    Args:
        node: owner of the subscriptions.
        index: view index of the camera.
        topics: where its images and intrinsics come from.
        config: sections ``cameras`` and ``sync``.
        pipeline: counts the frames that are refused here.
    """

    def __init__(
        self,
        node: Node,
        index: int,
        topics: CameraTopics,
        config: Config,
        pipeline: StreamPipeline,
    ) -> None:
        super().__init__()
        self._node = node
        self._index = index
        self.topics = topics
        self._require_info = config.cameras.require_info
        self._max_future_ns = round(config.sync.max_future_s * NANOSECONDS)
        self._pipeline = pipeline
        self._clock: Clock = node.get_clock()
        self._calibration: Calibration | None = None
        self._info_body = b""
        self._is_distorted = False
        self.frame_id = ""
        self.images = Arrivals()
        self.infos = Arrivals()
        self.warning = ""  # the last reason why a frame of this camera was refused
        self.info_state = "no CameraInfo yet"
        self._read = image_from_compressed_msg if topics.compressed else image_from_msg
        topic = f"{topics.image}/compressed" if topics.compressed else topics.image
        self.subscriber = Subscriber(
            node,
            CompressedImage if topics.compressed else Image,
            topic,
            qos_profile=sensor_qos(),
            qos_overriding_options=OVERRIDABLE,
            event_callbacks=NO_SUBSCRIPTION_EVENTS,
        )
        self.subscriber.registerCallback(self._on_image)
        self.info_subscription = node.create_subscription(
            CameraInfo,
            topics.info,
            self._on_info,
            sensor_qos(),
            raw=True,
            qos_overriding_options=OVERRIDABLE,
            event_callbacks=NO_SUBSCRIPTION_EVENTS,
        )

    def _on_info(self, serialized: bytes) -> None:
        self.infos.note()
        # every image brings a CameraInfo, nearly all say the same: only the stamp differs
        body = serialized[_AFTER_STAMP:]
        if body == self._info_body:
            return
        self._info_body = body
        try:
            calibration = calibration_from_msg(deserialize_message(serialized, CameraInfo))
        except ValueError as error:
            self._calibration, self.info_state = None, f"CameraInfo is not usable: {error}"
            self._warn(f"{self.topics.info}: {error}; predicted intrinsics are used")
            return
        if calibration != self._calibration:
            self._is_distorted = calibration is not None and Rectifier(calibration).needed
        self._calibration = calibration
        self.info_state = "calibrated" if calibration else "uncalibrated (K[0] == 0)"

    def _on_image(self, message: Image | CompressedImage) -> None:
        self.images.note(len(message.data))
        self.frame_id = message.header.frame_id
        stamp_ns = ns_from_stamp(message.header.stamp)
        try:
            self._check_stamp(stamp_ns)
            if self._require_info and self._calibration is None:
                raise DecodeError("no_camera_info", f"{self.topics.info}: {self.info_state}")
            image = self._read(message)
        except DecodeError as error:
            self._pipeline.reject(self._index, error.cause)
            self._warn(f"{self.subscriber.sub.topic_name}: dropped, {error.cause}: {error}")
            return
        calibration = self._calibration
        if calibration is not None and self._is_distorted:
            image = rectified(image, calibration)
        model = calibration.rectified if calibration is not None else None
        frame = Frame(
            self._index, stamp_ns, image, self.frame_id, model, received_ns=time.monotonic_ns()
        )
        self.signalMessage(frame)

    def _check_stamp(self, stamp_ns: int) -> None:
        now_ns = self._clock.now().nanoseconds
        # a simulated clock reads 0 before the first /clock
        if self._max_future_ns and now_ns and stamp_ns > now_ns + self._max_future_ns:
            raise DecodeError(
                "future_stamp",
                f"stamp is {(stamp_ns - now_ns) / NANOSECONDS:.3f} s ahead of the node's clock",
            )

    def _warn(self, text: str) -> None:
        self.warning = text
        self._node.get_logger().warning(text, throttle_duration_sec=5.0)

    def close(self) -> None:
        """Ends the subscriptions."""
        self._node.destroy_subscription(self.subscriber.sub)
        self._node.destroy_subscription(self.info_subscription)
