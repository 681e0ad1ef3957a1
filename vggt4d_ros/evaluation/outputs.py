# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``vggt4d eval --outputs``: scores what a node published, as recorded, by the measures of a run.

The truth is in the same recording, or in what ``--truth`` names: a trajectory, or another recording
(that of the sensors, which the node was replayed).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.datatypes import Array, CameraModel
from vggt4d_ros.evaluation.bad_poses import BadPoses
from vggt4d_ros.evaluation.bag import BAG_SUFFIXES, Bag, BagError, open_bag
from vggt4d_ros.evaluation.metrics.trajectory import Trajectory
from vggt4d_ros.evaluation.options import EvalOptions
from vggt4d_ros.evaluation.outputs_pictures import OutputPictures
from vggt4d_ros.evaluation.outputs_poses import Mounts, true_trajectory
from vggt4d_ros.evaluation.outputs_reader import TruthFeed, instants
from vggt4d_ros.evaluation.outputs_score import OutputScorer
from vggt4d_ros.evaluation.outputs_status import OdometryLog, StatusLog
from vggt4d_ros.evaluation.outputs_topics import (
    DEPTH,
    OutputTopics,
    TruthTopics,
    find_outputs,
    find_truth,
)
from vggt4d_ros.evaluation.results import Metrics, RunResult, merge
from vggt4d_ros.evaluation.score_trajectory import Estimate, TrajectoryScore, score_trajectory
from vggt4d_ros.evaluation.sources import TruthCounts, truth_table, unmatched
from vggt4d_ros.evaluation.stopwatch import Stopwatch
from vggt4d_ros.evaluation.tally import mean_columns
from vggt4d_ros.messages import topics
from vggt4d_ros.messages.decode import calibration_from_msg

Progress = Callable[[int, int], None]  # images done, images in all


def evaluate_outputs(
    path: Path | str, options: EvalOptions, progress: Progress | None = None
) -> RunResult:
    """Scores the node's outputs in a bag.

    Args:
        path: the bag.
        options: ``namespace`` chooses one of several nodes; ``truth_file`` may be a bag; topics of
            truth as for a run. The node's parameters are not in a bag: of ``config`` only the
            frame names are read.
        progress: told after each image.

    Raises:
        BagError: no bag, or a named topic is not in it.
        EvaluationError: no outputs of one node in it.
    """
    with ExitStack() as stack:
        bag = stack.enter_context(open_bag(path))
        other = options.truth_file
        is_bag = other is not None and (other.is_dir() or other.suffix in BAG_SUFFIXES)
        # read along with the outputs, so by a reader of its own
        truth_bag = stack.enter_context(open_bag(other if is_bag and other is not None else path))
        if is_bag:
            options = replace(options, truth_file=None)
        return _Outputs(bag, truth_bag, options, with_tf=is_bag).result(progress)


class _Outputs:
    """One recording of outputs and what is known besides."""

    def __init__(self, bag: Bag, truth_bag: Bag, options: EvalOptions, *, with_tf: bool) -> None:
        self._bag, self._truth_bag, self._options = bag, truth_bag, options
        self._with_tf = with_tf
        self._topics: OutputTopics = find_outputs(bag, options)
        self._truth: TruthTopics = find_truth(truth_bag, self._topics, options)
        self._faults: list[str] = [*options.notes]
        self._log = StatusLog()
        self._odometry = OdometryLog()
        self._bad = BadPoses()
        self._poses: dict[int, Array] = {}  # fixed_from_base, by stamp
        self._models: dict[int, CameraModel] = {}
        self._stopwatch = Stopwatch()

    def result(self, progress: Progress | None) -> RunResult:
        with self._stopwatch.part("read"):
            self._read_log()
        estimate = self._odometry.estimate(self._log)
        if estimate is not None:
            trajectory = estimate.trajectory
            self._poses = dict(zip(trajectory.stamps_ns.tolist(), trajectory.poses, strict=True))
        counts = self._depth_counts()
        feed = TruthFeed(
            self._truth_bag, self._truth.images, self._options.truth_tolerance_s, self._faults
        )
        scorer = OutputScorer(
            self._topics.cameras,
            self._log,
            feed,
            counts=counts,
            pose=self._camera_pose(),
            models=self._models,
            baselines=self._options.baselines,
            faults=self._faults,
        )
        pictures = self._score_images(scorer, progress)
        metrics, baselines, curves = scorer.finish()
        truths = {} if counts is None else {"depth": counts}
        score = self._score_poses(estimate, truths)
        if score is not None:
            self._faults += score.faults
            merge(metrics, score.metrics)
            if self._options.baselines and score.baselines:
                baselines["static_camera"] = score.baselines
        true = None if score is None else score.truth
        return self._gathered(metrics, baselines, curves, truths, estimate, true, pictures)

    def _read_log(self) -> None:
        """Reads what is small: status, odometry, intrinsics."""
        node = self._topics.node
        status, odometry = (f"{node}/{t.name}" for t in (topics.STATUS, topics.ODOMETRY))
        there = {topic.name for topic in self._bag.topics}
        names = [n for n in (status, odometry, *self._topics.infos) if n in there]
        try:
            for message in self._bag.messages(names):
                content: Any = self._bag.deserialize(message)
                if message.topic == status:
                    self._log.add(content)
                elif message.topic == odometry:
                    if self._bad.admits_pose(odometry, content.pose.pose):
                        self._odometry.add(content)
                else:
                    self._take_info(self._topics.infos[message.topic], content)
        except BagError as error:
            self._faults.append(str(error))

    def _take_info(self, camera: int, message: Any) -> None:
        try:
            calibration = calibration_from_msg(message)
        except ValueError as error:
            fault = f"{self._topics.cameras[camera]}: CameraInfo is not usable: {error}"
            if fault not in self._faults:
                self._faults.append(fault)
            return
        if calibration is not None:
            self._models[camera] = calibration.rectified

    def _depth_counts(self) -> TruthCounts | None:
        names = [name for name, (_, key) in self._truth.images.items() if key == DEPTH]
        return TruthCounts(", ".join(sorted(names))) if names else None

    def _camera_pose(self) -> Callable[[int, int], Array | None]:
        """Poses of cameras whose images have the very stamp of a published pose."""
        mounts = Mounts(self._bag, self._options.config.tf.base_frame, self._bad)
        frames = {camera: frame for frame, camera in self._topics.frames.items()}

        def pose(camera: int, stamp_ns: int) -> Array | None:
            fixed_from_base = self._poses.get(stamp_ns)
            base_from_cam = mounts.base_from_cam(frames.get(camera, ""), stamp_ns)
            if fixed_from_base is None or base_from_cam is None:
                return None
            return np.asarray(fixed_from_base @ base_from_cam)

        return pose

    def _score_images(self, scorer: OutputScorer, progress: Progress | None) -> OutputPictures:
        rows = self._log.rows
        cameras = self._topics.cameras
        stamps = [int(row["stamp_ns"]) for row in rows]
        pictures = OutputPictures(stamps, self._options.pictures, cameras)
        total = sum(
            topic.count
            for topic in self._bag.topics
            if self._topics.images.get(topic.name, (0, ""))[1] == DEPTH
        )
        columns: dict[int, list[dict[str, float]]] = {}
        reader = instants(self._bag, self._topics.images, self._faults)
        for count, instant in enumerate(reader, 1):
            with self._stopwatch.part("score"):
                view, found = scorer.score(instant)
            window = self._log.window_of(cameras[instant.camera], instant.stamp_ns)
            if window is not None:
                columns.setdefault(window, []).append(found)
            if view is not None:
                with self._stopwatch.part("draw"):
                    pictures.add(window, view)
            self._stopwatch.look()
            if progress is not None:
                progress(min(count, total), total)
        for row in rows:
            row.update(mean_columns(columns.get(int(row["stamp_ns"]), [])))
        return pictures

    def _score_poses(
        self, estimate: Estimate | None, truths: dict[str, TruthCounts]
    ) -> TrajectoryScore | None:
        if estimate is None:
            return None
        stamps: NDArray[np.int64] = estimate.trajectory.stamps_ns
        known, counts = true_trajectory(
            self._truth_bag,
            self._truth,
            self._options,
            stamps,
            with_tf=self._with_tf,
            faults=self._faults,
            bad=self._bad,
        )
        if known is None or counts is None:
            return None
        truths["trajectory"] = counts
        tolerance_s = self._options.truth_tolerance_s
        return score_trajectory(estimate, known, counts, tolerance_s=tolerance_s, metric=True)

    def _gathered(
        self,
        metrics: Metrics,
        baselines: dict[str, Metrics],
        curves: dict[str, list[float]],
        truths: dict[str, TruthCounts],
        estimate: Estimate | None,
        true: Trajectory | None,
        pictures: OutputPictures,
    ) -> RunResult:
        log, bag, node = self._log, self._bag, self._topics.node
        frames = log.frame_counts()
        trajectories = 0 if estimate is None else estimate.starts
        return RunResult(
            source={
                "kind": "outputs",
                "name": bag.path.name,
                "duration_s": bag.duration_s,
                "messages": bag.count,
                "policy": f"recorded outputs of {node}",
                "left_out": [],
            },
            model={
                "name": log.model,
                "device": log.device,
                "warnings": list(log.warnings),
            },
            config={},
            topics={
                self._topics.cameras[camera]: name
                for name, (camera, key) in self._topics.images.items()
                if key == DEPTH
            },
            counts=frames,
            windows={**log.window_counts(), "trajectories": trajectories},
            faults=[*self._faults, *self._bad.lines(), *unmatched(truths)],
            truth=truth_table(truths, self._options.truth_tolerance_s),
            metrics=metrics,
            baselines=baselines,
            curves={"sparsification": curves} if curves else {},
            timing={**self._stopwatch.summary(log.timings, 0), **log.rates()},
            rows=log.rows,
            timings=log.timings,
            trajectory=None if estimate is None else estimate.trajectory,
            truth_trajectory=true,
            pictures=pictures.pictures,
        )
