# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Matches of cells at 1/8 of the image made exact: looked at again on maps at 1/4.

A match over the whole image tells the cell; what is around that place on a finer map tells where in
it, as in RAFT (Teed and Deng 2020), and neighbouring cells tell one another who is wrong. Places
are in cells at 1/8, (column, row), integer at a cell's centre.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from vggt4d_ros.model.correlation import cell_grid, enlarge

WIDTH = 32  # channels of what is compared
HIDDEN = 48
RADIUS = 3  # cells at 1/4 around a place that are looked at
SIDE = 2 * RADIUS + 1
REPEATS = 2
SHARPNESS = 16.0
EXACT = 0.1  # cells: a match so far off counts half of an exact one


class FineMaps(NamedTuple):
    """What N frames are compared by."""

    cells: Tensor  # (N, WIDTH, h, w) at 1/8, of a frame whose cells are sought
    around: Tensor  # (N, WIDTH, 2h, 2w) at 1/4, of a frame they are sought in


class FineMatches(NamedTuple):
    """Of N pairs with P cells."""

    stages: list[Tensor]  # places (N, P, 2), ever better; first those that were given
    sure: Tensor  # (N, P) probability that was given
    logits: Tensor  # (N, P), of the last place being right
    likeness: list[Tensor]  # (N, P, SIDE^2) of what is around each place but the last, row by row
    # (N, P) logarithm of how far off each place but the first is, cells; none where nobody tells
    spreads: tuple[Tensor, ...] = ()

    def settled(self) -> tuple[Tensor, Tensor]:
        """The last places (N, P, 2), and how much they count, (N, P); no path for gradients."""
        weight = self.sure * self.logits.detach().sigmoid()
        if self.spreads:
            # with the logit as well, or the probability as it is, fits are worse: by 5 to 10 %
            off = self.spreads[-1].detach().exp() / EXACT
            weight = self.sure.sqrt() / (1 + off.square())
        return self.stages[-1].detach(), weight


class PairRefiner(nn.Module):
    """Corrects places from the likeness of what is around them; the same step, repeated."""

    def __init__(self, skip: int, coarse: int) -> None:
        """Takes the channels of the encoder's map at 1/4 and of the coarse matches' maps."""
        super().__init__()
        self.cell = nn.Conv2d(skip, WIDTH, 4, stride=2, padding=1)
        self.around = nn.Conv2d(skip, WIDTH, 1)
        self.coarse = nn.ModuleList(nn.Conv2d(coarse, WIDTH, 1) for _ in range(2))
        self.mix = nn.Conv2d(SIDE**2 + WIDTH + 2 + 2, HIDDEN, 1)
        self.conv1 = nn.Conv2d(HIDDEN, HIDDEN, 3, padding=1)
        self.conv2 = nn.Conv2d(HIDDEN, HIDDEN, 3, padding=1)
        self.out = nn.Conv2d(HIDDEN, 3, 3, padding=1)

    def start(self) -> None:
        """Untrained, it changes nothing much."""
        nn.init.normal_(self.out.weight, std=1e-3)

    def features(self, quarter: Tensor, maps: Tensor) -> FineMaps:
        """Of N frames, from the encoder's maps at 1/4 and those of the coarse matches at 1/8."""
        kind = self.cell.weight.dtype
        quarter, maps = quarter.to(kind), maps.to(kind)
        cells = self.cell(quarter) + self.coarse[0](maps)
        around = self.around(quarter) + enlarge(self.coarse[1](maps), 2)
        # products are at most SHARPNESS, as logits of what is alike
        unit = (functional.normalize(x.float(), dim=1) for x in (cells, around))
        return FineMaps(*(SHARPNESS**0.5 * x for x in unit))

    def forward(self, cells: Tensor, around: Tensor, found: Tensor, sure: Tensor) -> FineMatches:
        """Better places.

        Args:
            cells: (N, WIDTH, h, w) ``FineMaps.cells`` of the first frames.
            around: (N, WIDTH, 2h, 2w) of the second frames.
            found: (N, P, 2) places so far; no path for gradients.
            sure: (N, P) their probability.
        """
        size = (cells.shape[-2], cells.shape[-1])
        grid = cell_grid(*size, cells.device)
        found, sure = found.detach(), sure.detach()
        chance = sure.unflatten(1, size)[:, None]
        logits = chance.clamp(0.02, 0.98).logit()
        stages, likeness = [found], []
        for _ in range(REPEATS):
            # where to look is no path for gradients (as in RAFT)
            place = stages[-1].detach().transpose(1, 2).unflatten(2, size)  # (N, 2, h, w)
            near = _likeness(cells, around, place)
            likeness.append(near.flatten(2).transpose(1, 2))
            seen = [near / 4, cells, (place - grid) / 4, chance, logits.detach()]
            x = functional.relu(self.mix(torch.cat(seen, dim=1).to(self.mix.weight.dtype)))
            x = functional.relu(x + self.conv2(functional.relu(self.conv1(x))))
            change, surer = self.out(x).float().split([2, 1], dim=1)
            stages.append((place + change).flatten(2).transpose(1, 2))
            logits = logits + surer
        return FineMatches(stages, sure, logits.flatten(1), likeness)


def _likeness(cells: Tensor, around: Tensor, place: Tensor) -> Tensor:
    """Products of each cell with what is around its place, (N, SIDE^2, h, w); 0 outside the image.

    Args:
        cells: (N, D, h, w).
        around: (N, D, 2h, 2w); between its cells products are linear.
        place: (N, 2, h, w).
    """
    height, width = around.shape[-2:]
    place = 2 * place.flatten(2) + 0.5  # cell i has its centre half a cell after 2i at 1/4
    corner = place.floor()
    right, down = (place - corner)[..., None, None].unbind(1)  # (N, P, 1, 1)
    offsets = cell_grid(SIDE + 1, SIDE + 1, cells.device).flatten(1) - RADIUS
    columns, rows = (corner[..., None] + offsets[:, None]).unbind(1)  # (N, P, (SIDE + 1)^2)
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    index = torch.where(inside, rows * width + columns, 0).long()
    sought = cells.flatten(2).transpose(1, 2)
    # all products of two frames and a choice of them is faster than choosing rows of features;
    # pair by pair, for they are many
    pairs = zip(sought, around.flatten(2), index, strict=True)
    near = torch.stack([(own @ there).gather(1, chosen) for own, there, chosen in pairs])
    near = torch.where(inside, near, 0.0).unflatten(2, (SIDE + 1, SIDE + 1))
    near = torch.lerp(near[:, :, :-1], near[:, :, 1:], down)
    near = torch.lerp(near[..., :-1], near[..., 1:], right).flatten(2)
    return near.transpose(1, 2).unflatten(2, cells.shape[-2:])
