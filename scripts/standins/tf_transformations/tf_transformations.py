# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Stand-in for ROS 2's tf_transformations where ROS comes from PyPI, which lacks it.

Like the real one it rests on transforms3d. Quaternions are (x, y, z, w), matrices homogeneous 4x4.
The functions for rotations and translations are here; shear, projection, arcball and such are not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import transforms3d
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def _wxyz(quaternion: ArrayLike) -> Array:
    x, y, z, w = np.asarray(quaternion, np.float64)
    return np.array([w, x, y, z])


def _xyzw(quaternion: ArrayLike) -> Array:
    w, x, y, z = np.asarray(quaternion, np.float64)
    return np.array([x, y, z, w])


def _homogeneous(rotation: ArrayLike) -> Array:
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    return matrix


def identity_matrix() -> Array:
    """The 4x4 identity."""
    return np.eye(4)


def translation_matrix(direction: ArrayLike) -> Array:
    """The 4x4 matrix that moves points by ``direction``."""
    matrix = np.eye(4)
    matrix[:3, 3] = np.asarray(direction)[:3]
    return matrix


def translation_from_matrix(matrix: ArrayLike) -> Array:
    """The translation part of a 4x4 matrix."""
    return np.array(matrix, np.float64)[:3, 3]


def quaternion_matrix(quaternion: ArrayLike) -> Array:
    """The 4x4 rotation of a quaternion, which need not have unit length."""
    return _homogeneous(transforms3d.quaternions.quat2mat(_wxyz(quaternion)))


def quaternion_from_matrix(matrix: ArrayLike) -> Array:
    """The quaternion of a 4x4 (or 3x3) rotation."""
    return _xyzw(transforms3d.quaternions.mat2quat(np.asarray(matrix)[:3, :3]))


def euler_matrix(ai: float, aj: float, ak: float, axes: str = "sxyz") -> Array:
    """The 4x4 rotation of Euler angles in radians; 'sxyz': about the fixed x, then y, then z."""
    return _homogeneous(transforms3d.euler.euler2mat(ai, aj, ak, axes))


def euler_from_matrix(matrix: ArrayLike, axes: str = "sxyz") -> tuple[float, float, float]:
    """The Euler angles of a rotation."""
    return transforms3d.euler.mat2euler(np.asarray(matrix)[:3, :3], axes)


def quaternion_from_euler(ai: float, aj: float, ak: float, axes: str = "sxyz") -> Array:
    """The quaternion of Euler angles; roll, pitch and yaw in the default order."""
    return _xyzw(transforms3d.euler.euler2quat(ai, aj, ak, axes))


def euler_from_quaternion(quaternion: ArrayLike, axes: str = "sxyz") -> tuple[float, float, float]:
    """The Euler angles of a quaternion; roll, pitch and yaw in the default order."""
    return transforms3d.euler.quat2euler(_wxyz(quaternion), axes)


def quaternion_about_axis(angle: float, axis: Sequence[float]) -> Array:
    """The quaternion of a turn by ``angle`` radians about ``axis``."""
    return _xyzw(transforms3d.quaternions.axangle2quat(axis, angle))


def quaternion_multiply(quaternion1: ArrayLike, quaternion0: ArrayLike) -> Array:
    """The quaternion that turns by ``quaternion0`` first, then by ``quaternion1``."""
    return _xyzw(transforms3d.quaternions.qmult(_wxyz(quaternion1), _wxyz(quaternion0)))


def quaternion_conjugate(quaternion: ArrayLike) -> Array:
    """The quaternion with its vector part negated."""
    return _xyzw(transforms3d.quaternions.qconjugate(_wxyz(quaternion)))


def quaternion_inverse(quaternion: ArrayLike) -> Array:
    """The quaternion that undoes the given one."""
    return _xyzw(transforms3d.quaternions.qinverse(_wxyz(quaternion)))


def quaternion_slerp(quat0: ArrayLike, quat1: ArrayLike, fraction: float) -> Array:
    """The unit quaternion at ``fraction`` of the shorter way from ``quat0`` to ``quat1``."""
    start = np.asarray(quat0, np.float64) / np.linalg.norm(quat0)
    end = np.asarray(quat1, np.float64) / np.linalg.norm(quat1)
    if start @ end < 0.0:
        end = -end
    turn = transforms3d.quaternions.qmult(
        _wxyz(end), transforms3d.quaternions.qconjugate(_wxyz(start))
    )
    axis, angle = transforms3d.quaternions.quat2axangle(turn)
    part = transforms3d.quaternions.axangle2quat(axis, angle * fraction)
    return _xyzw(transforms3d.quaternions.qmult(part, _wxyz(start)))


def concatenate_matrices(*matrices: ArrayLike) -> Array:
    """The product of the matrices, from left to right."""
    product = np.eye(4)
    for matrix in matrices:
        product = product @ np.asarray(matrix)
    return product


def inverse_matrix(matrix: ArrayLike) -> Array:
    """The inverse of a square matrix."""
    return np.linalg.inv(np.asarray(matrix, np.float64))
