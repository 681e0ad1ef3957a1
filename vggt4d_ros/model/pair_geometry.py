# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From matches of cells to the motion between cameras, and to depth by parallax."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from vggt4d_ros.model.camera_head import quaternion_to_matrix
from vggt4d_ros.model.correlation import cell_grid
from vggt4d_ros.model.two_view import (
    Motion,
    fit_motion,
    fit_motion_from,
    fit_rotation,
    triangulate,
    turns,
)

# turns about the vertical, radians, from which the motion is fitted too: cameras of one rig look
# in directions far apart, and a fit finds what is near its start
START_YAWS = (0.26, -0.26, 0.52, -0.52, 0.87, -0.87)


def pick(values: Tensor, chosen: Tensor) -> Tensor:
    """The chosen frame of each window: (B, ...) of (B, S, ...) and (B, S) bool; zeros if none."""
    weight = chosen.to(values.dtype).view(*chosen.shape, *[1] * (values.ndim - 2))
    return torch.where(weight > 0, values, 0.0).sum(1)


def tangents_of(field_of_view: Tensor) -> Tensor:
    """Normalised half width and half height (..., 2) of fields of view (..., 2: vert., horiz.)."""
    return torch.tan(field_of_view.clamp(0.1, 2.8) / 2).flip(-1)


def normalise(cells: Tensor, tangents: Tensor, size: tuple[int, int]) -> Tensor:
    """Cells (..., P, 2) to normalised image places; tangents (..., 2)."""
    extent = cells.new_tensor([size[1], size[0]])
    return ((cells + 0.5) * 2 / extent - 1) * tangents[..., None, :]


def cell_rays(tangents: Tensor, size: tuple[int, int]) -> Tensor:
    """Directions with z = 1 of all cells, (..., P, 3)."""
    cells = cell_grid(*size, tangents.device).flatten(1).T
    places = normalise(cells, tangents, size)
    return torch.cat([places, torch.ones_like(places[..., :1])], dim=-1)


class PairPoints(NamedTuple):
    """Matches of N frames with the reference, as ``fit_motion`` takes them."""

    points: Tensor  # (N, P, 3) in the frame
    target: Tensor  # (N, P, 2) normalised places in the reference
    weight: Tensor  # (N, P)


def pair_points(
    found: Tensor,
    sure: Tensor,
    log_depth: Tensor,
    tangents: Tensor,
    first_tangents: Tensor,
    known: Tensor,
    size: tuple[int, int],
) -> PairPoints:
    """Points of the cells of all B*S frames, and where they were found in the reference."""
    rays = cell_rays(tangents, size).flatten(0, 1)
    target = normalise(found, first_tangents.repeat_interleave(tangents.shape[1], dim=0), size)
    points = rays * log_depth.flatten(2).flatten(0, 1).exp()[..., None]
    return PairPoints(points, target, sure * known.flatten()[:, None])


def fit_pairs(
    matches: PairPoints, unsure: Tensor | None = None, yaws: tuple[float, ...] = ()
) -> Motion:
    """Motion from every frame to the reference.

    The best of those fitted from the rotation that the matches tell, and from ``yaws``; only then
    fields of view that are ``unsure`` (N, 2), the frame's and the reference's, may change.
    """
    points, target, weight = matches
    target_rays = torch.cat([target, torch.ones_like(target[..., :1])], dim=-1)
    rotation = fit_rotation(
        functional.normalize(points, dim=-1), functional.normalize(target_rays, dim=-1), weight
    )
    if not yaws:
        return fit_motion(points, target, weight, rotation)
    starts = torch.cat([rotation[None], turns(yaws, rotation)])
    return fit_motion_from(points, target, weight, starts, unsure)


def turned_round(motion: Motion) -> Motion:
    """The motion back: from the reference to a frame."""
    back = motion.rotation.transpose(1, 2)
    shift = -(back @ motion.shift[..., None])[..., 0]
    return motion._replace(rotation=back, shift=shift)


def depth_cues(
    found: Tensor,
    sure: Tensor,
    back: Tensor,
    back_sure: Tensor,
    pose: Tensor,
    first: Tensor,
    second: Tensor,
    size: tuple[int, int],
) -> Tensor:
    """Depth by parallax of every frame, (B, S, CUES, *size)."""
    count, frames = first.shape
    tangents = tangents_of(pose[..., 7:9])
    rotation = quaternion_to_matrix(pose[..., 3:7])  # frame from reference
    inverse = rotation.transpose(-1, -2)
    shift = -(inverse @ pose[..., :3, None])[..., 0]  # reference from frame
    # of the reference: to its partner
    turned, moved = pick(rotation, second), pick(pose[..., :3], second)
    here = first[..., None, None]
    inverse = torch.where(here, turned[:, None], inverse)
    shift = torch.where(first[..., None], moved[:, None], shift)
    found, sure = found.unflatten(0, (count, frames)), sure.unflatten(0, (count, frames))
    found = torch.where(here, back[:, None], found)
    sure = torch.where(first[..., None], back_sure[:, None], sure)
    other = torch.where(
        first[..., None], pick(tangents, second)[:, None], pick(tangents, first)[:, None]
    )
    target = normalise(found, other, size)
    depth, parallax = triangulate(
        cell_rays(tangents, size).flatten(0, 1),
        target.flatten(0, 1),
        inverse.flatten(0, 1),
        shift.flatten(0, 1),
    )
    depth, parallax = (x.unflatten(0, (count, frames)) for x in (depth, parallax))
    alone = second.any(1)[:, None, None]
    weight = torch.where(alone, sure, 0.0)
    sharp = weight * parallax / (parallax + 0.05)
    cues = torch.stack([depth.log() * sharp, parallax.clamp(max=1.0) * weight, sharp], dim=2)
    return cues.unflatten(-1, size)
