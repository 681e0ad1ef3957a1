# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Header stamps as integer nanoseconds."""

from __future__ import annotations

from typing import Any

NANOSECONDS = 1_000_000_000  # in a second


def ns_from_stamp(stamp: Any) -> int:
    """A builtin_interfaces/Time, of rclpy or of rosbags, to integer nanoseconds, exactly."""
    return int(stamp.sec) * NANOSECONDS + int(stamp.nanosec)
