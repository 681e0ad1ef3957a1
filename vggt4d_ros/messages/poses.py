# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Poses out of messages, of rclpy or of rosbags: as numbers, and into a ``TransformBuffer``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from vggt4d_ros.geometry.transform_buffer import TransformBuffer
from vggt4d_ros.messages.stamps import ns_from_stamp

Numbers = tuple[float, float, float, float, float, float, float]

_UNIT_TOLERANCE = 0.01  # of the squared length: tf2's buffer_core.cpp refuses what is off by more


def pose_numbers(pose: Any) -> Numbers:
    """A geometry_msgs/Pose as x y z (m) qx qy qz qw."""
    where, turn = pose.position, pose.orientation
    return where.x, where.y, where.z, turn.x, turn.y, turn.z, turn.w


def transform_numbers(transform: Any) -> Numbers:
    """A geometry_msgs/Transform as x y z (m) qx qy qz qw."""
    where, turn = transform.translation, transform.rotation
    return where.x, where.y, where.z, turn.x, turn.y, turn.z, turn.w


def pose_fault(numbers: Sequence[float]) -> str:
    """Why x y z qx qy qz qw are no pose; "": they are one."""
    if not all(map(math.isfinite, numbers)):
        return "not finite"
    length = math.hypot(*numbers[3:])
    if abs(length * length - 1.0) > _UNIT_TOLERANCE:
        return "the quaternion is not of unit length"
    return ""


def add_transform(buffer: TransformBuffer, message: Any, *, is_static: bool = False) -> bool:
    """Puts a TransformStamped into a buffer.

    Returns:
        Whether it could be used, see ``TransformBuffer.add``.
    """
    numbers = transform_numbers(message.transform)
    return buffer.add(
        message.header.frame_id,
        message.child_frame_id,
        ns_from_stamp(message.header.stamp),
        numbers[:3],
        numbers[3:],
        is_static=is_static,
    )


def odometry_frames(message: Any, fixed_frame: str, moving_frame: str) -> tuple[str, str]:
    """Frames that an Odometry relates; the given ones where it names none."""
    return message.header.frame_id or fixed_frame, message.child_frame_id or moving_frame


def add_odometry(
    buffer: TransformBuffer, message: Any, fixed_frame: str, moving_frame: str
) -> bool:
    """Puts the pose of an Odometry into a buffer, as fixed_from_moving.

    Returns:
        Whether it could be used, see ``TransformBuffer.add``.
    """
    numbers = pose_numbers(message.pose.pose)
    stamp_ns = ns_from_stamp(message.header.stamp)
    return buffer.add(fixed_frame, moving_frame, stamp_ns, numbers[:3], numbers[3:])
