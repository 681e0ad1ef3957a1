# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tensors of a device to arrays, in one wait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Arrays = dict[str, NDArray[np.float32]]


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
