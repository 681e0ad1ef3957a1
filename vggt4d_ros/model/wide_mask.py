# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The dynamic mask from more than a pixel's surroundings.

Whether a residual means motion shows only beside those of the whole frame (a wrong depth, a wrong
flow of plain walls leave some everywhere), and where a moving thing ends shows in the image.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from vggt4d_ros.model.config import ModelConfig
from vggt4d_ros.model.correlation import enlarge
from vggt4d_ros.model.dynamic_mask import CUES, MORE_CUES
from vggt4d_ros.model.encoder import ResidualConv
from vggt4d_ros.model.layers import Conv2d, LayerNorm

WIDTH = 64  # at 1/4
WIDE = 48  # at 1/8 and 1/16
FINE = 24  # at 1/2


class WideMaskHead(nn.Module):
    """Logits from appearance, tokens and motion: down to 1/16 and up again to 1/2."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        assert config.motion is not None
        features, stem = config.motion.feature_dim, config.encoder.channels
        self.norm = LayerNorm(2 * config.embed_dim)
        self.project = nn.Linear(2 * config.embed_dim, WIDE)
        seen = features + 2 * (CUES + MORE_CUES) + 1
        self.enter = Conv2d(seen, WIDTH, 3, padding=1)
        self.refine = ResidualConv(WIDTH)
        self.down = nn.ModuleList(Conv2d(a, WIDE, 4, stride=2, padding=1) for a in (WIDTH, WIDE))
        self.wide = nn.ModuleList(ResidualConv(WIDE) for _ in range(3))
        self.up = Conv2d(WIDE, WIDTH, 1)
        self.narrow = Conv2d(WIDTH, FINE, 1)
        self.lateral = Conv2d(stem[0], FINE, 1)
        self.sharpen = ResidualConv(FINE)
        self.out = Conv2d(FINE, 4, 3, padding=1)

    def start(self) -> None:
        """Untrained, every pixel is about equally likely to move."""
        nn.init.normal_(self.out.weight, std=1e-3)

    def forward(
        self, tokens: Tensor, quarter: Tensor, cues: list[Tensor], depth: Tensor, half: Tensor
    ) -> Tensor:
        """Logits (N, 16h, 16w).

        Args:
            tokens: (N, h*w, 2C) fused patch tokens.
            quarter: (N, F, 4h, 4w) motion features of the same frames.
            cues: forward and backward (N, CUES + MORE_CUES, 4h, 4w), zeros without a neighbour.
            depth: (N, 4h, 4w).
            half: (N, K, 8h, 8w) the encoder's maps.
        """
        size = (quarter.shape[-2] // 4, quarter.shape[-1] // 4)
        level = depth.clamp(min=1e-3).log()[:, None]
        level = level - level.mean((2, 3), keepdim=True)
        x = self.refine(self.enter(torch.cat([quarter, *cues, level], dim=1)))
        eighth = self.wide[0](self.down[0](functional.relu(x)))
        patch = self.project(self.norm(tokens).to(self.project.weight.dtype))
        patch = patch.transpose(1, 2).unflatten(2, size)
        coarse = self.wide[1](self.down[1](functional.relu(eighth)) + patch)
        eighth = self.wide[2](eighth + enlarge(coarse, 2))
        x = functional.relu(x + enlarge(self.up(eighth), 2))
        x = enlarge(self.narrow(x), 2) + self.lateral(half)
        x = self.out(functional.relu(self.sharpen(x)))
        return functional.pixel_shuffle(x.float(), 2)[:, 0]
