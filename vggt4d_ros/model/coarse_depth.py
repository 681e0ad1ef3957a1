# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Depth at 1/8 of all frames, for the motion between them is fitted to it."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from vggt4d_ros.model.config import ModelConfig
from vggt4d_ros.model.correlation import enlarge
from vggt4d_ros.model.encoder import ResidualConv
from vggt4d_ros.model.layers import Conv2d


class CoarseDepth(nn.Module):
    """A small decoder: cheap enough for frames whose dense outputs nobody asks for."""

    def __init__(self, config: ModelConfig, width: int) -> None:
        """Takes the channels of the maps that frames are matched by."""
        super().__init__()
        self.project = nn.Linear(2 * config.embed_dim, width)
        self.wide = ResidualConv(width)
        self.lateral = Conv2d(config.encoder.channels[2], width, 1)
        self.shared = Conv2d(width, width, 1)
        self.refine = nn.Sequential(ResidualConv(width), ResidualConv(width))
        self.out = Conv2d(width, 1, 3, padding=1)

    def start(self) -> None:
        """Untrained, depth is near 1."""
        nn.init.normal_(self.out.weight, std=1e-3)

    def forward(self, tokens: Tensor, skip: Tensor, maps: Tensor) -> Tensor:
        """Log depth (N, 1, 2h, 2w).

        Args:
            tokens: (N, h*w, 2C) of the space branch, normalised.
            skip: (N, K, 2h, 2w) the encoder's map at 1/8.
            maps: (N, width, 2h, 2w) that frames are matched by.
        """
        size = (maps.shape[-2] // 2, maps.shape[-1] // 2)
        x = self.project(tokens.to(self.project.weight.dtype))
        x = self.wide(x.transpose(1, 2).unflatten(2, size))
        x = enlarge(x, 2) + self.lateral(skip) + self.shared(maps)
        out: Tensor = self.out(functional.relu(self.refine(x)))
        return out
