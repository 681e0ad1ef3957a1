# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a run found: the content of a run folder, before it is written and after it is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from vggt4d_ros.evaluation.metrics.trajectory import Trajectory

FORMAT = 1

Numbers = dict[str, float]
# group (depth, flow, ...) -> variant (none, median, ..., all) -> name -> number
Metrics = dict[str, dict[str, Numbers]]
Row = dict[str, float | int | str]


def merge(into: Metrics, more: Metrics) -> None:
    """Puts the variants of ``more`` beside those that are there."""
    for group, variants in more.items():
        into.setdefault(group, {}).update(variants)


# columns of windows.csv that are always there; those of metrics follow, in alphabetical order
WINDOW_COLUMNS = (
    "index",
    "epoch",
    "stamp_ns",
    "steps",
    "views",
    "valid_slots",
    "scale",
    "scale_sigma",
    "scale_source",
    "residual_m",
    "residual_rad",
)


@dataclass(frozen=True, slots=True)
class Picture:
    """One PNG of one window."""

    window: int
    stamp_ns: int
    camera: str  # "" for pictures of all cameras together
    kind: str  # input depth confidence flow dynamic depth_truth error cloud
    caption: str
    png: bytes

    @property
    def file(self) -> str:
        """Its name in the folder ``pictures``."""
        camera = self.camera.replace("/", "-") or "all"
        return f"{self.window:06d}_{camera}_{self.kind}.png"


@dataclass(slots=True)
class RunResult:
    """One run. Everything but ``timing`` and ``timings`` is the same each time on a CPU."""

    source: dict[str, Any]  # kind: bag | dataset | outputs | suite, name, ...
    model: dict[str, Any]  # name, checkpoint, parameters, sha256
    config: dict[str, Any]  # flat parameters of the node
    topics: dict[str, str]  # camera -> image topic
    counts: dict[str, dict[str, Any]]  # camera -> {received, used, dropped: {cause: n}}
    windows: dict[str, Any]  # formed, done, dropped: {cause: n}
    faults: list[str] = field(default_factory=list)  # one line each
    truth: dict[str, dict[str, Any]] = field(default_factory=dict)  # kind -> matched, of, ...
    metrics: Metrics = field(default_factory=dict)
    baselines: dict[str, Metrics] = field(default_factory=dict)
    curves: dict[str, Any] = field(default_factory=dict)  # name -> lists of numbers, to be drawn
    timing: dict[str, Any] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)  # windows.csv
    timings: list[Row] = field(default_factory=list)  # timing.csv, milliseconds
    trajectory: Trajectory | None = None  # base_link in the fixed frame
    truth_trajectory: Trajectory | None = None
    pictures: list[Picture] = field(default_factory=list)
