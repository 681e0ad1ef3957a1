# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where a run computes: device, mixed precision, accumulation and several processes.

Accelerate does it where it is installed, started by ``torchrun`` or ``accelerate launch``; without
it a run has one process, one device and full precision.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from vggt4d_ros.train.config import TrainConfig, TrainConfigError

PRECISIONS = ("no", "bf16", "fp16", "bf16_layers")


class Compute(Protocol):
    """What the training loop asks for."""

    device: torch.device
    rank: int  # of this process
    processes: int

    def prepare(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[nn.Module, Any]:
        """The model to call (it may share gradients between processes) and the optimiser."""

    def part(self, model: nn.Module) -> AbstractContextManager[Any]:
        """Surrounds forward and backward of one of the accumulated batches."""

    def backward(self, loss: Tensor) -> None:
        """Adds the gradients of one accumulated batch; the loss is divided by their number."""

    def clip(self, model: nn.Module, limit: float) -> Tensor:
        """Limits the norm of all gradients, gives what it was."""

    def anywhere(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""


class OneDevice:
    """Plain torch: one process, full precision."""

    rank, processes = 0, 1

    def __init__(self, config: TrainConfig) -> None:
        self.device = torch.device(config.device)
        self.share = 1.0 / config.accumulate

    def prepare(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[nn.Module, Any]:
        """Both as they are."""
        return model, optimizer

    def part(self, model: nn.Module) -> AbstractContextManager[Any]:
        """Nothing to do."""
        return nullcontext()

    def backward(self, loss: Tensor) -> None:
        """As the protocol says."""
        (self.share * loss).backward()

    def clip(self, model: nn.Module, limit: float) -> Tensor:
        """As the protocol says."""
        return nn.utils.clip_grad_norm_(model.parameters(), limit)

    def anywhere(self, flag: bool) -> bool:
        """There is only this process."""
        return flag


class Accelerated:
    """Accelerate: any number of processes and devices, mixed precision."""

    def __init__(self, config: TrainConfig, accelerate: Any) -> None:
        # which heads have a loss differs from window to window
        spare = accelerate.DistributedDataParallelKwargs(find_unused_parameters=True)
        self.own = accelerate.Accelerator(
            cpu=torch.device(config.device).type == "cpu",
            mixed_precision="no" if config.precision == "bf16_layers" else config.precision,
            gradient_accumulation_steps=config.accumulate,
            kwargs_handlers=[spare],
        )
        self.processes = int(self.own.num_processes)
        self.rank = int(self.own.process_index)
        self.device = self.own.device if self.processes > 1 else torch.device(config.device)

    def prepare(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[nn.Module, Any]:
        """As the protocol says."""
        ready, optimizer = self.own.prepare(model, optimizer)
        return ready, optimizer

    def part(self, model: nn.Module) -> AbstractContextManager[Any]:
        """Shares gradients only after the last accumulated batch."""
        part: AbstractContextManager[Any] = self.own.accumulate(model)
        return part

    def backward(self, loss: Tensor) -> None:
        """As the protocol says; scaled where the precision needs it."""
        self.own.backward(loss)

    def clip(self, model: nn.Module, limit: float) -> Tensor:
        """As the protocol says."""
        norm: Tensor = self.own.clip_grad_norm_(model.parameters(), limit)
        return norm

    def anywhere(self, flag: bool) -> bool:
        """One small sum over all processes."""
        if self.processes == 1:
            return flag
        here = torch.tensor(float(flag), device=self.device)
        return bool(self.own.reduce(here, "sum") > 0)


def choose_compute(config: TrainConfig) -> Compute:
    """Accelerate where it is installed, else plain torch.

    Raises:
        TrainConfigError: what is asked for needs Accelerate, or there is no such precision.
    """
    if config.precision not in PRECISIONS:
        known = ", ".join(PRECISIONS)
        raise TrainConfigError(f"precision must be one of {known}, got {config.precision!r}")
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    try:
        accelerate = import_module("accelerate")
    except ImportError as error:
        if several or config.precision in ("bf16", "fp16"):
            raise TrainConfigError(
                "several processes and mixed precision need the Python package accelerate "
                "(pip install 'vggt4d_ros[train]')"
            ) from error
        return OneDevice(config)
    return Accelerated(config, accelerate)
