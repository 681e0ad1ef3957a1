# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Memory in use."""

from __future__ import annotations

import os
import resource
import sys

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass


def memory_in_use(device: torch.device) -> int:
    """Bytes that torch holds on a GPU, or that the process holds on a CPU."""
    if device.type == "cuda":
        return torch.cuda.memory_reserved(device)
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return peak_memory(device)


def peak_memory(device: torch.device) -> int:
    """The most bytes ever in use."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def weight_bytes(model: nn.Module) -> int:
    """Bytes of a model's weights, as they are kept."""
    return sum(_bytes(tensor) for tensor in model.state_dict().values())


def _bytes(tensor: Tensor) -> int:
    if is_traceable_wrapper_subclass(tensor):  # such as integers and their scales
        names, _ = tensor.__tensor_flatten__()
        return sum(_bytes(getattr(tensor, name)) for name in names)
    return tensor.numel() * tensor.element_size()
