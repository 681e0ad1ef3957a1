# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Matches of all cells of two frames, and whose maps are compared to correct them."""

from __future__ import annotations

import torch
from torch import Tensor

from vggt4d_ros.model.correlation import around_cells
from vggt4d_ros.model.pair_geometry import pick
from vggt4d_ros.model.pair_refine import FineMaps


def towards_first(maps: FineMaps, first: Tensor) -> FineMaps:
    """For pairs of every frame with the reference."""
    cells, around = (x.unflatten(0, first.shape) for x in maps)
    target = pick(around, first)[:, None].expand_as(around)
    return FineMaps(cells.flatten(0, 1), target.flatten(0, 1))


def from_first(maps: FineMaps, first: Tensor, second: Tensor) -> FineMaps:
    """For the pair of the reference with the second frame."""
    cells, around = (x.unflatten(0, first.shape) for x in maps)
    return FineMaps(pick(cells, first), pick(around, second))


def match_logits(features: Tensor, target: Tensor, unseen: Tensor) -> Tensor:
    """(..., P, P + 1) of features (..., D, P) and logits (..., P) of not being seen."""
    return torch.cat([features.transpose(-1, -2) @ target, unseen[..., None]], dim=-1)


def best_places(logits: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Mean place (N, P, 2) in cells around the best cell, and its probability (N, P)."""
    best = logits[..., :-1].max(-1).indices
    columns, rows, inside, near = around_cells(best, height, width)
    close = torch.where(inside, logits.softmax(-1).gather(-1, near), 0.0)
    sure = close.sum(-1)
    place = torch.stack([(close * columns).sum(-1), (close * rows).sum(-1)], dim=-1)
    return place / sure[..., None].clamp(min=1e-9), sure
