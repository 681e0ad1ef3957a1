# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What takes the windows of a run besides the scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vggt4d_ros.config import Config
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
