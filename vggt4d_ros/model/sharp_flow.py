# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Flow corrected once more at 1/2 of the image, so that things keep their edges and thin parts.

An option of the compact network (``MotionConfig.sharp_flow``), in neither the paper nor the
release. Cells at 1/4 of a small image are wide: the legs of a chair, and the surface it stands
before, share them. The step is that of ``flow.Refinement``, RAFT's (Teed and Deng 2020), on maps
of few channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from vggt4d_ros.model.correlation import convex_upsample, correlate_locally, enlarge, warp
from vggt4d_ros.model.layers import Conv2d

WIDTH = 16  # channels of what is compared
HIDDEN = 32
RADIUS = 2  # cells at 1/2 around a place that are looked at


class SharpFeatures(nn.Module):
    """What frames are compared by at 1/2."""

    def __init__(self, skip: int, quarter: int) -> None:
        """Takes the channels of the encoder's map at 1/2 and of the matching features at 1/4."""
        super().__init__()
        self.detail = Conv2d(skip, WIDTH, 3, padding=1)
        self.coarse = Conv2d(quarter, WIDTH, 1)

    def forward(self, half: Tensor, quarter: Tensor) -> Tensor:
        """Features (N, WIDTH, h, w) of N frames, of about unit size."""
        found = self.detail(half) + enlarge(self.coarse(quarter), 2)
        return functional.normalize(found.float(), dim=1) * WIDTH**0.5


class SharpFlow(nn.Module):
    """Corrects flow from the correlation around where it points, and enlarges it."""

    def __init__(self, hidden: int) -> None:
        """Takes the channels of the hidden state of the correction at 1/4."""
        super().__init__()
        self.before = Conv2d(hidden, WIDTH, 1)
        self.mix = Conv2d((2 * RADIUS + 1) ** 2 + 2 * WIDTH + 3, HIDDEN, 1)
        self.conv1 = Conv2d(HIDDEN, HIDDEN, 3, padding=1)
        self.conv2 = Conv2d(HIDDEN, HIDDEN, 3, padding=1)
        self.out = Conv2d(HIDDEN, 3, 3, padding=1)
        self.weights = Conv2d(HIDDEN, 9 * 4, 3, padding=1)

    def start(self) -> None:
        """Untrained, it changes nothing much."""
        nn.init.normal_(self.out.weight, std=1e-3)
        nn.init.normal_(self.weights.weight, std=1e-3)
        assert self.weights.bias is not None
        with torch.no_grad():
            self.weights.bias[4 * 4 : 5 * 4] = 2.0  # of the 9 cells around a pixel its own

    def forward(self, source: Tensor, target: Tensor, fine: Tensor, hidden: Tensor) -> Tensor:
        """Better flow and logits of N pairs at the full size, (N, 3, 2h, 2w).

        Args:
            source: (N, WIDTH, h, w) features of the first frames.
            target: of the second ones.
            fine: (N, 3, 2h, 2w) flow in its own cells, and logits of it being right.
            hidden: (N, K, h/2, w/2) state of the last correction at 1/4.
        """
        flow, logits = functional.avg_pool2d(fine, 2).split([2, 1], dim=1)
        flow = flow / 2
        # where to look is no path for gradients, as in ``flow.Refinement``
        place = flow.detach()
        near = correlate_locally(source, warp(target, place), RADIUS)
        before = enlarge(self.before(hidden), 2)
        seen = torch.cat([near / 4, source, before, place / 8, logits.detach()], dim=1)
        del near, before  # the largest maps of the motion heads: not kept beside their copy
        x = functional.relu(self.mix(seen))
        del seen
        x = functional.relu(x + self.conv2(functional.relu(self.conv1(x))))
        change, surer = self.out(x).float().split([2, 1], dim=1)
        both = torch.cat([2 * (flow + change), logits + surer], dim=1)
        return convex_upsample(both, self.weights(x).float(), 2)
