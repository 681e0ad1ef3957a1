# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How sure a displacement between two frames is, and when it is more than noise.

Depth errors move a point along its ray, flow and pose errors across it, and the first are many
times the second. So each pixel has two variances, and a motion across the ray is seen although
the depth alone would hide it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri, erfc

Plane = NDArray[np.float32]

# Pixels of still things are taken to be at least two thirds of all: then the 0.4 quantile of all
# is at most their 0.6 quantile
_QUANTILE = 0.4
_ALONG_AT_QUANTILE = 0.524  # of |N(0, 1)|
_ACROSS_AT_QUANTILE = 1.011  # of the length of N(0, 1) in two axes
_NOISE_RANGE = (0.1, 5.0)  # how far the data may correct the assumed noise


@dataclass(frozen=True, slots=True)
class FlowOptions:
    """Noise that is assumed before the data correct it, and what counts as moving."""

    dynamic_sigma: float = 3.0  # as for one normal variable: 3 lets 0.27 % of still pixels through
    depth_sigma: float = 0.01  # relative
    flow_sigma_px: float = 0.3  # px, each axis
    motion_sigma_m: float = 0.01  # of the camera's motion between the frames, each axis
    motion_sigma_rad: float = 0.005
    frame_depth_sigma: float = 0.02  # relative, of one frame's depth as a whole against the other's
    correct_ego_motion: bool = True  # let the still scene correct these three, within their noise


@dataclass(frozen=True, slots=True, eq=False)
class NoisePlanes:
    """Variances of the displacement of each pixel, m^2."""

    along: Plane  # along the ray
    across: Plane  # across it, each of two axes

    @classmethod
    def build(
        cls,
        depth: Plane,
        other_depth: Plane,
        doubt: Plane,
        slope: Plane,
        flow_error: Plane | None,
        *,
        focal: float,
        options: FlowOptions,
    ) -> NoisePlanes:
        """Sums what the sources of noise bring. Overwrites ``doubt`` and ``slope``.

        Args:
            depth: m, in the frame whose pixels are asked for.
            other_depth: m, in the other frame.
            doubt: m, by how much the depths around that place differ.
            slope: m per pixel along the row, NaN: not known.
            flow_error: px^2 of forth and back; None: not known.
            focal: pixels.
            options: assumed noise.
        """
        square = depth * depth
        along = other_depth * other_depth
        along += square
        along *= np.float32(options.depth_sigma**2)
        doubt *= doubt
        along += doubt
        slope *= slope
        np.fmax(slope, np.float32(0), out=slope)  # NaN: no slope is known, none is added
        square *= np.float32(focal**-2.0)
        pixels = np.float32(options.flow_sigma_px**2)
        if flow_error is None:
            square *= pixels
            slope *= pixels
        else:
            variance = flow_error * np.float32(0.25)  # of forth and of back, in two axes
            variance += pixels
            square *= variance
            slope *= variance
        along += slope
        return cls(along, square)

    def scaled(self, factors: tuple[float, float]) -> NoisePlanes:
        """Multiplies the deviations along and across by factors, in place."""
        np.multiply(self.along, np.float32(factors[0] ** 2), out=self.along)
        np.multiply(self.across, np.float32(factors[1] ** 2), out=self.across)
        return self


def split(moved: list[Plane], points: list[Plane]) -> tuple[Plane, Plane]:
    """Gives the squared parts of displacements along the ray and across it, m^2."""
    length = points[0] * points[0]
    along = moved[0] * points[0]
    across = moved[0] * moved[0]
    for shift, point in zip(moved[1:], points[1:], strict=True):
        length += point * point
        along += shift * point
        across += shift * shift
    along *= along
    along /= length
    across -= along
    # a square micrometre: of what does not move at all the deviation is that across the ray
    return along, np.maximum(across, np.float32(1e-12), out=across)


def noise_factors(
    moved: list[Plane], points: list[Plane], noise: NoisePlanes
) -> tuple[float, float]:
    """Gives the factors that bring the assumed noise to what the stillest pixels show.

    Without them a network better or worse than assumed has a mask that is blind, or all noise.
    """
    along, across = split(moved, points)
    factors = []
    for square, variance, expected in (
        (along, noise.along, _ALONG_AT_QUANTILE),
        (across, noise.across, _ACROSS_AT_QUANTILE),
    ):
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = square / variance
        ratio = ratio[np.isfinite(ratio)]
        found = float(np.sqrt(np.quantile(ratio, _QUANTILE))) / expected if len(ratio) else 1.0
        factors.append(float(np.clip(found, *_NOISE_RANGE)))
    return factors[0], factors[1]


def mahalanobis_threshold(dynamic_sigma: float) -> float:
    """Gives the squared distance in three axes that is as rare as ``dynamic_sigma`` in one."""
    return float(chdtri(3, erfc(dynamic_sigma / np.sqrt(2))))


def judge(
    moved: list[Plane], points: list[Plane], noise: NoisePlanes, threshold: float
) -> tuple[Plane, NDArray[np.bool_]]:
    """Gives the deviation of each displacement along itself, m, and whether it is no noise.

    It is none where the squared Mahalanobis distance from standing still is above the threshold.
    """
    along, across = split(moved, points)
    with np.errstate(invalid="ignore", divide="ignore"):
        distance = along / noise.along
        distance += across / noise.across
        above: NDArray[np.bool_] = distance > np.float32(threshold)
        # u^T C u for the displacement's direction u
        total = np.add(along, across, out=distance)
        along *= noise.along
        across *= noise.across
        along += across
        along /= total
        np.sqrt(along, out=along)
    return along, above
