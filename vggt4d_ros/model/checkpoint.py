# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from vggt4d_ros.model import config as configs
from vggt4d_ros.model.errors import CheckpointError
from vggt4d_ros.model.vggt4d import VGGT4D


@dataclass(frozen=True)
class Loaded:
    """A model with its weights, and where they came from."""

    model: VGGT4D
    source: str
    warnings: tuple[str, ...] = ()


def load_engine_model(checkpoint: str) -> Loaded:
    """Placeholder until checkpoints exist."""
    if checkpoint:
        raise CheckpointError(f"checkpoint {checkpoint!r} cannot be loaded yet")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = VGGT4D(configs.compact())
    return Loaded(model, "untrained", ("NO TRAINED WEIGHTS: the compact network is untrained",))
