# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Matches of cells made sharp: looked at once more on maps at 1/2, and how far off they still are.

How exact a pose is hangs on how exact its matches are, far more than on their number: on
renderings the median error of rotation would halve if all right matches lay where they should.
Places are as in ``pair_refine``. The uncertainty is learned as the scale of a Laplace distribution
(Kendall and Gal 2017), so that exact matches count more in the fit than vague ones.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from vggt4d_ros.model.correlation import cell_grid, enlarge
from vggt4d_ros.model.layers import Conv2d
from vggt4d_ros.model.pair_refine import SHARPNESS, FineMaps, FineMatches

WIDTH = 24  # channels of what is compared
HIDDEN = 64
RADIUS = 3  # cells at 1/2 around a place that are looked at
SIDE = 2 * RADIUS + 1
REPEATS = 2
SCALE = 4  # cells at 1/2 along the side of one at 1/8
SPREADS = (-6.0, 1.0)  # of the logarithm of the scale, cells at 1/8


class PairSharpener(nn.Module):
    """Corrects places from the likeness of what is around them at 1/2; the same step, repeated."""

    def __init__(self, skip: int, coarse: int) -> None:
        """Takes the channels of the encoder's map at 1/2 and of the coarse matches' maps."""
        super().__init__()
        self.cell = Conv2d(skip, WIDTH, 2 * SCALE, stride=SCALE, padding=SCALE // 2)
        self.around = Conv2d(skip, WIDTH, 3, padding=1)
        self.coarse = nn.ModuleList(Conv2d(coarse, WIDTH, 1) for _ in range(2))
        self.mix = Conv2d(SIDE**2 + WIDTH + 2 + 3, HIDDEN, 1)
        self.conv1 = Conv2d(HIDDEN, HIDDEN, 3, padding=1)
        self.conv2 = Conv2d(HIDDEN, HIDDEN, 3, padding=1)
        self.out = Conv2d(HIDDEN, 4, 3, padding=1)

    def start(self) -> None:
        """Untrained, it changes nothing much."""
        nn.init.normal_(self.out.weight, std=1e-3)

    def features(self, half: Tensor, maps: Tensor) -> FineMaps:
        """Of N frames, from the encoder's maps at 1/2 and those of the coarse matches at 1/8."""
        cells = self.cell(half) + self.coarse[0](maps)
        around = self.around(half) + enlarge(self.coarse[1](maps), SCALE)
        unit = (functional.normalize(x.float(), dim=1) for x in (cells, around))
        return FineMaps(*(SHARPNESS**0.5 * x for x in unit))

    def forward(self, cells: Tensor, around: Tensor, matches: FineMatches) -> FineMatches:
        """Better places, and how exact they are.

        Args:
            cells: (N, WIDTH, h, w) ``FineMaps.cells`` of the first frames.
            around: (N, WIDTH, 4h, 4w) of the second frames.
            matches: of ``PairRefiner``; no path for gradients.
        """
        size = (cells.shape[-2], cells.shape[-1])
        grid = cell_grid(*size, cells.device)
        chance = matches.sure.detach().unflatten(1, size)[:, None]
        logits = matches.logits.detach().unflatten(1, size)[:, None]
        spread = torch.full_like(logits, -3.0)
        stages, likeness, spreads = [matches.stages[-1].detach()], [], []
        for _ in range(REPEATS):
            # where to look is no path for gradients (as in RAFT)
            place = stages[-1].detach().transpose(1, 2).unflatten(2, size)  # (N, 2, h, w)
            near = look_around(cells, around, place)
            likeness.append(near.flatten(2).transpose(1, 2))
            known = [(place - grid) / 4, chance, logits.detach() / 4, spread.detach()]
            x = functional.relu(self.mix(torch.cat([near / 4, cells, *known], dim=1)))
            x = functional.relu(x + self.conv2(functional.relu(self.conv1(x))))
            change, surer, wider = self.out(x).float().split([2, 1, 1], dim=1)
            stages.append((place + change).flatten(2).transpose(1, 2))
            logits = logits.detach() + surer
            spread = (spread.detach() + wider).clamp(*SPREADS)
            spreads.append(spread.flatten(1))
        return FineMatches(stages, matches.sure, logits.flatten(1), likeness, tuple(spreads))


def look_around(cells: Tensor, around: Tensor, place: Tensor) -> Tensor:
    """Products of each cell with what is around its place, (N, SIDE^2, h, w); 0 outside the image.

    Args:
        cells: (N, D, h, w).
        around: (N, D, 4h, 4w).
        place: (N, 2, h, w) in cells.
    """
    height, width = around.shape[-2:]
    offsets = cell_grid(SIDE, SIDE, cells.device).flatten(1) - RADIUS  # (2, SIDE^2)
    # a place's own unit has its middle at SCALE * place + (SCALE - 1) / 2 of the finer one
    at = SCALE * (place.flatten(2)[..., None] + 0.5) + offsets[:, None]  # (N, 2, P, SIDE^2)
    size = torch.tensor([width, height], device=at.device, dtype=at.dtype).view(2, 1, 1)
    # grid_sample without aligned corners: the image is [-1, 1]
    where = (2 * at / size - 1).permute(0, 2, 3, 1)
    found = functional.grid_sample(around, where, align_corners=False)  # (N, D, P, SIDE^2)
    near = (found * cells.flatten(2)[..., None]).sum(1)  # (N, P, SIDE^2)
    return near.transpose(1, 2).unflatten(2, cells.shape[-2:])
