# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The state of a run on disk: written whole or not at all, taken up exactly."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vggt4d_ros.train.config import TrainConfig, TrainConfigError

NAME = "state.pt"


@dataclass
class TrainState:
    """Model, its running mean, optimiser and counters."""

    model: nn.Module
    ema: dict[str, Tensor]
    optimizer: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0  # spent training, all sittings


def update_ema(ema: dict[str, Tensor], model: nn.Module, decay: float, step: int) -> None:
    """Moves the running mean towards the weights; follows faster at the start."""
    decay = min(decay, (1 + step) / (10 + step))
    own = model.state_dict()
    with torch.no_grad():
        for name, value in ema.items():
            if value.is_floating_point():
                value.lerp_(own[name].to(value.dtype), 1 - decay)
            else:
                value.copy_(own[name])


def save_state(folder: Path, state: TrainState, config: TrainConfig) -> Path:
    """Writes the state beside the old one, then puts it in its place."""
    folder.mkdir(parents=True, exist_ok=True)
    path, part = folder / NAME, folder / f"{NAME}.part"
    torch.save(
        {
            "model": state.model.state_dict(),
            "ema": state.ema,
            "optimizer": state.optimizer.state_dict(),
            "step": state.step,
            "seconds": state.seconds,
            "config": json.dumps(config.to_dict()),
        },
        part,
    )
    with part.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(part, path)
    return path


def read_state(folder: Path) -> dict[str, Any] | None:
    """What was saved, None where nothing was.

    Raises:
        TrainConfigError: the file is damaged.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        payload: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TrainConfigError(
            f"{path}: damaged ({first[:100]}); remove it to start anew"
        ) from error
    return payload


def _restore_moments(
    state: TrainState, saved: dict[str, Tensor], fits: set[str], optimizer: dict[str, Any]
) -> None:
    """Gives the optimiser what it had of the parameters that fit; groups are by dimension."""
    before = [name for name, value in saved.items() if value.dim() > 1]
    before += [name for name, value in saved.items() if value.dim() <= 1]
    own = dict(state.model.named_parameters())
    for index, name in enumerate(before):
        if name in fits and name in own and index in optimizer["state"]:
            moments = optimizer["state"][index]
            if moments["exp_avg"].shape == own[name].shape:
                state.optimizer.state[own[name]] = dict(moments)


def restore(state: TrainState, payload: dict[str, Any]) -> list[str]:
    """Puts a saved state back; gives the parameters that it did not have (new heads stay fresh).

    The optimiser goes on where all parameters fit, else it starts anew.
    """
    own = state.model.state_dict()
    saved, mean = payload["model"], payload["ema"]
    fits = {name for name, value in saved.items() if name in own and own[name].shape == value.shape}
    fresh = sorted(set(own) - fits)
    state.model.load_state_dict({name: saved[name] for name in fits}, strict=not fresh)
    for name in fits:
        state.ema[name].copy_(mean[name])
    if not fresh and len(saved) == len(own):
        state.optimizer.load_state_dict(payload["optimizer"])
    else:
        _restore_moments(state, saved, fits, payload["optimizer"])
    state.step, state.seconds = int(payload["step"]), float(payload["seconds"])
    return fresh
