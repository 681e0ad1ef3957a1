# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Covariance of a chained trajectory."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from vggt4d_ros.geometry import se3
from vggt4d_ros.geometry.align import Alignment, Similarity
from vggt4d_ros.geometry.scale import ScaleEstimate, ScaleSource, no_scale
from vggt4d_ros.geometry.uncertainty import ChainCovariance

NAN = float("nan")
METRIC = ScaleEstimate(0.4, 0.02, ScaleSource.RIG, "")
PLACE = np.array([10.0, 0.0, 0.0])


def chain() -> ChainCovariance:
    """A trajectory whose frames have almost no noise of their own."""
    result = ChainCovariance()
    result.start(np.zeros(3), 4, 4.0, (1e-9, 1e-9))
    return result


def link(centre: np.ndarray, metres: float, radians: float) -> Alignment:
    return Alignment(
        Similarity(1.0, np.eye(3), np.zeros(3)), 0.0, 0.0, 1.0, 10, 4, centre,
        np.diag([metres**2] * 3 + [radians**2] * 3), 1e-9, 1e-9,
    )  # fmt: skip


def sigmas(covariance: ChainCovariance, scale: ScaleEstimate) -> np.ndarray:
    pose = se3.make_transform(np.eye(3), PLACE)
    result = covariance.of_poses(pose[None], np.array([4]), scale)
    return np.sqrt(np.diagonal(result[0]))


def test_wrong_scale_shifts_a_place_by_its_share_of_the_way():
    assert_allclose(sigmas(chain(), METRIC), [0.2, 0, 0, 0, 0, 0], atol=1e-6)
    assert_allclose(sigmas(chain(), no_scale("")), 0.0, atol=1e-6)


def test_links_add_up_and_turns_act_through_the_lever_arm():
    covariance = chain()
    for _ in range(4):
        covariance.link(link(np.zeros(3), 0.01, 0.001))

    found = sigmas(covariance, no_scale(""))

    across = np.hypot(0.02, 0.002 * 10)
    assert_allclose(found, [0.02, across, across, 0.002, 0.002, 0.002], rtol=1e-3)


def test_noise_of_a_frame_is_shared_by_the_cameras_that_see_it():
    covariance = ChainCovariance()
    covariance.start(np.zeros(3), 1, 4.0, (NAN, NAN))
    pose = np.eye(4)[None]

    one = covariance.of_poses(pose, np.array([1]), no_scale(""))[0]
    four = covariance.of_poses(pose, np.array([4]), no_scale(""))[0]

    start = one - 0.25 * one  # what the start itself adds is not shared: half of one camera's
    assert np.trace(one) > np.trace(four) > 0
    assert np.trace(one - four) == pytest.approx(0.5 * np.trace(start), rel=1e-6)


def test_unknown_pose_has_no_covariance():
    result = chain().of_poses(np.full((1, 4, 4), NAN), np.array([0]), METRIC)

    assert np.isnan(result).all()


def test_gap_adds_a_metre_and_half_a_radian():
    covariance = chain()

    covariance.bridge(PLACE)

    assert_allclose(sigmas(covariance, no_scale("")), [1, 1, 1, 0.5, 0.5, 0.5], rtol=1e-6)
