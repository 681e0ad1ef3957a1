# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Device and number format of a network."""

from __future__ import annotations

import torch
from torch import nn

from vggt4d_ros.model.errors import EngineError
from vggt4d_ros.model.vggt4d import VGGT4D

TRUNK = (
    "cross_view_global_fusion",
    "cross_time_local_fusion",
    "spatiotemporal_dense_fusion",
)
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(name: str) -> torch.device:
    """The device of a name: auto, cpu, cuda or cuda:N; auto takes a GPU where there is one.

    Raises:
        EngineError: unknown name, or there is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise EngineError(f"device must be auto, cpu, cuda or cuda:N, got {name!r}") from error
    if device.type not in ("cpu", "cuda"):
        raise EngineError(f"device must be auto, cpu, cuda or cuda:N, got {name!r}")
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise EngineError(f"device {name!r} is not there: torch sees {count} CUDA device(s)")
    return device


def choose_precision(name: str, device: torch.device) -> str:
    """fp32, bf16 or fp16; auto is bf16 on a GPU that has it, else fp32.

    Raises:
        EngineError: unknown name, or the device has no such arithmetic.
    """
    if name == "auto":
        fast = device.type == "cuda" and torch.cuda.get_device_capability(device)[0] >= 8
        return "bf16" if fast else "fp32"
    if name not in DTYPES:
        raise EngineError(f"precision must be auto, {', '.join(DTYPES)}, got {name!r}")
    if name == "fp16" and device.type == "cpu":
        raise EngineError("precision fp16 needs a GPU; use fp32 or bf16 on a CPU")
    return name


def cast_trunk(model: VGGT4D, precision: str) -> VGGT4D:
    """Gives the matrices of encoder, fusions and motion features the number format, in place.

    Norms, gains, special tokens, the residual stream and the camera and dense heads stay float32,
    as in the release's own mixed precision.
    """
    for part in trunk_parts(model):
        for module in part.modules():
            if isinstance(module, (nn.Linear, nn.Conv2d, nn.Conv1d)):
                module.to(DTYPES[precision])
    return model


def trunk_parts(model: VGGT4D) -> list[nn.Module]:
    """Encoder, fusions and the fusion of their features: what runs in the chosen precision."""
    return [module for name, module in model.named_children() if name in TRUNK]
