# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A whole run: a recording, its scores, its folder and the report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vggt4d_ros.evaluation.offline import evaluate_bag, evaluate_dataset
from vggt4d_ros.evaluation.options import EvalOptions, EvaluationError
from vggt4d_ros.evaluation.outputs import evaluate_outputs
from vggt4d_ros.evaluation.replay import Progress
from vggt4d_ros.evaluation.report import write_report
from vggt4d_ros.evaluation.results import RunResult
from vggt4d_ros.evaluation.run_folder import write_run
from vggt4d_ros.model.engine import Engine

if TYPE_CHECKING:
    from vggt4d_ros.data.readers.recording import Recording


class EmptyRun(EvaluationError):
    """A run that was written but says nothing of what was asked for."""

    def __init__(self, message: str, result: RunResult) -> None:
        super().__init__(message)
        self.result = result


def run_to_folder(
    path: Path | str,
    options: EvalOptions,
    folder: Path | str,
    engine: Engine | None = None,
    progress: Progress | None = None,
    *,
    outputs: bool = False,
) -> RunResult:
    """Evaluates a bag, writes its run folder and the report.

    Args:
        path: the bag.
        options: of the run.
        folder: to write to.
        engine: the network; None: the one that ``options.config.model`` names.
        progress: told after each image.
        outputs: the bag holds outputs of the node: those are scored, no network runs.

    Raises:
        EmptyRun: once all is written: no window could be done, or none of the truth that was
            asked for matched.
    """
    if outputs:
        result = evaluate_outputs(path, options, progress)
    else:
        result = evaluate_bag(path, options, engine, progress)
    return finish_run(result, folder, options)


def recording_to_folder(
    recording: Recording,
    options: EvalOptions,
    folder: Path | str,
    engine: Engine | None = None,
    progress: Progress | None = None,
) -> RunResult:
    """As ``run_to_folder`` for a recording of a data set."""
    result = evaluate_dataset(recording, options, engine, progress)
    return finish_run(result, folder, options)


def finish_run(
    result: RunResult, folder: Path | str, options: EvalOptions | None = None
) -> RunResult:
    """Writes the run folder and its report, then refuses a run that says nothing.

    Raises:
        EmptyRun: no window could be done, or no truth that was asked for matched.
    """
    folder = Path(folder)
    write_run(result, folder)
    write_report(folder)
    name = result.source.get("name", "")
    if not result.windows.get("done"):
        why = next((fault for fault in result.faults if fault.startswith("no window")), "")
        why = why or "no window was done"
        raise EmptyRun(f"{name}: {why} (counts are in {folder})", result)
    for kind in _asked_for(options):
        truth = result.truth.get(kind)
        if truth is not None and truth["of"] and not truth["matched"]:
            why = truth.get("why", "")
            raise EmptyRun(f"{name}: true {kind}: nothing matched: {why}", result)
    return result


def _asked_for(options: EvalOptions | None) -> list[str]:
    if options is None:
        return []
    wanted = {
        "trajectory": options.truth_file is not None or bool(options.truth_topic),
        "depth": bool(options.depth_topics),
    }
    return [kind for kind, is_asked in wanted.items() if is_asked]
