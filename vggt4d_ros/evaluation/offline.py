# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Runs a recording through the node's own classes, window by window, dropping nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

from vggt4d_ros.config import Config
from vggt4d_ros.evaluation.model_card import describe_engine
from vggt4d_ros.evaluation.options import EvalOptions, EvaluationError
from vggt4d_ros.evaluation.pictures import PictureBook
from vggt4d_ros.evaluation.real_time import EveryWindow, NewestWins, Policy
from vggt4d_ros.evaluation.replay import Progress, Replay
from vggt4d_ros.evaluation.results import Row, RunResult
from vggt4d_ros.evaluation.run_tables import camera_counts, flat_config, window_row
from vggt4d_ros.evaluation.scoring import Findings, Scorer
from vggt4d_ros.evaluation.sink import Sink, SinkContext
from vggt4d_ros.evaluation.sinks import open_sinks
from vggt4d_ros.evaluation.source_bag import BagSource
from vggt4d_ros.evaluation.sources import Source, truth_table, unmatched
from vggt4d_ros.evaluation.stopwatch import Stopwatch
from vggt4d_ros.model.engine import Engine, load_engine
from vggt4d_ros.processor import Processed, Processor
from vggt4d_ros.products import view_products
from vggt4d_ros.stream.pipeline import StreamCounts, StreamPipeline

if TYPE_CHECKING:
    from vggt4d_ros.data.readers.recording import Recording


def evaluate_bag(
    path: Path | str,
    options: EvalOptions,
    engine: Engine | None = None,
    progress: Progress | None = None,
) -> RunResult:
    """Evaluates a bag.

    Args:
        path: rosbag2 directory, .mcap, .db3 or ROS 1 .bag.
        options: of the run.
        engine: the network; None: the one that ``options.config.model`` names.
        progress: told after each image.

    Raises:
        BagError: no bag, or nothing in it can be used.
        ConfigError, CheckpointError, EngineError, EvaluationError: one line for a user.
    """
    return evaluate_source(lambda: BagSource(path, options), options, engine, progress)


def evaluate_dataset(
    recording: Recording,
    options: EvalOptions,
    engine: Engine | None = None,
    progress: Progress | None = None,
) -> RunResult:
    """Evaluates a recording of a data set; as ``evaluate_bag``.

    Raises:
        EvaluationError: a file of the data set is missing or damaged.
    """
    from vggt4d_ros.data.readers.recording import DatasetError
    from vggt4d_ros.evaluation.source_dataset import DatasetSource

    try:
        found = evaluate_source(
            lambda: DatasetSource(recording, options), options, engine, progress
        )
    except DatasetError as error:
        raise EvaluationError(str(error)) from error
    if recording.loose_poses:
        _leave_out_nees(found)
    return found


def _leave_out_nees(found: RunResult) -> None:
    """Says nothing of the covariance of poses by a truth that is less sure than they may be."""
    calibration = found.metrics.get("calibration", {})
    if calibration.pop("pose", None) is None:
        return
    if not calibration:
        del found.metrics["calibration"]
    found.faults.append(
        "calibration of poses left out: the recording's poses are known to be loose"
    )


def evaluate_source(
    opening: Callable[[], Source],
    options: EvalOptions,
    engine: Engine | None = None,
    progress: Progress | None = None,
) -> RunResult:
    """Evaluates what ``opening`` opens; as ``evaluate_bag``."""
    with ExitStack() as stack:
        source = stack.enter_context(closing(opening()))
        if engine is None:
            engine = load_engine(source.config.model)
            stack.callback(engine.close)
        return _Run(source, options, engine, progress).result()


class _Run:
    """One pass over a source, and what is gathered on it."""

    def __init__(
        self, source: Source, options: EvalOptions, engine: Engine, progress: Progress | None
    ) -> None:
        self._source = source
        self._options = options
        self._engine = engine
        self._config: Config = source.config
        self._names = self._config.cameras.names
        self._policy: Policy = EveryWindow()
        if options.real_time_ms is not None:
            self._policy = NewestWins(options.real_time_ms)
        self._pipeline = StreamPipeline(
            len(self._names),
            self._config.sync,
            self._config.window,
            every_window=self._policy.every_window,
        )
        self._stopwatch = Stopwatch()
        self._replay = Replay(
            source,
            self._pipeline,
            Processor(engine),
            self._policy,
            stopwatch=self._stopwatch,
            progress=progress,
        )
        self._scorer = Scorer(source, options)
        self._pictures = PictureBook(self._expected_windows(), options.pictures, self._names)
        self._rows: list[Row] = []
        self._timings: list[Row] = []
        self._refused: dict[tuple[str, str], str] = {}  # camera and cause -> the first reason

    def _expected_windows(self) -> int:
        window = self._config.window
        sets = self._source.total // max(len(self._names), 1)
        return max(0, (sets - window.length) // window.stride + 1)

    def result(self) -> RunResult:
        context = SinkContext(
            self._config,
            self._source.topics,
            self._engine.description.name,
            self._pipeline.counts,
            self._source.path,
        )
        sinks = open_sinks(self._options, context)
        with ExitStack() as stack:
            for sink in sinks:
                stack.callback(sink.close)
            for processed in self._replay.windows():
                self._window(processed, sinks)
        with self._stopwatch.part("score"):
            findings = self._scorer.finish()
        return self._gathered(findings)

    def _window(self, processed: Processed, sinks: Sequence[Sink]) -> None:
        views = view_products(processed, self._config.geometry) if processed.is_news else []
        with self._stopwatch.part("score"):
            columns = self._scorer.window(processed, views)
        with self._stopwatch.part("draw"):
            self._pictures.window(processed, views, self._scorer.newest)
        with self._stopwatch.part("record"):
            for sink in sinks:
                sink.window(processed, views)
        self._rows.append({**window_row(processed), **columns})
        stages = {f"{name}_ms": value for name, value in processed.stage_ms.items()}
        total = sum(processed.stage_ms.values())
        self._timings.append({"index": processed.window.index, **stages, "total_ms": total})
        for refusal in processed.refused:
            key = self._names[refusal.frame.camera], refusal.cause
            self._refused.setdefault(key, refusal.reason)
        self._stopwatch.look()

    def _gathered(self, findings: Findings) -> RunResult:
        counts = self._pipeline.counts()
        config = self._config
        estimate = findings.estimate
        return RunResult(
            source={**self._source.about, "policy": self._policy.name},
            model=describe_engine(self._engine),
            config=flat_config(config),
            topics=dict(self._source.topics),
            counts=camera_counts(counts, self._names),
            windows={
                "formed": counts.windows,
                "done": counts.windows_done,
                "dropped": dict(counts.windows_dropped),
                "sets": counts.sets,
                "partial_sets": counts.partial_sets,
                "time_jumps": counts.time_jumps,
                "gaps": counts.gaps,
                "trajectories": 0 if estimate is None else estimate.starts,
            },
            faults=[*self._source.report.faults, *self._own_faults(counts)],
            truth=truth_table(self._source.report.truth, self._options.truth_tolerance_s),
            metrics=findings.metrics,
            baselines=findings.baselines,
            curves=findings.curves,
            timing=self._stopwatch.summary(self._timings, self._replay.images),
            rows=self._rows,
            timings=self._timings,
            trajectory=None if estimate is None else estimate.trajectory,
            truth_trajectory=findings.truth,
            pictures=self._pictures.pictures,
        )

    def _own_faults(self, counts: StreamCounts) -> list[str]:
        faults = [
            f"{camera}: images refused, {cause}: {reason}"
            for (camera, cause), reason in sorted(self._refused.items())
        ]
        if counts.time_jumps:
            faults.append(f"time jumped back {counts.time_jumps} times: a new trajectory each time")
        if not counts.windows_done:
            faults.append(self._why_no_window(counts))
        return [*faults, *unmatched(self._source.report.truth)]

    def _why_no_window(self, counts: StreamCounts) -> str:
        length = self._config.window.length
        if counts.sets >= length:
            return "no window was done: see what was dropped"
        report, spread = self._replay.sync_report, ""
        if counts.sets == 0 and len(self._names) > 1:
            tolerance = self._config.sync.tolerance_s
            spread = f"; their stamps have to lie within sync.tolerance_s, {tolerance:g} s"
            if report is not None and report.best_spread_ns is not None:
                spread += f", and were {report.best_spread_ns / 1e9:.3f} s apart at best"
        return (
            f"no window: {counts.sets} instants with images of all needed cameras, "
            f"window.length is {length}{spread}"
        )
