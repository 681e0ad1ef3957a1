# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which cell of another frame shows the same point, and the losses of finding it."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from vggt4d_ros.data.windows import project_points, transform_points
from vggt4d_ros.model.grid import is_reference
from vggt4d_ros.model.pair_output import PairOutput
from vggt4d_ros.model.pair_refine import FineMatches
from vggt4d_ros.model.pair_sharpen import SCALE
from vggt4d_ros.train.targets import Targets

CELL = 8  # pixels
SAME = 0.06  # two depths closer than this share of the depth are the same surface
OTHERS = 0.5  # weight of the pairs that only training compares
NEAR = 3.0  # cells: places that were wrong by more cannot be corrected on maps at 1/4
RIGHT = 0.25  # cells
STAGE_DECAY = 0.7  # weight of an earlier correction against the next


class MatchTargets(NamedTuple):
    """Labels of B windows of S frames, P cells of CELL pixels each, row by row."""

    place: Tensor  # (B, S, P, 2) cells of the other image, fractions too
    seen: Tensor  # (B, S, P) bool: the other frame shows the cell's point
    known: Tensor  # (B, S, P) bool: whether it does is known


def match_targets(targets: Targets, other: Tensor | None = None) -> MatchTargets:
    """Labels from depth and poses; points that moved since the other frame's step are not known.

    Args:
        targets: of the windows.
        other: (B, S) bool, the one frame of each window to look in, nothing is known where there
            is none; None: the reference.
    """
    batch = targets.batch
    count, steps, views, height, width = batch.shape
    if other is None:
        other = is_reference(batch.valid.flatten(1))
    index = other.float().argmax(1)
    rows = torch.arange(count, device=index.device)
    half = CELL // 2
    points = targets.points[:, :, :, half::CELL, half::CELL].flatten(1, 2).flatten(2, 3)
    points = transform_points(
        targets.cam_from_world.flatten(1, 2)[rows, index][:, None], points[:, :, None]
    )[:, :, 0]
    known = targets.points_valid[:, :, :, half::CELL, half::CELL].flatten(1, 2).flatten(2, 3)
    moved = batch.dynamic[:, :, :, half::CELL, half::CELL].flatten(1, 2).flatten(2, 3)
    step = torch.arange(steps * views, device=index.device) // views
    known = known & ~(moved & (step != step[index][:, None])[..., None])
    camera = batch.intrinsics.flatten(1, 2)[rows, index]
    ahead = points[..., 2] > 1e-3
    safe = torch.where(ahead[..., None], points, torch.ones_like(points))
    pixel = project_points(safe, camera)  # (B, S, P, 2)
    at = pixel.round().nan_to_num(-1e4).clamp(-1e4, 1e4).long()
    limit = torch.tensor([width, height], device=at.device)
    inside = ahead & ((at >= 0) & (at < limit)).all(-1)
    flat = (at[..., 1].clamp(0, height - 1) * width + at[..., 0].clamp(0, width - 1)).flatten(1)
    surface = targets.depth.flatten(1, 2)[rows, index].flatten(1).gather(1, flat)
    surface_known = targets.depth_valid.flatten(1, 2)[rows, index].flatten(1).gather(1, flat)
    surface, surface_known = surface.view_as(inside), surface_known.view_as(inside)
    same = (points[..., 2] - surface).abs() < SAME * surface
    there = other & targets.pose_valid.flatten(1)
    apart = there.any(1, keepdim=True) & ~other  # no frame is compared with itself
    # the point sampled lies half a pixel beyond the cell's centre
    place = pixel / CELL - 0.5
    return MatchTargets(place, inside & same & surface_known, known & apart[..., None])


def match_loss(logits: Tensor, targets: MatchTargets, size: tuple[int, int]) -> Tensor:
    """Cross-entropy of the four cells around the place, or of not being seen.

    Every pair of frames counts the same: those that show little in common are the harder ones.

    Args:
        logits: (B, S, P, P + 1), the last one of not being seen; (B, S, P, P): only where the
            other frame shows the cell is there a cost.
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
    used = targets.known
    if score.shape[-1] == height * width:
        used = used & targets.seen
    gain = torch.where(targets.seen, found, score[..., -1])
    pairs = torch.where(used, gain, 0.0).sum(-1) / used.sum(-1).clamp(min=1)  # (B, S)
    return -pairs.sum() / used.any(-1).sum().clamp(min=1)


def fine_loss(matches: FineMatches, targets: MatchTargets, finer: int = 2) -> Tensor:
    """Distance of corrected places in cells, and cross-entropy of being right.

    Only where the first place is near enough for the right one to be in sight.

    Args:
        matches: of N pairs.
        targets: labels of as many, (N, P, ...).
        finer: cells of the maps looked at along the side of one at 1/8.
    """
    place = targets.place.nan_to_num().clamp(-1e4, 1e4)
    there = targets.known & targets.seen
    total = place.new_zeros(())
    start, *stages = matches.stages
    near = there & (start - place).abs().amax(-1).le(NEAR * 2 / finer)
    for number, stage in enumerate(stages, start=1):
        error = torch.where(near, (stage - place).abs().sum(-1), 0.0)
        weight = STAGE_DECAY ** (len(stages) - number)
        total = total + weight * error.sum() / near.sum().clamp(min=1)
    for stage, spread in zip(stages, matches.spreads, strict=False):
        # minus the logarithm of Laplace's density; where nothing is near, the scale is of no use
        off = (stage.detach() - place).abs().sum(-1)
        cost = torch.where(near, off * (-spread).exp() + 2 * spread, 0.0)
        total = total + 0.05 * cost.sum() / near.sum().clamp(min=1)
    right = there & ((stages[-1].detach() - place).norm(dim=-1) < RIGHT)
    chance = functional.binary_cross_entropy_with_logits(
        matches.logits, right.to(matches.logits.dtype), reduction="none"
    )
    for stage, near in zip(matches.stages[:-1], matches.likeness, strict=True):
        total = total + 0.5 * _likeness_loss(near, place - stage.detach(), there, finer)
    known = targets.known
    return total + 0.2 * torch.where(known, chance, 0.0).sum() / known.sum().clamp(min=1)


def _likeness_loss(near: Tensor, offset: Tensor, there: Tensor, finer: int = 2) -> Tensor:
    """Cross-entropy of the four finer cells around where the point is, of those looked at.

    Without it features learn little from places that nothing corrects yet.

    Args:
        near: (N, P, K^2), the place in its middle.
        offset: (N, P, 2) of the right place, in cells.
        there: (N, P) bool, where there is one.
        finer: as for ``fine_loss``.
    """
    side = math.isqrt(near.shape[-1])
    at = finer * offset + side // 2  # in finer cells from the corner of what is looked at
    corner = at.floor().clamp(0, side - 2)
    part = at - corner
    used = there & (part >= 0).all(-1) & (part <= 1).all(-1)
    score = functional.log_softmax(near, dim=-1)
    found = torch.zeros_like(score[..., 0])
    for dv in (0, 1):
        for du in (0, 1):
            share = (part[..., 0] if du else 1 - part[..., 0]) * (
                part[..., 1] if dv else 1 - part[..., 1]
            )
            index = (corner[..., 1] + dv) * side + corner[..., 0] + du
            found = found + share * score.gather(-1, index.long()[..., None])[..., 0]
    return -torch.where(used, found, 0.0).sum() / used.sum().clamp(min=1)


def pair_loss(pairs: PairOutput, targets: Targets) -> Tensor:
    """Loss of all matches: with the reference, of the reference, and between all other frames.

    What only training compares (ordered pairs whose second frame is not the reference) costs
    OTHERS as much: many more pairs of cameras to learn from at little cost.
    """
    size = (pairs.log_depth.shape[-2], pairs.log_depth.shape[-1])
    valid = targets.batch.valid.flatten(1)
    first = is_reference(valid)
    total = match_loss(pairs.logits, match_targets(targets, first), size)
    second = is_reference(valid & ~first)
    labels = match_targets(targets, second)
    own = MatchTargets(
        labels.place, labels.seen, labels.known & first[..., None]
    )  # of the reference alone
    logits = pairs.partner[:, None].expand(-1, valid.shape[1], -1, -1)
    total = total + match_loss(logits, own, size)
    others = []
    for frame in range(1, valid.shape[1]):
        other = torch.zeros_like(valid)
        other[:, frame] = valid[:, frame] & ~first[:, frame]
        labels = match_targets(targets, other)
        if bool(labels.known.any()):
            product = pairs.features.transpose(-1, -2) @ pairs.features[:, frame, None]
            others.append(match_loss(product, labels, size))
    if others:
        total = total + OTHERS * torch.stack(others).mean()
    return total


def closer_loss(pairs: PairOutput, targets: Targets) -> Tensor:
    """Loss of all corrected matches: with the reference, and of the reference."""
    valid = targets.batch.valid.flatten(1)
    first = is_reference(valid)
    labels = MatchTargets(*(x.flatten(0, 1) for x in match_targets(targets, first)))
    index = torch.arange(len(first), device=first.device), first.float().argmax(1)
    second = match_targets(targets, is_reference(valid & ~first))
    backward = MatchTargets(*(x[index] for x in second))
    total = labels.place.new_zeros(())
    for (every, own), finer in zip(pairs.corrected, (2, SCALE), strict=False):
        total = total + fine_loss(every, labels, finer)
        total = total + 0.5 * fine_loss(own, backward, finer)
    return total


def coarse_depth_loss(log_depth: Tensor, targets: Targets) -> Tensor:
    """Error of the coarse log depth (B, S, 2h, 2w) against the pixel in the middle of each cell."""
    half = CELL // 2
    depth = targets.depth[..., half::CELL, half::CELL].flatten(1, 2)
    known = targets.depth_valid[..., half::CELL, half::CELL].flatten(1, 2)
    goal = torch.where(known, depth, 1.0).clamp(min=1e-4).log()
    return torch.where(known, (log_depth - goal).abs(), 0.0).sum() / known.sum().clamp(min=1)
