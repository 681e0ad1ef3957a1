# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Picks what predicts a window. torch is imported only when the network is really wanted."""

from __future__ import annotations

import os

from vggt4d_ros.config import EngineConfig
from vggt4d_ros.model.contract import Engine, EngineDescription, resolve_steps
from vggt4d_ros.model.errors import EngineError

__all__ = ["Engine", "EngineDescription", "load_engine", "resolve_steps"]


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
