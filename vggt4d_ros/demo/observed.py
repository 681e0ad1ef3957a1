# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the demo's monitor saw on the graph, on its way to the report in another process."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

FILE = "observed.json"


@dataclass(slots=True)
class Tally:
    """Messages of one topic."""

    type: str  # package/Name
    count: int = 0
    first_s: float = 0.0  # wall time of the first and the last arrival
    last_s: float = 0.0

    def add(self, now_s: float) -> None:
        """Counts a message that arrived now."""
        self.first_s = now_s if self.count == 0 else self.first_s
        self.last_s = now_s
        self.count += 1

    @property
    def hz(self) -> float:
        """Mean rate from the first to the last message; 0 for fewer than two."""
        span_s = self.last_s - self.first_s
        return (self.count - 1) / span_s if self.count > 1 and span_s > 0 else 0.0


@dataclass(slots=True)
class Observed:
    """All counts, times and last words of a run."""

    ended: str = ""  # why the monitor stopped watching
    inputs: dict[str, Tally] = field(default_factory=dict)
    outputs: dict[str, Tally] = field(default_factory=dict)
    # of the last status
    frames_received: int = 0
    frames_used: int = 0
    frames_pending: int = 0
    frames_dropped: dict[str, int] = field(default_factory=dict)
    sets: int = 0
    windows: int = 0
    windows_superseded: int = 0
    steps: int = 0
    device: str = ""
    model: str = ""
    memory_bytes: int = 0
    scale_source: int = 0
    scale: float = 1.0
    # of every status
    stage_ms: dict[str, list[float]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)  # each once, in order of appearance
    # arrival of an output's last input image at the monitor -> arrival of the output there
    image_to_depth_ms: list[float] = field(default_factory=list)
    picture_stamp_ns: int = 0  # of the arrays kept for the picture; 0: no instant was complete

    def write(self, folder: Path) -> None:
        """Writes ``observed.json`` into a folder."""
        (folder / FILE).write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def read(cls, folder: Path) -> Observed:
        """Reads what ``write`` wrote.

        Raises:
            FileNotFoundError: the monitor did not come to its end.
        """
        values = json.loads((folder / FILE).read_text())
        for side in ("inputs", "outputs"):
            values[side] = {topic: Tally(**tally) for topic, tally in values[side].items()}
        return cls(**values)
