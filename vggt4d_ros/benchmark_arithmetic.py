# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How much arithmetic a window is, and how much of it the machine could do: for benchmarks."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from vggt4d_ros.datatypes import Prediction
from vggt4d_ros.model.stage_clock import HOST_STAGES

Meter = Callable[[], float]


def count_flops(predict: Callable[[Meter], Prediction]) -> dict[str, float]:
    """Floating-point operations of each stage of the network.

    Counts matrix products, convolutions and attention (torch's counter), a multiply-add as two.

    Args:
        predict: predicts a window with the given meter of its stages.
    """
    with FlopCounterMode(display=False) as counter:
        stages = predict(counter.get_total_flops).stage_ms
    return {name: float(value) for name, value in stages.items() if name not in HOST_STAGES}


def peak_flops(device: torch.device, dtype: torch.dtype, seconds: float = 0.5) -> float:
    """The most operations a second of a large matrix product, measured now.

    Args:
        device: where.
        dtype: of both factors.
        seconds: how long to try; the best of all tries counts.
    """
    size = 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    wait = torch.cuda.synchronize if device.type == "cuda" else (lambda: None)
    best, end = 0.0, time.perf_counter() + seconds
    with torch.inference_mode():
        torch.mm(a, b)
        while time.perf_counter() < end or not best:
            wait()
            started = time.perf_counter()
            torch.mm(a, b)
            wait()
            best = max(best, 2 * size**3 / (time.perf_counter() - started))
    return best
