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
from vggt4d_ros.datatypes import DecodeError
from vggt4d_ros.messages.camera import CalibrationFeed, CameraTopics, frame_from_msg
from vggt4d_ros.messages.cdr import compressed_image_from_cdr, image_from_cdr
from vggt4d_ros.messages.stamps import NANOSECONDS, ns_from_stamp
from vggt4d_ros.ros.qos import NO_SUBSCRIPTION_EVENTS, OVERRIDABLE, sensor_qos
from vggt4d_ros.stream.pipeline import StreamPipeline

_RATE_SAMPLES = 30


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
        self._feed = CalibrationFeed(topics.info)
        self._read = compressed_image_from_cdr if topics.compressed else image_from_cdr
        self.frame_id = ""
        self.images = Arrivals()
        self.infos = Arrivals()
        self.warning = ""  # the last reason why a frame of this camera was refused
        self.subscriber = Subscriber(
            node,
            CompressedImage if topics.compressed else Image,
            topics.subscribed,
            qos_profile=sensor_qos(),
            raw=True,  # rclpy would copy the pixels twice more
            qos_overriding_options=OVERRIDABLE,
            event_callbacks=NO_SUBSCRIPTION_EVENTS,
        )
        self.subscriber.registerCallback(self._on_image)
        try:
            self.info_subscription = node.create_subscription(
                CameraInfo,
                topics.info,
                self._on_info,
                sensor_qos(),
                raw=True,
                qos_overriding_options=OVERRIDABLE,
                event_callbacks=NO_SUBSCRIPTION_EVENTS,
            )
        except BaseException:
            node.destroy_subscription(self.subscriber.sub)
            raise

    @property
    def info_state(self) -> str:
        """What is known of the camera's intrinsics, in words."""
        return self._feed.state

    @property
    def infos_refused(self) -> int:
        """How many CameraInfo messages were of no use."""
        return self._feed.refused

    def _on_info(self, serialized: bytes) -> None:
        self.infos.note()
        # every image brings a CameraInfo, nearly all say the same: only the stamp differs
        if not self._feed.is_news(serialized):
            return
        try:
            self._feed.take(deserialize_message(serialized, CameraInfo))
        except ValueError as error:
            self._warn(f"{self.topics.info}: {error}; predicted intrinsics are used")

    def _on_image(self, serialized: bytes) -> None:
        self.images.note(len(serialized))
        try:
            message = self._read(serialized)
            self.frame_id = message.header.frame_id
            self._check_stamp(ns_from_stamp(message.header.stamp))
            frame = frame_from_msg(
                message,
                self._index,
                self._feed,
                compressed=self.topics.compressed,
                require_info=self._require_info,
                received_ns=time.monotonic_ns(),
            )
        except DecodeError as error:
            self._pipeline.reject(self._index, error.cause)
            self._warn(f"{self.subscriber.sub.topic_name}: dropped, {error.cause}: {error}")
            return
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
