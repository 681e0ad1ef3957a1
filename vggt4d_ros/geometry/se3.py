# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rigid transforms as (..., 4, 4) matrices: ``a_from_b`` maps points of b into a.

A twist is (translation, rotation vector): ``exp`` of it is the transform that a body reaches which
moves with constant velocity for one unit of time (Sola et al., arXiv 1812.01537, eqs. 169-179).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vggt4d_ros.datatypes import Array

# REP-103: body x forward, y left, z up; optical z forward, x right, y down
BODY_FROM_OPTICAL: Array = np.array(
    [[0.0, 0.0, 1.0, 0.0], [-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
)
BODY_FROM_OPTICAL.flags.writeable = False
_IDENTITY: Array = np.eye(3)
_IDENTITY.flags.writeable = False
_STILL: Array = np.eye(4)
_STILL.flags.writeable = False
_LAST_ROW: Array = np.array([0.0, 0.0, 0.0, 1.0])
_LAST_ROW.flags.writeable = False


def make_transform(rotation: Array, translation: Array) -> Array:
    """Gives (..., 4, 4) from a rotation (..., 3, 3) and a translation (..., 3)."""
    shape = rotation.shape[:-2]
    if translation.shape[:-1] != shape:
        shape = np.broadcast_shapes(shape, translation.shape[:-1])
    transform = np.zeros((*shape, 4, 4))
    transform[..., :3, :3] = rotation
    transform[..., :3, 3] = translation
    transform[..., 3, 3] = 1.0
    return transform


def inverse(a_from_b: Array) -> Array:
    """Gives b_from_a, (..., 4, 4)."""
    rotation = a_from_b[..., :3, :3].swapaxes(-1, -2)
    translation = -(rotation @ a_from_b[..., :3, 3:])[..., 0]
    return make_transform(rotation, translation)


def transform_points(a_from_b: Array, points: Array) -> Array:
    """Maps points (..., N, 3) of b into a by one transform (..., 4, 4) per leading index."""
    moved: Array = points @ a_from_b[..., :3, :3].swapaxes(-1, -2)
    return moved + a_from_b[..., None, :3, 3]


def is_rigid(transform: Array, tolerance: float = 1e-3) -> NDArray[np.bool_]:
    """Tells (...) bool: finite, rotation orthonormal and right-handed, last row 0 0 0 1."""
    finite = np.isfinite(transform).all(axis=(-2, -1))
    safe = transform if finite.all() else np.where(finite[..., None, None], transform, _STILL)
    last = np.abs(safe[..., 3, :] - _LAST_ROW).max(axis=-1)
    result: NDArray[np.bool_] = (
        finite & (last < tolerance) & is_rotation(safe[..., :3, :3], tolerance)
    )
    return result


def is_rotation(matrix: Array, tolerance: float = 1e-3) -> NDArray[np.bool_]:
    """Tells (...) bool of matrices (..., 3, 3): orthonormal and right-handed; of NaN: no."""
    error = np.abs(matrix @ matrix.swapaxes(-1, -2) - _IDENTITY).max(axis=(-2, -1))
    result: NDArray[np.bool_] = (error < tolerance) & (np.linalg.det(matrix) > 0)
    return result


def nearest_rotation(matrix: Array) -> Array:
    """Gives the rotation (..., 3, 3) closest to a matrix in the Frobenius norm.

    Umeyama, PAMI 1991, Lemma: U diag(1, 1, det(U V^T)) V^T of the singular value decomposition.
    """
    result: Array
    if matrix.ndim == 2:  # OpenCV takes a third of LAPACK's time for one small matrix
        _, left, right = cv2.SVDecomp(matrix)
        result = left @ right
        if cv2.determinant(result) < 0:
            left[:, 2] *= -1.0
            result = left @ right
        return result
    left, _, right = np.linalg.svd(matrix)
    result = left @ right
    mirrored = np.linalg.det(result) < 0
    if mirrored.any():
        left[..., 2] *= np.where(mirrored, -1.0, 1.0)[..., None]
        result = left @ right
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
    # of a rotation by angle a about n: R - R^T = 2 sin(a) skew(n), trace = 1 + 2 cos(a)
    twice = rotation[..., (2, 0, 1), (1, 2, 0)] - rotation[..., (1, 2, 0), (2, 0, 1)]
    sine = 0.5 * np.sqrt(np.einsum("...i,...i->...", twice, twice))
    cosine = 0.5 * (np.einsum("...ii->...", rotation) - 1.0)
    if not np.all(cosine > -0.9):  # near half a turn the difference says nothing of the axis
        flat = Rotation.from_matrix(rotation.reshape(-1, 3, 3)).as_rotvec()
        return np.asarray(flat.reshape(rotation.shape[:-1]), dtype=np.float64)
    angle = np.arctan2(sine, cosine)
    half = 0.5 * np.where(sine > 1e-8, angle / np.maximum(sine, 1e-8), 1.0)
    return np.asarray(half[..., None] * twice, dtype=np.float64)


def rotation_angle(rotation: Array) -> Array:
    """Gives the angle (...) of rotations (..., 3, 3), rad in [0, pi].

    From |R - I|_F = 2 sqrt(2) sin(angle / 2), exact also where the trace is not: near zero.
    """
    return rotation_angle_between(rotation, _IDENTITY)


def rotation_angle_between(one: Array, other: Array) -> Array:
    """Gives the angle (...) of ``one^T other``, rotations (..., 3, 3), rad in [0, pi].

    Turning both alike leaves |one - other|_F as it is, so the product is never needed.
    """
    difference = one - other
    squares = (difference * difference).sum(axis=(-2, -1))
    return np.asarray(2.0 * np.arcsin(np.minimum(np.sqrt(squares / 8.0), 1.0)), dtype=np.float64)


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
    result: Array = _IDENTITY + first * skew + second * skew @ skew
    return result


def skew_matrix(vector: Array) -> Array:
    """Gives (..., 3, 3) with ``skew_matrix(a) @ b == cross(a, b)``."""
    x, y, z = vector[..., 0], vector[..., 1], vector[..., 2]
    matrix = np.zeros((*vector.shape, 3))
    matrix[..., 0, 1], matrix[..., 0, 2] = -z, y
    matrix[..., 1, 0], matrix[..., 1, 2] = z, -x
    matrix[..., 2, 0], matrix[..., 2, 1] = -y, x
    return matrix


def exp(twist: Array) -> Array:
    """Gives the transform (..., 4, 4) of a twist (..., 6)."""
    vector = twist[..., 3:]
    flat = Rotation.from_rotvec(vector.reshape(-1, 3)).as_matrix()
    rotation = flat.reshape(*vector.shape[:-1], 3, 3)
    translation = (_left_jacobian(vector) @ twist[..., :3, None])[..., 0]
    return make_transform(rotation, translation)


def log(transform: Array) -> Array:
    """Gives the twist (..., 6) of a transform (..., 4, 4); inverse of ``exp`` below pi.

    The inverse of the left Jacobian in closed form: Sola et al., eq. 146.
    """
    vector = rotation_vector(transform[..., :3, :3])
    square = np.einsum("...i,...i->...", vector, vector)
    small = square < 1e-4
    safe = np.where(small, 1.0, square)
    half = 0.5 * np.sqrt(safe)
    factor = np.where(small, 1 / 12 + square / 720, (1.0 - half / np.tan(half)) / safe)
    shift = transform[..., :3, 3:]
    skew = skew_matrix(vector)
    across = skew @ shift
    translation = shift - 0.5 * across + factor[..., None, None] * (skew @ across)
    return np.concatenate([translation[..., 0], vector], axis=-1)


def adjoint(a_from_b: Array) -> Array:
    """Gives (..., 6, 6): maps twists expressed in b to a (Sola et al., eq. 175)."""
    rotation = a_from_b[..., :3, :3]
    result = np.zeros((*a_from_b.shape[:-2], 6, 6))
    result[..., :3, :3] = rotation
    result[..., 3:, 3:] = rotation
    result[..., :3, 3:] = skew_matrix(a_from_b[..., :3, 3]) @ rotation
    return result
