# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rigid transforms."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.linalg import expm

from vggt4d_ros.geometry import se3


def random_twists(count: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.concatenate(
        [rng.normal(0, 3, (count, 3)), rng.uniform(-1.7, 1.7, (count, 3))], axis=-1
    )


def test_inverse_undoes_a_transform():
    a_from_b = se3.exp(random_twists(20))

    product = se3.inverse(a_from_b) @ a_from_b

    assert_allclose(product, np.broadcast_to(np.eye(4), (20, 4, 4)), atol=1e-12)


def test_exp_is_the_matrix_exponential():
    twist = random_twists(10)
    twist[0, 3:] = 1e-7  # the series branch

    for one in twist:
        matrix = np.zeros((4, 4))
        matrix[:3, :3] = np.cross(np.eye(3), -one[3:]).T
        matrix[:3, 3] = one[:3]
        assert_allclose(se3.exp(one), expm(matrix), atol=1e-10)


def test_log_undoes_exp_also_at_zero_rotation():
    twist = random_twists(50)
    twist[0, 3:] = 0.0

    assert_allclose(se3.log(se3.exp(twist)), twist, atol=1e-9)


def test_quarter_turn_about_z_has_the_quaternion_known_by_hand():
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])

    quat_xyzw = se3.quat_xyzw_from_matrix(turn)

    assert_allclose(quat_xyzw, [0, 0, np.sqrt(0.5), np.sqrt(0.5)], atol=1e-12)
    assert_allclose(se3.matrix_from_quat_xyzw(quat_xyzw), turn, atol=1e-12)


def test_quaternions_have_a_positive_scalar_part():
    quats = se3.quat_xyzw_from_matrix(se3.exp(random_twists(100))[:, :3, :3])

    assert (quats[:, 3] >= 0).all()


def test_optical_axes_become_body_axes_as_in_rep_103():
    optical = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])  # ahead, right, down

    body = se3.transform_points(se3.BODY_FROM_OPTICAL, optical)

    assert_allclose(body, [[1, 0, 0], [0, -1, 0], [0, 0, -1]], atol=0)


def test_rotation_angle_is_that_of_the_axis_angle():
    twist = np.array([1.0, 2.0, 3.0, 0.0, 0.6, -0.8])

    assert_allclose(se3.rotation_angle(se3.exp(twist)[:3, :3]), 1.0, atol=1e-12)


def test_mean_rotation_of_opposite_turns_is_the_middle_and_follows_weight():
    turns = se3.exp(np.array([[0, 0, 0, 0.2, 0, 0], [0, 0, 0, -0.2, 0, 0]]))[:, :3, :3]

    assert_allclose(se3.mean_rotation(turns), np.eye(3), atol=1e-12)
    assert_allclose(se3.mean_rotation(turns, np.array([1.0, 0.0])), turns[0], atol=1e-12)
    with pytest.raises(ValueError, match="needs a rotation"):
        se3.mean_rotation(turns[:0])


def test_nearest_rotation_of_a_mirror_is_still_right_handed():
    mirror = np.diag([1.0, 1.0, -1.0]) + 1e-3

    assert np.linalg.det(se3.nearest_rotation(mirror)) == pytest.approx(1.0)


def test_rigid_check_finds_nan_scale_mirror_and_projective_row():
    good = se3.exp(random_twists(1)[0])
    bad_scale, mirror, nan, row = good.copy(), good.copy(), good.copy(), good.copy()
    bad_scale[:3, :3] *= 1.01
    mirror[:3, 0] *= -1
    nan[0, 3] = np.nan
    row[3, 0] = 0.1

    verdict = se3.is_rigid(np.stack([good, bad_scale, mirror, nan, row]))

    assert verdict.tolist() == [True, False, False, False, False]


def test_adjoint_carries_a_twist_into_the_other_frame():
    a_from_b = se3.exp(random_twists(2)[1])
    twist_b = np.array([0.1, -0.2, 0.3, 0.05, 0.2, -0.1])

    moved = a_from_b @ se3.exp(twist_b) @ se3.inverse(a_from_b)

    assert_allclose(se3.exp(se3.adjoint(a_from_b) @ twist_b), moved, atol=1e-12)
