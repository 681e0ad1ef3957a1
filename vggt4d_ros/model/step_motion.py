# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How a camera moved from one step to another, from sharp matches of its two frames.

What moves by itself shows as flow that the camera's motion does not explain, so that an error of
the latter looks like motion everywhere. Sharp matches tell it better than flow does: on renderings
what a wrong camera motion leaves of the flow of static cells is less by a quarter.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from vggt4d_ros.model.pair_geometry import cell_rays, normalise, tangents_of
from vggt4d_ros.model.pair_refine import FineMatches
from vggt4d_ros.model.two_view import Motion, fit_motion


def step_motion(
    matches: FineMatches, depth: Tensor, pose: Tensor, target: Tensor, size: tuple[int, int]
) -> Motion:
    """Motion of N cameras from the source to the target frame; no path for gradients.

    Args:
        matches: of the cells of the source frames, row by row.
        depth: (N, H, W) of the source frames.
        pose: (N, 9) pose encodings of the source frames; only fields of view are used.
        target: (N, 9) of the target frames, likewise.
        size: rows and columns of cells.
    """
    found, weight = matches.settled()
    own, other = (tangents_of(x[:, 7:9].detach()) for x in (pose, target))
    small = functional.interpolate(depth.detach()[:, None], size=size, mode="area")
    points = cell_rays(own, size) * small.flatten(1)[..., None]
    start = torch.eye(3, device=depth.device, dtype=depth.dtype).expand(len(depth), 3, 3)
    return fit_motion(points, normalise(found, other, size), weight, start)
