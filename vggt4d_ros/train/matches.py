# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which cell of the reference frame shows the same point, and the loss of finding it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from vggt4d_ros.data.windows import project_points
from vggt4d_ros.train.targets import Targets

CELL = 8  # pixels
SAME = 0.06  # two depths closer than this share of the depth are the same surface
UNSEEN_WEIGHT = 0.3  # of cells that the reference does not show: they are the easier ones


class MatchTargets(NamedTuple):
    """Labels of B windows of S frames, P cells of CELL pixels each, row by row."""

    place: Tensor  # (B, S, P, 2) cells of the reference image, fractions too
    seen: Tensor  # (B, S, P) bool: the reference shows the cell's point
    known: Tensor  # (B, S, P) bool: whether it does is known


def match_targets(targets: Targets) -> MatchTargets:
    """Labels from depth and poses; points that moved since the reference's step are not known."""
    batch = targets.batch
    count, steps, views, height, width = batch.shape
    first = batch.valid.flatten(1).float().argmax(1)
    rows = torch.arange(count, device=first.device)
    half = CELL // 2
    points = targets.points[:, :, :, half::CELL, half::CELL].flatten(1, 2).flatten(2, 3)
    known = targets.points_valid[:, :, :, half::CELL, half::CELL].flatten(1, 2).flatten(2, 3)
    moved = batch.dynamic[:, :, :, half::CELL, half::CELL].flatten(1, 2).flatten(2, 3)
    step = torch.arange(steps * views, device=first.device) // views
    known = known & ~(moved & (step != step[first][:, None])[..., None])
    camera = batch.intrinsics.flatten(1, 2)[rows, first]
    ahead = points[..., 2] > 1e-3
    safe = torch.where(ahead[..., None], points, torch.ones_like(points))
    pixel = project_points(safe, camera)  # (B, S, P, 2)
    at = pixel.round().nan_to_num(-1e4).clamp(-1e4, 1e4).long()
    limit = torch.tensor([width, height], device=at.device)
    inside = ahead & ((at >= 0) & (at < limit)).all(-1)
    index = (at[..., 1].clamp(0, height - 1) * width + at[..., 0].clamp(0, width - 1)).flatten(1)
    surface = targets.depth.flatten(1, 2)[rows, first].flatten(1).gather(1, index)
    surface_known = targets.depth_valid.flatten(1, 2)[rows, first].flatten(1).gather(1, index)
    surface, surface_known = surface.view_as(inside), surface_known.view_as(inside)
    same = (points[..., 2] - surface).abs() < SAME * surface
    other = torch.ones_like(known)
    other[rows, first] = False  # the reference is not compared with itself
    # the point sampled lies half a pixel beyond the cell's centre
    place = pixel / CELL - 0.5
    return MatchTargets(place, inside & same & surface_known, known & other)


def match_loss(logits: Tensor, targets: MatchTargets, size: tuple[int, int]) -> Tensor:
    """Cross-entropy of the four cells around the place, or of not being seen.

    Args:
        logits: (B, S, P, P + 1), the last one of not being seen.
        targets: labels.
        size: rows and columns of cells.
    """
    height, width = size
    score = functional.log_softmax(logits, dim=-1)
    place = targets.place.nan_to_num().clamp(-1e4, 1e4)
    corner = place.floor()
    part = place - corner
    found = torch.zeros_like(score[..., 0])
    for dv in (0, 1):
        for du in (0, 1):
            share = (part[..., 0] if du else 1 - part[..., 0]) * (
                part[..., 1] if dv else 1 - part[..., 1]
            )
            column = (corner[..., 0] + du).clamp(0, width - 1)
            row = (corner[..., 1] + dv).clamp(0, height - 1)
            index = (row * width + column).long()
            found = found + share * score.gather(-1, index[..., None])[..., 0]
    seen, hidden = targets.known & targets.seen, targets.known & ~targets.seen
    cost = -(
        torch.where(seen, found, 0.0).sum()
        + UNSEEN_WEIGHT * torch.where(hidden, score[..., -1], 0.0).sum()
    )
    return cost / (seen.sum() + UNSEEN_WEIGHT * hidden.sum()).clamp(min=1)


def coarse_depth_loss(log_depth: Tensor, targets: Targets) -> Tensor:
    """Error of the coarse log depth (B, S, 2h, 2w) against the pixel in the middle of each cell."""
    half = CELL // 2
    depth = targets.depth[..., half::CELL, half::CELL].flatten(1, 2)
    known = targets.depth_valid[..., half::CELL, half::CELL].flatten(1, 2)
    goal = torch.where(known, depth, 1.0).clamp(min=1e-4).log()
    return torch.where(known, (log_depth - goal).abs(), 0.0).sum() / known.sum().clamp(min=1)
