# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the configuration says of lengths, out of a recording: motion, depth images, a height."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vggt4d_ros.config import Config
from vggt4d_ros.datatypes import Array, DecodeError, Rig, Window
from vggt4d_ros.evaluation.depth_truth import DepthTruth
from vggt4d_ros.geometry.given import given_heights
from vggt4d_ros.geometry.platform_motion import PlatformMotion, window_motion
from vggt4d_ros.geometry.scale import GivenScale
from vggt4d_ros.geometry.transform_buffer import TransformBuffer
from vggt4d_ros.messages.poses import add_odometry, odometry_frames
from vggt4d_ros.processor import ScaleHints

Motion = Callable[[Window, Rig], PlatformMotion | None]


def given_hints(
    config: Config,
    depth: Mapping[int, DepthTruth] | None = None,
    motion: Motion | None = None,
) -> ScaleHints | None:
    """Hints of what is given; None: nothing is.

    Args:
        config: section ``geometry``.
        depth: given depth images by camera.
        motion: of the platform.
    """
    heights = given_heights(config)
    stores = depth or {}
    if not heights and not stores:
        return None if motion is None else ScaleHints(motion=motion)

    def given(window: Window) -> GivenScale:
        return GivenScale(heights, _depth_of(window, stores))

    return ScaleHints(motion=motion, given=given)


def _depth_of(window: Window, stores: Mapping[int, DepthTruth]) -> dict[tuple[int, int], Any]:
    found = {}
    steps, _ = window.shape
    for view, store in stores.items():
        for step in range(steps):
            frame = window.frame(step, view)
            if frame is None:
                continue
            try:
                depth = store.find(frame.stamp_ns)
            except DecodeError:
                continue
            if depth is not None:
                found[step, view] = depth
    return found


class OdometryMotion:
    """The platform's motion from an Odometry topic.

    Args:
        base_frame: whose motion is wanted.
        transforms: of the recording: where the base is in the frame that the topic tells of.
    """

    def __init__(self, base_frame: str, transforms: TransformBuffer) -> None:
        self._base = base_frame
        self._transforms = transforms
        self._buffer = TransformBuffer()
        self._fixed, self._moving = "odom", base_frame

    def add(self, message: Any) -> None:
        """Takes an Odometry."""
        self._fixed, self._moving = odometry_frames(message, self._fixed, self._base)
        add_odometry(self._buffer, message, self._fixed, self._moving)

    def __call__(self, window: Window, rig: Rig) -> PlatformMotion:
        """The motion during a window."""
        moving_from_base: Array | None = None
        if self._moving.lstrip("/") != self._base:
            stamp = window.sets[-1].stamp_ns
            found = self._transforms.lookup(self._moving, self._base, [stamp])
            moving_from_base = found.target_from_source[0] if found.known[0] else None
        return window_motion(
            window,
            rig,
            self._buffer,
            fixed_frame=self._fixed,
            moving_frame=self._moving,
            moving_from_base=moving_from_base,
        )

    def clear(self) -> None:
        """Time has jumped."""
        self._buffer.clear()
