# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Image encoders: one image to patch tokens, independent of every other image."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from vggt4d_ros.model.config import ModelConfig
from vggt4d_ros.model.layers import Block, Conv2d, GroupNorm, LayerNorm, rope_tables


class Encoded(NamedTuple):
    """N encoded images; all that later stages see of the pixels."""

    tokens: Tensor  # (N, h*w, C)
    skips: tuple[Tensor, ...]  # maps at 1/2, 1/4, 1/8 of the stem encoder, else none


class PatchConv(nn.Module):
    """Strided convolution to patch tokens."""

    def __init__(self, dim: int, patch: int) -> None:
        super().__init__()
        self.proj = Conv2d(3, dim, kernel_size=patch, stride=patch)

    def forward(self, images: Tensor) -> Tensor:
        """Maps (N, 3, H, W) to (N, h*w, C)."""
        return self.proj(images).flatten(2).transpose(1, 2)


class ConvEncoder(PatchConv):
    """The release's ``conv`` patch embedding: no transformer at all."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config.embed_dim, config.patch_size)

    def forward(self, images: Tensor) -> Encoded:  # type: ignore[override]
        """Encodes normalised images (N, 3, H, W)."""
        return Encoded(super().forward(images), ())


class DinoEncoder(nn.Module):
    """DINOv2 ViT with registers (Oquab et al. 2023, Darcet et al. 2023), as the release uses it."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        dim, options = config.embed_dim, config.encoder
        self.grid = config.img_size // config.patch_size
        self.patch = config.patch_size
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + self.grid**2, dim))
        self.register_tokens = nn.Parameter(torch.zeros(1, config.num_register_tokens, dim))
        # in the release's file, used by its pre-training only
        self.mask_token = nn.Parameter(torch.zeros(1, dim), requires_grad=False)
        self.patch_embed = PatchConv(dim, config.patch_size)
        self.blocks = nn.ModuleList(
            Block(dim, options.num_heads, init_values=1.0, eps=1e-6) for _ in range(options.depth)
        )
        self.norm = LayerNorm(dim, eps=1e-6)

    def position_embedding(self, height: int, width: int) -> Tensor:
        """Position embedding resampled to height x width patches, (1, h*w, C)."""
        patches = self.pos_embed[:, 1:]
        if height == width == self.grid:
            return patches
        square = patches.unflatten(1, (self.grid, self.grid)).permute(0, 3, 1, 2)
        resized = functional.interpolate(
            square.float(), size=(height, width), mode="bicubic", antialias=True
        )
        return resized.flatten(2).transpose(1, 2)

    def forward(self, images: Tensor) -> Encoded:
        """Encodes normalised images (N, 3, H, W)."""
        count, _, height, width = images.shape
        patches = self.patch_embed(images)
        patches = patches + self.position_embedding(height // self.patch, width // self.patch)
        cls = (self.cls_token + self.pos_embed[:, :1]).expand(count, -1, -1)
        registers = self.register_tokens.expand(count, -1, -1)
        x = torch.cat([cls, registers, patches], dim=1)
        for block in self.blocks:
            x = block(x)
        return Encoded(self.norm(x)[:, 1 + registers.shape[1] :], ())


class ResidualConv(nn.Module):
    """Two 3x3 convolutions with group norm around a skip."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = GroupNorm(8, channels)
        self.conv1 = Conv2d(channels, channels, 3, padding=1)
        self.conv2 = Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Refines (N, C, H, W)."""
        return x + self.conv2(functional.relu(self.conv1(functional.relu(self.norm(x)))))


class PositionCode(nn.Module):
    """Where in the image a token lies, for the rotary blocks know relative places only.

    Without it neither the height above the horizon nor the ray of a pixel can be told. Sines of
    the place within the image, from -1 to 1, so that it holds at any size.
    """

    octaves = (0.5, 1.0, 2.0, 4.0)

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.project = nn.Linear(4 * len(self.octaves) + 2, dim, bias=False)

    def start(self) -> None:
        """About as strong as the tokens themselves."""
        nn.init.normal_(self.project.weight, std=0.1)

    def forward(self, height: int, width: int) -> Tensor:
        """Codes of all tokens, row by row, (h*w, C)."""
        weight = self.project.weight.float()
        y = (torch.arange(height, device=weight.device) + 0.5) * 2 / height - 1
        x = (torch.arange(width, device=weight.device) + 0.5) * 2 / width - 1
        place = torch.stack(torch.meshgrid(y, x, indexing="ij"), -1).flatten(0, 1)  # (h*w, 2)
        waves = torch.cat([place * (torch.pi * octave) for octave in self.octaves], -1)
        return torch.cat([place, waves.sin(), waves.cos()], -1) @ weight.T


class StemEncoder(nn.Module):
    """Convolutions down to 1/16 with skips, then rotary transformer blocks."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        dim, options = config.embed_dim, config.encoder
        levels = (3, *options.channels, dim)
        self.down = nn.ModuleList(
            Conv2d(a, b, 4, stride=2, padding=1) for a, b in zip(levels, levels[1:], strict=False)
        )
        self.refine = nn.ModuleList(ResidualConv(channels) for channels in options.channels)
        self.blocks = nn.ModuleList(
            Block(
                dim,
                options.num_heads,
                mlp_ratio=config.mlp_ratio,
                init_values=config.init_values,
                qk_norm=True,
            )
            for _ in range(options.depth)
        )
        self.position = PositionCode(dim)
        self.norm = LayerNorm(dim)
        self.head_dim = dim // options.num_heads
        self.freq = config.rope_freq

    def forward(self, images: Tensor) -> Encoded:
        """Encodes normalised images (N, 3, H, W)."""
        x = images
        skips = []
        for down, refine in zip(self.down, self.refine, strict=False):
            x = refine(down(x))
            skips.append(x.float())
        x = self.down[-1](functional.relu(x))
        height, width = x.shape[-2:]
        x = x.flatten(2).transpose(1, 2).float() + self.position(height, width)
        rope = rope_tables(height, width, 0, self.head_dim, self.freq, x.device)
        for block in self.blocks:
            x = block(x, rope)
        return Encoded(self.norm(x), tuple(skips))


def build_encoder(config: ModelConfig) -> nn.Module:
    """The encoder that the configuration names."""
    kinds = {"dinov2": DinoEncoder, "conv": ConvEncoder, "stem": StemEncoder}
    return kinds[config.encoder.kind](config)
