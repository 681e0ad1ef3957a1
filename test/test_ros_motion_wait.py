# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The time a window waits for late motion is known, for it is no cost of its own."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy")

from nav_msgs.msg import Odometry

from vggt4d_ros.config import Config, GeometryConfig
from vggt4d_ros.datatypes import Frame, FrameSet, LazyImage, Rig, Window
from vggt4d_ros.ros.encode import stamp_from_ns
from vggt4d_ros.ros.motion import MotionInput

SECOND = 10**9
WAIT_S = 0.05


def heard(*stamps_ns: int) -> MotionInput:
    """The platform's motion after odometry of some stamps."""
    config = Config(geometry=GeometryConfig(motion_source="odometry", motion_wait_s=WAIT_S))
    taken = []

    def subscribe(kind: object, topic: str, callback: object, *_: object, **__: object) -> object:
        taken.append(callback)
        return SimpleNamespace(topic_name=topic)

    motion = MotionInput(SimpleNamespace(create_subscription=subscribe), config, None)  # type: ignore[arg-type]
    for stamp_ns in stamps_ns:
        message = Odometry(child_frame_id="base_link")
        message.header.frame_id, message.header.stamp = "odom", stamp_from_ns(stamp_ns)
        taken[0](message)
    return motion


@pytest.mark.parametrize(
    ("newest_ns", "waits"),
    [(9 * SECOND, True), (11 * SECOND, False), (2 * SECOND, False)],
    ids=["late", "there", "gone"],
)
def test_only_motion_that_is_late_is_waited_for(newest_ns: int, waits: bool) -> None:
    motion = heard(SECOND, newest_ns)
    image = LazyImage.from_array(np.zeros((2, 2, 3), dtype=np.uint8))
    window = Window((FrameSet((Frame(0, 10 * SECOND, image),)),))

    found = motion.of_window(window, Rig((np.eye(4),)))

    assert bool(found.unknown["late"]) == (newest_ns < 10 * SECOND)
    assert (motion.waited_s >= 0.9 * WAIT_S) == waits
    if not waits:
        assert motion.waited_s == 0
