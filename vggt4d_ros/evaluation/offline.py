# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Runs a recording through the node's own classes, window by window, dropping nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from vggt4d_ros.evaluation.options import EvalOptions
from vggt4d_ros.evaluation.results import RunResult
from vggt4d_ros.evaluation.run_folder import write_run
from vggt4d_ros.model.engine import Engine

if TYPE_CHECKING:
    from vggt4d_ros.data.readers.recording import Recording

Progress = Callable[[int, int], None]  # images done, images in all


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
    raise NotImplementedError


def evaluate_dataset(
    recording: Recording,
    options: EvalOptions,
    engine: Engine | None = None,
    progress: Progress | None = None,
) -> RunResult:
    """Evaluates a recording of a data set; as ``evaluate_bag``."""
    raise NotImplementedError


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
    """
    if outputs:
        from vggt4d_ros.evaluation.outputs import evaluate_outputs

        result = evaluate_outputs(path, options, progress)
    else:
        result = evaluate_bag(path, options, engine, progress)
    return finish_run(result, folder)


def recording_to_folder(
    recording: Recording,
    options: EvalOptions,
    folder: Path | str,
    engine: Engine | None = None,
    progress: Progress | None = None,
) -> RunResult:
    """As ``run_to_folder`` for a recording of a data set."""
    return finish_run(evaluate_dataset(recording, options, engine, progress), folder)


def finish_run(result: RunResult, folder: Path | str) -> RunResult:
    """Writes the run folder and its report."""
    from vggt4d_ros.evaluation.report import write_report

    write_run(result, folder)
    write_report(Path(folder))
    return result
