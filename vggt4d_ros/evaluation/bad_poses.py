# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Poses of a recording that are none: left out, counted by cause, named."""

from __future__ import annotations

from collections import Counter
from typing import Any

from vggt4d_ros.messages.poses import pose_fault, pose_numbers, transform_numbers

_MOST = 20  # lines: frames of a broken tree may be many


class BadPoses:
    """Looks at each pose before it is used."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()
        self._bad: Counter[tuple[str, str]] = Counter()  # name and cause

    def admits_pose(self, topic: str, pose: Any) -> bool:
        """Whether a geometry_msgs/Pose of a topic is one."""
        return self._admits(topic, pose_numbers(pose))

    def admits_transform(self, message: Any) -> bool:
        """Whether a TransformStamped is one."""
        name = f"TF {message.header.frame_id} -> {message.child_frame_id}"
        return self._admits(name, transform_numbers(message.transform))

    def _admits(self, name: str, numbers: tuple[float, ...]) -> bool:
        self._seen[name] += 1
        fault = pose_fault(numbers)
        if fault:
            self._bad[name, fault] += 1
        return not fault

    def lines(self) -> list[str]:
        """One for each topic or transform and cause."""
        found = [
            f"{name}: {count} of {self._seen[name]} poses left out: {fault}"
            for (name, fault), count in sorted(self._bad.items())
        ]
        more = len(found) - _MOST
        return found if more <= 0 else [*found[:_MOST], f"and {more} more lines of bad poses"]
