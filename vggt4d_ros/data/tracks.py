# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Point tracks of rendered windows: some pixels, and where their points are at every step.

A pixel's point is fixed to its primitive, so its place at any other step is exact.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from vggt4d_ros.data.place import Tables
from vggt4d_ros.data.raycast import NEAR, Hits

QUERIES = 48  # of a window
MOVING_SHARE = 0.5  # of them on moving points, where there are any


class Tracks(NamedTuple):
    """N queries of each of B windows; places are in the query's own camera."""

    queries: Tensor  # (B, N, 4) long: step, view, row, column
    places: Tensor  # (B, N, T, 2) pixels (u, v)
    seen: Tensor  # (B, N, T) bool: inside the image and not hidden
    known: Tensor  # (B, N, T) bool: both frames are there and the point is ahead of the camera


def sample_tracks(
    tables: Tables, hits: Hits, face: Tensor, moving: Tensor, valid: Tensor, seed: int
) -> Tracks:
    """Draws queries and follows them.

    Args:
        tables: of the scenes.
        hits: what the F = B*T*V frames see.
        face: (F, H, W) long, tells the faces of one frame's primitives apart.
        moving: (B, T, V, H, W) bool, pixels whose point moves in the world.
        valid: (B, T, V) bool.
        seed: of the choice.
    """
    count, steps, views, height, width = moving.shape
    queries = _draw(moving, valid, seed)
    step, view, row, column = queries.unbind(-1)
    window = torch.arange(count, device=queries.device)[:, None]
    frame = (window * steps + step) * views + view  # (B, N)
    part = hits.primitive[frame, row, column]
    point = hits.point[frame, row, column]  # (B, N, 3) in the unit primitive
    own_face = face[frame, row, column]
    every = torch.arange(steps, device=queries.device)
    target = (window[..., None] * steps + every) * views + view[..., None]  # (B, N, T)
    matrix = tables.own_pixel[target, part[..., None]]  # (B, N, T, 3, 4)
    at = (matrix[..., :3] @ point[:, :, None, :, None])[..., 0] + matrix[..., 3]
    depth = at[..., 2]
    ahead = depth > NEAR
    places = at[..., :2] / depth.clamp(min=NEAR)[..., None]
    both = valid[window, step, view][..., None] & valid[window[..., None], every, view[..., None]]
    inside = (places >= -0.5).all(-1) & (places[..., 0] <= width - 0.5)
    inside &= places[..., 1] <= height - 0.5
    corner = places.clamp(-2, 4 * max(height, width)).floor().long()
    seen = torch.zeros_like(inside)
    for dv in (0, 1):
        for du in (0, 1):
            u = (corner[..., 0] + du).clamp(0, width - 1)
            v = (corner[..., 1] + dv).clamp(0, height - 1)
            near = (hits.depth[target, v, u] - depth).abs() < 0.1 * depth
            seen |= near & (face[target, v, u] == own_face[..., None])
    far = 4.0 * max(height, width)
    return Tracks(queries, places.clamp(-far, far), seen & inside & ahead & both, ahead & both)


def _draw(moving: Tensor, valid: Tensor, seed: int) -> Tensor:
    """(B, QUERIES, 4) long; the first ones on moving pixels, all in frames that are there."""
    generator = torch.Generator().manual_seed(seed & 0x7FFFFFFFFFFF)
    shape = moving.shape[1:]
    many = int(QUERIES * MOVING_SHARE)
    rows = []
    for moves, there in zip(moving.cpu(), valid.cpu(), strict=True):
        usable = there[..., None, None].expand_as(moves)
        everywhere = usable.flatten().nonzero()[:, 0]
        some = (moves & usable).flatten().nonzero()[:, 0]
        some = some if len(some) else everywhere
        chosen = torch.cat(
            [
                some[torch.randint(len(some), (many,), generator=generator)],
                everywhere[torch.randint(len(everywhere), (QUERIES - many,), generator=generator)],
            ]
        )
        rows.append(torch.stack(torch.unravel_index(chosen, shape), -1))
    return torch.stack(rows).to(moving.device)
