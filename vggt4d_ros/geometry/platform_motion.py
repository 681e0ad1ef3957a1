# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the platform's own odometry had each camera, at each image's own stamp."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from vggt4d_ros.datatypes import Array, Rig, Window
from vggt4d_ros.geometry.transform_buffer import TransformBuffer


@dataclass(frozen=True, slots=True, eq=False)
class PlatformMotion:
    """The platform's motion during one window, as far as it is known."""

    odom_from_cam: Array  # (T, V, 4, 4) metres, at each frame's own stamp; NaN where not known
    unknown: Counter[str]  # frames without a pose, by cause: late, missing, no_extrinsics
    newest_unknown: Counter[str]  # of these, frames of the newest step
    lag_s: float  # how far the newest frame is ahead of what has come; 0: not at all
    reason: str  # why the first of them has none; "": all have one

    @property
    def newest_known(self) -> int:
        """Frames of the newest step that have a pose."""
        return int(np.isfinite(self.odom_from_cam[-1]).all(axis=(1, 2)).sum())

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a user should know; empty where every frame has its pose."""
        lost, frames = sum(self.unknown.values()), self.odom_from_cam.shape[:2]
        if not lost:
            return ()
        return (f"platform motion: {lost} of {frames[0] * frames[1]} frames: {self.reason}",)


def window_motion(
    window: Window,
    rig: Rig,
    buffer: TransformBuffer,
    *,
    fixed_frame: str,
    moving_frame: str,
    moving_from_base: Array | None = None,
) -> PlatformMotion:
    """Looks up the platform at the stamp of every frame of a window.

    Args:
        window: frames and stamps.
        rig: extrinsics; a camera without them has no known pose.
        buffer: holds fixed_from_moving over time.
        fixed_frame: in which the odometry counts.
        moving_frame: what it counts the motion of.
        moving_from_base: (4, 4) where that is not the base itself; None: it is.

    Raises:
        ValueError: another number of cameras in window and rig.
    """
    steps, views = window.shape
    if len(rig.base_from_cam) != views:
        raise ValueError(f"rig of {len(rig.base_from_cam)} cameras for a window of {views}")
    slots = [slot for slot in np.ndindex(steps, views) if window.frame(*slot) is not None]
    stamps = [frame.stamp_ns for slot in slots if (frame := window.frame(*slot)) is not None]
    found = buffer.lookup(fixed_frame, moving_frame, stamps)
    poses = np.full((steps, views, 4, 4), np.nan)
    causes: dict[tuple[int, int], str] = {}
    reason = found.reason
    for index, (step, view) in enumerate(slots):
        base_from_cam = rig.base_from_cam[view]
        if base_from_cam is None:
            causes[step, view] = "no_extrinsics"
            reason = reason or f"the extrinsics of camera {view} are not known"
        elif not found.known[index]:
            causes[step, view] = "late" if found.late[index] else "missing"
        else:
            base = found.target_from_source[index]
            base = base if moving_from_base is None else base @ moving_from_base
            poses[step, view] = base @ base_from_cam
    newest = Counter(cause for (step, _), cause in causes.items() if step == steps - 1)
    return PlatformMotion(poses, Counter(causes.values()), newest, found.lag_s, reason)


def unknown_motion(window: Window, reason: str) -> PlatformMotion:
    """Says that nothing is known of any frame, and why."""
    count = int(window.valid.sum())
    newest = len(window.sets[-1].stamps_ns)
    poses = np.full((*window.shape, 4, 4), np.nan)
    return PlatformMotion(poses, Counter(missing=count), Counter(missing=newest), 0.0, reason)
