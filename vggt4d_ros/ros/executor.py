# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The rclpy executor that ``node.executor`` names."""

from __future__ import annotations

import os

from rclpy.executors import Executor, SingleThreadedExecutor

from vggt4d_ros.options import ConfigError


def make_executor(kind: str) -> Executor:
    """The executor ``node.executor`` names.

    Raises:
        ConfigError: this ROS distribution has no events executor.
    """
    if kind == "single":
        return SingleThreadedExecutor()
    try:
        from rclpy.experimental import EventsExecutor
    except ImportError as error:
        if kind == "auto":
            return SingleThreadedExecutor()
        raise ConfigError(
            f"node.executor is events, which ROS {os.environ.get('ROS_DISTRO', '?')} does not "
            "have; use single"
        ) from error
    events: Executor = EventsExecutor()
    return events
