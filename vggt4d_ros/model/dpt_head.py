# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Dense prediction head of the release (DPT, Ranftl et al. 2021, arXiv 2103.13413)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from vggt4d_ros.model.config import ModelConfig
from vggt4d_ros.model.layers import LayerNorm


def activate_depth(raw: Tensor) -> tuple[Tensor, Tensor]:
    """Depth exp(x) (N, H, W) and confidence 1 + exp(c) (N, H, W) of raw (N, 2, H, W)."""
    return raw[:, 0].exp(), 1 + raw[:, 1].exp()


def activate_points(raw: Tensor) -> tuple[Tensor, Tensor]:
    """Points sign(y) expm1(|y|) (N, H, W, 3) and confidence (N, H, W) of raw (N, 4, H, W)."""
    y = raw[:, :3].permute(0, 2, 3, 1)
    return y.sign() * y.abs().expm1(), 1 + raw[:, 3].exp()


def position_map(
    channels: int, height: int, width: int, aspect: float, device: torch.device
) -> Tensor:
    """Sine-cosine embedding of pixel positions, (channels, height, width) float32.

    Positions span a rectangle of the image's ``aspect`` (W/H) and diagonal 2; x fills the first
    half of the channels and y the second, each as sines, then cosines, of frequencies
    100^(-i / (channels/4)).
    """
    diagonal = (aspect**2 + 1) ** 0.5
    spans = (aspect / diagonal * (width - 1) / width, 1 / diagonal * (height - 1) / height)
    quarter = channels // 4
    exponent = torch.arange(quarter, dtype=torch.float64) / quarter
    omega = 100.0**-exponent
    parts = []
    for span, count in zip(spans, (width, height), strict=True):
        angle = torch.linspace(-span, span, count, dtype=torch.float64)[None] * omega[:, None]
        part = torch.cat([angle.sin(), angle.cos()])  # (channels/2, count)
        parts.append(part.float().to(device))
    x = parts[0][:, None, :].expand(-1, height, -1)
    y = parts[1][:, :, None].expand(-1, -1, width)
    return torch.cat([x, y])


def resize(x: Tensor, height: int, width: int) -> Tensor:
    """Bilinear with aligned corners, as the release."""
    return functional.interpolate(x, size=(height, width), mode="bilinear", align_corners=True)


class ResidualConvUnit(nn.Module):
    """Two 3x3 convolutions; the skip adds relu(x), not x, as the released weights expect."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def start(self) -> None:
        """Untrained, it changes little, so that a stack of them stays bounded."""
        nn.init.normal_(self.conv2.weight, std=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        """Refines (N, C, h, w)."""
        x = functional.relu(x)
        return self.conv2(functional.relu(self.conv1(x))) + x


class FeatureFusion(nn.Module):
    """Adds a finer map to the coarser path, refines and enlarges."""

    def __init__(self, channels: int, has_lateral: bool) -> None:
        super().__init__()
        if has_lateral:
            self.resConfUnit1 = ResidualConvUnit(channels)
        self.resConfUnit2 = ResidualConvUnit(channels)
        self.out_conv = nn.Conv2d(channels, channels, 1)

    def forward(self, path: Tensor, lateral: Tensor | None, size: tuple[int, int]) -> Tensor:
        """Gives the path (N, C, *size)."""
        if lateral is not None:
            path = path + self.resConfUnit1(lateral)
        return self.out_conv(resize(self.resConfUnit2(path), *size))


class Scratch(nn.Module):
    """The part of a DPT head that the release trains from scratch; a name in its files."""

    def __init__(self, features: int, channels: tuple[int, ...], out: int) -> None:
        super().__init__()
        for index, width in enumerate(channels, start=1):
            conv = nn.Conv2d(width, features, 3, padding=1, bias=False)
            self.add_module(f"layer{index}_rn", conv)
            self.add_module(f"refinenet{index}", FeatureFusion(features, index < len(channels)))
        self.output_conv1 = nn.Conv2d(features, features // 2, 3, padding=1)
        self.output_conv2 = nn.Sequential(
            nn.Conv2d(features // 2, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, out, 1)
        )


class DptHead(nn.Module):
    """One dense output from four taps."""

    def __init__(self, config: ModelConfig, out: int) -> None:
        super().__init__()
        dim, options = 2 * config.embed_dim, config.dense
        channels = options.out_channels
        self.patch = config.patch_size
        self.norm = LayerNorm(dim)
        self.projects = nn.ModuleList(nn.Conv2d(dim, width, 1) for width in channels)
        self.resize_layers = nn.ModuleList(
            [
                nn.ConvTranspose2d(channels[0], channels[0], 4, stride=4),
                nn.ConvTranspose2d(channels[1], channels[1], 2, stride=2),
                nn.Identity(),
                nn.Conv2d(channels[3], channels[3], 3, stride=2, padding=1),
            ]
        )
        self.scratch = Scratch(options.features, channels, out)

    def start(self) -> None:
        """Untrained, outputs are near zero, which is depth 1 and confidence 2."""
        last = self.scratch.output_conv2.get_submodule("2")
        assert isinstance(last, nn.Conv2d)
        nn.init.normal_(last.weight, std=1e-3)

    def forward(self, taps: list[Tensor], height: int, width: int) -> Tensor:
        """Raw output (N, out, H, W).

        Args:
            taps: four of (N, h*w, 2C), patch tokens only.
            height: h, patches.
            width: w, patches.
        """
        dtype = self.projects[0].weight.dtype
        size = (height * self.patch, width * self.patch)
        aspect = size[1] / size[0]
        laterals = []
        for index, tap in enumerate(taps):
            x = self.norm(tap).transpose(1, 2).unflatten(2, (height, width)).to(dtype)
            x = self.resize_layers[index](_add_positions(self.projects[index](x), aspect))
            laterals.append(self.scratch.get_submodule(f"layer{index + 1}_rn")(x))
        path = laterals[3]
        for index in (4, 3, 2, 1):
            lateral = laterals[index - 1] if index < 4 else None
            finer = (
                laterals[index - 2].shape[-2:] if index > 1 else [2 * n for n in path.shape[-2:]]
            )
            fuse = self.scratch.get_submodule(f"refinenet{index}")
            path = fuse(path, lateral, (finer[0], finer[1]))
        path = _add_positions(resize(self.scratch.output_conv1(path), *size), aspect)
        return self.scratch.output_conv2(path).float()


def _add_positions(x: Tensor, aspect: float) -> Tensor:
    table = position_map(x.shape[1], x.shape[2], x.shape[3], aspect, x.device)
    return x + 0.1 * table.to(x.dtype)


def in_chunks(head: Callable[[list[Tensor]], Tensor], taps: list[Tensor], chunk: int) -> Tensor:
    """Runs a head over ``chunk`` frames at a time, which bounds its memory."""
    parts = [[tap[i : i + chunk] for tap in taps] for i in range(0, taps[0].shape[0], chunk)]
    return torch.cat([head(part) for part in parts]) if len(parts) > 1 else head(taps)
