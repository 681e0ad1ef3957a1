# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where windows go besides the scores: recordings of outputs, viewers."""

from __future__ import annotations

from pathlib import Path

from vggt4d_ros.evaluation.options import EvalOptions
from vggt4d_ros.evaluation.sink import Sink, SinkContext


def open_sinks(options: EvalOptions, context: SinkContext) -> list[Sink]:
    """Opens the sinks that the options name.

    Raises:
        EvaluationError: a package is missing, or a file cannot be written.
    """
    sinks: list[Sink] = []
    if options.record is not None:
        from vggt4d_ros.evaluation.record import RecordSink

        sinks.append(RecordSink(Path(options.record), context))
    if options.rerun is not None:
        from vggt4d_ros.evaluation.rerun_log import RerunSink

        sinks.append(RerunSink(Path(options.rerun), context))
    return sinks
