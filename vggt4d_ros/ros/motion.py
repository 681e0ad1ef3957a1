# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The platform's motion from TF or an Odometry topic, for the windows the network has seen."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence

from geometry_msgs.msg import TransformStamped
from nav_msgs.msg import Odometry
from rclpy.node import Node

from vggt4d_ros.config import Config
from vggt4d_ros.datatypes import Rig, Window
from vggt4d_ros.geometry.platform_motion import PlatformMotion, unknown_motion, window_motion
from vggt4d_ros.geometry.transform_buffer import TransformBuffer
from vggt4d_ros.messages.poses import add_odometry, add_transform, odometry_frames
from vggt4d_ros.ros.qos import NO_SUBSCRIPTION_EVENTS, OVERRIDABLE, sensor_qos
from vggt4d_ros.ros.tf import FrameTree

_GONE_S = 2.0  # motion that is older than the image by more will not come: nobody waits for it
_QUEUE = 100  # odometry comes at up to some hundred Hz


class MotionInput:
    """Hears the platform's motion on the executor's thread, gives it on the worker's.

    Args:
        node: owner of the subscription.
        config: geometry.motion_source and what goes with it.
        tree: hears TF; says where an odometry's own frame sits on the base.
    """

    def __init__(self, node: Node, config: Config, tree: FrameTree) -> None:
        self._node = node
        self._tree = tree
        self._base = config.tf.base_frame
        self._buffer = TransformBuffer()
        self._heard = threading.Condition()  # guards the buffer
        self._fixed, self._moving = config.tf.odom_frame, config.tf.base_frame
        self._subscription = None
        self.wait_s = config.geometry.motion_wait_s
        self.known = 0  # frames with a pose so far
        self.unknown: Counter[str] = Counter()  # frames without one, by cause
        self.waited_s = 0.0  # so far, for motion that is late
        self.messages = 0  # samples that were taken
        self.refused = 0  # samples that are no pose
        self.last_reason = ""  # why the newest frame has no pose; "": it has one
        self.source = f"TF {self._fixed} -> {self._moving}"
        if config.geometry.motion_source == "tf":
            tree.on_transforms(self._on_transforms)
        else:
            self._subscription = node.create_subscription(
                Odometry,
                config.geometry.odometry_topic,
                self._on_odometry,
                sensor_qos(_QUEUE),
                qos_overriding_options=OVERRIDABLE,
                event_callbacks=NO_SUBSCRIPTION_EVENTS,
            )
            self.source = self._subscription.topic_name

    def _on_transforms(self, transforms: Sequence[TransformStamped], is_static: bool) -> None:
        with self._heard:
            for message in transforms:
                self._take(add_transform(self._buffer, message, is_static=is_static))
            self._heard.notify_all()

    def _on_odometry(self, message: Odometry) -> None:
        with self._heard:
            self._fixed, self._moving = odometry_frames(message, self._fixed, self._base)
            self._take(add_odometry(self._buffer, message, self._fixed, self._moving))
            self._heard.notify_all()

    def _take(self, was_usable: bool) -> None:
        if was_usable:
            self.messages += 1
        else:
            self.refused += 1

    def begin(self, wait_s: float) -> None:
        """Counts anew, for another activation; what was heard stays."""
        self.wait_s, self.last_reason = wait_s, ""
        self.known = self.refused = 0
        self.unknown.clear()

    def forget(self) -> None:
        """Drops what was heard before a time jump; static transforms stay."""
        with self._heard:
            self._buffer.clear()

    def of_window(self, window: Window, rig: Rig) -> PlatformMotion:
        """Gives the motion during a window; waits for what is late, ``wait_s`` at most."""
        end = time.monotonic() + self.wait_s
        with self._heard:
            while True:
                found = self._look_up(window, rig)
                left = end - time.monotonic()
                if not found.unknown["late"] or found.lag_s > _GONE_S or left <= 0:
                    break
                began = time.monotonic()
                self._heard.wait(left)
                self.waited_s += time.monotonic() - began
        self.known += found.newest_known
        self.unknown.update(found.newest_unknown)
        self.last_reason = found.reason if found.newest_unknown else ""
        return found

    def _look_up(self, window: Window, rig: Rig) -> PlatformMotion:
        moving_from_base = None
        if self._subscription is not None and self._moving.lstrip("/") != self._base:
            moving_from_base = self._tree.newest(self._moving, self._base)
            if moving_from_base is None:
                return unknown_motion(
                    window, f"TF does not say where {self._moving} is on {self._base}"
                )
        if not self.messages:
            return unknown_motion(window, f"nothing has come from {self.source}")
        return window_motion(
            window,
            rig,
            self._buffer,
            fixed_frame=self._fixed,
            moving_frame=self._moving,
            moving_from_base=moving_from_base,
        )

    def close(self) -> None:
        """Ends the subscription."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
        else:
            self._tree.on_transforms(None)
