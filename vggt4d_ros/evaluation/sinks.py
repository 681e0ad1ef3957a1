# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where windows go besides the scores: recordings of outputs, viewers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from vggt4d_ros.config import Config
from vggt4d_ros.evaluation.options import EvalOptions

if TYPE_CHECKING:
    from vggt4d_ros.processor import Processed
    from vggt4d_ros.products import ViewProducts
    from vggt4d_ros.stream.pipeline import StreamCounts


@dataclass(frozen=True, slots=True, eq=False)
class SinkContext:
    """What a sink may want to know of the run it belongs to."""

    config: Config  # as it is used: camera names are those found in the bag
    topics: dict[str, str]  # camera -> image topic; empty for data sets
    engine: str  # name of the network
    counts: Callable[[], StreamCounts]  # of the stream at this moment
    bag: Path | None = None  # that is evaluated; None for data sets


class Sink(Protocol):
    """Takes windows in order."""

    def window(self, processed: Processed, products: Sequence[ViewProducts]) -> None:
        """Takes one window; ``products`` may be empty."""

    def close(self) -> None:
        """Finishes what was written; called once, also after an error."""


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
