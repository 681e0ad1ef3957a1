# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which of the motions found nearby does a pixel have?

Coarse cells at the edge of a moving thing mix its motion with that of what stands behind it, and a
correction that looks a few cells around the mixture finds neither. So every cell at 1/4 chooses:
between the flow of coarse cells around it, the best match of such cells in the whole other image,
and standing still; by how alike the images are there (PatchMatch, Barnes et al. 2009), and by how
alike the cell is to where a motion comes from (propagation of GMFlow, Xu et al. 2022).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from vggt4d_ros.model.correlation import around_cells, cell_grid, warp
from vggt4d_ros.model.layers import Conv2d

LIKE = 16  # channels by which cells are told to be of one thing
# where motions come from, cells at 1/8: (columns, rows) away
AROUND = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1), (2, 2), (-2, 2), (2, -2), (-2, -2))
NEAR = AROUND[:5]
CHOICES = len(AROUND) + len(NEAR) + 1
FAR = 2  # the farthest of them
CLOSENESS = 0.005  # what a match a cell further away loses, as for the patches


class FlowChoice(nn.Module):
    """A choice for each cell at 1/4 between motions found at 1/8."""

    def __init__(self, width: int) -> None:
        """Takes the channels of the matching features."""
        super().__init__()
        self.fine = Conv2d(width, LIKE, 1)
        self.coarse = Conv2d(width, LIKE, 1)
        self.bias = nn.Parameter(torch.zeros(CHOICES))
        # of the likeness of the images in a cell, of that around it, of cells, of the logits
        self.gain = nn.Parameter(torch.tensor([1.0, 1.0, 4.0, 0.3]))

    def start(self) -> None:
        """Untrained, a cell has mostly the motion of the coarse cell it lies in."""
        with torch.no_grad():
            self.bias[0] = 6.0
            self.gain[:2] = 0.1  # features that nothing was learned for are alike by chance

    def forward(
        self,
        source: tuple[Tensor, Tensor],
        target: tuple[Tensor, Tensor],
        flow: Tensor,
        logits: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Flow (N, 2, 2h, 2w) and logits (N, 1, 2h, 2w) at 1/4, cells.

        Args:
            source: features (N, F, h, w) at 1/8 and (N, F, 2h, 2w) at 1/4 of the first frames.
            target: of the second ones.
            flow: (N, 2, h, w) found so far at 1/8, cells.
            logits: (N, 1, h, w) of it being right.
        """
        own = functional.normalize(self.fine(source[1]).float(), dim=1)
        origin = functional.normalize(self.coarse(source[0]).float(), dim=1)
        best, sure = best_matches(source[0], target[0])
        motions, sureties, scores = [], [], []
        for maps, offsets in (
            (torch.cat([flow, logits, origin], dim=1), AROUND),
            (torch.cat([best, sure, origin], dim=1), NEAR),
        ):
            wide = functional.interpolate(maps, scale_factor=2.0, mode="nearest")
            height, width = wide.shape[-2:]
            padded = functional.pad(wide, (2 * FAR,) * 4, mode="replicate")
            for du, dv in offsets:
                rows, columns = 2 * (FAR + dv), 2 * (FAR + du)
                there = padded[:, :, rows : rows + height, columns : columns + width]
                motion, surety, like = there.split([2, 1, LIKE], dim=1)
                motions.append(2 * motion)
                sureties.append(surety)
                near = self.gain[2] * (own * like).sum(1, keepdim=True) + self.gain[3] * surety
                scores.append(near + self._alike(source[1], target[1], motions[-1]))
        motions.append(torch.zeros_like(motions[0]))
        sureties.append(torch.zeros_like(sureties[0]))
        scores.append(self._alike(source[1], target[1], motions[-1]))
        score = torch.cat(scores, dim=1) + self.bias[:, None, None]
        chance = score.softmax(1)[:, :, None]  # (N, K, 1, 2h, 2w)
        every = torch.stack([torch.cat(x, dim=1) for x in zip(motions, sureties, strict=True)], 1)
        chosen = (chance * every).sum(1)
        return chosen[:, :2], chosen[:, 2:]

    def _alike(self, source: Tensor, target: Tensor, flow: Tensor) -> Tensor:
        """How alike cells are to where flow leads, (N, 1, h, w); no path for its gradients."""
        found = warp(target, flow.detach())
        product = (source * found).sum(1, keepdim=True) * source.shape[1] ** -0.5
        wide = functional.avg_pool2d(product, 5, stride=1, padding=2)
        return self.gain[0] * product + self.gain[1] * wide


def best_matches(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Displacement (N, 2, h, w) to the most alike cell of all, the near one if several are.

    Also the logarithm (N, 1, h, w) of the chance of the likeliest one wherever it lies.
    """
    count, dim, height, width = source.shape
    cells = cell_grid(height, width, source.device).flatten(1)  # (2, P)
    product = source.flatten(2).transpose(1, 2) @ target.flatten(2) * dim**-0.5
    distance = (cells[:, :, None] - cells[:, None]).square().sum(0)
    best = (product - CLOSENESS * distance).max(-1).indices  # (N, P)
    # the mean place of the cells around it, by likeness
    columns, rows, inside, index = around_cells(best, height, width)
    near = product.gather(-1, index)
    share = torch.where(inside, near, -torch.inf).softmax(-1)  # (N, P, 9)
    place = torch.stack([(share * columns).sum(-1), (share * rows).sum(-1)], dim=1)
    flow = (place - cells).view(count, 2, height, width)
    logit = product.amax(-1) - product.logsumexp(-1)
    return flow, logit.view(count, 1, height, width)
