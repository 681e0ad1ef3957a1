# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""All scores of a run: what is known of each window's frames against what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vggt4d_ros.datatypes import Frame
from vggt4d_ros.evaluation.metrics.trajectory import Trajectory
from vggt4d_ros.evaluation.options import EvalOptions
from vggt4d_ros.evaluation.results import Metrics, merge
from vggt4d_ros.evaluation.score_depth import DepthScorer
from vggt4d_ros.evaluation.score_motion import MotionScorer
from vggt4d_ros.evaluation.score_points import PointScorer
from vggt4d_ros.evaluation.score_poses import PoseScorer
from vggt4d_ros.evaluation.score_stereo import StereoBaseline
from vggt4d_ros.evaluation.score_trajectory import Estimate, TrajectoryRecord, score_trajectory
from vggt4d_ros.evaluation.sources import FrameTruth, Source
from vggt4d_ros.evaluation.tally import Tally, mean_columns
from vggt4d_ros.processor import Processed
from vggt4d_ros.products import ViewProducts


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """What a run's scores came to."""

    metrics: Metrics
    baselines: dict[str, Metrics]
    curves: dict[str, Any]
    estimate: Estimate | None
    truth: Trajectory | None  # at the matched stamps, in the frame of the estimate


class Scorer:
    """Scores windows in order, each frame once.

    Args:
        source: tells the truth.
        options: of the run.
    """

    def __init__(self, source: Source, options: EvalOptions) -> None:
        self._source = source
        self._options = options
        self._tally = Tally()
        names = ("constant_depth", "zero_flow", "dis", "sgbm")
        self._baselines = {name: Tally() for name in names} if options.baselines else {}
        constant, zero, dis, sgbm = (self._baselines.get(name) for name in names)
        metric = source.metric
        self._depth = DepthScorer(self._tally, constant, metric=metric)
        self._motion = MotionScorer(self._tally, zero, dis, metric=metric)
        self._points = PointScorer(self._tally, metric=metric)
        self._stereo = StereoBaseline(sgbm) if sgbm is not None and metric else None
        self._poses = PoseScorer()
        self._record = TrajectoryRecord()
        self._truths: dict[tuple[int, int], FrameTruth | None] = {}  # of two steps, (camera, stamp)
        self.newest: dict[int, FrameTruth] = {}  # of the last window, by camera

    def window(self, processed: Processed, views: Sequence[ViewProducts]) -> dict[str, float]:
        """Scores a window; gives the columns of its row in windows.csv, averaged over cameras."""
        for stamp_ns in self._record.add(processed):
            self._source.pose_at(stamp_ns)
        self.newest = {}
        columns: list[dict[str, float]] = []
        if not processed.is_news:
            return {}
        kept: dict[tuple[int, int], FrameTruth | None] = {}
        earlier: dict[int, FrameTruth] = {}
        for view in views:
            truth = self._truth_of(view.frame, kept)
            self._count(truth)
            if truth is not None:
                self.newest[view.view] = truth
            before = self._truth_before(processed, view, kept)
            if before is not None:
                earlier[view.view] = before
            columns.append(self._depth.score(processed, view, truth))
            columns.append(self._motion.score(processed, view, truth, before))
        columns.append(self._points.score(processed, views, self.newest))
        columns.append(self._poses.score(processed, self.newest, earlier))
        if self._stereo is not None:
            self._stereo.score(processed, views, self.newest)
        self._truths = kept
        return mean_columns(columns)

    def _truth_of(
        self, frame: Frame, kept: dict[tuple[int, int], FrameTruth | None]
    ) -> FrameTruth | None:
        key = frame.camera, frame.stamp_ns
        kept[key] = self._truths[key] if key in self._truths else self._source.truth(frame)
        return kept[key]

    def _truth_before(
        self,
        processed: Processed,
        view: ViewProducts,
        kept: dict[tuple[int, int], FrameTruth | None],
    ) -> FrameTruth | None:
        if processed.window.shape[0] < 2:
            return None
        frame = processed.window.frame(-2, view.view)
        return None if frame is None else self._truth_of(frame, kept)

    def _count(self, truth: FrameTruth | None) -> None:
        counts = self._source.report.truth.get("depth")
        if counts is not None:
            counts.of += 1
            counts.matched += truth is not None and truth.depth is not None

    def finish(self) -> Findings:
        """Scores what only the whole run shows."""
        metrics = self._tally.result()
        baselines = {name: tally.result() for name, tally in self._baselines.items()}
        more, curves = self._depth.finish()
        merge(metrics, more)
        poses = self._poses.result()
        if poses:
            metrics["poses"] = poses
        estimate = self._record.estimate()
        truth: Trajectory | None = None
        if estimate is not None:
            truth = self._finish_trajectory(estimate, metrics, baselines)
        return Findings(
            metrics=metrics,
            baselines={name: found for name, found in baselines.items() if found},
            curves={"sparsification": curves} if curves else {},
            estimate=estimate,
            truth=truth,
        )

    def _finish_trajectory(
        self, estimate: Estimate, metrics: Metrics, baselines: dict[str, Metrics]
    ) -> Trajectory | None:
        known = self._source.trajectory(estimate.trajectory.stamps_ns)
        counts = self._source.report.truth.get("trajectory")
        if known is None or counts is None:
            if counts is not None:
                counts.of, counts.why = len(estimate.trajectory), "no usable pose in it"
            return None
        score = score_trajectory(
            estimate,
            known,
            counts,
            tolerance_s=self._options.truth_tolerance_s,
            metric=self._source.metric,
        )
        self._source.report.faults += score.faults
        merge(metrics, score.metrics)
        if self._options.baselines and score.baselines:
            baselines["static_camera"] = score.baselines
        return score.truth
