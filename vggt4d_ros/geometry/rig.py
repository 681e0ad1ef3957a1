# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Cameras of one platform: one instant for all of them, and one pose of the platform.

Cameras of a rig are hardly ever triggered at the same nanosecond. At 1 m/s five milliseconds are
5 mm, as much as the noise that is to be averaged away, so poses are moved along the platform's
own motion to a common instant before they are compared, and back afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.datatypes import Array
from vggt4d_ros.geometry import se3
from vggt4d_ros.geometry.robust import cauchy_weights, median

_MIN_SHIFT_NS = 20_000  # 20 us: 0.02 mm at 1 m/s
_STEADY_WEIGHT = 1e-6  # a change of the weights that moves nothing


def twists_between_steps(
    poses: Array, stamps_ns: NDArray[np.int64], valid: NDArray[np.bool_]
) -> Array:
    """Gives the velocity (T, 6) at each step, in the moving frame's own axes; NaN where unknown.

    Between valid steps it is constant; a step takes the mean of the spans around it.

    Args:
        poses: (T, 4, 4) of one moving frame.
        stamps_ns: (T,)
        valid: (T,)
    """
    result = np.full((len(poses), 6), np.nan)
    steps = valid.nonzero()[0]
    spans = np.diff(stamps_ns[steps]) * 1e-9
    if len(steps) < 2 or not (spans > 0).all():
        return result
    moves = se3.log(se3.inverse(poses[steps[:-1]]) @ poses[steps[1:]]) / spans[:, None]
    before = np.concatenate([moves[:1], moves])
    after = np.concatenate([moves, moves[-1:]])
    result[steps] = 0.5 * (before + after)
    return result


def are_shifted(shifts_ns: NDArray[np.int64]) -> bool:
    """Whether any of these times is long enough for a pose to differ."""
    return bool(np.abs(shifts_ns).max(initial=0) >= _MIN_SHIFT_NS)


def shift_poses(poses: Array, twists: Array, shifts_ns: NDArray[np.int64]) -> Array:
    """Gives the poses (..., 4, 4) that moving frames have ``shifts_ns`` (...) later.

    A frame without a known velocity (NaN) is taken to stand still.
    """
    if not are_shifted(shifts_ns):
        return poses
    twist = np.where(np.isfinite(twists), twists, 0.0)
    shifts = np.where(np.abs(shifts_ns) < _MIN_SHIFT_NS, 0, shifts_ns) * 1e-9
    moved: Array = np.asarray(poses @ se3.exp(twist * shifts[..., None]), dtype=np.float64)
    return moved


def poses_at_set_stamps(
    poses: Array,
    stamps_ns: NDArray[np.int64],
    set_stamps_ns: NDArray[np.int64],
    valid: NDArray[np.bool_],
) -> Array:
    """Gives each camera's pose (T, V, 4, 4) at the stamp of its frame set.

    Args:
        poses: (T, V, 4, 4) at the frames' own stamps.
        stamps_ns: (T, V)
        set_stamps_ns: (T,)
        valid: (T, V)
    """
    shifts = np.where(valid, set_stamps_ns[:, None] - stamps_ns, 0)
    if not are_shifted(shifts):
        return poses
    result: Array = poses.copy()
    for view in range(poses.shape[1]):
        twists = twists_between_steps(poses[:, view], stamps_ns[:, view], valid[:, view])
        known = np.flatnonzero(valid[:, view])
        result[known, view] = shift_poses(poses[known, view], twists[known], shifts[known, view])
    return result


def follow_leader(
    local_from_cam: Array, valid: NDArray[np.bool_], base_from_cam: Array
) -> tuple[Array, NDArray[np.bool_]]:
    """Takes the platform's motion from one camera; the others stand in where it is missing.

    For networks whose word on where cameras are among one another, and on how the others move, is
    poor: they see every frame beside the window's first one, and only those of its own camera show
    much of the same. A camera that stands in is moved with its whole path to where the rig has it.

    Args:
        local_from_cam: (T, V, 4, 4) metres, cameras of a step at one instant.
        valid: (T, V)
        base_from_cam: (V, 4, 4) metres; NaN: not known.

    Returns:
        Poses (T, V, 4, 4) and which of them (T, V) speak for the platform: one a step.
    """
    known = valid & np.isfinite(base_from_cam).all(axis=(1, 2))
    poses, speaks = local_from_cam.copy(), np.zeros_like(known)
    if not known.any():
        return poses, speaks
    leader = int(np.flatnonzero(known)[0]) % known.shape[1]
    others = [int(v) for v in np.argsort(-known.sum(axis=0), kind="stable") if v != leader]
    bases = np.full((len(known), 4, 4), np.nan)  # the platform by the cameras so far
    for view in (leader, *others):
        steps, placed = known[:, view], speaks.any(axis=1)
        if placed.all():
            break
        own = local_from_cam[:, view] @ se3.inverse(base_from_cam[view])
        both = steps & placed
        if both.any():
            turns = bases[both, :3, :3] @ own[both, :3, :3].swapaxes(-1, -2)
            turn = se3.nearest_rotation(turns.mean(axis=0))
            shift = (bases[both, :3, 3] - own[both, :3, 3] @ turn.T).mean(axis=0)
            moved = se3.make_transform(turn, shift)
            poses[steps, view] = moved @ local_from_cam[steps, view]
            own = moved @ own
        speaks[:, view] = steps & ~placed
        bases[speaks[:, view]] = own[speaks[:, view]]
    return poses, speaks


@dataclass(frozen=True, slots=True, eq=False)
class PlatformPoses:
    """One pose of the platform per step, joined from all cameras whose place on it is known."""

    local_from_base: Array  # (T, 4, 4); NaN where no camera speaks for it
    cameras: NDArray[np.int64]  # (T,) how many cameras the pose rests on
    residual_m: Array  # (T, V) camera centres against the rig; NaN where not compared
    residual_rad: Array  # (T, V)


def join_cameras(
    local_from_cam: Array, valid: NDArray[np.bool_], base_from_cam: Array
) -> PlatformPoses:
    """Finds the platform's pose that fits its cameras best, robustly, at each step.

    Rotations are averaged; the position is the mean over cameras of centre less turned lever arm,
    which is the least-squares position for that rotation.

    Args:
        local_from_cam: (T, V, 4, 4) metres, cameras of a step at one instant.
        valid: (T, V)
        base_from_cam: (V, 4, 4) metres; NaN: not known.
    """
    on_rig = np.isfinite(base_from_cam).all(axis=(1, 2))
    known = valid & on_rig
    counts = known.sum(axis=1)
    if not (counts > 1).any():
        return _of_single_cameras(local_from_cam, known, base_from_cam)
    safe_rig, safe_cam = base_from_cam, local_from_cam
    if not known.all():
        still = np.eye(4)
        safe_rig = np.where(on_rig[:, None, None], base_from_cam, still)
        safe_cam = np.where(known[..., None, None], local_from_cam, still)
    enough = counts >= 3  # of two cameras neither can be told to be the wrong one
    join = _Join(
        turns=safe_cam[..., :3, :3] @ safe_rig[:, :3, :3].swapaxes(-1, -2),
        centres=safe_cam[..., :3, 3],
        lever=safe_rig[:, :3, 3],
    )
    weights: Array = np.asarray(known, dtype=np.float64)
    join.fit(weights)
    for _ in range(5 if enough.any() else 0):
        far = _relative(join.metres, known) + _relative(join.radians, known)
        last = weights
        weights = np.where(enough[:, None], cauchy_weights(far, 1.0), 1.0) * known
        if float(np.abs(weights - last).max()) < _STEADY_WEIGHT:
            break
        join.fit(weights)
    poses = se3.make_transform(join.rotation, join.position)
    poses[counts == 0] = np.nan
    compared = known & (counts >= 2)[:, None]
    return PlatformPoses(
        local_from_base=poses,
        cameras=counts,
        residual_m=np.where(compared, join.metres, np.nan),
        residual_rad=np.where(compared, join.radians, np.nan),
    )


def _of_single_cameras(
    local_from_cam: Array, known: NDArray[np.bool_], base_from_cam: Array
) -> PlatformPoses:
    """``join_cameras`` where no step has two: the one is right, and there is nothing to fit."""
    counts, view = known.sum(axis=1), known.argmax(axis=1)
    poses = local_from_cam[np.arange(len(known)), view] @ se3.inverse(base_from_cam[view])
    poses[counts == 0] = np.nan
    nothing = np.full(known.shape, np.nan)
    return PlatformPoses(poses, counts, nothing, nothing)


class _Join:
    """The platform's pose at each step by weighted cameras, and how far each camera is from it.

    Args:
        turns: (T, V, 3, 3) local_from_base by each camera alone.
        centres: (T, V, 3) of the cameras.
        lever: (V, 3) of the cameras on the platform.
    """

    def __init__(self, turns: Array, centres: Array, lever: Array) -> None:
        self._turns, self._centres, self._lever = turns, centres, lever

    def fit(self, weights: Array) -> None:
        """Takes weights (T, V); a step without any is for the caller to mark invalid."""
        steps, views = weights.shape
        total = weights.sum(axis=1, keepdims=True)
        none = ~(total > 0)
        share = np.where(none, 1.0 / views, weights / np.where(none, 1.0, total))[:, None]
        means = share @ self._turns.reshape(steps, views, 9)
        self.rotation = se3.nearest_rotation(means.reshape(steps, 3, 3))
        places = self._centres - self._lever @ self.rotation.swapaxes(-1, -2)
        self.position: Array = (share @ places)[:, 0]
        miss = places - self.position[:, None]
        self.metres: Array = np.sqrt(np.einsum("tvi,tvi->tv", miss, miss))
        self.radians = se3.rotation_angle_between(self.rotation[:, None], self._turns)


def _relative(distance: Array, known: NDArray[np.bool_]) -> Array:
    """Gives distances as multiples of the typical one."""
    return distance / max(median(distance[known]), 1e-9)


def camera_residuals(poses: PlatformPoses) -> tuple[Array, Array]:
    """Gives the RMS residual of each camera (V,), m and rad; NaN where it was never compared."""
    if not (poses.cameras > 1).any():
        nothing = np.full(poses.residual_m.shape[1], np.nan)
        return nothing, nothing
    return _column_rms(poses.residual_m), _column_rms(poses.residual_rad)


def _column_rms(values: Array) -> Array:
    """Gives the root mean square (V,) of the finite values of each column of (T, V)."""
    finite = np.isfinite(values)
    squares = np.where(finite, values, 0.0) ** 2
    with np.errstate(invalid="ignore"):  # 0 / 0: NaN
        return np.asarray(np.sqrt(squares.sum(axis=0) / finite.sum(axis=0)), dtype=np.float64)
