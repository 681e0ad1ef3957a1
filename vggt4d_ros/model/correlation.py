# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Comparing feature maps: global matching, warping, local correlation, upsampling of flow.

Flow is in cells of its own map, channels (du, dv); cell (u, v) is (column, row), integer at the
cell's centre.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def cell_grid(height: int, width: int, device: torch.device) -> Tensor:
    """Coordinates of all cells, (2, height, width), channels (u, v)."""
    v = torch.arange(height, device=device, dtype=torch.float32)
    u = torch.arange(width, device=device, dtype=torch.float32)
    return torch.stack([u[None].expand(height, width), v[:, None].expand(height, width)])


def match_globally(source: Tensor, target: Tensor, closeness: Tensor) -> tuple[Tensor, Tensor]:
    """Expected displacement under a softmax over all target cells (GMFlow, Xu et al. 2022, eq. 3).

    A cell r cells away loses ``closeness * r^2`` of its logit, so that features which say nothing
    mean no motion.

    Args:
        source: (N, D, h, w) features.
        target: (N, D, h, w) features.
        closeness: scalar >= 0.

    Returns:
        Flow (N, 2, h, w) and the probability of the best cell (N, 1, h, w).
    """
    count, dim, height, width = source.shape
    cells = cell_grid(height, width, source.device).flatten(1)  # (2, h*w)
    logits = source.flatten(2).transpose(1, 2) @ target.flatten(2) * dim**-0.5  # (N, hw, hw)
    distance = (cells[:, :, None] - cells[:, None]).square().sum(0)
    probability = (logits - closeness * distance).softmax(-1)
    expected = probability @ cells.T  # (N, hw, 2)
    flow = (expected - cells.T).transpose(1, 2).reshape(count, 2, height, width)
    best = probability.amax(-1).reshape(count, 1, height, width)
    return flow, best


def found_back(likeness: Tensor, height: int, width: int) -> Tensor:
    """Whether a cell's best match has the cell, or one beside it, as its own best; (N, P) bool.

    Args:
        likeness: (N, P, P) of each cell of one frame with each of another.
        height: rows of cells.
        width: columns of cells; height * width is P.
    """
    # as maxima: torch's argmax takes five times as long across rows
    best, back = likeness.max(-1).indices, likeness.max(-2).indices
    back = back.gather(-1, best)  # (N, P) cells of the first frame
    own = torch.arange(height * width, device=likeness.device)
    rows, columns = back // width - own // width, back % width - own % width
    return (rows.abs() <= 1) & (columns.abs() <= 1)


def around_cells(best: Tensor, height: int, width: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The 3x3 cells around each cell ``best`` (..., P), counted row by row: each (..., P, 9).

    Their columns and rows, whether they are inside the map, and their numbers, 0 outside.
    """
    around = (cell_grid(3, 3, best.device) - 1).flatten(1).long()  # (2, 9)
    columns, rows = (best % width)[..., None] + around[0], (best // width)[..., None] + around[1]
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    return columns, rows, inside, torch.where(inside, rows * width + columns, 0)


def warp(features: Tensor, flow: Tensor) -> Tensor:
    """Samples features (N, D, h, w) where flow (N, 2, h, w) points; zero outside."""
    height, width = features.shape[-2:]
    at = cell_grid(height, width, flow.device) + flow
    # grid_sample without aligned corners: cell i of n lies at (2i + 1) / n - 1
    size = torch.tensor([width, height], device=flow.device, dtype=flow.dtype).view(2, 1, 1)
    grid = ((2 * at + 1) / size - 1).permute(0, 2, 3, 1)
    return functional.grid_sample(
        features, grid.to(features.dtype), mode="bilinear", align_corners=False
    )


def correlate_locally(source: Tensor, target: Tensor, radius: int) -> Tensor:
    """Products of each cell with the (2r+1)^2 target cells around it, (N, (2r+1)^2, h, w)."""
    height, width = source.shape[-2:]
    padded = functional.pad(target, (radius,) * 4)
    span = range(2 * radius + 1)
    products = [
        (source * padded[:, :, dv : dv + height, du : du + width]).sum(1)
        for dv in span
        for du in span
    ]
    return torch.stack(products, dim=1) * source.shape[1] ** -0.5


def enlarge(maps: Tensor, factor: int) -> Tensor:
    """Bilinear enlargement that keeps the image's borders where they are."""
    return functional.interpolate(
        maps, scale_factor=float(factor), mode="bilinear", align_corners=False
    )


def convex_upsample(flow: Tensor, weights: Tensor, factor: int) -> Tensor:
    """Enlarges a map: each fine cell is a mean of the 9 coarse ones around it (RAFT, sec. 3.3).

    Args:
        flow: (N, K, h, w); flow must be multiplied by ``factor`` beforehand.
        weights: (N, 9 * factor^2, h, w) logits.
        factor: how much finer the result is.
    """
    count, channels, height, width = flow.shape
    share = weights.view(count, 1, 9, factor, factor, height, width).softmax(2)
    padded = functional.pad(flow, (1, 1, 1, 1), mode="replicate")
    near = functional.unfold(padded, 3).view(count, channels, 9, 1, 1, height, width)
    fine = (share * near).sum(2)  # (N, K, f, f, h, w)
    return fine.permute(0, 1, 4, 2, 5, 3).reshape(count, channels, height * factor, width * factor)


def sample_points(maps: Tensor, points: Tensor) -> Tensor:
    """Bilinear samples of maps (N, D, h, w) at cells (N, M, 2), (N, M, D); edge values outside."""
    height, width = maps.shape[-2:]
    size = torch.tensor([width, height], device=points.device, dtype=points.dtype)
    grid = ((2 * points + 1) / size - 1)[:, :, None]
    sampled = functional.grid_sample(
        maps, grid.to(maps.dtype), mode="bilinear", align_corners=False, padding_mode="border"
    )
    return sampled[..., 0].transpose(1, 2)
