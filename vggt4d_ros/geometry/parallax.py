# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What points that two cameras of a rig both see say of its extrinsics and of the scale.

The rig's extrinsics give such a point's distance in metres, whatever the network thinks of where
its cameras are; beside the network's own depth at that pixel this is a ratio. A match far from its
epipolar line says that the extrinsics are wrong, as far as that shows: not along the line.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from vggt4d_ros.datatypes import Array, CameraModel, FramePrediction, ViewMatches
from vggt4d_ros.geometry import se3
from vggt4d_ros.geometry.pinhole import pixel_rays
from vggt4d_ros.geometry.robust import weighted_median, weighted_spread
from vggt4d_ros.geometry.scale import MAX_SIGMA, MIN_SIGMA, ScaleEstimate, ScaleSource, no_scale

Slot = tuple[int, int]  # (step, view)

LEAST_BASE = 1e-3  # metres; cameras nearer to one another have no parallax
MAX_NOISE = 0.5  # relative; a point whose distance is less sure than that is not used
DEPTH_NOISE = 0.3  # relative, of the network's depth at one pixel: no point counts for more
AGREES = 3.0  # standard deviations of a match from its epipolar line
LEAST_SHARE = 0.4  # of the matches that must lie on their epipolar lines
LEAST_POINTS = 12.0  # sum of the matches' probabilities
# Errors of a network's depth are alike in all of a window: all points count as this many.
# Measured with the compact network: so the standard deviation is that of the scale's true error
POINTS = 5


@dataclass(frozen=True, slots=True, eq=False)
class RigParallax:
    """What the matches between a rig's cameras say of its extrinsics."""

    scale: ScaleEstimate
    # view -> how far its matches lie from their epipolar lines, rad, median; of cameras that
    # agree with no other one though they see enough in common
    contradicted: dict[int, float]


@dataclass(frozen=True, slots=True, eq=False)
class _Points:
    """What one view of a camera by another says of N points."""

    views: tuple[int, int]
    logs: Array  # (N,) logarithm of metres per network unit, of points that agree with TF
    weight: Array  # (N,)
    total: float  # probability of all matches that have parallax, and of those that agree
    agreed: float
    miss: float  # rad, median distance of the former from their epipolar lines

    @property
    def is_enough(self) -> bool:
        """Whether the two cameras see enough in common to say anything of their extrinsics."""
        return self.total >= LEAST_POINTS

    @property
    def agrees(self) -> bool:
        """Whether they do not contradict TF."""
        return self.agreed >= LEAST_SHARE * self.total


def view_pairs(base_from_cam: Sequence[Array | None]) -> tuple[tuple[int, int], ...]:
    """Gives the pairs of cameras, both ways, whose distance is known and not nothing."""
    places = [(v, mount[:3, 3]) for v, mount in enumerate(base_from_cam) if mount is not None]
    return tuple(
        (first, second)
        for (first, here), (second, there) in permutations(places, 2)
        if math.dist(here, there) > LEAST_BASE
    )


def compare_views(
    matches: Sequence[ViewMatches],
    frames: Mapping[Slot, FramePrediction],
    models: Mapping[Slot, CameraModel],
    base_from_cam: Array,
) -> RigParallax:
    """Gives the scale at which the network's depth is that which the rig's parallax tells.

    Args:
        matches: of pairs of cameras at one instant.
        frames: dense outputs in network units.
        models: of calibrated cameras.
        base_from_cam: (V, 4, 4) metres; NaN where the extrinsics are not known.
    """
    found = []
    for match in matches:
        slots = [(match.step, view) for view in match.views]
        known = all(slot in models for slot in slots) and slots[0] in frames
        if known and np.isfinite(base_from_cam[list(match.views)]).all():
            first, second = match.views
            moved = se3.inverse(base_from_cam[second]) @ base_from_cam[first]
            pair = (models[slots[0]], models[slots[1]])
            found.append(_compare(match, frames[slots[0]], pair, moved))
    return RigParallax(_scale_of(found), _contradicted([p for p in found if p.is_enough]))


def _contradicted(pairs: list[_Points]) -> dict[int, float]:
    """Cameras that no other one agrees with: of two that differ both are."""
    trusted = {view for points in pairs if points.agrees for view in points.views}
    misses: dict[int, list[float]] = {}
    for points in pairs:
        for view in points.views:
            misses.setdefault(view, []).append(points.miss)
    return {v: float(np.median(m)) for v, m in sorted(misses.items()) if v not in trusted}


def _scale_of(pairs: list[_Points]) -> ScaleEstimate:
    if not pairs:
        return no_scale("no calibrated camera sees what another with known extrinsics sees")
    usable = [points for points in pairs if points.agrees and len(points.logs)]
    if sum(points.agreed for points in usable) >= LEAST_POINTS:
        return _join(usable)
    enough = [points for points in pairs if points.is_enough and not points.agrees]
    if not enough:
        return no_scale("rig parallax: the cameras see too few points in common")
    total, agreed = (sum(getattr(p, name) for p in enough) for name in ("total", "agreed"))
    return no_scale(
        f"rig parallax: {100 * (1 - agreed / total):.0f} % of the matches between cameras "
        "contradict TF"
    )


def _join(pairs: list[_Points]) -> ScaleEstimate:
    """The median over the points of all pairs."""
    logs = np.concatenate([points.logs for points in pairs])
    weight = np.concatenate([points.weight for points in pairs])
    centre = weighted_median(logs, weight)
    sigma = weighted_spread(logs, weight, centre) / math.sqrt(POINTS)
    if not sigma <= MAX_SIGMA:
        return no_scale(
            f"rig parallax gives the scale only to {100 * sigma:.0f} %; "
            f"{100 * MAX_SIGMA:g} % is the limit"
        )
    reason = f"rig parallax of {len(logs)} points in {len(pairs)} views of cameras by others"
    return ScaleEstimate(float(np.exp(centre)), max(sigma, MIN_SIGMA), ScaleSource.RIG, reason)


def _compare(
    match: ViewMatches,
    frame: FramePrediction,
    models: tuple[CameraModel, CameraModel],
    second_from_first: Array,
) -> _Points:
    """Triangulates a pair's matches and compares with the network's depth in the first view."""
    rays = np.concatenate([pixel_rays(match.first, models[0]), np.ones((len(match.first), 1))], -1)
    place = pixel_rays(match.second, models[1])
    turned = rays @ second_from_first[:3, :3].T
    shift = second_from_first[:3, 3]
    # a point at inverse depth r lies at turned + r shift: two lines in r, least squares
    at_zero = place * turned[:, 2:] - turned[:, :2]
    slope = place * shift[2] - shift[:2]
    power = np.square(slope).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        inverse = -(at_zero * slope).sum(axis=1) / power
        along = turned[:, 2] + inverse * shift[2]  # second depth over first
        noise = match.noise_px / math.sqrt(models[1].fx * models[1].fy)
        away = np.linalg.norm(at_zero + inverse[:, None] * slope, axis=1) / along
        sigma = noise * along / (np.sqrt(power) * np.abs(inverse))
        parallax = (along > 0) & (sigma < MAX_NOISE)
        agrees = parallax & (inverse > 0) & (away < AGREES * noise)
        depth = _at(frame.depth, match.first)
        logs = -np.log(inverse) - np.log(depth)
        weight = match.weight / (np.square(sigma) + DEPTH_NOISE**2)
        agrees &= np.isfinite(logs)
    return _Points(
        views=match.views,
        logs=logs[agrees],
        weight=weight[agrees],
        total=float(match.weight[parallax].sum()),
        agreed=float(match.weight[agrees].sum()),
        miss=float(np.median(away[parallax])) if parallax.any() else 0.0,
    )


def _at(depth: np.ndarray, pixels: Array) -> Array:
    """Depth (N,) at the pixels nearest to (N, 2); NaN outside and where there is none."""
    height, width = depth.shape
    column, row = np.rint(pixels).astype(np.int64).T
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    values = depth[row.clip(0, height - 1), column.clip(0, width - 1)].astype(np.float64)
    return np.where(inside & (values > 0), values, np.nan)
