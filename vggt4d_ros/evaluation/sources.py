# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What an evaluation runs on: images in the order they came, extrinsics, and the truth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.config import Config
from vggt4d_ros.datatypes import Array, Frame, Rig, Window
from vggt4d_ros.evaluation.metrics.trajectory import Trajectory
from vggt4d_ros.processor import ScaleHints

Map = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Arrival:
    """One image as it came; without a frame it was refused."""

    camera: int
    recorded_ns: int  # when it was recorded: the order and the pace of the run
    frame: Frame | None
    cause: str = ""  # as in stream.causes, where there is no frame


@dataclass(frozen=True, slots=True, eq=False)
class FrameTruth:
    """What is known of one image, at its own resolution; None: not known."""

    depth: Map | None = None  # (H, W) along z, NaN invalid
    sparse: bool = False  # depth is known at scattered pixels only
    flow_forward: Map | None = None  # (H, W, 2) pixels, to the next step
    flow_backward: Map | None = None  # (H, W, 2)
    occluded_forward: NDArray[np.bool_] | None = None  # (H, W)
    dynamic: NDArray[np.bool_] | None = None  # (H, W)
    world_from_cam: Array | None = None  # (4, 4), in a world shared by all frames of one stamp
    is_world: bool = False  # that world is the same at all stamps
    step: int = 0  # flow leads from one step to the next


@dataclass(slots=True)
class TruthCounts:
    """How much truth there was and how much of it met an estimate."""

    source: str  # topics or files
    matched: int = 0
    of: int = 0  # estimates that could have had a truth
    why: str = ""  # where nothing matched: which ranges did not overlap


def truth_table(truths: Mapping[str, TruthCounts], tolerance_s: float) -> dict[str, Any]:
    """``RunResult.truth`` of the counts by kind."""
    return {
        kind: {
            "source": truth.source,
            "matched": truth.matched,
            "of": truth.of,
            "tolerance_s": tolerance_s,
            **({"why": truth.why} if truth.why and not truth.matched else {}),
        }
        for kind, truth in truths.items()
    }


def unmatched(truths: Mapping[str, TruthCounts]) -> list[str]:
    """A line for each kind of truth that met no estimate."""
    return [
        f"true {kind} from {truth.source}: nothing matched: {truth.why}"
        for kind, truth in truths.items()
        if truth.of and not truth.matched
    ]


@dataclass(slots=True)
class SourceReport:
    """What a source found on its way; complete after the last arrival."""

    faults: list[str] = field(default_factory=list)
    truth: dict[str, TruthCounts] = field(default_factory=dict)


class Source(Protocol):
    """A recording that is being read; a context manager of its owner closes it."""

    path: Path | None  # of the bag; None: it is none
    about: dict[str, Any]  # RunResult.source
    config: Config  # with the names of its cameras
    topics: dict[str, str]  # camera -> image topic; empty for data sets
    total: int  # images, for the progress bar
    metric: bool  # lengths of the truth are metres
    report: SourceReport

    def arrivals(self) -> Iterator[Arrival]:
        """Gives every image, in order; ends early, with a fault, where the recording does."""
        ...

    def rig(self, window: Window) -> Rig:
        """The extrinsics for a window."""
        ...

    def hints(self) -> ScaleHints | None:
        """What else says how long things are, as the configuration has it."""
        ...

    def forget(self) -> None:
        """Time has jumped: drops transforms from before."""
        ...

    def truth(self, frame: Frame) -> FrameTruth | None:
        """What is known of a frame; asked for while its window is worked on."""
        ...

    def pose_at(self, stamp_ns: int) -> None:
        """Told when the platform's pose at a stamp is estimated: its truth will be asked for."""
        ...

    def trajectory(self, stamps_ns: NDArray[np.int64]) -> Trajectory | None:
        """The platform's true poses at, or around, these stamps; None: nothing is known."""
        ...

    def close(self) -> None:
        """Frees files."""
        ...
