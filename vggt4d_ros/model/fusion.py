# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Spatiotemporal dense fusion: the time branch enters the space branch through a gate."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vggt4d_ros.model.config import ModelConfig
from vggt4d_ros.model.layers import LayerNorm


class SpatiotemporalDenseFusion(nn.Module):
    """``s + alpha_k * Linear(LN([s, t]))`` at tap k; norm and linear are shared by the taps."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        dim = 2 * config.embed_dim
        self.alpha = nn.Parameter(torch.full((len(config.taps),), config.alpha_init))
        self.norm = LayerNorm(2 * dim)
        self.projection = nn.Linear(2 * dim, dim)

    def forward(self, spatial: list[Tensor], temporal: list[Tensor]) -> list[Tensor]:
        """Fuses taps, each (N, P, 2C)."""
        fused = []
        for gate, s, t in zip(self.alpha.unbind(), spatial, temporal, strict=True):
            joint = self.norm(torch.cat([s, t], dim=-1)).to(self.projection.weight.dtype)
            fused.append(s + gate * self.projection(joint))
        return fused
