# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The motion between two cameras from matches, by robust Gauss-Newton steps in plain tensors.

Image places are normalised: x/z and y/z in the camera, as rays with z = 1 have them. Everything is
batched, of fixed cost and exportable: no decompositions, no branches on values.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

NEAREST = 0.05  # a point nearer than this to the second camera's plane is not used
# widths of the robust weight, from the first iteration to the last
RAY_WIDTHS = (0.6, 0.4, 0.25, 0.15, 0.1)  # about radians
POINT_WIDTHS = (0.15, 0.1, 0.06, 0.04, 0.03, 0.03)  # normalised image units
PART = 3  # one point in this many tells which start is best
SHIFT_WIDTHS = (float("inf"), 0.8, 0.5, 0.3)  # of the same, of a shift with a given turn
# what keeps a motion that the matches do not tell near the start: share of the weights' sum
TURN_PRIOR = 1e-4
SHIFT_PRIOR = 5e-4
SHIFT_FADE = 0.15  # a shift much longer than this is hardly held back
START_PRIOR = 1e-2  # of a shift that a fit starts from
SIGHT_PRIOR = 1e-3  # of the logarithm of both cameras' sights
HELD = 2  # iterations before the sights may change too
MOST_SIGHT = 0.6  # of a logarithm
PLACE_NOISE = 0.01  # of a match, normalised image units
DEPTH_NOISE = 0.3  # of the logarithm of a point's depth


class Motion(NamedTuple):
    """Of N pairs: a point X of the first camera is at ``rotation @ X + shift`` in the second."""

    rotation: Tensor  # (N, 3, 3)
    shift: Tensor  # (N, 3)
    inliers: Tensor  # (N,) share of the weight that agrees
    error: Tensor  # (N,) weighted mean error of what agrees, normalised image units
    sure: Tensor  # (N, 6) mean curvature of the cost in turn and shift


def solve(matrix: Tensor, right: Tensor) -> Tensor:
    """Solution (N, K) of positive definite systems (N, K, K), by elimination without pivots."""
    size = matrix.shape[-1]
    unit = torch.eye(size, device=matrix.device, dtype=matrix.dtype)
    rows = torch.cat([matrix, right[..., None]], dim=-1)
    for k in range(size):
        pivot = rows[:, k : k + 1] / rows[:, k : k + 1, k : k + 1]
        # every row loses its share of the pivot's, the pivot's own becomes 1 at k
        rows = rows - (rows[:, :, k : k + 1] - unit[:, k : k + 1]) * pivot
    return rows[..., size]


def turn(vector: Tensor) -> Tensor:
    """Rotation matrices (N, 3, 3) of rotation vectors (N, 3), by the half-angle quaternion.

    Exact in direction; the angle is 2 atan(|v| / 2), equal to |v| for the small steps used here.
    """
    x, y, z = (vector / 2).unbind(-1)
    one = torch.ones_like(x)
    s = 2.0 / (1 + x * x + y * y + z * z)
    rows = (
        (1 - s * (y * y + z * z), s * (x * y - z * one), s * (x * z + y * one)),
        (s * (x * y + z * one), 1 - s * (x * x + z * z), s * (y * z - x * one)),
        (s * (x * z - y * one), s * (y * z + x * one), 1 - s * (x * x + y * y)),
    )
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def fit_rotation(first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
    """Rotation (N, 3, 3) that turns unit rays (N, P, 3) of one camera onto those of another."""
    identity = torch.eye(3, device=first.device, dtype=first.dtype)
    rotation = identity.expand(len(first), 3, 3)
    for width in RAY_WIDTHS:
        moved = first @ rotation.transpose(1, 2)
        distance = (moved - second).square().sum(-1)
        share = (weight * _agreement(distance, width))[..., None]
        total = share.sum((1, 2))[:, None, None] + 1e-6
        hessian = total * identity - (share * moved).transpose(1, 2) @ moved
        gradient = (share * torch.linalg.cross(moved, second, dim=-1)).sum(1)
        rotation = turn(solve(hessian + 1e-3 * total * identity, gradient)) @ rotation
    return rotation


def fit_motion(
    points: Tensor,
    target: Tensor,
    weight: Tensor,
    rotation: Tensor,
    sights: bool = False,
    shift: Tensor | None = None,
) -> Motion:
    """Motion that brings points to where they were found in the second image.

    Args:
        points: (N, P, 3) in the first camera, any unit of length.
        target: (N, P, 2) normalised places in the second image.
        weight: (N, P) >= 0, of the matches.
        rotation: (N, 3, 3) to start from.
        sights: the cameras' fields of view are uncertain: the tangents of both may change, and
            with them x and y of points and targets.
        shift: (N, 3) to start from; None: no shift.
    """
    shift = torch.zeros_like(points[:, 0]) if shift is None else shift
    zoom = torch.zeros_like(points[:, 0, :2])  # logarithms of what tangents are multiplied by
    prior = points.new_tensor([TURN_PRIOR] * 3 + [SHIFT_PRIOR] * 3 + [SIGHT_PRIOR] * 2)
    prior = prior if sights else prior[:6]
    total = weight.sum(1) + 1e-6
    for number, width in enumerate(POINT_WIDTHS):
        free = sights and number >= HELD
        fade = SHIFT_FADE**2 / (SHIFT_FADE**2 + shift.square().sum(1, keepdim=True))
        now = torch.cat([prior[:3].expand_as(shift), prior[3:6] * fade], dim=1)
        now = torch.cat([now, prior[6:].expand_as(zoom)], dim=1) if free else now
        stretched, goal = _zoomed(points, target, zoom) if free else (points, target)
        moved = stretched @ rotation.transpose(1, 2) + shift[:, None]
        aside = functional.pad(stretched[..., :2], (0, 1)) @ rotation.transpose(1, 2)
        error, share, jacobian = _linearise(
            moved, shift, goal, weight, width, aside if free else None
        )
        weighted = jacobian * share[..., None, None]
        hessian = torch.einsum("npki,npkj->nij", weighted, jacobian)
        gradient = torch.einsum("npki,npk->ni", weighted, error)
        damping = torch.diag_embed(now * total[:, None] + 1e-6)
        away = functional.pad(torch.cat([shift, zoom], 1) if free else shift, (3, 0))
        gradient = gradient + now * total[:, None] * away
        step = -solve(hessian + damping, gradient).clamp(-0.5, 0.5)
        change = turn(step[:, :3])
        rotation = change @ rotation
        shift = (change @ shift[..., None])[..., 0] + step[:, 3:6]
        if free:
            zoom = (zoom + step[:, 6:]).clamp(-MOST_SIGHT, MOST_SIGHT)
    points, target = _zoomed(points, target, zoom) if sights else (points, target)
    moved = points @ rotation.transpose(1, 2) + shift[:, None]
    error, share, _ = _linearise(moved, shift, target, weight, POINT_WIDTHS[-1])
    agreed = share.sum(1)
    mean = (share * error.square().sum(-1).add(1e-12).sqrt()).sum(1) / (agreed + 1e-6)
    sure = hessian.diagonal(dim1=1, dim2=2)[:, :6] / total[:, None]
    return Motion(rotation, shift, agreed / total, mean, sure)


def _zoomed(points: Tensor, target: Tensor, zoom: Tensor) -> tuple[Tensor, Tensor]:
    """Points (N, P, 3) and places (N, P, 2) with other tangents of the two fields of view."""
    scale = zoom.exp()
    places = points[..., :2] * scale[:, :1, None]
    return torch.cat([places, points[..., 2:]], dim=-1), target * scale[:, 1:, None]


def turns(yaws: tuple[float, ...], like: Tensor) -> Tensor:
    """Rotations about y by angles in radians, (K, N, 3, 3), for N pairs as in ``like``."""
    vectors = like.new_tensor([[0.0, 2 * math.tan(yaw / 2), 0.0] for yaw in yaws])
    return turn(vectors)[:, None].expand(-1, *like.shape)


def fit_shift(points: Tensor, target: Tensor, weight: Tensor, rotation: Tensor) -> Tensor:
    """Shift (N, 3) that best goes with a rotation; as ``fit_motion``, linear in the shift."""
    turned = points @ rotation.transpose(1, 2)
    depth = turned[..., 2:].clamp(min=NEAREST)
    weight = torch.where(turned[..., 2] > NEAREST, weight, 0.0)
    # x/z - x' changes by (t_x - x' t_z) / z
    inverse, none = 1 / depth[..., 0], torch.zeros_like(depth[..., 0])
    jacobian = torch.stack(
        [
            torch.stack([inverse, none, -target[..., 0] * inverse], dim=-1),
            torch.stack([none, inverse, -target[..., 1] * inverse], dim=-1),
        ],
        dim=-2,
    )
    start = turned[..., :2] / depth - target
    unit = torch.eye(3, device=points.device, dtype=points.dtype)
    shift = torch.zeros_like(points[:, 0])
    for width in SHIFT_WIDTHS:
        error = start + (jacobian @ shift[:, None, :, None])[..., 0]
        square = error.square().sum(-1)
        share = weight if math.isinf(width) else weight * _agreement(square, width)
        weighted = jacobian * share[..., None, None]
        damping = (START_PRIOR * share.sum(1) + 1e-6)[:, None, None] * unit
        hessian = torch.einsum("npki,npkj->nij", weighted, jacobian) + damping
        gradient = torch.einsum("npki,npk->ni", weighted, start)
        shift = -solve(hessian, gradient).clamp(-3, 3)
    return shift


def fit_motion_from(
    points: Tensor, target: Tensor, weight: Tensor, starts: Tensor, sights: bool = False
) -> Motion:
    """The motion that most of the weight agrees on, of those fitted from starts (K, N, 3, 3).

    The first start has no shift, the others the one that goes with their rotation: cameras around
    a common target turn and move so that little changes in the image. Which start is best shows on
    a part of the points; only from there the motion is fitted to all.
    """
    count, pairs = starts.shape[:2]
    part = slice(None, None, PART)

    def tile(values: Tensor, times: int) -> Tensor:
        return values[:, part].expand(times, pairs, -1, *values.shape[2:]).flatten(0, 1)

    few, flat = count - 1, starts.flatten(0, 1)
    shift = fit_shift(tile(points, few), tile(target, few), tile(weight, few), flat[pairs:])
    shift = torch.cat([torch.zeros_like(points[:, 0]), shift])
    every = fit_motion(
        tile(points, count), tile(target, count), tile(weight, count), flat, sights, shift
    )
    best = every.inliers.unflatten(0, (count, pairs)).argmax(0)  # the first of equals
    row = best * pairs + torch.arange(pairs, device=best.device)
    return fit_motion(points, target, weight, flat[row], sights, shift[row])


def triangulate(
    rays: Tensor, target: Tensor, rotation: Tensor, shift: Tensor
) -> tuple[Tensor, Tensor]:
    """Inverse depth along rays with z = 1, and how much parallax there is for it.

    Args:
        rays: (N, P, 3) of the first camera.
        target: (N, P, 2) normalised places of the same points in the second image.
        rotation: (N, 3, 3), as in ``Motion``.
        shift: (N, 3).

    Returns:
        Inverse depth (N, P), clamped to what a scene may hold, and parallax (N, P): how far in
        normalised units the match moves as the inverse depth goes from 0 to 1.
    """
    turned = rays @ rotation.transpose(1, 2)
    # x' (a_z + t_z r) = a_x + t_x r, likewise y: two lines in r
    at_zero = target * turned[..., 2:] - turned[..., :2]
    slope = target * shift[:, None, 2:] - shift[:, None, :2]
    power = slope.square().sum(-1)
    inverse = -(at_zero * slope).sum(-1) / (power + 1e-4)
    return inverse.clamp(0.02, 20.0), power.add(1e-8).sqrt()


def _agreement(square: Tensor, width: float) -> Tensor:
    """Weight of a squared error under the robust cost of Geman and McClure."""
    return (width**2 / (width**2 + square)).square()


def _linearise(
    moved: Tensor,
    shift: Tensor,
    target: Tensor,
    weight: Tensor,
    width: float,
    aside: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Error (N, P, 2), robust weight (N, P) and the error's Jacobian (N, P, 2, 6) of turn, shift.

    With ``aside``, how points move (N, P, 3) as their camera's tangents grow, the Jacobian has two
    more columns: of the logarithms of both cameras' tangents.

    Along the line on which a point's image moves with its depth an error counts less, by as much
    as the depth is uncertain: a wrong depth leaves mostly the distance from the epipolar line.
    """
    depth = moved[..., 2]
    inverse = 1 / depth.clamp(min=NEAREST)
    place = moved[..., :2] * inverse[..., None]
    error = (place - target).clamp(-10, 10)
    along = (place * shift[:, None, 2:] - shift[:, None, :2]) * inverse[..., None]
    power = along.square().sum(-1, keepdim=True)
    spread = PLACE_NOISE / (PLACE_NOISE**2 + DEPTH_NOISE**2 * power).sqrt()
    along = along * ((1 - spread) / power.clamp(min=1e-9))  # times itself: what is taken away
    unit = (place * shift[:, None, 2:] - shift[:, None, :2]) * inverse[..., None]
    error = error - along * (unit * error).sum(-1, keepdim=True)
    jacobian = _jacobian(moved, inverse)
    if aside is not None:
        own = (jacobian[..., 3:] * aside[..., None, :]).sum(-1)
        jacobian = torch.cat([jacobian, torch.stack([own, -target], dim=-1)], dim=-1)
    jacobian = jacobian - along[..., None] * (unit[..., None] * jacobian).sum(-2, keepdim=True)
    share = weight * _agreement(error.square().sum(-1), width)
    return error, torch.where(depth > NEAREST, share, 0.0), jacobian


def _jacobian(moved: Tensor, inverse: Tensor) -> Tensor:
    """Change of the projection (N, P, 2, 6) with a turn (3) and a shift (3) of the points."""
    x, y = moved[..., 0] * inverse, moved[..., 1] * inverse
    none = torch.zeros_like(x)
    first = torch.stack([-x * y, 1 + x * x, -y, inverse, none, -x * inverse], dim=-1)
    second = torch.stack([-1 - y * y, x * y, x, none, inverse, -y * inverse], dim=-1)
    return torch.stack([first, second], dim=-2)
