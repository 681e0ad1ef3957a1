# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Covariance of a trajectory that is chained from window to window, from their residuals."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.datatypes import Array
from vggt4d_ros.geometry.align import Alignment, covariance_at
from vggt4d_ros.geometry.scale import ScaleEstimate

# Before two windows have been compared: what a trained network does, roughly
_FIRST_SIGMA_PER_DEPTH = 0.005
_FIRST_SIGMA_RAD = 0.005
_GAP_SIGMA = (1.0, 0.5)  # m, rad: of a pose that was held over a gap without shared frames
_MEMORY = 0.8  # share of the older estimate of a frame's noise


class ChainCovariance:
    """What the links between windows add up to, and what each frame's own noise adds on top."""

    def __init__(self) -> None:
        self._covariance: Array = np.zeros((6, 6))
        self._centre: Array = np.zeros(3)
        self._centre_sigma = math.nan
        self._rotation_sigma = math.nan

    def start(
        self,
        position: Array,
        cameras: int,
        median_depth_m: float,
        rig_residual: tuple[float, float],
    ) -> None:
        """Begins a trajectory. Its first pose is exact by definition, but not known exactly.

        Args:
            position: (3,) of that pose.
            cameras: how many it rests on.
            median_depth_m: of the scene; NaN: not known.
            rig_residual: m, rad of the cameras against the rig, which tells of one camera's noise;
                NaN: not known.
        """
        depth = median_depth_m if math.isfinite(median_depth_m) else 1.0
        guess = (_FIRST_SIGMA_PER_DEPTH * depth, _FIRST_SIGMA_RAD)
        # the mean of n cameras took its share of the residual away; three axes
        bias = math.sqrt(cameras / max(cameras - 1, 1) / 3)
        self._centre_sigma, self._rotation_sigma = (
            bias * seen if math.isfinite(seen) else first
            for seen, first in zip(rig_residual, guess, strict=True)
        )
        self._covariance = self._own() / max(cameras, 1)
        self._centre = position

    def _own(self) -> Array:
        """Covariance of one camera's pose in one window."""
        return np.diag([self._centre_sigma**2] * 3 + [self._rotation_sigma**2] * 3)

    def bridge(self, position: Array) -> None:
        """Takes in a gap over which the pose was only held."""
        metres, radians = _GAP_SIGMA
        self._move(position)
        self._covariance = self._covariance + np.diag([metres**2] * 3 + [radians**2] * 3)

    def link(self, alignment: Alignment) -> None:
        """Takes in one more window."""
        self._move(alignment.centre)
        self._covariance = self._covariance + alignment.covariance
        new = (alignment.centre_sigma_m, alignment.rotation_sigma_rad)
        self._centre_sigma, self._rotation_sigma = (
            math.sqrt(_MEMORY * old**2 + (1 - _MEMORY) * now**2)
            for old, now in zip((self._centre_sigma, self._rotation_sigma), new, strict=True)
        )

    def _move(self, centre: Array) -> None:
        self._covariance = covariance_at(self._covariance, self._centre, centre)
        self._centre = centre

    def of_poses(
        self, world_from_base: Array, cameras: NDArray[np.int64], scale: ScaleEstimate
    ) -> Array:
        """Gives (T, 6, 6) of poses (T, 4, 4) that rest on ``cameras`` (T,) each; NaN as the poses.

        A wrong scale shifts a position by its share of the way from the origin, so that part is
        fully correlated along the trajectory and not summed link by link.
        """
        result = np.full((len(world_from_base), 6, 6), np.nan)
        known = np.isfinite(world_from_base).all(axis=(1, 2)).nonzero()[0]
        positions = world_from_base[known, :3, 3]
        total = covariance_at(self._covariance, self._centre, positions)
        total += self._own() / np.maximum(cameras[known], 1)[:, None, None]
        if scale.known:
            total[:, :3, :3] += scale.sigma**2 * (positions[:, :, None] * positions[:, None])
        result[known] = 0.5 * (total + total.swapaxes(-1, -2))
        return result
