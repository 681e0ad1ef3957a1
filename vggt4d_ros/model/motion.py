# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Motion heads on the spatiotemporal features."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from vggt4d_ros.model.config import ModelConfig
from vggt4d_ros.model.grid import GridShape


class MotionOutput(NamedTuple):
    x: Tensor


class MotionHead(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()

    def forward(
        self,
        patches: Tensor,
        fused: Tensor,
        skips: tuple[Tensor, ...],
        shape: GridShape,
        valid,
        steps,
        pose,
        depth,
        queries,
    ):
        return None
