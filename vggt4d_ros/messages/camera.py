# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One camera's messages to Frames; the live node and the evaluation of recordings use this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vggt4d_ros.config import Config
from vggt4d_ros.datatypes import DecodeError, Frame
from vggt4d_ros.geometry.camera_info import Calibration
from vggt4d_ros.geometry.rectify import Rectifier
from vggt4d_ros.messages.decode import (
    calibration_from_msg,
    image_from_compressed_msg,
    image_from_msg,
    rectified,
)
from vggt4d_ros.messages.stamps import ns_from_stamp

_AFTER_STAMP = 12  # CDR: 4 bytes of encapsulation, header.stamp.sec and .nanosec


@dataclass(frozen=True, slots=True)
class CameraTopics:
    """Topics of one camera, relative names as configured."""

    name: str
    image: str
    info: str
    compressed: bool

    @property
    def subscribed(self) -> str:
        """The topic that is listened to."""
        return f"{self.image}/compressed" if self.compressed else self.image


def info_beside(image: str) -> str:
    """The CameraInfo topic that goes with an image topic."""
    return image.rsplit("/", 1)[0] + "/camera_info" if "/" in image else "camera_info"


def camera_topics(config: Config) -> tuple[CameraTopics, ...]:
    """Topics of each camera by the rules of the ``cameras`` section."""
    cameras = config.cameras
    compressed = cameras.transport == "compressed"
    found = []
    for index, name in enumerate(cameras.names):
        image = cameras.image_topics[index] if cameras.image_topics else f"{name}/image_raw"
        info = cameras.info_topics[index] if cameras.info_topics else info_beside(image)
        found.append(CameraTopics(name, image, info, compressed))
    return tuple(found)


class CalibrationFeed:
    """The newest CameraInfo of a camera; all but the first of equal ones cost nothing.

    Args:
        topic: where it comes from, for messages.
    """

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.calibration: Calibration | None = None
        self.needs_rectifying = False
        self.state = "no CameraInfo yet"
        self.refused = 0  # messages that were of no use
        self._is_refused = False  # the newest one
        self._body = b""

    def is_news(self, serialized: bytes) -> bool:
        """Whether a serialized CameraInfo says anything but the one before: stamps aside."""
        body = bytes(serialized[_AFTER_STAMP:])
        if body == self._body:
            self.refused += self._is_refused
            return False
        self._body = body
        return True

    def take(self, message: Any) -> None:
        """Takes a CameraInfo.

        Raises:
            ValueError: it is of no use; there is no calibration from now on.
        """
        try:
            calibration = calibration_from_msg(message)
        except ValueError as error:
            self.calibration, self.state = None, f"CameraInfo is not usable: {error}"
            self._is_refused = True
            self.refused += 1
            raise
        self._is_refused = False
        if calibration != self.calibration:
            self.needs_rectifying = calibration is not None and Rectifier(calibration).needed
        self.calibration = calibration
        self.state = "calibrated" if calibration else "uncalibrated (K[0] == 0)"


def frame_from_msg(
    message: Any,
    camera: int,
    feed: CalibrationFeed,
    *,
    compressed: bool,
    require_info: bool,
    received_ns: int = 0,
) -> Frame:
    """An image message with what is known of its camera; decoded and rectified when asked for.

    Args:
        message: sensor_msgs/Image or CompressedImage, of rclpy or of rosbags.
        camera: view index.
        feed: the camera's intrinsics.
        compressed: which of the two types the message is of.
        require_info: refuse images of uncalibrated cameras.
        received_ns: time.monotonic_ns() of its arrival.

    Raises:
        DecodeError: it cannot be used; ``cause`` says why.
    """
    if require_info and feed.calibration is None:
        raise DecodeError("no_camera_info", f"{feed.topic}: {feed.state}")
    image = image_from_compressed_msg(message) if compressed else image_from_msg(message)
    calibration = feed.calibration
    if calibration is not None and feed.needs_rectifying:
        image = rectified(image, calibration)
    model = calibration.rectified if calibration is not None else None
    head = message.header
    return Frame(camera, ns_from_stamp(head.stamp), image, head.frame_id, model, received_ns)
