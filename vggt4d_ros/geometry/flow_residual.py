# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the still part of a scene says of the camera's own motion between two frames."""

from __future__ import annotations

import numpy as np

from vggt4d_ros.datatypes import Array
from vggt4d_ros.geometry.flow_noise import FlowOptions
from vggt4d_ros.geometry.flow_pair import Displacement
from vggt4d_ros.geometry.robust import cauchy_weights
from vggt4d_ros.geometry.se3 import skew_matrix

CREDIBLE = 4.0
_POINTS = 600
_ROUNDS = 4
# Errors of neighbouring pixels are alike: the scene counts as so many independent points
_INDEPENDENT = 200.0


def ego_correction(sample: Displacement, options: FlowOptions) -> Array:
    """Gives the small motion of the whole scene that explains most displacements.

    (7,): translation m, rotation rad, and the share by which one frame's depth is the larger. A
    tenth of a degree of error in the camera's turn is 0.07 m/s at 4 m and 10 Hz: more than what is
    to be told from standing still, and so is half a percent of depth. The scene itself knows
    better, as long as most of it is still. Where it asks for more than CREDIBLE deviations of the
    prior something large moves, and nothing is corrected: it is not explained away.

    Maximum a posteriori, iterated with Cauchy weights; displacement = translation + rotation x
    point + share * point, variances along and across each ray.

    Args:
        sample: displacements of some rows of pixels, even over the image.
        options: motion_sigma_m, motion_sigma_rad and frame_depth_sigma are the prior.
    """
    moved, points, noise = sample.moved, sample.points, sample.noise
    # as many columns as rows were taken
    grid = (slice(None), slice(None, None, max(1, points[2].size // _POINTS)))
    place = np.stack([plane[grid].ravel() for plane in points], axis=-1).astype(np.float64)
    shift = np.stack([plane[grid].ravel() for plane in moved], axis=-1).astype(np.float64)
    along = noise.along[grid].ravel().astype(np.float64)
    across = noise.across[grid].ravel().astype(np.float64)
    finite = np.isfinite(shift).all(axis=1) & np.isfinite(along) & np.isfinite(across)
    finite &= (along > 0) & (across > 0)
    deviations = [options.motion_sigma_m] * 3 + [options.motion_sigma_rad] * 3
    prior = np.diag(np.array([*deviations, options.frame_depth_sigma]) ** -2.0)
    if finite.sum() < 20:
        return np.zeros(7)
    place, shift, along, across = place[finite], shift[finite], along[finite], across[finite]
    # each residual in units of its own deviation, by the square root of its precision matrix
    ray = place / np.linalg.norm(place, axis=1, keepdims=True)
    beside = np.eye(3) - ray[:, :, None] * ray[:, None, :]
    whiten = beside / np.sqrt(across)[:, None, None]
    whiten += (ray[:, :, None] * ray[:, None, :]) / np.sqrt(along)[:, None, None]
    lever = -skew_matrix(place)
    columns = [whiten, whiten @ lever, whiten @ place[..., None]]
    jacobian = np.concatenate(columns, axis=-1).reshape(-1, 7)  # (3 N, 7)
    target = (whiten @ shift[..., None]).reshape(-1)
    twist = np.zeros(7)
    for _ in range(_ROUNDS):
        residual = target - jacobian @ twist
        distance = np.linalg.norm(residual.reshape(-1, 3), axis=1)
        typical = max(float(np.quantile(distance, 0.4)) / 1.37, 1e-6)  # of a normal in three axes
        weights = cauchy_weights(distance, 1.7 * typical)
        weights *= min(1.0, _INDEPENDENT / weights.sum()) / typical**2
        weighted = jacobian * np.repeat(weights, 3)[:, None]
        twist = np.linalg.solve(weighted.T @ jacobian + prior, weighted.T @ target)
    if float(np.max(np.abs(twist) * np.sqrt(np.diagonal(prior)))) > CREDIBLE:
        return np.zeros(7)
    return np.asarray(twist, dtype=np.float64)
