# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Space and time branch on the adaptive visual grid: from encoded frames to what the heads see.

Whole windows, or in parts, so that what depends on a frame alone can be kept and what no head sees
can be left out (``trunk.py``).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from vggt4d_ros.model.config import ModelConfig
from vggt4d_ros.model.cross_time import CrossTimeLocalFusion
from vggt4d_ros.model.cross_view import CrossViewGlobalFusion, FrameStart
from vggt4d_ros.model.fusion import SpatiotemporalDenseFusion
from vggt4d_ros.model.grid import GridShape, select_steps
from vggt4d_ros.model.layers import Rope, rope_tables


class Taps(NamedTuple):
    """Outputs of both branches at the tapped layers, each (B*S, P, 2C)."""

    spatial: list[Tensor]
    temporal: list[Tensor]  # the spatial ones where there is no time branch


class Start(NamedTuple):
    """What both branches make of N frames before any of them sees another."""

    spatial: FrameStart
    temporal: Tensor | None  # (N, P, C); None where the time branch begins after the space branch


class Branches(nn.Module):
    """Both fusion branches and the fusion of what they say; the space branch owns the encoder."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.time_branch = config.arrangement != "spatial"  # may be turned off, see below
        self.cross_view_global_fusion = CrossViewGlobalFusion(config)
        if self.time_branch:
            self.cross_time_local_fusion = CrossTimeLocalFusion(config)
            self.spatiotemporal_dense_fusion = SpatiotemporalDenseFusion(config)

    def needs_time_branch(self) -> bool:
        """Whether any output depends on the time branch; reads weights, so ask once.

        Closed gates (alpha 0) keep it out of the dense heads, and a parallel one reaches no other
        head but motion.
        """
        if not self.time_branch:
            return False
        alone = self.config.arrangement == "parallel" and self.config.motion is None
        return not alone or bool(self.spatiotemporal_dense_fusion.alpha.detach().any())

    @property
    def specials(self) -> int:
        """Tokens before the patches of a frame: camera and registers."""
        return 1 + self.config.num_register_tokens

    def rope(self, shape: GridShape, device: torch.device) -> Rope:
        """Rotary tables of one frame."""
        config = self.config
        return rope_tables(
            shape.height,
            shape.width,
            self.specials,
            config.embed_dim // config.num_heads,
            config.rope_freq,
            device,
        )

    def begin(self, patches: Tensor, shape: GridShape, *, reference: bool) -> Start:
        """What depends on a frame alone, of encoded frames (N, h*w, C).

        Args:
            patches: tokens of the encoder.
            shape: of the grid; only the size of a frame matters.
            reference: whether the frames are the reference of their window, or all are not.
        """
        views = self.cross_view_global_fusion
        specials = views.specials()[0 if reference else 1]
        specials = specials.expand(len(patches), -1, -1)
        tokens = torch.cat([specials, patches.to(specials.dtype)], dim=1)
        rope = self.rope(shape, patches.device)
        parallel = self.time_branch and self.config.arrangement == "parallel"
        temporal = self.cross_time_local_fusion.begin(tokens, rope) if parallel else None
        return Start(views.begin(tokens, rope), temporal)

    def finish_views(
        self,
        start: FrameStart,
        shape: GridShape,
        valid: Tensor | None,
        rows: Tensor | None = None,
    ) -> list[Tensor]:
        """As ``fuse_views``, of frames begun; the last tap only at ``rows`` (see ``used_rows``)."""
        rope = self.rope(shape, start.within.device)
        return self.cross_view_global_fusion.finish(start, shape, rope, valid, rows)

    def finish_steps(
        self,
        start: Start,
        spatial: list[Tensor],
        shape: GridShape,
        valid: Tensor | None,
        steps: tuple[int, ...] | None = None,
        motion_of: str = "all",
    ) -> Taps:
        """As ``fuse_steps``, of frames begun; taps as the heads need them for dense ``steps``."""
        if start.temporal is None:
            return self.fuse_steps(start.spatial.within, spatial, shape, valid)
        wanted = None
        if steps is not None:
            used = self.with_neighbours(steps, shape.steps, motion_of)
            if not used:  # poses alone do not see this branch
                return Taps(spatial, spatial)
            wanted = range(used[0], used[-1] + 1)
        rope = self.rope(shape, start.temporal.device)
        time = self.cross_time_local_fusion
        return Taps(spatial, time.finish(start.temporal, shape, rope, valid, wanted))

    def with_neighbours(
        self, steps: tuple[int, ...], count: int, motion_of: str = "all"
    ) -> tuple[int, ...]:
        """The dense steps and those that flow needs beside them."""
        if self.config.motion is None or motion_of == "none" or not steps:
            return steps
        sources = steps[-1:] if motion_of == "flow" else steps
        near = {*steps, *(step + sign for step in sources for sign in (-1, 1))}
        return tuple(sorted(step for step in near if 0 <= step < count))

    def used_rows(self, shape: GridShape, steps: tuple[int, ...]) -> Tensor | None:
        """Which of a window's S*P tokens the heads see of the space branch's last tap.

        Those of the dense frames, and the camera token of all; None: all tokens.
        """
        if self.config.arrangement not in ("parallel", "spatial") or self.config.pairs:
            return None
        if not self.time_branch:
            steps = self.with_neighbours(steps, shape.steps)
        if len(steps) == shape.steps:
            return None
        tokens = self.specials + shape.height * shape.width
        wanted = torch.zeros(shape.steps, shape.views, tokens, dtype=torch.bool)
        wanted[:, :, 0] = True
        wanted[list(steps)] = True
        return wanted.flatten().nonzero()[:, 0]

    def fuse_views(self, tokens: Tensor, shape: GridShape, valid: Tensor | None) -> list[Tensor]:
        """Taps of the space branch for tokens (B*S, P, C), specials included."""
        rope = self.rope(shape, tokens.device)
        return self.cross_view_global_fusion(tokens, shape, rope, valid)

    def fuse_steps(
        self, tokens: Tensor, spatial: list[Tensor], shape: GridShape, valid: Tensor | None
    ) -> Taps:
        """Adds the taps of the time branch."""
        if not self.time_branch:
            return Taps(spatial, spatial)
        if self.config.arrangement != "parallel":
            tokens = spatial[-1][..., self.config.embed_dim :]
        rope = self.rope(shape, tokens.device)
        return Taps(spatial, self.cross_time_local_fusion(tokens, shape, rope, valid))

    def fuse_branches(self, taps: Taps, shape: GridShape, steps: tuple[int, ...]) -> list[Tensor]:
        """Patch tokens of the dense frames at each tap, (B*D*V, h*w, 2C)."""
        spatial = [select_steps(tap, shape, steps)[:, self.specials :] for tap in taps.spatial]
        if not self.time_branch:
            return spatial
        temporal = [select_steps(tap, shape, steps)[:, self.specials :] for tap in taps.temporal]
        return self.spatiotemporal_dense_fusion(spatial, temporal)
