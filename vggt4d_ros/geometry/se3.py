# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rigid transforms as (..., 4, 4) matrices: ``a_from_b`` maps points of b into a.

A twist is (translation, rotation vector): ``exp`` of it is the transform that a body reaches which
moves with constant velocity for one unit of time (Sola et al., arXiv 1812.01537, eqs. 169-179).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vggt4d_ros.datatypes import Array

# REP-103: body x forward, y left, z up; optical z forward, x right, y down
BODY_FROM_OPTICAL: Array = np.array(
    [[0.0, 0.0, 1.0, 0.0], [-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
)
BODY_FROM_OPTICAL.flags.writeable = False


def make_transform(rotation: Array, translation: Array) -> Array:
    """Gives (..., 4, 4) from a rotation (..., 3, 3) and a translation (..., 3)."""
    shape = np.broadcast_shapes(rotation.shape[:-2], translation.shape[:-1])
    transform = np.zeros((*shape, 4, 4))
    transform[..., :3, :3] = rotation
    transform[..., :3, 3] = translation
    transform[..., 3, 3] = 1.0
    return transform


def inverse(a_from_b: Array) -> Array:
    """Gives b_from_a, (..., 4, 4)."""
    rotation = np.swapaxes(a_from_b[..., :3, :3], -1, -2)
    translation = -(rotation @ a_from_b[..., :3, 3:])[..., 0]
    return make_transform(rotation, translation)


def transform_points(a_from_b: Array, points: Array) -> Array:
    """Maps points (..., N, 3) of b into a by one transform (..., 4, 4) per leading index."""
    moved: Array = points @ np.swapaxes(a_from_b[..., :3, :3], -1, -2)
    return moved + a_from_b[..., None, :3, 3]


def is_rigid(transform: Array, tolerance: float = 1e-3) -> NDArray[np.bool_]:
    """Tells (...) bool: finite, rotation orthonormal and right-handed, last row 0 0 0 1."""
    finite = np.isfinite(transform).all(axis=(-2, -1))
    safe = np.where(finite[..., None, None], transform, np.eye(4))
    rotation = safe[..., :3, :3]
    error = np.abs(rotation @ np.swapaxes(rotation, -1, -2) - np.eye(3)).max(axis=(-2, -1))
    last = np.abs(safe[..., 3, :] - np.array([0.0, 0.0, 0.0, 1.0])).max(axis=-1)
    result: NDArray[np.bool_] = (
        finite & (error < tolerance) & (last < tolerance) & (np.linalg.det(rotation) > 0)
    )
    return result


def nearest_rotation(matrix: Array) -> Array:
    """Gives the rotation (..., 3, 3) closest to a matrix in the Frobenius norm.

    Umeyama, PAMI 1991, Lemma: U diag(1, 1, det(U V^T)) V^T of the singular value decomposition.
    """
    left, _, right = np.linalg.svd(matrix)
    sign = np.ones(matrix.shape[:-1])
    sign[..., 2] = np.linalg.det(left @ right)
    result: Array = (left * sign[..., None, :]) @ right
    return result


def quat_xyzw_from_matrix(rotation: Array) -> Array:
    """Gives unit quaternions (..., 4) in ROS order with w >= 0."""
    flat = Rotation.from_matrix(rotation.reshape(-1, 3, 3)).as_quat()
    flat = np.where(flat[:, 3:] < 0, -flat, flat)
    return np.asarray(flat.reshape(*rotation.shape[:-2], 4), dtype=np.float64)


def matrix_from_quat_xyzw(quat_xyzw: Array) -> Array:
    """Gives rotations (..., 3, 3); the quaternions need not be of unit length.

    Raises:
        ValueError: a quaternion is zero.
    """
    flat = Rotation.from_quat(quat_xyzw.reshape(-1, 4)).as_matrix()
    return np.asarray(flat.reshape(*quat_xyzw.shape[:-1], 3, 3), dtype=np.float64)


def rotation_vector(rotation: Array) -> Array:
    """Gives axis times angle (..., 3), rad."""
    flat = Rotation.from_matrix(rotation.reshape(-1, 3, 3)).as_rotvec()
    return np.asarray(flat.reshape(rotation.shape[:-1]), dtype=np.float64)


def rotation_angle(rotation: Array) -> Array:
    """Gives the angle (...) of rotations (..., 3, 3), rad in [0, pi].

    From |R - I|_F = 2 sqrt(2) sin(angle / 2), exact also where the trace is not: near zero.
    """
    distance = np.linalg.norm(rotation - np.eye(3), axis=(-2, -1))
    return np.asarray(2.0 * np.arcsin(np.minimum(distance / np.sqrt(8.0), 1.0)), dtype=np.float64)


def mean_rotation(rotations: Array, weights: Array | None = None) -> Array:
    """Gives the chordal mean (3, 3) of rotations (N, 3, 3) (Hartley et al., IJCV 2013, sec. 5.3).

    Raises:
        ValueError: there is none, or no weight is positive.
    """
    weight = np.ones(len(rotations)) if weights is None else weights
    if len(rotations) == 0 or not weight.sum() > 0:
        raise ValueError(f"needs a rotation with weight, got {len(rotations)} of {weight}")
    return nearest_rotation(np.einsum("n,nij->ij", weight, rotations))


def _left_jacobian(vector: Array) -> Array:
    """The left Jacobian of SO(3), (..., 3, 3) (Sola et al., eq. 145)."""
    angle = np.linalg.norm(vector, axis=-1)[..., None, None]
    small = angle < 1e-4
    safe = np.where(small, 1.0, angle)
    skew = skew_matrix(vector)
    first = np.where(small, 0.5 - angle**2 / 24, (1 - np.cos(safe)) / safe**2)
    second = np.where(small, 1 / 6 - angle**2 / 120, (safe - np.sin(safe)) / safe**3)
    result: Array = np.eye(3) + first * skew + second * skew @ skew
    return result


def skew_matrix(vector: Array) -> Array:
    """Gives (..., 3, 3) with ``skew_matrix(a) @ b == cross(a, b)``."""
    x, y, z = vector[..., 0], vector[..., 1], vector[..., 2]
    zero = np.zeros_like(x)
    rows = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1)
    return rows.reshape(*vector.shape[:-1], 3, 3)


def exp(twist: Array) -> Array:
    """Gives the transform (..., 4, 4) of a twist (..., 6)."""
    vector = twist[..., 3:]
    flat = Rotation.from_rotvec(vector.reshape(-1, 3)).as_matrix()
    rotation = flat.reshape(*vector.shape[:-1], 3, 3)
    translation = (_left_jacobian(vector) @ twist[..., :3, None])[..., 0]
    return make_transform(rotation, translation)


def log(transform: Array) -> Array:
    """Gives the twist (..., 6) of a transform (..., 4, 4); inverse of ``exp`` below pi."""
    vector = rotation_vector(transform[..., :3, :3])
    jacobian = _left_jacobian(vector)
    translation = np.linalg.solve(jacobian, transform[..., :3, 3:])[..., 0]
    return np.concatenate([translation, vector], axis=-1)


def adjoint(a_from_b: Array) -> Array:
    """Gives (..., 6, 6): maps twists expressed in b to a (Sola et al., eq. 175)."""
    rotation = a_from_b[..., :3, :3]
    result = np.zeros((*a_from_b.shape[:-2], 6, 6))
    result[..., :3, :3] = rotation
    result[..., 3:, 3:] = rotation
    result[..., :3, 3:] = skew_matrix(a_from_b[..., :3, 3]) @ rotation
    return result
