# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The platform's true trajectory: a file beside the recording, pose topics, or TF."""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.evaluation.metrics.trajectory import Trajectory
from vggt4d_ros.evaluation.options import EvaluationError
from vggt4d_ros.evaluation.run_folder import parse_tum
from vggt4d_ros.geometry import se3
from vggt4d_ros.messages.poses import pose_numbers
from vggt4d_ros.messages.stamps import ns_from_stamp

Stamps = NDArray[np.int64]


class PoseTopic:
    """Poses of one Odometry or PoseStamped topic, as they come."""

    def __init__(self, name: str, kind: str) -> None:
        self.name = name
        self.kind = kind
        self.child = ""  # frame whose pose it is; "": the topic does not say
        self._stamps = array("q")
        self._values = array("d")

    def __len__(self) -> int:
        return len(self._stamps)

    def add(self, message: Any) -> None:
        """Takes a message; what is no pose is left out."""
        pose = message.pose
        pose = getattr(pose, "pose", pose)
        values = pose_numbers(pose)
        if not np.isfinite(values).all() or not any(values[3:]):
            return
        self.child = getattr(message, "child_frame_id", "") or self.child
        self._stamps.append(ns_from_stamp(message.header.stamp))
        self._values.extend(values)

    def trajectory(self) -> Trajectory | None:
        """All poses, by stamp."""
        if not self._stamps:
            return None
        stamps = np.frombuffer(self._stamps, dtype=np.int64)
        values = np.frombuffer(self._values, dtype=np.float64).reshape(-1, 7)
        order = np.argsort(stamps, kind="stable")
        order = order[np.diff(stamps[order], prepend=np.int64(-(2**62))) > 0]
        rotations = se3.matrix_from_quat_xyzw(values[order, 3:])
        return Trajectory(stamps[order], se3.make_transform(rotations, values[order, :3]))


def read_trajectory(path: Path, stamps_ns: Stamps | None = None) -> Trajectory:
    """Reads a trajectory: TUM (``stamp x y z qx qy qz qw``) or KITTI (12 numbers a line).

    KITTI's poses are of the left camera, optical frames, one for each instant of the recording in
    order; they are given for the body axes of that camera.

    Args:
        path: the file.
        stamps_ns: of the recording's instants; needed for KITTI's format, which has no stamps.

    Raises:
        EvaluationError: no such file, another format, or fewer poses than instants.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"{path}: cannot be read: {error}") from error
    lines = [line for line in text.splitlines() if line.strip() and line.strip()[0] != "#"]
    if not lines:
        raise EvaluationError(f"{path}: no pose in it")
    try:
        if len(lines[0].split()) == 12:
            return _kitti(path, lines, stamps_ns)
        return parse_tum(text)
    except ValueError as error:
        raise EvaluationError(f"{path}: neither a TUM nor a KITTI trajectory: {error}") from error


def is_kitti(path: Path) -> bool:
    """Whether the first line of a file has twelve numbers, and so no stamp."""
    try:
        with path.open() as file:
            first = next((line for line in file if line.strip() and line.strip()[0] != "#"), "")
    except (OSError, UnicodeDecodeError):
        return False
    return len(first.split()) == 12


def _kitti(path: Path, lines: list[str], stamps_ns: Stamps | None) -> Trajectory:
    rows = np.array([line.split() for line in lines], dtype=np.float64).reshape(-1, 3, 4)
    if stamps_ns is None or len(stamps_ns) != len(rows):
        count = 0 if stamps_ns is None else len(stamps_ns)
        raise EvaluationError(
            f"{path}: {len(rows)} poses without stamps for {count} instants of the recording"
        )
    world_from_cam = se3.make_transform(se3.nearest_rotation(rows[:, :, :3]), rows[:, :, 3])
    cam_from_base = se3.inverse(se3.BODY_FROM_OPTICAL)
    return Trajectory(stamps_ns, se3.BODY_FROM_OPTICAL @ world_from_cam @ cam_from_base)
