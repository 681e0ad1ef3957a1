# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Errors of trajectories (Sturm et al., IROS 2012), with the definitions and numbers of evo.

Own closed form: evo is under the GPL and an optional package, and the numbers of a report must not
depend on what is installed. Tests hold both to 1e-6 of each other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.evaluation.metrics.inputs import Array

TrajectoryAlignment = Literal["none", "se3", "sim3", "scale"]

_LEAST_SPREAD = 1e-9  # root mean square of positions: less is rounding
PAIR_TOLERANCE = 0.1  # share of a delta in seconds or metres by which a pair may miss it, as evo


@dataclass(frozen=True, slots=True, eq=False)
class Trajectory:
    """Poses over time.

    Raises:
        ValueError: shapes do not fit, stamps do not rise, or a pose is not finite.
    """

    stamps_ns: NDArray[np.int64]  # (N,), strictly rising
    poses: Array  # (N, 4, 4) world_from_base, metres

    def __post_init__(self) -> None:
        count = len(self.stamps_ns)
        if self.stamps_ns.shape != (count,) or self.poses.shape != (count, 4, 4):
            raise ValueError(
                "a trajectory needs (N,) stamps and (N, 4, 4) poses, "
                f"got {self.stamps_ns.shape} and {self.poses.shape}"
            )
        if count > 1 and int(np.diff(self.stamps_ns).min()) <= 0:
            raise ValueError(f"the {count} stamps of a trajectory must rise strictly")
        if not np.isfinite(self.poses).all():
            raise ValueError("a pose of the trajectory is not finite")

    def __len__(self) -> int:
        """How many poses there are."""
        return len(self.stamps_ns)

    @property
    def positions(self) -> Array:
        """(N, 3)."""
        return self.poses[:, :3, 3]

    @property
    def path_m(self) -> Array:
        """Length of the path up to each pose, (N,), metres."""
        steps = np.linalg.norm(np.diff(self.positions, axis=0), axis=-1)
        return np.concatenate([[0.0], np.cumsum(steps)])

    def select(self, index: NDArray[np.integer]) -> Trajectory:
        """The poses with these numbers."""
        return Trajectory(self.stamps_ns[index], self.poses[index])


def associate(
    found: Trajectory, truth: Trajectory, tolerance_s: float
) -> tuple[Trajectory, Trajectory]:
    """Poses of both that belong together, by the nearest stamp, each used at most once.

    Raises:
        ValueError: no pair is within the tolerance; says which ranges the two span.
    """
    if not len(found) or not len(truth):
        raise ValueError(f"nothing to associate: {len(found)} found and {len(truth)} true poses")
    right = np.clip(np.searchsorted(truth.stamps_ns, found.stamps_ns), 0, len(truth) - 1)
    left = np.maximum(right - 1, 0)
    far_right = np.abs(truth.stamps_ns[right] - found.stamps_ns)
    far_left = np.abs(truth.stamps_ns[left] - found.stamps_ns)
    partner = np.where(far_left <= far_right, left, right)
    far = np.minimum(far_left, far_right)
    # the nearest of those that want the same partner keeps it
    order = np.lexsort((found.stamps_ns, far, partner))
    is_first = np.diff(partner[order], prepend=-1) != 0
    chosen = np.sort(order[is_first & (far[order] <= round(tolerance_s * 1e9))])
    if not len(chosen):
        raise ValueError(
            f"no pose found has a true one within {tolerance_s:g} s: found {_span(found)}, "
            f"truth {_span(truth)}, closest {far.min() / 1e9:.3f} s apart"
        )
    return found.select(chosen), truth.select(partner[chosen])


def _span(trajectory: Trajectory) -> str:
    first, last = trajectory.stamps_ns[[0, -1]] / 1e9
    return f"{first:.3f} to {last:.3f} s"


def trajectory_metrics(
    found: Trajectory,
    truth: Trajectory,
    alignment: TrajectoryAlignment,
    deltas: Sequence[str] = ("1f",),
) -> dict[str, float]:
    """Absolute and relative errors of poses that belong together (``associate``).

    ``ate_*``: distances of positions after alignment, metres. ``rpe_trans_<statistic>_<delta>`` and
    ``rpe_rot_deg_<statistic>_<delta>``: translation (metres) and angle (degrees) of
    (Q_i^-1 Q_j)^-1 (P_i^-1 P_j) over all pairs i, j that are one delta apart. Statistics: ``rmse``,
    ``mean``, ``median``, ``max``. ``matched``: number of poses; ``length_m``: of the true path;
    ``scale``: what ``found`` was multiplied by (``sim3`` and ``scale`` only).

    Alignments: ``se3``, ``sim3`` by Umeyama (PAMI 1991, equations 40 to 42) on all positions;
    ``scale`` multiplies by the scale of ``sim3`` alone; ``none`` leaves metres as they are.

    Args:
        found: N poses.
        truth: N poses of the same moments.
        deltas: each a number with ``f`` (frames), ``s`` or ``m`` (of the true path): ``"1f"``,
            ``"0.5s"``, ``"10m"``. A pair may miss seconds and metres by 10 %. A delta that no pair
            has is left out. In names a decimal point is ``p``.

    Raises:
        ValueError: lengths differ, no poses, a delta or alignment that is not known, or a
            trajectory that stands still where a scale is wanted.
    """
    if alignment not in get_args(TrajectoryAlignment):
        raise ValueError(f"alignment {alignment!r} is none of {get_args(TrajectoryAlignment)}")
    if len(found) != len(truth) or not len(found):
        raise ValueError(f"got {len(found)} found and {len(truth)} true poses: associate() them")
    poses, scale = _align(found.poses, truth.positions, alignment)
    away = np.linalg.norm(poses[:, :3, 3] - truth.positions, axis=-1)
    result = {
        "matched": float(len(found)),
        "length_m": float(truth.path_m[-1]),
        **_statistics("ate_{}", away),
    }
    if alignment in ("sim3", "scale"):
        result["scale"] = scale
    for delta in deltas:
        first, second = _pairs(truth, delta)
        if not len(first):
            continue
        true_motion = _relative(truth.poses[first], truth.poses[second])
        error = _relative(true_motion, _relative(poses[first], poses[second]))
        label = delta.replace(".", "p")
        shift = np.linalg.norm(error[:, :3, 3], axis=-1)
        result |= _statistics(f"rpe_trans_{{}}_{label}", shift)
        result |= _statistics(f"rpe_rot_deg_{{}}_{label}", rotation_angle_deg(error[:, :3, :3]))
    return result


def umeyama(source: Array, target: Array, with_scale: bool) -> tuple[Array, Array, float]:
    """Rotation, shift and scale with the least sum of |target - (scale R source + shift)|^2.

    Umeyama (PAMI 1991). Points on a line leave the rotation about it open; one of the best is
    given, so that distances are right all the same.

    Args:
        source: (N, 3).
        target: (N, 3).
        with_scale: False: the scale is 1.

    Raises:
        ValueError: a scale is wanted, and the points of one side are all the same but for rounding.
    """
    source_mean, target_mean = source.mean(0), target.mean(0)
    spread = np.mean(np.sum((source - source_mean) ** 2, axis=-1))
    covariance = (target - target_mean).T @ (source - source_mean) / len(source)
    u, singular, vt = np.linalg.svd(covariance)
    sign = np.ones(3)
    if np.linalg.det(u) * np.linalg.det(vt) < 0:
        sign[2] = -1.0
    rotation = (u * sign) @ vt
    scale = 1.0
    if with_scale:
        if _is_still(source) or _is_still(target):
            raise ValueError("no scale can be found: a trajectory stands still")
        scale = float(singular @ sign / spread)
        if scale <= 0:
            raise ValueError("no scale can be found: the trajectories have no way in common")
    return rotation, target_mean - scale * rotation @ source_mean, scale


def _is_still(points: Array) -> bool:
    """Whether points (N, 3) differ by no more than rounding."""
    spread = np.sqrt(np.mean(np.sum((points - points.mean(0)) ** 2, axis=-1)))
    rounding = 16 * np.finfo(np.float64).eps * np.max(np.abs(points))
    return bool(spread <= max(_LEAST_SPREAD, rounding))


def _align(poses: Array, target: Array, alignment: TrajectoryAlignment) -> tuple[Array, float]:
    """Poses (N, 4, 4) moved towards the positions (N, 3), and the scale they were given."""
    if alignment == "none":
        return poses, 1.0
    rotation, shift, scale = umeyama(poses[:, :3, 3], target, with_scale=alignment != "se3")
    if alignment == "scale":
        rotation, shift = np.eye(3), np.zeros(3)
    moved = poses.copy()
    moved[:, :3, :3] = rotation @ poses[:, :3, :3]
    moved[:, :3, 3] = scale * poses[:, :3, 3] @ rotation.T + shift
    return moved, scale


def _pairs(truth: Trajectory, delta: str) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Numbers of the poses that are one delta apart, in order."""
    parsed = re.fullmatch(r"(\d+(?:\.\d+)?)([fsm])", delta)
    if parsed is None or not float(parsed[1]) or (parsed[2] == "f" and "." in parsed[1]):
        raise ValueError(f"delta {delta!r} is not like '1f' (frames), '0.5s' or '10m'")
    if parsed[2] == "f":
        step = int(parsed[1])
        first = np.arange(max(len(truth) - step, 0))
        return first, first + step
    wanted = float(parsed[1])
    seconds = (truth.stamps_ns - truth.stamps_ns[0]) / 1e9
    gone = seconds if parsed[2] == "s" else truth.path_m
    first = np.arange(len(truth) - 1)
    right = np.clip(np.searchsorted(gone, gone[first] + wanted), first + 1, len(truth) - 1)
    left = np.maximum(right - 1, first + 1)
    miss_left = np.abs(gone[left] - gone[first] - wanted)
    miss_right = np.abs(gone[right] - gone[first] - wanted)
    second = np.where(miss_left <= miss_right, left, right)
    near = np.minimum(miss_left, miss_right) <= PAIR_TOLERANCE * wanted
    # of poses at the same place the first, as evo
    second = np.maximum(np.searchsorted(gone, gone[second]), first + 1)
    return first[near], second[near]


def _relative(first: Array, second: Array) -> Array:
    """A^-1 B of two stacks of poses (N, 4, 4)."""
    return np.linalg.solve(first, second)


def rotation_angle_deg(rotation: Array) -> Array:
    """Angles (...) in degrees of rotations (..., 3, 3), exact near 0 and near 180."""
    trace = np.trace(rotation, axis1=-2, axis2=-1)
    skew = rotation - np.swapaxes(rotation, -1, -2)
    # |skew| / sqrt(8) is the sine, (trace - 1) / 2 the cosine
    sine = np.linalg.norm(skew, axis=(-2, -1)) / np.sqrt(8.0)
    return np.degrees(np.arctan2(sine, (trace - 1.0) / 2.0))


def _statistics(name: str, values: Array) -> dict[str, float]:
    return {
        name.format("rmse"): float(np.sqrt(np.mean(values**2))),
        name.format("mean"): float(values.mean()),
        name.format("median"): float(np.median(values)),
        name.format("max"): float(np.max(values)),
    }
