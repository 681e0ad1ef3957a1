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

NEAREST = 0.05  # a point nearer than this to the second camera's plane is not used
# widths of the robust weight, from the first iteration to the last
RAY_WIDTHS = (0.6, 0.4, 0.25, 0.15, 0.1)  # about radians
POINT_WIDTHS = (0.15, 0.1, 0.05, 0.03, 0.02, 0.015)  # normalised image units
PART = 3  # one point in this many tells which start is best
SHIFT_WIDTHS = (float("inf"), 0.8, 0.5, 0.3)  # of the same, of a shift with a given turn
# what keeps a motion that the matches do not tell near the start: share of the weights' sum
TURN_PRIOR = 1e-4
SHIFT_PRIOR = 1e-4
SHIFT_FADE = 0.15  # a shift much longer than this is hardly held back
START_PRIOR = 1e-2  # of a shift that a fit starts from
SIGHT_PRIOR = 1e-3  # of the logarithm of an uncertain sight
SURE_SIGHT = 1e4  # of one that is known: it stays
HELD = 2  # iterations before the sights may change too
MOST_SIGHT = 0.6  # of a logarithm
PLACE_NOISE = 0.003  # of a match, normalised image units
DEPTH_NOISE = 0.45  # of the logarithm of a point's depth
# the same where it is asked how many agree: by chance many are near epipolar lines, few where
# their depth says
STRICT_DEPTH_NOISE = 0.18


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
    half = vector / 2
    unit = torch.eye(3, device=vector.device, dtype=vector.dtype).expand(len(half), 3, 3)
    skew = torch.linalg.cross(unit, half[:, None].expand_as(unit), dim=-1)  # skew @ x = half x x
    scale = 2.0 / (1 + half.square().sum(-1))
    return unit + scale[:, None, None] * (skew + skew @ skew)


def fit_rotation(first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
    """Rotation (N, 3, 3) that turns unit rays (N, P, 3) of one camera onto those of another."""
    identity = torch.eye(3, device=first.device, dtype=first.dtype)
    rotation = identity.expand(len(first), 3, 3)
    first, second = _planes(first), _planes(second)
    for width in RAY_WIDTHS:
        moved = rotation @ first
        distance = (moved - second).square().sum(1)
        share = weight * _agreement(distance, width)
        weighted = moved * share[:, None]
        total = share.sum(1)[:, None, None] + 1e-6
        hessian = total * identity - weighted @ moved.transpose(1, 2)
        product = weighted @ second.transpose(1, 2)  # what is odd in it is the cross product
        odd = product - product.transpose(1, 2)
        gradient = torch.stack([odd[:, 1, 2], odd[:, 2, 0], odd[:, 0, 1]], dim=-1)
        rotation = turn(solve(hessian + 1e-3 * total * identity, gradient)) @ rotation
    return rotation


def fit_motion(
    points: Tensor,
    target: Tensor,
    weight: Tensor,
    rotation: Tensor,
    unsure: Tensor | None = None,
    shift: Tensor | None = None,
) -> Motion:
    """Motion that brings points to where they were found in the second image.

    Args:
        points: (N, P, 3) in the first camera, any unit of length.
        target: (N, P, 2) normalised places in the second image.
        weight: (N, P) >= 0, of the matches.
        rotation: (N, 3, 3) to start from.
        unsure: (N, 2) bool, of which of the two cameras the field of view is uncertain: the
            tangents may change, and with them x and y of points, of targets; None: of none.
        shift: (N, 3) to start from; None: no shift.
    """
    shift = torch.zeros_like(points[:, 0]) if shift is None else shift
    points, target = _planes(points), _planes(target)
    zoom = torch.zeros_like(shift[:, :2])  # logarithms of what tangents are multiplied by
    prior = points.new_tensor([TURN_PRIOR] * 3 + [SHIFT_PRIOR] * 3).expand(len(points), -1)
    if unsure is not None:
        prior = torch.cat([prior, torch.where(unsure, SIGHT_PRIOR, SURE_SIGHT)], dim=1)
    total = weight.sum(1, keepdim=True) + 1e-6
    for number, width in enumerate(POINT_WIDTHS):
        free = unsure is not None and number >= HELD
        held = torch.cat([torch.zeros_like(shift), shift, zoom], dim=1)  # what priors hold back
        fade = SHIFT_FADE**2 / (SHIFT_FADE**2 + shift.square().sum(1, keepdim=True))
        damping = total * prior
        damping = torch.cat([damping[:, :3], damping[:, 3:6] * fade, damping[:, 6:]], dim=1)
        if not free:
            held, damping = held[:, :6], damping[:, :6]
        stretched, goal = _zoomed(points, target, zoom) if free else (points, target)
        seen = compare(stretched, goal, weight, rotation, shift, width)
        aside = rotation[:, :, :2] @ stretched[:, :2] if free else None
        rows = _linearise(seen, goal, aside)
        normal = rows @ rows.transpose(1, 2)
        hessian, gradient = normal[:, :-1, :-1], normal[:, :-1, -1] + damping * held
        step = -solve(hessian + torch.diag_embed(damping + 1e-6), gradient).clamp(-0.5, 0.5)
        change = turn(step[:, :3])
        rotation = change @ rotation
        shift = (change @ shift[..., None])[..., 0] + step[:, 3:6]
        if free:
            zoom = (zoom + step[:, 6:]).clamp(-MOST_SIGHT, MOST_SIGHT)
    points, target = _zoomed(points, target, zoom) if unsure is not None else (points, target)
    seen = compare(points, target, weight, rotation, shift, POINT_WIDTHS[-1], STRICT_DEPTH_NOISE)
    agreed = seen.share.sum(1)
    mean = (seen.share * seen.error.square().sum(1).add(1e-12).sqrt()).sum(1) / (agreed + 1e-6)
    sure = hessian.diagonal(dim1=1, dim2=2)[:, :6] / total
    return Motion(rotation, shift, agreed / total[:, 0], mean, sure)


def _planes(points: Tensor) -> Tensor:
    """Points (N, P, K) as K planes (N, K, P): all arithmetic then runs along the points."""
    return points.transpose(1, 2).contiguous()


def _zoomed(points: Tensor, target: Tensor, zoom: Tensor) -> tuple[Tensor, Tensor]:
    """Points (N, 3, P) and places (N, 2, P) with other tangents of the two fields of view."""
    scale = zoom.exp()[..., None]
    places = points[:, :2] * scale[:, :1]
    return torch.cat([places, points[:, 2:]], dim=1), target * scale[:, 1:]


def turns(yaws: tuple[float, ...], like: Tensor) -> Tensor:
    """Rotations about y by angles in radians, (K, N, 3, 3), for N pairs as in ``like``."""
    vectors = like.new_tensor([[0.0, 2 * math.tan(yaw / 2), 0.0] for yaw in yaws])
    return turn(vectors)[:, None].expand(-1, *like.shape)


def fit_shift(points: Tensor, target: Tensor, weight: Tensor, rotation: Tensor) -> Tensor:
    """Shift (N, 3) that best goes with a rotation; as ``fit_motion``, linear in the shift."""
    target = _planes(target)
    turned = rotation @ _planes(points)
    weight = torch.where(turned[:, 2] > NEAREST, weight, 0.0)
    inverse = 1 / turned[:, 2:].clamp(min=NEAREST)
    start = turned[:, :2] * inverse - target
    # x/z - x' changes by (t_x - x' t_z) / z: both planes, a column for each of t and one for it
    none = torch.zeros_like(inverse)
    slant = -target * inverse
    across = torch.stack([inverse, none, slant[:, :1], start[:, :1]], dim=1)
    down = torch.stack([none, inverse, slant[:, 1:], start[:, 1:]], dim=1)
    columns = torch.cat([across, down], dim=2)  # (N, 4, 2, P)
    unit = torch.eye(3, device=points.device, dtype=points.dtype)
    shift = torch.zeros_like(points[:, 0])
    for width in SHIFT_WIDTHS:
        share = weight
        if math.isfinite(width):
            error = start + (shift[:, :2, None] - target * shift[:, 2:, None]) * inverse
            share = weight * _agreement(error.square().sum(1), width)
        weighted = (columns * share[:, None, None]).flatten(2)
        normal = weighted[:, :3] @ columns.flatten(2).transpose(1, 2)  # (N, 3, 4)
        damping = (START_PRIOR * share.sum(1) + 1e-6)[:, None, None] * unit
        shift = -solve(normal[..., :3] + damping, normal[..., 3]).clamp(-3, 3)
    return shift


def fit_motion_from(
    points: Tensor,
    target: Tensor,
    weight: Tensor,
    starts: Tensor,
    unsure: Tensor | None = None,
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
    free = None if unsure is None else unsure.expand(count, pairs, 2).flatten(0, 1)
    every = fit_motion(
        tile(points, count), tile(target, count), tile(weight, count), flat, free, shift
    )
    best = every.inliers.unflatten(0, (count, pairs)).argmax(0)  # the first of equals
    row = best * pairs + torch.arange(pairs, device=best.device)
    return fit_motion(points, target, weight, flat[row], unsure, shift[row])


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


class Seen(NamedTuple):
    """Moved points compared with where they were found, in planes of P points."""

    moved: Tensor  # (N, 3, P) in the second camera
    inverse: Tensor  # (N, 1, P) of their depth
    place: Tensor  # (N, 2, P) normalised
    slope: Tensor  # (N, 2, P) how the place changes with the logarithm of the depth
    damp: Tensor  # (N, 2, P) ``slope`` by what its share of an error is taken away
    error: Tensor  # (N, 2, P)
    share: Tensor  # (N, P) robust weight


def compare(
    points: Tensor,
    target: Tensor,
    weight: Tensor,
    rotation: Tensor,
    shift: Tensor,
    width: float,
    depth_noise: float | None = None,
) -> Seen:
    """Errors of points (N, 3, P) against places (N, 2, P), under a motion.

    Along the line on which a point's image moves with its depth an error counts less, by as much
    as the depth is uncertain: a wrong depth leaves mostly the distance from the epipolar line. It
    is whitened by the covariance PLACE_NOISE^2 + depth_noise^2 slope slope'; None: DEPTH_NOISE.
    """
    moved = rotation @ points + shift[..., None]
    inverse = 1 / moved[:, 2:].clamp(min=NEAREST)
    place = moved[:, :2] * inverse
    slope = (place * shift[:, 2:, None] - shift[:, :2, None]) * inverse
    noise = (PLACE_NOISE / (depth_noise or DEPTH_NOISE)) ** 2
    spread = slope.square().sum(1, keepdim=True) + noise
    damp = slope / (spread + (noise * spread).sqrt())
    error = (place - target).clamp(-10, 10)
    error = error - damp * (slope * error).sum(1, keepdim=True)
    share = weight * _agreement(error.square().sum(1), width)
    share = torch.where(moved[:, 2] > NEAREST, share, 0.0)
    return Seen(moved, inverse, place, slope, damp, error, share)


def _linearise(seen: Seen, target: Tensor, aside: Tensor | None = None) -> Tensor:
    """Jacobian of the error for turn and shift, and the error: (N, 7, 2P), weighted by roots.

    Products of two rows are the normal equations. With ``aside``, how points move (N, 3, P) as
    their camera's tangents grow, there are two more before the error: of the logarithms of both
    cameras' tangents.
    """
    unit = torch.eye(2, device=target.device, dtype=target.dtype)[..., None]
    root = seen.share.sqrt()[:, None]
    whiten = (unit - seen.damp[:, :, None] * seen.slope[:, None]) * root[:, None]  # symmetric
    across = whiten * seen.inverse[:, None]
    ahead = -(across * seen.place[:, :, None]).sum(1, keepdim=True)
    # with the points' own motion m the error's is moves . m; with a turn t it is t . (p x moves)
    twice = torch.cat([across, ahead, across], dim=1)  # x, y, z, x, y
    moved = torch.cat([seen.moved, seen.moved[:, :2]], dim=1)[:, :, None]
    turning = moved[:, 1:4] * twice[:, 2:5] - moved[:, 2:5] * twice[:, 1:4]
    moves = twice[:, :3]
    columns = [turning, moves]
    if aside is not None:
        columns.append((moves * aside[:, :, None]).sum(1, keepdim=True))
        columns.append(-(whiten * target[:, :, None]).sum(1, keepdim=True))
    columns.append((seen.error * root)[:, None])
    return torch.cat(columns, dim=1).flatten(2)
