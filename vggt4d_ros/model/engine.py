# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Picks what predicts a window. torch is imported only when the network is really wanted."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from vggt4d_ros.config import EngineConfig
from vggt4d_ros.datatypes import Prediction, Window
from vggt4d_ros.model.errors import EngineError


@dataclass(frozen=True)
class EngineDescription:
    """What runs, for logs and status."""

    name: str
    parameters: int
    device: str
    precision: str
    checkpoint: str  # file, or what stands in for one


class Engine(Protocol):
    """Predicts windows; owned by one thread."""

    warnings: tuple[str, ...]  # what a user must know, once

    @property
    def description(self) -> EngineDescription:
        """What runs."""
        ...

    @property
    def memory_bytes(self) -> int:
        """Memory in use: of the process on a CPU, of the device otherwise."""
        ...

    def warm_up(self, window_shape: tuple[int, int], sizes: Sequence[tuple[int, int]]) -> None:
        """Runs one made-up window of (T, V) with images of (height, width), one size a view."""
        ...

    def predict(
        self, window: Window, dense_steps: Sequence[int] | None = None, *, points: bool = False
    ) -> Prediction:
        """Predicts a window; dense outputs of the given steps, None: of the newest."""
        ...

    def close(self) -> None:
        """Frees the device."""
        ...


def load_engine(config: EngineConfig) -> Engine:
    """Builds the engine that the configuration names.

    Raises:
        EngineError: torch is missing, or the device or precision does not exist here.
        CheckpointError: the checkpoint does not load.
    """
    if config.engine == "null":
        from vggt4d_ros.model.null import NullPredictor

        return NullPredictor.from_config(config)
    # read when torch loads its OpenMP: threads that wait sleep instead of spinning. On a robot
    # all cores are busy, and a spinning one delays the thread it waits for (docs/performance.md)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        from vggt4d_ros.model.predictor import Predictor
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("torch", "safetensors", "PIL"):
            raise
        raise EngineError(
            f"the network needs the Python package {error.name!r}, which is not installed "
            "(docs/install.md); model.engine: 'null' runs without it"
        ) from error
    return Predictor.from_config(config)


def resolve_steps(steps: Sequence[int] | None, count: int) -> tuple[int, ...]:
    """Dense steps as rising indices 0..count-1; negative ones count from the end.

    Raises:
        ValueError: a step is out of range.
    """
    if steps is None:
        return (count - 1,)
    for step in steps:
        if not -count <= step < count:
            raise ValueError(f"dense step {step} is out of range for {count} time steps")
    return tuple(sorted({step % count for step in steps}))
