# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Cameras of one platform: one instant, one pose."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from vggt4d_ros.data.analytic_drive import outward_rig
from vggt4d_ros.geometry import se3
from vggt4d_ros.geometry.rig import (
    camera_residuals,
    follow_leader,
    join_cameras,
    poses_at_set_stamps,
    twists_between_steps,
)

TWIST = np.array([1.0, 0.2, 0.0, 0.05, -0.02, 0.5])  # per second, in the moving frame


def moving(times: np.ndarray) -> np.ndarray:
    return se3.exp(np.array([0.3, 0, 0, 0, 0, 1.0])) @ se3.exp(times[..., None] * TWIST)


def test_constant_motion_is_found_at_every_step():
    stamps = np.array([0, 100, 250, 300], dtype=np.int64) * 1_000_000

    twists = twists_between_steps(moving(stamps * 1e-9), stamps, np.ones(4, dtype=bool))

    assert_allclose(twists, np.broadcast_to(TWIST, (4, 6)), atol=1e-9)


@pytest.mark.parametrize("case", ["one step", "equal stamps", "backwards"])
def test_no_span_of_time_means_no_known_motion(case):
    stamps = np.array([0, 100, 200], dtype=np.int64)
    valid = np.array([True, True, True])
    if case == "one step":
        valid[1:] = False
    elif case == "equal stamps":
        stamps[:] = 5
    else:
        stamps = stamps[::-1].copy()

    assert np.isnan(twists_between_steps(moving(stamps * 1e-9), stamps, valid)).all()


def test_cameras_of_different_stamps_are_brought_to_one_instant():
    set_stamps = np.arange(4, dtype=np.int64) * 100_000_000
    stamps = set_stamps[:, None] - np.array([0, 20_000_000, 5_000_000])
    rig = outward_rig(3)
    own = np.stack([moving(stamps[:, v] * 1e-9) @ rig[v] for v in range(3)], axis=1)
    valid = np.ones((4, 3), dtype=bool)
    valid[1, 2] = False
    own[1, 2] = np.nan

    synced = poses_at_set_stamps(own, stamps, set_stamps, valid)

    expected = moving(set_stamps * 1e-9)[:, None] @ rig
    assert_allclose(synced[valid], expected[valid], atol=1e-9)
    assert np.isnan(synced[1, 2]).all()


def test_platform_is_where_its_cameras_say():
    rig = outward_rig(4)
    bases = moving(np.arange(5) * 0.1)
    rng = np.random.default_rng(0)
    cams = bases[:, None] @ rig @ se3.exp(rng.normal(0, 0.002, (5, 4, 6)))

    joined = join_cameras(cams, np.ones((5, 4), dtype=bool), rig)

    error = se3.log(se3.inverse(bases) @ joined.local_from_base)
    assert np.abs(error).max() < 0.004  # 2 mm and 2 mrad per axis and camera, four of them
    assert joined.cameras.tolist() == [4] * 5


def led(valid: np.ndarray, unknown: tuple[int, ...] = ()) -> tuple[np.ndarray, np.ndarray]:
    """Platform poses found by a leader, and true ones; the other cameras are seen elsewhere."""
    rig = outward_rig(3)
    bases = moving(np.arange(5) * 0.1)
    wrong = se3.exp(np.random.default_rng(0).normal(0, 0.3, (3, 6)))
    wrong[0] = np.eye(4)
    cams = wrong @ bases[:, None] @ rig
    cams[~valid] = np.nan
    rig[list(unknown)] = np.nan

    poses, speaks = follow_leader(cams, valid, rig)

    assert (speaks.sum(axis=1) <= 1).all()
    assert not (speaks & ~valid).any()
    return join_cameras(poses, speaks, rig).local_from_base, bases


def test_the_platform_follows_the_first_camera_whatever_the_others_say():
    found, true = led(np.ones((5, 3), dtype=bool))

    assert_allclose(found, true, atol=1e-9)


def test_where_the_leader_is_missing_others_stand_in_at_their_place_on_the_rig():
    valid = np.ones((5, 3), dtype=bool)
    valid[2:, 0] = False  # camera 1 bridges
    valid[4, 1] = valid[0, 1] = False
    valid[:2, 2] = False  # sees nothing of camera 0, the last step alone

    found, true = led(valid)

    assert_allclose(found, true, atol=1e-9)


def test_no_camera_with_a_place_on_the_platform_can_lead():
    found, _ = led(np.ones((5, 3), dtype=bool), unknown=(0, 1, 2))

    assert np.isnan(found).all()


def test_a_camera_alone_gives_the_platform_and_none_gives_nan():
    rig = outward_rig(3)
    bases = moving(np.arange(2) * 0.1)
    valid = np.array([[False, True, False], [False, False, False]])
    cams = np.where(valid[..., None, None], bases[:, None] @ rig, np.nan)

    joined = join_cameras(cams, valid, rig)

    assert_allclose(joined.local_from_base[0], bases[0], atol=1e-12)
    assert np.isnan(joined.local_from_base[1]).all()
    assert joined.cameras.tolist() == [1, 0]
    assert np.isnan(joined.residual_m).all()  # nothing to compare with


def test_one_camera_off_its_extrinsics_is_outvoted_and_named_by_its_residual():
    rig = outward_rig(5)
    bases = moving(np.arange(4) * 0.1)
    rng = np.random.default_rng(0)
    cams = bases[:, None] @ rig @ se3.exp(rng.normal(0, 0.001, (4, 5, 6)))
    cams[:, 3] = cams[:, 3] @ se3.exp(np.array([0.3, 0.0, 0.0, 0.0, 0.3, 0.0]))

    joined = join_cameras(cams, np.ones((4, 5), dtype=bool), rig)

    metres, radians = camera_residuals(joined)
    error = se3.log(se3.inverse(bases) @ joined.local_from_base)
    assert np.abs(error).max() < 0.02
    assert int(np.argmax(radians)) == int(np.argmax(metres)) == 3
    assert radians[3] == pytest.approx(0.3, abs=0.02)
    assert np.delete(radians, 3).max() < 0.02
