# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Optical flow between neighbouring steps of a camera: match coarsely, refine, enlarge."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from vggt4d_ros.model.config import ModelConfig
from vggt4d_ros.model.correlation import (
    convex_upsample,
    correlate_locally,
    enlarge,
    match_globally,
    warp,
)
from vggt4d_ros.model.encoder import ResidualConv
from vggt4d_ros.model.flow_choice import FlowChoice
from vggt4d_ros.model.layers import LayerNorm
from vggt4d_ros.model.sharp_flow import SharpFeatures, SharpFlow

# The motion heads think in maps of 16 cells a patch: the quarter map has 4 cells a patch side.
CELLS = 16


class MotionFeatures(NamedTuple):
    """Features of N frames for matching."""

    patch: Tensor  # (N, D, h, w), one cell a patch
    eighth: Tensor  # (N, F, 2h, 2w)
    quarter: Tensor  # (N, F, 4h, 4w)
    sharp: Tensor | None = None  # (N, K, 8h, 8w), for a flow that is corrected there


class FlowEstimate(NamedTuple):
    """Flow of N pairs, in cells of its own map."""

    fine: Tensor  # (N, 2, 16h, 16w)
    logits: Tensor  # (N, 1, 16h, 16w), of being right
    quarter: Tensor  # (N, 2, 4h, 4w), what ``fine`` was enlarged from
    quarter_logits: Tensor  # (N, 1, 4h, 4w), of that being right
    stages: list[Tensor]  # earlier estimates, coarsest first


class DetailStem(nn.Module):
    """Maps at 1/2, 1/4 and 1/8 for encoders that have none."""

    channels = (16, 24, 32)

    def __init__(self, patch: int) -> None:
        super().__init__()
        self.patch = patch
        levels = (3, *self.channels)
        self.down = nn.ModuleList(
            nn.Conv2d(a, b, 4, stride=2, padding=1)
            for a, b in zip(levels[:-1], levels[1:], strict=True)
        )
        self.refine = nn.ModuleList(ResidualConv(width) for width in self.channels)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Maps of normalised images (N, 3, H, W), on a grid of 16 cells a patch."""
        height, width = (n // self.patch * CELLS for n in images.shape[-2:])
        x = functional.interpolate(
            images, size=(height, width), mode="bilinear", align_corners=False
        )
        maps = []
        for down, refine in zip(self.down, self.refine, strict=True):
            x = refine(down(x))
            maps.append(x)
        return tuple(maps)


class FeatureExtractor(nn.Module):
    """Temporal tokens and skip maps to matching features."""

    def __init__(self, config: ModelConfig, skips: tuple[int, ...]) -> None:
        super().__init__()
        assert config.motion is not None
        match, width = config.motion.match_dim, config.motion.feature_dim
        self.norm = LayerNorm(2 * config.embed_dim)
        self.project = nn.Linear(2 * config.embed_dim, match)
        self.coarse = nn.ModuleList(nn.Conv2d(match, width, 1) for _ in range(2))
        self.detail = nn.ModuleList(nn.Conv2d(skip, width, 1) for skip in skips[1:])
        self.refine = nn.ModuleList(ResidualConv(width) for _ in range(2))
        self.sharp = SharpFeatures(skips[0], width) if config.motion.sharp_flow else None

    def forward(self, tokens: Tensor, skips: tuple[Tensor, ...]) -> MotionFeatures:
        """Features of N frames.

        Args:
            tokens: (N, h*w, 2C) temporal patch tokens.
            skips: maps at 1/2, 1/4, 1/8; the last one tells h and w.
        """
        height, width = (n // 2 for n in skips[2].shape[-2:])
        patch = self.project(self.norm(tokens)).transpose(1, 2).unflatten(2, (height, width))
        levels = []
        for index, factor in ((0, 4), (1, 2)):  # quarter, eighth
            x = enlarge(self.coarse[index](patch), factor) + self.detail[index](skips[index + 1])
            levels.append(self.refine[index](x))
        sharp = None if self.sharp is None else self.sharp(skips[0], levels[0])
        return MotionFeatures(patch, levels[1], levels[0], sharp)


class Refinement(nn.Module):
    """Corrects flow on one map from the correlation around where it points."""

    def __init__(self, width: int, hidden: int, radius: int) -> None:
        super().__init__()
        self.radius = radius
        seen = (2 * radius + 1) ** 2 + width + 2 + 1
        self.conv1 = nn.Conv2d(seen, hidden, 3, padding=1)
        self.conv2 = nn.Conv2d(hidden, hidden, 3, padding=1)
        self.out = nn.Conv2d(hidden, 3, 3, padding=1)

    def forward(
        self, source: Tensor, target: Tensor, flow: Tensor, logits: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Better flow (N, 2, h, w), better logits (N, 1, h, w) and hidden state (N, K, h, w)."""
        # where to look is no path for gradients (as in RAFT); the sum is, so that the coarse match
        # learns from the final flow
        place = flow.detach()
        near = correlate_locally(source, warp(target, place), self.radius)
        x = torch.cat([near, source, place, logits.detach()], dim=1)
        hidden = functional.relu(self.conv2(functional.relu(self.conv1(x))))
        change, surer = self.out(hidden).split([2, 1], dim=1)
        return flow + change, logits + surer, hidden

    def start(self) -> None:
        """Untrained, it changes nothing much."""
        nn.init.normal_(self.out.weight, std=1e-3)


class FlowHead(nn.Module):
    """Flow from the features of the source and the target frame."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        assert config.motion is not None
        options = config.motion
        self.repeats = options.refinements
        self.closeness = nn.Parameter(torch.tensor(0.5))
        self.eighth = Refinement(options.feature_dim, options.hidden_dim, options.radius)
        self.quarter = Refinement(options.feature_dim, options.hidden_dim, options.radius - 1)
        self.choice = FlowChoice(options.feature_dim) if options.choice else None
        self.weights = nn.Conv2d(options.hidden_dim, 9 * 16, 1)
        self.surety = nn.Parameter(torch.tensor([1.0, -0.5]))
        self.sharpen = SharpFlow(options.hidden_dim) if options.sharp_flow else None

    def forward(self, source: MotionFeatures, target: MotionFeatures) -> FlowEstimate:
        """Flow of N pairs of frames."""
        flow, best = match_globally(source.patch, target.patch, self.closeness.abs())
        stages = [flow]
        logits = self.surety[0] * best + self.surety[1]
        flow, logits = 2 * enlarge(flow, 2), enlarge(logits, 2)
        flow, logits, _ = self.eighth(source.eighth, target.eighth, flow, logits)
        stages.append(flow)
        if self.choice is None:
            flow, logits = 2 * enlarge(flow, 2), enlarge(logits, 2)
        else:
            maps = (source.eighth, source.quarter), (target.eighth, target.quarter)
            flow, logits = self.choice(*maps, flow, logits)
            stages.append(flow)
        hidden = flow
        for _ in range(self.repeats):
            flow, logits, hidden = self.quarter(source.quarter, target.quarter, flow, logits)
            stages.append(flow)
        both = torch.cat([4 * flow, logits], dim=1)
        fine = convex_upsample(both, self.weights(hidden), 4)
        quarter_logits = functional.avg_pool2d(fine[:, 2:], 4)
        if self.sharpen is None:
            stages.pop()  # what ``fine`` was enlarged from has no loss of its own
        else:
            assert source.sharp is not None
            assert target.sharp is not None
            fine = self.sharpen(source.sharp, target.sharp, fine, hidden)
        return FlowEstimate(fine[:, :2], fine[:, 2:], flow, quarter_logits, stages)

    def start(self) -> None:
        """Untrained, enlarging is nearly a mean."""
        nn.init.normal_(self.weights.weight, std=1e-3)
