# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What an evaluation run is asked to do, besides the node's own parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vggt4d_ros.config import Config


class EvaluationError(Exception):
    """A run cannot be made or has nothing to say; one line for a user."""


@dataclass(frozen=True, slots=True)
class EvalOptions:
    """One run. Only plain values: it goes to other processes as it is."""

    config: Config = Config()  # no camera names: all image topics of the bag are cameras
    namespace: str = "/"  # of the node: relative topics of `config` begin there
    topics: Mapping[str, str] = field(default_factory=dict)  # camera -> image topic, wins
    depth_topics: Mapping[str, str] = field(default_factory=dict)  # camera -> depth topic, wins
    truth_file: Path | None = None  # TUM or KITTI trajectory of the platform
    truth_topic: str = ""  # Odometry or PoseStamped of the platform; "": the best by type
    truth_tolerance_s: float = 0.02  # how far the stamps of a pair may lie apart
    real_time_ms: float | None = None  # latency of the simulated live node; None: every window
    baselines: bool = True
    pictures: int = 6  # windows that are drawn; 0: none
    record: Path | None = None  # bag to write the node's topics to
    rerun: Path | None = None  # .rrd to write
    notes: tuple[str, ...] = ()  # what was found before the run and belongs among its faults
