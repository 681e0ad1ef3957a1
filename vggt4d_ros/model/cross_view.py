# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Cross-view global fusion: attention within each frame, then over many frames, alternating."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vggt4d_ros.model.config import ModelConfig
from vggt4d_ros.model.encoder import build_encoder
from vggt4d_ros.model.grid import GridShape, is_reference, token_bias
from vggt4d_ros.model.layers import Block, Rope


def fusion_blocks(config: ModelConfig, count: int | None = None) -> nn.ModuleList:
    """Attention blocks as both branches use them."""
    return nn.ModuleList(
        Block(
            config.embed_dim,
            config.num_heads,
            mlp_ratio=config.mlp_ratio,
            init_values=config.init_values,
            qk_norm=True,
        )
        for _ in range(config.depth if count is None else count)
    )


def attend_frames(
    block: nn.Module, x: Tensor, rope: Rope, groups: int, valid: Tensor | None
) -> Tensor:
    """Runs a block over groups of frames.

    Args:
        block: the block.
        x: (N, P, C) tokens of N frames.
        rope: tables of one frame.
        groups: each run of N/groups frames attends to itself.
        valid: (N,) bool, None where every frame is there.
    """
    count, tokens, dim = x.shape
    size = count // groups
    bias = None if valid is None else token_bias(valid.reshape(groups, size), tokens)
    mixed = block(x.reshape(groups, size * tokens, dim), rope.tile(size), bias)
    return mixed.reshape(count, tokens, dim)


class CrossViewGlobalFusion(nn.Module):
    """Space branch; it also owns the encoder and the special tokens, as in the release."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        dim = config.embed_dim
        self.taps = config.taps
        self.scope = config.cross_view_scope
        self.patch_embed = build_encoder(config)
        # entry 0 is for the reference frame, entry 1 for all others
        self.camera_token = nn.Parameter(torch.randn(1, 2, 1, dim) * 1e-2)
        self.register_token = nn.Parameter(
            torch.randn(1, 2, config.num_register_tokens, dim) * 1e-2
        )
        self.frame_blocks = fusion_blocks(config)
        self.global_blocks = fusion_blocks(config)

    def add_specials(self, patches: Tensor, shape: GridShape, valid: Tensor | None) -> Tensor:
        """Puts camera and register tokens before patch tokens: (B*S, h*w, C) to (B*S, P, C).

        Args:
            patches: tokens of all frames, time-major.
            shape: of the grid.
            valid: (B, T, V) bool; the first valid frame of a window is its reference.
        """
        specials = torch.cat([self.camera_token, self.register_token], dim=2)[0]  # (2, 5, C)
        if valid is None:
            first = torch.zeros(shape.batch, shape.frames, dtype=torch.bool, device=patches.device)
            first[:, 0] = True
        else:
            first = is_reference(valid.flatten(1))
        chosen = torch.where(first.flatten()[:, None, None], specials[0], specials[1])
        return torch.cat([chosen, patches.to(chosen.dtype)], dim=1)

    def forward(
        self, x: Tensor, shape: GridShape, rope: Rope, valid: Tensor | None
    ) -> list[Tensor]:
        """Gives the taps, each (B*S, P, 2C), of tokens (B*S, P, C)."""
        groups = shape.batch * (shape.steps if self.scope == "step" else 1)
        flat = None if valid is None else valid.flatten()
        taps = []
        for layer, (frame, across) in enumerate(
            zip(self.frame_blocks, self.global_blocks, strict=True)
        ):
            within = frame(x, rope)
            x = attend_frames(across, within, rope, groups, flat)
            if layer in self.taps:
                taps.append(torch.cat([within, x], dim=-1))
        return taps
