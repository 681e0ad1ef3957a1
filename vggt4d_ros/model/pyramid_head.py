# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Dense head of the compact model: one decoder for all outputs, with the encoder's skip maps."""

from __future__ import annotations

from torch import Tensor, nn

from vggt4d_ros.model.config import ModelConfig
from vggt4d_ros.model.correlation import enlarge
from vggt4d_ros.model.encoder import ResidualConv
from vggt4d_ros.model.layers import LayerNorm
from vggt4d_ros.model.pair_head import CUES

# keeps the exponential activations of an untrained or diverging network finite
RAW_LIMIT = 10.0


class PyramidHead(nn.Module):
    """Tokens at 1/16, then skips at 1/8, 1/4 and 1/2; outputs by pixel shuffle."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        dim, options = 2 * config.embed_dim, config.dense
        fine = options.out_channels  # at 1/2, 1/4, 1/8
        skips = config.encoder.channels
        self.norm = LayerNorm(dim)
        self.projects = nn.ModuleList(nn.Linear(dim, options.features) for _ in config.taps)
        self.refine = ResidualConv(options.features)
        widths = (fine[0], fine[1], fine[2], options.features)
        self.lateral = nn.ModuleList(
            nn.Conv2d(skip, width, 1) for skip, width in zip(skips, fine, strict=True)
        )
        self.narrow = nn.ModuleList(
            nn.Conv2d(coarse, width, 1) for width, coarse in zip(fine, widths[1:], strict=True)
        )
        self.merge = nn.ModuleList(ResidualConv(width) for width in fine)
        self.cues = nn.Conv2d(CUES, fine[2], 3, padding=1) if config.pairs else None
        self.depth_out = _output(fine[0], 2) if options.depth else None
        self.points_out = _output(fine[0], 4) if options.points else None

    def start(self) -> None:
        """Untrained, depth is near 1, points near the origin, confidence near 2."""
        if self.cues is not None:
            nn.init.normal_(self.cues.weight, std=1e-2)
        for output in (self.depth_out, self.points_out):
            if output is not None:
                last = output.get_submodule("3")
                assert isinstance(last, nn.Conv2d)
                nn.init.normal_(last.weight, std=1e-3)

    def forward(
        self,
        taps: list[Tensor],
        skips: tuple[Tensor, ...],
        height: int,
        width: int,
        points: bool,
        cues: Tensor | None = None,
    ) -> tuple[Tensor | None, Tensor | None]:
        """Raw depth (N, 2, H, W) and raw points (N, 4, H, W).

        Args:
            taps: each (N, h*w, 2C), patch tokens only.
            skips: maps of the same frames at 1/2, 1/4, 1/8.
            height: h, patches.
            width: w, patches.
            points: whether points are wanted.
            cues: (N, CUES, 2h, 2w) of depth by parallax, where the network compares pairs.
        """
        x = sum(
            project(self.norm(tap).to(project.weight.dtype))
            for project, tap in zip(self.projects, taps, strict=True)
        )
        assert isinstance(x, Tensor)
        x = self.refine(x.transpose(1, 2).unflatten(2, (height, width)))
        for level in (2, 1, 0):
            skip = skips[level].to(x.dtype)
            x = enlarge(self.narrow[level](x), 2) + self.lateral[level](skip)
            if level == 2 and self.cues is not None and cues is not None:
                x = x + self.cues(cues.to(x.dtype))
            x = self.merge[level](x)
        depth = None if self.depth_out is None else _bounded(self.depth_out(x))
        if not points or self.points_out is None:
            return depth, None
        return depth, _bounded(self.points_out(x))


def _output(channels: int, out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(channels, channels, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(channels, 4 * out, 3, padding=1),
        nn.PixelShuffle(2),
    )


def _bounded(raw: Tensor) -> Tensor:
    return raw.float().clamp(-RAW_LIMIT, RAW_LIMIT)
