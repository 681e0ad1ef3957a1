# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The platform in a window's own world: on known extrinsics, else on the first camera."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.datatypes import Array, Rig
from vggt4d_ros.geometry import se3
from vggt4d_ros.geometry.observation import Observation
from vggt4d_ros.geometry.rig import (
    are_shifted,
    camera_residuals,
    follow_leader,
    join_cameras,
    poses_at_set_stamps,
    shift_poses,
    twists_between_steps,
)
from vggt4d_ros.geometry.robust import rms


@dataclass(frozen=True, eq=False)
class Placed:
    """Cameras and platform of one window in one world, lengths scaled."""

    local_from_cam: Array  # (T, V, 4, 4), at each frame's own stamp; NaN where not valid
    local_from_base: Array  # (T, 4, 4), at set stamps; NaN where no camera speaks for it
    base_from_cam: Array  # (V, 4, 4) that were used; NaN: not known
    set_stamps_ns: NDArray[np.int64]  # (T,)
    cameras: NDArray[np.int64]  # (T,) how many each pose rests on
    camera_residual_m: Array  # (V,) RMS against the extrinsics; NaN: not compared
    camera_residual_rad: Array  # (V,)
    redefined: bool  # the platform frame is another one than in the window before

    @cached_property
    def twist(self) -> Array:
        """(T, 6) of the platform in its own axes, per second; made when it is first read."""
        placed = np.isfinite(self.local_from_base).all(axis=(1, 2))
        return twists_between_steps(self.local_from_base, self.set_stamps_ns, placed)

    @property
    def residual_m(self) -> float:
        """RMS over cameras; NaN: fewer than two."""
        return rms(self.camera_residual_m[np.isfinite(self.camera_residual_m)])

    @property
    def residual_rad(self) -> float:
        """RMS over cameras; NaN: fewer than two."""
        return rms(self.camera_residual_rad[np.isfinite(self.camera_residual_rad)])

    def odom_from_base(self, odom_from_cam: Array | None) -> Array:
        """Gives the platform (T, 4, 4) according to its own odometry; NaN where not known."""
        result = np.full((len(self.local_from_base), 4, 4), np.nan)
        if odom_from_cam is None:
            return result
        known = np.isfinite(odom_from_cam).all(axis=(2, 3))
        known &= np.isfinite(self.base_from_cam).all(axis=(1, 2))
        for step in known.any(axis=1).nonzero()[0]:
            view = int(np.argmax(known[step]))
            result[step] = odom_from_cam[step, view] @ se3.inverse(self.base_from_cam[view])
        return result


class Platform:
    """Keeps what the platform frame is from window to window.

    With known extrinsics it is theirs. Without, it is the first camera that was ever valid, with
    body axes; where that camera is missing, the others stand in at the place they were last seen
    to have relative to it.
    """

    def __init__(self) -> None:
        self._anchor: int | None = None  # view that is the platform; None: extrinsics are known
        self._started = False
        self._learned: dict[int, Array] = {}  # view -> base_from_cam as last seen

    def place(
        self, seen: Observation, scale: float, base_from_cam: Array, by_leader: bool = False
    ) -> Placed:
        """Puts a window's cameras and platform into its own world.

        Args:
            seen: the window, with at least one valid pose.
            scale: length per network unit.
            base_from_cam: (V, 4, 4); NaN: not known.
            by_leader: as ``follow_leader``.
        """
        rig, redefined = self._choose(seen.valid, base_from_cam)
        own = seen.net_from_cam.copy()
        own[..., :3, 3] *= scale
        synced = poses_at_set_stamps(own, seen.stamps_ns, seen.set_stamps_ns, seen.valid)
        synced = synced.copy() if synced is own else synced
        speaks = seen.valid
        if by_leader:
            synced, speaks = follow_leader(synced, seen.valid, rig)
        joined = join_cameras(synced, speaks, rig)
        bases, cameras = joined.local_from_base, joined.cameras
        alone = cameras == 0
        if alone.any() and self._learned:
            stand_in = join_cameras(synced, seen.valid, self._learned_matrix(len(rig)))
            bases[alone] = stand_in.local_from_base[alone]
            cameras = np.where(alone, stand_in.cameras, cameras)
        on_rig = np.isfinite(rig).all(axis=(1, 2))
        if not on_rig.all():
            self._learn(synced, seen.valid, bases, on_rig)
        metres, radians = camera_residuals(joined)
        stamps_ns = seen.set_stamps_ns
        placed = Placed(own, bases, rig, stamps_ns, cameras, metres, radians, redefined)
        known = seen.valid & on_rig
        moved, shifts = bases[:, None], np.where(known, seen.stamps_ns - stamps_ns[:, None], 0)
        if are_shifted(shifts):  # else nobody may ever ask for the twist
            moved = shift_poses(moved, placed.twist[:, None], shifts)
        np.copyto(own, moved @ rig, where=known[..., None, None])
        return placed

    def forget(self) -> None:
        """Drops what was learned in lengths of another unit."""
        self._learned.clear()

    def _choose(self, valid: NDArray[np.bool_], base_from_cam: Array) -> tuple[Array, bool]:
        """Gives the extrinsics to use, and whether the platform frame changed by that."""
        views = valid.any(axis=0)
        known = np.isfinite(base_from_cam).all(axis=(1, 2))
        learned = any(views[view] for view in self._learned)
        was, started = self._anchor, self._started
        if (views & known).any() or (known.any() and was is None and started and learned):
            anchor, rig = None, base_from_cam
        else:
            keep = was is not None and (views[was] or learned)
            anchor = was if keep else int(np.argmax(views))
            rig = np.full_like(base_from_cam, np.nan)
            assert anchor is not None
            rig[anchor] = se3.BODY_FROM_OPTICAL
        redefined = started and anchor != was
        if redefined:
            self._learned.clear()
        self._anchor, self._started = anchor, True
        return rig, redefined

    def _learn(
        self, synced: Array, valid: NDArray[np.bool_], bases: Array, on_rig: NDArray[np.bool_]
    ) -> None:
        """Notes where cameras without extrinsics sit, from the newest step that shows it."""
        placed = np.isfinite(bases).all(axis=(1, 2))
        for view in (~on_rig).nonzero()[0]:
            steps = (placed & valid[:, view]).nonzero()[0]
            if len(steps):
                self._learned[int(view)] = se3.inverse(bases[steps[-1]]) @ synced[steps[-1], view]

    def _learned_matrix(self, views: int) -> Array:
        matrix = np.full((views, 4, 4), np.nan)
        for view, base_from_cam in self._learned.items():
            matrix[view] = base_from_cam
        return matrix


def rig_matrix(rig: Rig | None, views: int) -> Array:
    """Gives the extrinsics as (V, 4, 4), NaN where not known.

    Raises:
        ValueError: another number of cameras, or extrinsics that are no rigid transform.
    """
    matrix = np.full((views, 4, 4), np.nan)
    if rig is None:
        return matrix
    if len(rig.base_from_cam) != views:
        raise ValueError(f"rig of {len(rig.base_from_cam)} cameras for a window of {views}")
    known = [view for view, base_from in enumerate(rig.base_from_cam) if base_from is not None]
    if not known:
        return matrix
    matrix[known] = [rig.base_from_cam[view] for view in known]
    bad = np.flatnonzero(~se3.is_rigid(matrix[known]))
    if len(bad):
        view = known[int(bad[0])]
        raise ValueError(f"extrinsics of camera {view} are no rigid transform: {matrix[view]}")
    return matrix


def turned_only(base_from_cam: Array) -> Array:
    """Extrinsics for lengths that are not metres: lever arms would be of another unit.

    Only the first known camera keeps its place on the platform, in the platform's axes.
    """
    result = np.full_like(base_from_cam, np.nan)
    known: NDArray[np.intp] = np.isfinite(base_from_cam).all(axis=(1, 2)).nonzero()[0]
    if len(known):
        result[known[0]] = base_from_cam[known[0]]
        result[known[0], :3, 3] = 0.0
    return result
