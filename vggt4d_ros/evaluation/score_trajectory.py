# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The platform's estimated trajectory against the true one, and its covariance."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.datatypes import Array
from vggt4d_ros.evaluation.metrics.calibration import nees
from vggt4d_ros.evaluation.metrics.trajectory import (
    Trajectory,
    TrajectoryAlignment,
    associate,
    trajectory_metrics,
)
from vggt4d_ros.evaluation.results import Metrics
from vggt4d_ros.evaluation.sources import TruthCounts
from vggt4d_ros.geometry import se3
from vggt4d_ros.geometry.transform_buffer import TransformBuffer
from vggt4d_ros.processor import Processed

DELTAS = ("1f", "1s", "10m")
_LEAST_POSES = 3
_LEAST_PATH_M = 0.01  # of a true path that says anything of a scale
_MAX_GAP_S = 0.5  # between true poses: nothing is interpolated over more


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """The longest stretch of the run without a fresh start, and what is said of its errors."""

    trajectory: Trajectory
    covariances: Array  # (N, 6, 6)
    starts: int  # stretches there were
    metric: bool  # its lengths are metres


class TrajectoryRecord:
    """Collects poses window by window: each instant once, as it was first published.

    A trajectory starts anew after a time jump or when the scale is found; poses before and after
    are in different frames and are never compared.
    """

    def __init__(self) -> None:
        self._stretches: list[_Stretch] = []

    def add(self, processed: Processed) -> list[int]:
        """Takes a window; gives the stamps that are new."""
        tracked = processed.tracked
        placed = np.isfinite(tracked.world_from_base).all(axis=(1, 2))
        if not placed.any():
            return []
        # a trajectory starts at the origin of its fixed frame; one that goes on over a gap does not
        first = tracked.world_from_base[np.flatnonzero(placed)[0]]
        starts = bool(tracked.started) and bool(np.allclose(first, np.eye(4), atol=1e-9))
        if not self._stretches or starts:
            self._stretches.append(_Stretch(tracked.scale.known))
        stretch = self._stretches[-1]
        added = []
        for step in np.flatnonzero(placed):
            stamp_ns = int(tracked.stamps_ns[step])
            if not stretch.stamps or stamp_ns > stretch.stamps[-1]:
                stretch.stamps.append(stamp_ns)
                stretch.poses.extend(tracked.world_from_base[step].ravel())
                stretch.covariances.extend(tracked.covariance[step].ravel())
                added.append(stamp_ns)
        return added

    def estimate(self) -> Estimate | None:
        """The longest stretch; None: there is no pose."""
        if not self._stretches:
            return None
        best = max(self._stretches, key=lambda stretch: len(stretch.stamps))
        stamps: NDArray[np.int64] = np.array(best.stamps, dtype=np.int64)
        poses = np.array(best.poses).reshape(-1, 4, 4)
        covariances = np.array(best.covariances).reshape(-1, 6, 6)
        found = Trajectory(stamps, poses)
        return Estimate(found, covariances, len(self._stretches), best.metric)


class _Stretch:
    def __init__(self, metric: bool) -> None:
        self.metric = metric
        self.stamps = array("q")
        self.poses = array("d")
        self.covariances = array("d")


@dataclass(frozen=True, slots=True, eq=False)
class TrajectoryScore:
    """What came of it."""

    metrics: Metrics
    baselines: Metrics
    truth: Trajectory | None  # at the matched stamps, in the frame of the estimate's first pose
    faults: list[str] = field(default_factory=list)  # what was left out of the metrics, and why


def score_trajectory(
    estimate: Estimate,
    truth: Trajectory,
    counts: TruthCounts,
    *,
    tolerance_s: float,
    metric: bool,
    deltas: Sequence[str] = DELTAS,
) -> TrajectoryScore:
    """Scores the poses whose stamps meet a true one; fills ``counts``.

    The fixed frame of the estimate begins at its first pose: for ``none``, and in what is given
    back, the truth is laid onto the estimate there. ``none`` is left out where the estimate has no
    metric scale. Truth is interpolated to the stamp of the estimate where its poses are close.

    Args:
        estimate: of the run.
        truth: of the platform.
        counts: takes how much matched, or why nothing did.
        tolerance_s: how far the stamps of a pair may lie apart.
        metric: lengths of the truth are metres.
        deltas: of relative errors.
    """
    counts.of = len(estimate.trajectory)
    try:
        found, _ = associate(estimate.trajectory, truth, tolerance_s)
    except ValueError as error:
        counts.why = str(error)
        return TrajectoryScore({}, {}, None)
    _, nearest = associate(found, truth, tolerance_s)
    counts.matched = len(found)
    true = _laid_onto(_at_stamps(nearest, truth, found.stamps_ns), found)
    metrics: Metrics = {}
    baselines: Metrics = {}
    left_out: dict[str, list[str]] = {}  # reason -> alignments
    still = Trajectory(found.stamps_ns, np.repeat(found.poses[:1], len(found), axis=0))
    for alignment in get_args(TrajectoryAlignment):
        if alignment == "none" and not (metric and estimate.metric):
            continue
        if alignment in ("se3", "sim3") and len(found) < _LEAST_POSES:
            continue  # two poses can always be laid onto two others
        if alignment in ("sim3", "scale") and metric and true.path_m[-1] < _LEAST_PATH_M:
            reason = f"the true path is shorter than {_LEAST_PATH_M:g} m, any scale would do"
            left_out.setdefault(reason, []).append(alignment)
            continue
        try:
            numbers = trajectory_metrics(found, true, alignment, deltas)
        except ValueError as error:  # e.g. a scale of a trajectory that stands still
            left_out.setdefault(str(error), []).append(alignment)
            continue
        metrics.setdefault("trajectory", {})[alignment] = numbers
    if metric:
        baselines["trajectory"] = {"none": trajectory_metrics(still, true, "none", deltas)}
    if metric and estimate.metric:
        calibration = _nees(estimate, found, true)
        if calibration is not None:
            metrics["calibration"] = {"pose": calibration}
    faults = [
        f"trajectory: alignment {' and '.join(names)} left out: {reason}"
        for reason, names in left_out.items()
    ]
    return TrajectoryScore(metrics, baselines, true, faults)


def _at_stamps(nearest: Trajectory, truth: Trajectory, stamps_ns: NDArray[np.int64]) -> Trajectory:
    """True poses at exactly these stamps where those around are close, else the nearest."""
    buffer = TransformBuffer(keep_s=np.inf, max_gap_s=_MAX_GAP_S)
    quats = se3.quat_xyzw_from_matrix(truth.poses[:, :3, :3])
    for stamp_ns, pose, quat in zip(truth.stamps_ns, truth.poses, quats, strict=True):
        buffer.add("world", "base", int(stamp_ns), pose[:3, 3], quat)
    between = buffer.lookup("world", "base", stamps_ns)
    known = between.known[:, None, None]
    return Trajectory(stamps_ns, np.where(known, between.target_from_source, nearest.poses))


def _laid_onto(truth: Trajectory, found: Trajectory) -> Trajectory:
    moved = found.poses[0] @ se3.inverse(truth.poses[0]) @ truth.poses
    return Trajectory(truth.stamps_ns, moved)


def _nees(estimate: Estimate, found: Trajectory, true: Trajectory) -> dict[str, float] | None:
    """Errors against covariances, in the fixed frame's axes; the first pose has no error."""
    index = np.searchsorted(estimate.trajectory.stamps_ns, found.stamps_ns)[1:]
    spread = estimate.covariances[index]
    shift = found.poses[1:, :3, 3] - true.poses[1:, :3, 3]
    turn = found.poses[1:, :3, :3] @ np.swapaxes(true.poses[1:, :3, :3], -1, -2)
    errors = np.concatenate([shift, se3.rotation_vector(turn)], axis=-1)
    usable = np.isfinite(spread).all(axis=(1, 2))
    usable[usable] = np.linalg.eigvalsh(spread[usable]).min(axis=-1) > 0
    if not usable.any():
        return None
    return nees(errors[usable], spread[usable])
