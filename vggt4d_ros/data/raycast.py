# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""First hits of all pixel rays of many frames, analytically.

Frames are cut into tiles; a primitive is tested in the tiles that its bounding ball may touch.
A ray has z = 1 in its camera, so that the ray parameter is the depth. In the coordinates of a unit
primitive a ray stays a straight line with the same parameter.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vggt4d_ros.data.primitives import BALL, BOX, CYLINDER

TILE = 8  # pixels
NEAR = 0.02  # metres; nearer surfaces are not seen
_BITS = 22  # of the number of a (tile, primitive) pair in the sort key


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """Primitives seen from each of F frames; the last of the K is the room."""

    kind: Tensor  # (F, K) long; -1 where a scene has fewer
    ball: Tensor  # (F, K, 4) centre in the camera and radius of the bounding ball
    part_from_pixel: Tensor  # (F, K, 3, 3): (u, v, 1) to the ray's direction in the unit primitive
    eye: Tensor  # (F, K, 3) camera centre in the unit primitive
    pixel_rays: Tensor  # (F, 3, 3): (u, v, 1) to the ray in the camera


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """What each pixel sees."""

    depth: Tensor  # (F, H, W)
    primitive: Tensor  # (F, H, W) long, 0..K-1
    point: Tensor  # (F, H, W, 3) in the unit primitive
    direction: Tensor  # (F, H, W, 3) of the ray, in the unit primitive


def cast_rays(placed: Placed, height: int, width: int) -> Hits:
    """Finds the nearest surface along every pixel's ray.

    Raises:
        ValueError: the image size is no multiple of TILE.
    """
    if height % TILE or width % TILE:
        raise ValueError(f"image size must be a multiple of {TILE}, got {height} x {width}")
    frames, count = placed.kind.shape
    pixels = _tile_pixels(height, width, placed.eye)  # (N, TILE*TILE, 3)
    tiles = len(pixels)
    background = _room_depth(placed, pixels)  # (F, N, P)
    pair_frame, pair_tile, pair_part = _touched(placed, pixels)
    room = count - 1
    key = (background.view(torch.int32).long() << _BITS).flatten(0, 1)  # pair 0 is the room
    if len(pair_frame):
        if len(pair_frame) >= 1 << _BITS:
            raise ValueError(
                f"{len(pair_frame)} tile pairs in one call; render fewer frames at once"
            )
        depth = _pair_depth(placed, pixels, pair_frame, pair_tile, pair_part)
        number = torch.arange(1, len(pair_frame) + 1, device=depth.device)[:, None]
        found = (depth.view(torch.int32).long() << _BITS) | number
        row = (pair_frame * tiles + pair_tile)[:, None].expand_as(found)
        # positive floats sort like their bits: one minimum gives depth and owner
        key.scatter_reduce_(0, row, found, "amin")
    depth = (key >> _BITS).int().view(torch.float32)
    owner = torch.cat([pair_part.new_full((1,), room), pair_part])[key & ((1 << _BITS) - 1)]
    depth, owner = (_untile(x.unflatten(0, (frames, tiles)), height, width) for x in (depth, owner))
    flat = (owner + torch.arange(frames, device=owner.device)[:, None, None] * count).flatten()
    grid = _untile(pixels[None], height, width)[0].reshape(1, height * width, 3)
    uv1 = grid.expand(frames, -1, -1).reshape(-1, 3)
    matrix = placed.part_from_pixel.flatten(0, 1)[flat]
    direction = (matrix @ uv1[:, :, None])[..., 0]
    point = placed.eye.flatten(0, 1)[flat] + direction * depth.flatten()[:, None]
    shape = (frames, height, width, 3)
    return Hits(depth, owner, point.view(shape), direction.view(shape))


def _tile_pixels(height: int, width: int, like: Tensor) -> Tensor:
    """(u, v, 1) of the pixels of each tile, (N, TILE * TILE, 3)."""
    v, u = torch.meshgrid(
        torch.arange(height, device=like.device),
        torch.arange(width, device=like.device),
        indexing="ij",
    )
    uv1 = torch.stack([u, v, torch.ones_like(u)], -1).to(like.dtype)
    tiles = uv1.view(height // TILE, TILE, width // TILE, TILE, 3).permute(0, 2, 1, 3, 4)
    return tiles.reshape(-1, TILE * TILE, 3)


def _untile(x: Tensor, height: int, width: int) -> Tensor:
    """(F, N, TILE * TILE, ...) to (F, H, W, ...)."""
    rest = x.shape[3:]
    x = x.reshape(len(x), height // TILE, width // TILE, TILE, TILE, *rest)
    return x.transpose(2, 3).reshape(len(x), height, width, *rest)


def _touched(placed: Placed, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Numbers (frame, tile, primitive) of the pairs whose bounding ball may be seen in the tile."""
    side = TILE - 1
    corners = pixels[:, [0, side, -1 - side, -1]]
    middle = corners.mean(1, keepdim=True)
    rays = torch.einsum("fij,npj->fnpi", placed.pixel_rays, torch.cat([middle, corners], 1))
    rays = rays / rays.norm(dim=-1, keepdim=True)
    axis = rays[:, :, 0]  # (F, N, 3)
    spread = (rays[:, :, 1:] @ axis[..., None]).amin((-1, -2)).clamp(-1, 1).acos()  # (F, N)
    center, radius = placed.ball[:, :-1, :3], placed.ball[:, :-1, 3]
    distance = center.norm(dim=-1).clamp(min=1e-6)
    cosine = axis @ (center / distance[..., None]).transpose(1, 2)  # (F, N, K - 1)
    cone = torch.asin((radius / distance).clamp(max=1.0))
    reach = (cone[:, None] + spread[..., None] + 1e-3).clamp(max=torch.pi)
    seen = (cosine > reach.cos()) & (placed.kind[:, None, :-1] >= 0)
    frame, tile, part = seen.nonzero(as_tuple=True)
    return frame, tile, part


def _room_depth(placed: Placed, pixels: Tensor) -> Tensor:
    """Depth at which each ray leaves the room, (F, N, P)."""
    matrix, eye = placed.part_from_pixel[:, -1], placed.eye[:, -1]
    direction = torch.einsum("npj,fij->fnpi", pixels, matrix)
    # the far side of each pair of walls: (sign(d) - eye) / d
    leave = (direction.sign() - eye[:, None, None]) / direction
    return torch.where(direction == 0, torch.inf, leave).amin(-1)


def _pair_depth(
    placed: Placed, pixels: Tensor, frame: Tensor, tile: Tensor, part: Tensor
) -> Tensor:
    """Depth of the first hit for each pair, (M, P); infinite where there is none."""
    kind = placed.kind[frame, part]
    depth = pixels.new_full((len(frame), pixels.shape[1]), torch.inf)
    for which, intersect in ((BOX, _hit_box), (BALL, _hit_ball), (CYLINDER, _hit_cylinder)):
        rows = (kind == which).nonzero()[:, 0]
        if not len(rows):
            continue
        f, k = frame[rows], part[rows]
        matrix = placed.part_from_pixel[f, k]  # (M', 3, 3)
        direction = matrix @ pixels[tile[rows]].transpose(1, 2)  # (M', 3, P)
        near, far = intersect(placed.eye[f, k][:, :, None], direction)
        hit = (near < far) & (near > NEAR)
        depth[rows] = torch.where(hit, near, torch.inf)
    return depth


def _slab(eye: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """Interval in which a ray is within [-1, 1]."""
    inverse = 1.0 / torch.where(direction == 0, 1e-12, direction)
    middle, half = -eye * inverse, inverse.abs()
    return middle - half, middle + half


def _hit_box(eye: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    near, far = _slab(eye, direction)
    return near.amax(1), far.amin(1)


def _quadric(eye: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """Interval in which |eye + t direction| < 1; empty (inf, -inf) where the ray misses."""
    a = (direction * direction).sum(1).clamp(min=1e-20)
    b = (direction * eye).sum(1)
    c = (eye * eye).sum(1) - 1.0
    square = b * b - a * c
    root = square.clamp(min=0).sqrt()
    missed = square <= 0
    near = torch.where(missed, torch.inf, (-b - root) / a)
    far = torch.where(missed, -torch.inf, (-b + root) / a)
    return near, far


def _hit_ball(eye: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    return _quadric(eye, direction)


def _hit_cylinder(eye: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    near, far = _quadric(eye[:, [0, 2]], direction[:, [0, 2]])
    low, high = _slab(eye[:, 1], direction[:, 1])
    return torch.maximum(near, low), torch.minimum(far, high)
