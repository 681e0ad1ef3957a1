# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How long each stage of a prediction takes, without making a GPU wait between stages."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

STAGES = ("preprocess", "encoder", "cross_view", "cross_time", "heads", "postprocess")
HOST_STAGES = ("preprocess", "postprocess")


def wall_ms() -> float:
    """Now, milliseconds."""
    return time.perf_counter() * 1e3


class StageClock:
    """Adds up what a meter says of each stage: milliseconds, unless it counts something else.

    On a GPU the network's stages are timed by CUDA events, so that none of them waits; ``wait``
    ends the network's part, and only then are they read.

    Args:
        device: where the network runs.
        meter: rises with what is measured; None: time.
    """

    def __init__(self, device: torch.device, meter: Callable[[], float] | None = None) -> None:
        self.stages = dict.fromkeys(STAGES, 0.0)
        self._meter = meter or wall_ms
        self._device = device
        self._on_device = device.type == "cuda" and meter is None
        self._events: list[tuple[str, torch.cuda.Event, torch.cuda.Event]] = []

    @property
    def is_timing(self) -> bool:
        """Whether it is time that is measured: what else there is may count one thread only."""
        return self._meter is wall_ms

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds what happens inside to a stage."""
        if self._on_device and name not in HOST_STAGES:
            first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            first.record()
            yield
            last.record()
            self._events.append((name, first, last))
            return
        started = self._meter()
        yield
        self.stages[name] += self._meter() - started

    def wait(self) -> None:
        """Waits for the device, if it is another one, and reads its events."""
        if self._device.type != "cuda":
            return
        torch.cuda.synchronize(self._device)
        for name, first, last in self._events:
            self.stages[name] += first.elapsed_time(last)
        self._events.clear()
