# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a node's recorded status and odometry say of its run: windows, frames, scale, poses."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from vggt4d_ros.evaluation.metrics.trajectory import Trajectory
from vggt4d_ros.evaluation.results import Row
from vggt4d_ros.evaluation.score_trajectory import Estimate
from vggt4d_ros.geometry import se3
from vggt4d_ros.geometry.scale import ScaleEstimate, ScaleSource
from vggt4d_ros.messages.poses import pose_numbers
from vggt4d_ros.messages.stamps import ns_from_stamp

ALL = "all cameras"  # a status counts them together
PENDING = "pending"  # frames that were still waiting when the last status was sent
_MOST_WARNINGS = 20


class StatusLog:
    """Takes every WindowStatus in order."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.timings: list[Row] = []
        self.cameras: tuple[str, ...] = ()
        self.model = self.device = ""
        self.warnings: dict[str, None] = {}
        self.starts: set[int] = set()  # stamps of windows that are not tied to the one before
        self.restarts = 0  # times the counts began anew
        self._scales: dict[int, ScaleEstimate] = {}  # newest stamp of a window -> its scale
        self._windows_of: dict[tuple[str, int], int] = {}  # camera, stamp -> newest of the window
        self._steps: dict[tuple[str, int], float] = {}  # camera, stamp -> s since the step before
        self._totals: Counter[str] = Counter()
        self._last: Any = None

    def add(self, status: Any) -> None:
        """Takes a message."""
        if self._last is not None and status.frames_received < self._last.frames_received:
            self._totals += _numbers(self._last)
            self.restarts += 1
        self._last = status
        self.cameras = tuple(status.cameras) or self.cameras
        if not status.steps:
            return  # of counts alone
        self.model, self.device = status.model, status.device
        if len(self.warnings) < _MOST_WARNINGS:
            self.warnings.update(dict.fromkeys(status.warnings))
        stamp_ns = ns_from_stamp(status.header.stamp)
        if not status.overlap_points:
            self.starts.add(stamp_ns)
        self._note_frames(status, stamp_ns)
        self._note_row(status, stamp_ns)

    def _note_frames(self, status: Any, stamp_ns: int) -> None:
        self._scales[stamp_ns] = scale_of(status)
        count = len(status.cameras)
        stamps = [ns_from_stamp(stamp) for stamp in status.stamps]
        for view, camera in enumerate(status.cameras):
            own = [stamp for stamp in stamps[view::count] if stamp]
            if own:
                self._windows_of[camera, own[-1]] = stamp_ns
            if len(own) > 1:
                self._steps[camera, own[-1]] = (own[-1] - own[-2]) * 1e-9

    def _note_row(self, status: Any, stamp_ns: int) -> None:
        scale = self._scales[stamp_ns]
        joined = bool(status.overlap_points)
        self.rows.append(
            {
                "index": int(status.window),
                "epoch": self.restarts,
                "stamp_ns": stamp_ns,
                "steps": int(status.steps),
                "views": len(status.cameras),
                "valid_slots": int(np.sum(status.valid)),
                "scale": scale.value,
                "scale_sigma": scale.sigma,
                "scale_source": scale.source.name.lower(),
                "residual_m": float(status.overlap_translation) if joined else math.nan,
                "residual_rad": float(status.overlap_rotation) if joined else math.nan,
            }
        )
        stages = {f"{s.name}_ms": float(s.milliseconds) for s in status.stage_times}
        self.timings.append({"index": int(status.window), **stages})

    def scale(self, camera: str, stamp_ns: int) -> ScaleEstimate | None:
        """The scale that a camera's image was published with; None: no status tells."""
        window = self._windows_of.get((camera, stamp_ns))
        return None if window is None else self._scales[window]

    def is_metric(self, window_ns: int) -> bool:
        """Whether the window with this newest stamp had a metric scale."""
        return window_ns in self._scales and self._scales[window_ns].known

    def window_of(self, camera: str, stamp_ns: int) -> int | None:
        """Stamp of the window in which an image was the newest of its camera."""
        return self._windows_of.get((camera, stamp_ns))

    def interval_s(self, camera: str, stamp_ns: int) -> float | None:
        """Time to the camera's image of the step before."""
        return self._steps.get((camera, stamp_ns))

    def totals(self) -> Counter[str]:
        """All counts, over restarts of the node."""
        return self._totals + _numbers(self._last) if self._last is not None else self._totals

    def rates(self) -> dict[str, float]:
        """Windows and images per second of the time that the node worked on windows."""
        busy_ms = sum(
            float(value)
            for row in self.timings
            for name, value in row.items()
            if name not in ("index", "wait_ms", "total_ms")
        )
        counts = {"windows_per_s": len(self.timings), "images_per_s": self.totals()["used"]}
        return {name: 1e3 * count / busy_ms if busy_ms else 0.0 for name, count in counts.items()}

    def frame_counts(self) -> dict[str, dict[str, Any]]:
        """Received, used and dropped frames of all cameras together."""
        totals = self.totals()
        dropped = {
            name.removeprefix("dropped."): count
            for name, count in sorted(totals.items())
            if name.startswith("dropped.")
        }
        counts = {"received": totals["received"], "used": totals["used"], "dropped": dropped}
        return {ALL: counts}

    def window_counts(self) -> dict[str, Any]:
        """Formed, done and dropped windows, as far as a status tells."""
        totals = self.totals()
        lost = totals["superseded"]
        return {
            "formed": totals["windows"] + lost,
            "done": totals["windows"],
            "dropped": {"superseded": lost} if lost else {},
            "sets": totals["sets"],
        }


def _numbers(status: Any) -> Counter[str]:
    found = Counter(
        received=int(status.frames_received),
        used=int(status.frames_used),
        sets=int(status.sets),
        windows=int(status.windows),
        superseded=int(status.windows_superseded),
    )
    for item in status.frames_dropped:
        found[f"dropped.{item.name}"] += int(item.count)
    if status.frames_pending:
        found[f"dropped.{PENDING}"] += int(status.frames_pending)
    return found


def scale_of(status: Any) -> ScaleEstimate:
    """The scale of a window as its status tells it."""
    source = ScaleSource(int(status.scale_source))
    return ScaleEstimate(float(status.scale), float(status.scale_sigma), source, "recorded")


class OdometryLog:
    """Takes every Odometry of the node in order.

    A trajectory starts anew where stamps go back, or with a window that is not tied to the one
    before; the longest stretch is scored.
    """

    def __init__(self) -> None:
        self._poses: list[tuple[int, Any]] = []

    def add(self, message: Any) -> None:
        """Takes a message."""
        self._poses.append((ns_from_stamp(message.header.stamp), message.pose))

    def stamps(self) -> list[int]:
        """Of all poses, rising."""
        return sorted({stamp_ns for stamp_ns, _ in self._poses})

    def estimate(self, log: StatusLog) -> Estimate | None:
        """The longest stretch; None: there is no pose."""
        stretches = list(self._stretches(log.starts))
        if not stretches:
            return None
        best = max(stretches, key=len)
        stamps = np.array([stamp_ns for stamp_ns, _ in best], dtype=np.int64)
        numbers = np.array([pose_numbers(pose.pose) for _, pose in best])
        rotations = se3.matrix_from_quat_xyzw(numbers[:, 3:])
        poses = se3.make_transform(rotations, numbers[:, :3])
        covariances = np.array([pose.covariance for _, pose in best]).reshape(-1, 6, 6)
        metric = log.is_metric(int(stamps[-1]))
        return Estimate(Trajectory(stamps, poses), covariances, len(stretches), metric)

    def _stretches(self, starts: set[int]) -> Iterator[list[tuple[int, Any]]]:
        current: list[tuple[int, Any]] = []
        for stamp_ns, pose in self._poses:
            if current and (stamp_ns <= current[-1][0] or stamp_ns in starts):
                yield current
                current = []
            current.append((stamp_ns, pose))
        if current:
            yield current
