# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Depth images of other sensors, which say how long things are."""

from __future__ import annotations

import sys
import threading
from collections import Counter, deque
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.subscription import Subscription
from sensor_msgs.msg import Image

from vggt4d_ros.config import Config, depth_topics
from vggt4d_ros.datatypes import Window
from vggt4d_ros.geometry.given import depth_from_image
from vggt4d_ros.messages.stamps import NANOSECONDS, ns_from_stamp
from vggt4d_ros.ros.qos import NO_SUBSCRIPTION_EVENTS, OVERRIDABLE, sensor_qos

_KEPT = 30  # images per camera: the network may be a second behind
_REASONS = 20  # told apart: they name sizes, of which there is no end
_TYPES: dict[str, np.dtype[Any]] = {"32FC1": np.dtype(np.float32), "16UC1": np.dtype(np.uint16)}


@dataclass(slots=True, eq=False)
class _Heard:
    """One depth image: as it came, then decoded; neither where it was of no use."""

    stamp_ns: int
    message: Image | None
    depth: NDArray[np.float32] | None = None


class GivenDepthInput:
    """Hears depth images on the executor's thread, gives them on the worker's.

    Args:
        node: owner of the subscriptions.
        config: geometry.depth_topics; sync.tolerance_s is how far stamps may lie apart.
    """

    def __init__(self, node: Node, config: Config) -> None:
        self._node = node
        self._tolerance_ns = round(config.sync.tolerance_s * NANOSECONDS)
        self._lock = threading.Lock()
        self._images: dict[int, deque[_Heard]] = {}
        self.refused: Counter[str] = Counter()  # images that are no depth, by reason
        self._subscriptions: list[Subscription] = []
        try:
            for camera, topic in depth_topics(config).items():
                self._subscribe(config.cameras.names.index(camera), topic)
        except BaseException:
            self.close()
            raise

    def _subscribe(self, view: int, topic: str) -> None:
        self._images[view] = deque(maxlen=_KEPT)
        subscription = self._node.create_subscription(
            Image,
            topic,
            partial(self._on_image, view),
            sensor_qos(5),
            qos_overriding_options=OVERRIDABLE,
            event_callbacks=NO_SUBSCRIPTION_EVENTS,
        )
        self._subscriptions.append(subscription)

    def _on_image(self, view: int, message: Image) -> None:
        with self._lock:
            self._images[view].append(_Heard(ns_from_stamp(message.header.stamp), message))

    def of_window(self, window: Window) -> dict[tuple[int, int], NDArray[np.float32]]:
        """Gives the depth (H, W) in metres of each frame, as far as it has come."""
        found: dict[tuple[int, int], NDArray[np.float32]] = {}
        if not self._images:
            return found
        for step, view in np.ndindex(window.shape):
            frame = window.frame(step, view)
            if frame is None or view not in self._images:
                continue
            heard = self._nearest(view, frame.stamp_ns)
            if heard is not None and heard.message is not None:
                self._decode(heard, heard.message)
            if heard is not None and heard.depth is not None:
                found[step, view] = heard.depth
        return found

    def _decode(self, heard: _Heard, message: Image) -> None:
        """Turns a message into depth, once; it is in as many windows as they have steps."""
        heard.message = None
        try:
            heard.depth = depth_from_msg(message)
        except ValueError as error:
            reason = str(error)
            known = reason in self.refused or len(self.refused) < _REASONS
            self.refused[reason if known else "other reasons"] += 1
            self._node.get_logger().warning(
                f"given depth is not used: {error}", throttle_duration_sec=5.0
            )

    def _nearest(self, view: int, stamp_ns: int) -> _Heard | None:
        with self._lock:
            known = list(self._images[view])
        nearest = min(known, key=lambda heard: abs(heard.stamp_ns - stamp_ns), default=None)
        if nearest is None or abs(nearest.stamp_ns - stamp_ns) > self._tolerance_ns:
            return None
        return nearest

    def close(self) -> None:
        """Ends the subscriptions."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)


def depth_from_msg(message: Image) -> NDArray[np.float32]:
    """Gives metres (H, W), NaN where unknown, of a REP-118 depth image.

    Raises:
        ValueError: another encoding, or data that do not fit the header.
    """
    kind = _TYPES.get(message.encoding)
    if kind is None:
        raise ValueError(f"encoding {message.encoding!r}; known: {', '.join(_TYPES)}")
    height, width, step = message.height, message.width, message.step
    if not height or not width or step < width * kind.itemsize or step % kind.itemsize:
        raise ValueError(f"{width}x{height} {message.encoding} with step {step}")
    if len(message.data) < height * step:
        raise ValueError(f"{len(message.data)} bytes of data for {height} lines x step {step}")
    if bool(message.is_bigendian) != (sys.byteorder == "big"):
        kind = kind.newbyteorder()
    rows = np.frombuffer(message.data, kind, count=height * step // kind.itemsize)
    pixels = rows.reshape(height, step // kind.itemsize)[:, :width]
    return depth_from_image(pixels.astype(kind.newbyteorder("="), copy=False))
