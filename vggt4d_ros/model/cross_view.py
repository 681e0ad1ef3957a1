# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Cross-view global fusion: attention within each frame, then over many frames, alternating."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from vggt4d_ros.model.config import ModelConfig
from vggt4d_ros.model.encoder import build_encoder
from vggt4d_ros.model.grid import GridShape, is_reference, token_bias
from vggt4d_ros.model.layers import Block, Rope


class FrameStart(NamedTuple):
    """What the space branch makes of N frames before any of them sees another."""

    within: Tensor  # (N, P, C) out of the last block within a frame
    taps: tuple[Tensor, ...]  # (N, P, 2C), those that are done already


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
    block: nn.Module,
    x: Tensor,
    rope: Rope,
    groups: int,
    valid: Tensor | None,
    rows: Tensor | None = None,
) -> Tensor:
    """Runs a block over groups of frames.

    Args:
        block: the block.
        x: (N, P, C) tokens of N frames.
        rope: tables of one frame.
        groups: each run of N/groups frames attends to itself.
        valid: (N,) bool, None where every frame is there.
        rows: indices of a group's tokens that are wanted, zeros elsewhere; None: all.
    """
    count, tokens, dim = x.shape
    size = count // groups
    bias = None if valid is None else token_bias(valid.reshape(groups, size), tokens)
    mixed = block(x.reshape(groups, size * tokens, dim), rope.tile(size), bias, rows)
    if rows is not None:
        mixed = mixed.new_zeros(groups, size * tokens, dim).index_copy(1, rows, mixed)
    return mixed.reshape(count, tokens, dim)


class CrossViewGlobalFusion(nn.Module):
    """Space branch; it also owns the encoder and the special tokens, as in the release."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        dim = config.embed_dim
        self.taps = config.taps
        self.scope = config.cross_view_scope
        # so many first layers run within each frame alone: an approximation, off unless asked for
        self.frame_wise = 0
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
        specials = self.specials()
        if valid is None:
            first = torch.zeros(shape.batch, shape.frames, dtype=torch.bool, device=patches.device)
            first[:, 0] = True
        else:
            first = is_reference(valid.flatten(1))
        chosen = torch.where(first.flatten()[:, None, None], specials[0], specials[1])
        return torch.cat([chosen, patches.to(chosen.dtype)], dim=1)

    def specials(self) -> Tensor:
        """Camera and register tokens of the reference and of the others, (2, 1 + R, C)."""
        return torch.cat([self.camera_token, self.register_token], dim=2)[0]

    def forward(
        self, x: Tensor, shape: GridShape, rope: Rope, valid: Tensor | None
    ) -> list[Tensor]:
        """Gives the taps, each (B*S, P, 2C), of tokens (B*S, P, C)."""
        return self.finish(self.begin(x, rope), shape, rope, valid)

    def begin(self, x: Tensor, rope: Rope) -> FrameStart:
        """What comes of tokens (N, P, C) before frames see one another."""
        taps = []
        for layer in range(self.frame_wise):
            within = self.frame_blocks[layer](x, rope)
            x = self.global_blocks[layer](within, rope)
            if layer in self.taps:
                taps.append(torch.cat([within, x], dim=-1))
        return FrameStart(self.frame_blocks[self.frame_wise](x, rope), tuple(taps))

    def finish(
        self,
        start: FrameStart,
        shape: GridShape,
        rope: Rope,
        valid: Tensor | None,
        rows: Tensor | None = None,
    ) -> list[Tensor]:
        """Gives the taps, each (B*S, P, 2C), of frames that were started.

        ``rows`` are the indices, of the S*P tokens of a window, that the last tap is wanted for;
        it is 0 in its second half elsewhere. None: all.
        """
        groups = shape.batch * (shape.steps if self.scope == "step" else 1)
        flat = None if valid is None else valid.flatten()
        taps, within = list(start.taps), start.within
        last = len(self.global_blocks) - 1
        for layer in range(self.frame_wise, last + 1):
            wanted = rows if layer == last and self.scope == "window" else None
            x = attend_frames(self.global_blocks[layer], within, rope, groups, flat, wanted)
            if layer in self.taps:
                taps.append(torch.cat([within, x], dim=-1))
            if layer < last:
                within = self.frame_blocks[layer + 1](x, rope)
        return taps
