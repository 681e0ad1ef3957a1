# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the frames of results are called, and which transforms a window gives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from vggt4d_ros.config import TfConfig
from vggt4d_ros.datatypes import Array
from vggt4d_ros.processor import Processed

Refuse = Callable[[str], None]  # takes why a transform is not given


@dataclass(frozen=True, slots=True)
class FrameNames:
    """What the frames of a window's poses are called."""

    fixed: str
    base: str


@dataclass(frozen=True, slots=True, eq=False)
class Edge:
    """A transform of the TF tree."""

    parent: str
    child: str
    parent_from_child: Array  # (4, 4)
    stamp_ns: int


def has_rig(processed: Processed) -> bool:
    """Whether TF ties the base to any camera."""
    return any(pose is not None for pose in processed.rig.base_from_cam)


def camera_edges(processed: Processed, fixed: str, refuse: Refuse) -> Iterator[Edge]:
    """``fixed`` to each optical frame of the newest step, at the camera's own stamp."""
    tracked = processed.tracked
    frames = [f for f in processed.window.sets[-1].frames if f is not None]
    shared = Counter(frame.frame_id for frame in frames)
    for frame in frames:
        if not frame.frame_id or shared[frame.frame_id] > 1:
            refuse(
                f"camera {frame.camera} has the frame_id {frame.frame_id!r}, which is empty or "
                "another camera's too"
            )
        elif tracked.valid[-1, frame.camera]:
            pose = tracked.world_from_cam[-1, frame.camera]
            yield Edge(fixed, frame.frame_id, pose, frame.stamp_ns)


def mode_edges(
    processed: Processed,
    config: TfConfig,
    base_from_odom: Callable[[int], Array | None],
    refuse: Refuse,
) -> Iterator[Edge]:
    """What ``tf.mode`` wants published for the newest step.

    Args:
        processed: the window; but for ``standalone`` its rig must be known.
        config: mode and names.
        base_from_odom: (4, 4) at a stamp, None where TF does not say.
        refuse: told why a transform is left out.
    """
    if config.mode == "none":
        return
    if config.mode == "standalone":
        yield from camera_edges(processed, config.map_frame, refuse)
        return
    tracked = processed.tracked
    fixed_from_base, stamp_ns = tracked.world_from_base[-1], int(tracked.stamps_ns[-1])
    if not np.isfinite(fixed_from_base).all():
        return
    if config.mode == "odom_to_base":
        yield Edge(config.odom_frame, config.base_frame, fixed_from_base, stamp_ns)
        return
    # REP-105: a localizer gives map -> odom, so that odom -> base keeps its one owner
    found = base_from_odom(stamp_ns)
    if found is not None:
        yield Edge(config.map_frame, config.odom_frame, fixed_from_base @ found, stamp_ns)
