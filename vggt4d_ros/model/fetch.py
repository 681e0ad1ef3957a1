# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tensors to a device without a wait, and from it to arrays in a single one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Arrays = dict[str, NDArray[np.float32]]


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU on the device; the host does not wait for what runs there.

    From memory that is not pinned it would, and the device would then wait for the host. What is
    pinned here is used again only after the copy, torch's allocator sees to that.
    """
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def fetch(groups: Sequence[Mapping[str, Tensor]]) -> list[Arrays]:
    """Float32 arrays of named tensors (K, H, W), group by group.

    Each group is strung together on its device and copied at once; from a GPU into pinned memory,
    all groups beside one another, with a single wait at the end.
    """
    copies = [_copy(torch.cat(list(group.values())).float()) for group in groups if group]
    if any(source.is_cuda for group in groups for source in group.values()):
        torch.cuda.current_stream().synchronize()
    whole = iter(copies)
    return [_split(group, next(whole)) if group else {} for group in groups]


def _copy(source: Tensor) -> Tensor:
    if not source.is_cuda:
        return source
    target = torch.empty(source.shape, dtype=source.dtype, pin_memory=True)
    return target.copy_(source, non_blocking=True)


def _split(group: Mapping[str, Tensor], whole: Tensor) -> Arrays:
    parts = whole.numpy()
    ends = np.cumsum([len(tensor) for tensor in group.values()])
    return dict(zip(group, np.split(parts, ends[:-1]), strict=True))
