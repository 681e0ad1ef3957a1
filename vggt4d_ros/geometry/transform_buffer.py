# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Transforms between named frames over time, as tf2 keeps them, without ROS.

The node's platform motion and the evaluation of recordings look their poses up here, so both get
the same numbers. Between two stamps the translation is linear and the rotation on the shortest
arc, as in tf2.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vggt4d_ros.datatypes import Array
from vggt4d_ros.geometry import se3

Stamps = NDArray[np.int64]

_SECOND = 1_000_000_000
_SLACK = 256  # samples too old that may pile up before they are cut off: a cut moves the rest


@dataclass(frozen=True, slots=True, eq=False)
class Lookup:
    """Answer of a buffer for N stamps."""

    target_from_source: Array  # (N, 4, 4); NaN where not known
    late: NDArray[np.bool_]  # (N,) newer than the newest sample: the answer may yet come
    lag_s: float  # how much newer than the newest sample the newest stamp is, at most; 0: nothing
    reason: str  # why the first unknown one is unknown; "": all are known

    @property
    def known(self) -> NDArray[np.bool_]:
        """(N,) bool."""
        return np.asarray(np.isfinite(self.target_from_source).all(axis=(1, 2)), dtype=np.bool_)


@dataclass(slots=True, eq=False)
class _Edge:
    """One child frame in its parent: samples by stamp, or one for all times."""

    parent: str
    is_static: bool
    stamps_ns: list[int] = field(default_factory=list)  # increasing
    poses: list[tuple[float, ...]] = field(default_factory=list)  # x y z qx qy qz qw

    def add(self, stamp_ns: int, pose: tuple[float, ...], keep_ns: int) -> None:
        stamps, poses = self.stamps_ns, self.poses
        if self.is_static or (stamps and stamp_ns < stamps[-1] - keep_ns):
            # the clock went back by more than is kept: what was before says nothing any more
            stamps.clear()
            poses.clear()
        index = bisect_left(stamps, stamp_ns)
        if index < len(stamps) and stamps[index] == stamp_ns:
            poses[index] = pose
            return
        stamps.insert(index, stamp_ns)
        poses.insert(index, pose)
        if len(stamps) > _SLACK and stamps[_SLACK] < stamps[-1] - keep_ns:
            del stamps[:_SLACK], poses[:_SLACK]

    def at(self, stamps_ns: Stamps, max_gap_ns: int) -> tuple[Array, NDArray[np.bool_]]:
        """Gives parent_from_child (N, 4, 4), NaN where not known, and what is late (N,)."""
        poses = np.array(self.poses)
        if self.is_static:
            everywhere = np.broadcast_to(_matrices(poses), (len(stamps_ns), 4, 4))
            return everywhere, np.zeros(len(stamps_ns), dtype=np.bool_)
        times = np.array(self.stamps_ns, dtype=np.int64)
        after = np.minimum(np.searchsorted(times, stamps_ns), len(times) - 1)
        before = np.maximum(after - 1, 0)
        before = np.where(times[after] == stamps_ns, after, before)
        gap = times[after] - times[before]
        share = np.where(gap > 0, (stamps_ns - times[before]) / np.maximum(gap, 1), 0.0)
        known = (stamps_ns >= times[0]) & (stamps_ns <= times[-1]) & (gap <= max_gap_ns)
        result = np.full((len(stamps_ns), 4, 4), np.nan)
        result[known] = _between(poses[before[known]], poses[after[known]], share[known])
        return result, stamps_ns > times[-1]


def _matrices(poses: Array) -> Array:
    return se3.make_transform(se3.matrix_from_quat_xyzw(poses[:, 3:]), poses[:, :3])


def _between(first: Array, second: Array, share: Array) -> Array:
    """Gives (N, 4, 4) at ``share`` (N,) of the way from one pose (N, 7) to the other."""
    if not len(first):
        return np.zeros((0, 4, 4))
    start = Rotation.from_quat(first[:, 3:])
    turn = (start.inv() * Rotation.from_quat(second[:, 3:])).as_rotvec()
    rotation = (start * Rotation.from_rotvec(share[:, None] * turn)).as_matrix()
    place = first[:, :3] + share[:, None] * (second[:, :3] - first[:, :3])
    return se3.make_transform(rotation, place)


class TransformBuffer:
    """A tree of frames over time. Not thread-safe.

    Args:
        keep_s: how far back samples are kept, at least; inf: all.
        max_gap_s: between samples farther apart nothing is interpolated: nobody knows what the
            robot did meanwhile.
    """

    def __init__(self, keep_s: float = 30.0, max_gap_s: float = 1.0) -> None:
        self._keep_ns = round(keep_s * _SECOND) if np.isfinite(keep_s) else 2**62
        self._max_gap_ns = round(max_gap_s * _SECOND) if np.isfinite(max_gap_s) else 2**62
        self._edges: dict[str, _Edge] = {}  # child -> its one parent

    def add(
        self,
        parent: str,
        child: str,
        stamp_ns: int,
        translation: Sequence[float],
        quat_xyzw: Sequence[float],
        *,
        is_static: bool = False,
    ) -> bool:
        """Takes parent_from_child at a stamp, as in a TransformStamped; in any order.

        A child that gets another parent loses what was known of it under the one before.

        Args:
            parent: name; a leading '/' (tf1) is dropped, here and below.
            child: name.
            stamp_ns: of the sample; of no matter for a static one.
            translation: x, y, z, m.
            quat_xyzw: in ROS order; need not be of unit length.
            is_static: holds at all times.

        Returns:
            Whether it could be used: not when a number is not finite, the quaternion's length is
            next to zero or huge, or the frame would be its own parent.
        """
        parent, child = parent.lstrip("/"), child.lstrip("/")
        pose = (*map(float, translation), *map(float, quat_xyzw))
        # beyond these lengths squares may under- or overflow
        if not all(map(math.isfinite, pose)) or not 1e-6 < math.hypot(*pose[3:]) < 1e6:
            return False
        if parent == child:
            return False
        edge = self._edges.get(child)
        if edge is None or edge.parent != parent or edge.is_static != is_static:
            if child in self._ancestors(parent):
                return False
            edge = self._edges[child] = _Edge(parent, is_static)
        edge.add(stamp_ns, pose, self._keep_ns)
        return True

    def clear(self) -> None:
        """Forgets all but static transforms, as after a time jump."""
        self._edges = {child: edge for child, edge in self._edges.items() if edge.is_static}

    def lookup(self, target: str, source: str, stamps_ns: Sequence[int] | Stamps) -> Lookup:
        """Gives target_from_source at N stamps: maps points of source into target."""
        stamps = np.asarray(stamps_ns, dtype=np.int64)
        target, source = target.lstrip("/"), source.lstrip("/")
        up, down = self._ancestors(source), self._ancestors(target)
        common = next((frame for frame in up if frame in down), None)
        if common is None:
            unknown = np.full((len(stamps), 4, 4), np.nan)
            reason = f"no transforms connect {target} and {source}"
            return Lookup(unknown, np.zeros(len(stamps), dtype=np.bool_), 0.0, reason)
        common_from_source, late, lag_s, reason = self._climb(up[: up.index(common)], stamps)
        common_from_target, late_down, lag_down, why = self._climb(
            down[: down.index(common)], stamps
        )
        return Lookup(
            se3.inverse(common_from_target) @ common_from_source,
            late | late_down,
            max(lag_s, lag_down),
            reason or why,
        )

    def _ancestors(self, frame: str) -> list[str]:
        """The frame, its parent, ... up to the root."""
        chain = [frame]
        while chain[-1] in self._edges:
            chain.append(self._edges[chain[-1]].parent)
        return chain

    def _climb(
        self, children: list[str], stamps: Stamps
    ) -> tuple[Array, NDArray[np.bool_], float, str]:
        """Gives the last one's parent from the first one (N, 4, 4), what is late, lag, reason."""
        result: Array = np.broadcast_to(np.eye(4), (len(stamps), 4, 4))
        late, lag_s, reason = np.zeros(len(stamps), dtype=np.bool_), 0.0, ""
        for child in children:
            edge = self._edges[child]
            poses, is_late = edge.at(stamps, self._max_gap_ns)
            result, late = poses @ result, late | is_late
            if is_late.any():
                lag_s = max(lag_s, (int(np.max(stamps)) - edge.stamps_ns[-1]) / _SECOND)
            lost = np.flatnonzero(~np.isfinite(poses).all(axis=(1, 2)))
            if len(lost) and not reason:
                why = _why(edge.stamps_ns, int(stamps[lost[0]]))
                reason = f"{edge.parent} -> {child}: {why}"
        return result, late, lag_s, reason

    def frames(self) -> Iterator[tuple[str, str]]:
        """Gives (parent, child) of every transform that is known."""
        for child, edge in self._edges.items():
            yield edge.parent, child


def _why(stamps_ns: list[int], stamp_ns: int) -> str:
    if stamp_ns > stamps_ns[-1]:
        return f"the newest is {(stamp_ns - stamps_ns[-1]) / _SECOND:.3f} s older than the image"
    if stamp_ns < stamps_ns[0]:
        return f"the oldest is {(stamps_ns[0] - stamp_ns) / _SECOND:.3f} s newer than the image"
    index = bisect_left(stamps_ns, stamp_ns)
    gap = (stamps_ns[index] - stamps_ns[index - 1]) / _SECOND
    return f"the image falls into a gap of {gap:.3f} s"
