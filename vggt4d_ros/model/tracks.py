# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where query pixels are at every step of the window, in their own camera."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vggt4d_ros.model.config import ModelConfig
from vggt4d_ros.model.correlation import cell_grid, sample_points
from vggt4d_ros.model.flow import CELLS, MotionFeatures
from vggt4d_ros.model.grid import GridShape
from vggt4d_ros.model.layers import Mlp


class TrackRefinement(nn.Module):
    """Corrects positions on one map from the correlation around them."""

    def __init__(self, width: int, hidden: int, radius: int) -> None:
        super().__init__()
        self.radius = radius
        self.mlp = Mlp((2 * radius + 1) ** 2 + width + 2, hidden, 3)

    def forward(
        self, query: Tensor, maps: Tensor, at: Tensor, logits: Tensor, apart: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Better positions (N, M, 2) and logits (N, M).

        Args:
            query: (N, M, F) features to find again.
            maps: (N, F, h, w) where to look.
            at: (N, M, 2) cells.
            logits: (N, M).
            apart: (N, M) steps between query and map.
        """
        place = at.detach()
        side = 2 * self.radius + 1
        around = (cell_grid(side, side, at.device).flatten(1).T - self.radius).to(place.dtype)
        places = (place[:, :, None] + around).flatten(1, 2)  # (N, M*side^2, 2)
        seen = sample_points(maps, places).unflatten(1, (place.shape[1], side * side))
        near = (seen * query[:, :, None]).sum(-1) * query.shape[-1] ** -0.5
        x = torch.cat([near, query, logits.detach()[..., None], apart[..., None]], dim=-1)
        change = self.mlp(x)
        return at + change[..., :2], logits + change[..., 2]

    def start(self) -> None:
        """Untrained, it changes nothing much."""
        nn.init.normal_(self.mlp.fc2.weight, std=1e-3)


class TrackHead(nn.Module):
    """Matches a query's features against every step of its camera, then refines."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        assert config.motion is not None
        options = config.motion
        self.patch = config.patch_size
        self.repeats = options.refinements
        self.eighth = TrackRefinement(options.feature_dim, options.hidden_dim, options.radius)
        self.quarter = TrackRefinement(options.feature_dim, options.hidden_dim, options.radius)

    def forward(
        self, features: MotionFeatures, queries: Tensor, shape: GridShape, closeness: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Positions (B, N, T, 2) in network pixels (u, v) and logits of being visible (B, N, T).

        Args:
            features: of all B*S frames.
            queries: (B, N, 4) long (step, view, row, column), network pixels.
            shape: of the grid.
            closeness: as in ``match_globally``, for neighbouring steps.
        """
        step, view = queries[..., 0], queries[..., 1]
        start = queries[..., [3, 2]].float()  # (B, N, 2) u, v
        steps = torch.arange(shape.steps, device=queries.device)
        apart = (steps - step[..., None]).float()  # (B, N, T)
        at, best = self._match(features.patch, start, step, view, apart, shape, closeness)
        logits = 4 * best - 2
        scale = self.patch / CELLS  # pixels per finest cell
        for size, head, maps, repeats in (
            (8, self.eighth, features.eighth, 1),
            (4, self.quarter, features.quarter, self.repeats),
        ):
            query = _query_features(maps, start, step, view, shape, size * scale)
            for _ in range(repeats):
                at, logits = self._refine(
                    head, query, maps, at, logits, apart, view, shape, size * scale
                )
        here = apart == 0
        at = torch.where(here[..., None], start[:, :, None], at)
        return at, logits

    def _match(
        self,
        maps: Tensor,
        start: Tensor,
        step: Tensor,
        view: Tensor,
        apart: Tensor,
        shape: GridShape,
        closeness: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Expected pixel (B, N, T, 2) under a softmax over the cells of each step, and its peak."""
        query = _query_features(maps, start, step, view, shape, self.patch)  # (B, N, D)
        frames = maps.unflatten(0, (shape.batch, shape.steps, shape.views)).flatten(4)
        logits = torch.einsum("bnd,btvdp->bnvtp", query, frames) * maps.shape[1] ** -0.5
        index = view[:, :, None, None, None].expand(-1, -1, 1, *logits.shape[3:])
        logits = logits.gather(2, index)[:, :, 0]  # (B, N, T, h*w)
        cells = cell_grid(shape.height, shape.width, maps.device).flatten(1).T  # (h*w, 2)
        pixels = (cells + 0.5) * self.patch - 0.5
        distance = (pixels - start[:, :, None]).square().sum(-1) / self.patch**2  # (B, N, h*w)
        reach = apart.abs().clamp(min=0.5).square()[..., None]
        probability = (logits - closeness * distance[:, :, None] / reach).softmax(-1)
        return probability @ pixels, probability.amax(-1)

    def _refine(
        self,
        head: TrackRefinement,
        query: Tensor,
        maps: Tensor,
        at: Tensor,
        logits: Tensor,
        apart: Tensor,
        view: Tensor,
        shape: GridShape,
        cell: float,
    ) -> tuple[Tensor, Tensor]:
        """One correction on maps of ``cell`` pixels; every query looks into its own camera only."""
        batch, count = view.shape
        results = []
        by_camera = maps.unflatten(0, (batch, shape.steps, shape.views))
        for camera in range(shape.views):
            found, surer = head(
                query.repeat_interleave(shape.steps, dim=0),
                by_camera[:, :, camera].flatten(0, 1),
                ((at.transpose(1, 2).flatten(0, 1) + 0.5) / cell - 0.5),
                logits.transpose(1, 2).flatten(0, 1),
                apart.transpose(1, 2).flatten(0, 1),
            )
            results.append(torch.cat([(found + 0.5) * cell - 0.5, surer[..., None]], dim=-1))
        stacked = torch.stack(results, dim=-2).unflatten(0, (batch, shape.steps))
        index = view[:, None, :, None, None].expand(-1, shape.steps, -1, 1, 3)
        chosen = stacked.gather(3, index)[..., 0, :].transpose(1, 2)  # (B, N, T, 3)
        return chosen[..., :2], chosen[..., 2]


def _query_features(
    maps: Tensor, start: Tensor, step: Tensor, view: Tensor, shape: GridShape, cell: float
) -> Tensor:
    """Features (B, N, F) at the query pixels of maps (B*S, F, h, w) of ``cell`` pixels."""
    frames = maps.unflatten(0, (shape.batch, shape.frames))
    places = (start + 0.5) / cell - 0.5
    count = start.shape[1]
    every = sample_points(
        maps, places.repeat_interleave(shape.frames, dim=0)
    )  # (B*S, N, F): all frames, of which one is kept
    every = every.unflatten(0, (shape.batch, shape.frames))
    index = (step * shape.views + view)[:, None, :, None].expand(-1, 1, count, frames.shape[2])
    return every.gather(1, index)[:, 0]
