# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The platform's motion at each image's own stamp, and the scale it gives."""

from __future__ import annotations

import numpy as np
import pytest

from vggt4d_ros.data.analytic_drive import AnalyticDrive, body_pose, outward_rig
from vggt4d_ros.datatypes import CameraModel, Rig
from vggt4d_ros.geometry import se3
from vggt4d_ros.geometry.platform_motion import unknown_motion, window_motion
from vggt4d_ros.geometry.scale import ScaleSource
from vggt4d_ros.geometry.tracker import Tracker
from vggt4d_ros.geometry.transform_buffer import TransformBuffer

COARSE = CameraModel(48, 36, 30.0, 30.3, 24.1, 17.6)
ODOM_FROM_WORLD = se3.exp(np.array([3.0, -2.0, 0.1, 0.0, 0.0, 1.0]))
FRAMES = {"fixed_frame": "odom", "moving_frame": "base_link"}


def odometry(drive: AnalyticDrive, until_s: float = 10.0) -> TransformBuffer:
    """Wheel odometry at 50 Hz, in a fixed frame of its own."""
    buffer = TransformBuffer()
    for time_s in np.arange(0.0, until_s, 0.02):
        pose = ODOM_FROM_WORLD @ body_pose(time_s, drive.speed, drive.turn)
        stamp_ns = drive.stamp_ns(0, 0) + round(time_s * 1e9)
        quat = se3.quat_xyzw_from_matrix(pose[:3, :3])
        buffer.add("odom", "base_link", stamp_ns, pose[:3, 3], quat)
    return buffer


def test_each_camera_is_where_the_platform_was_at_its_own_stamp():
    drive = AnalyticDrive(model=COARSE, jitter_s=(0.0, 0.013, 0.027, 0.031))

    found = window_motion(drive.window(5), drive.rig, odometry(drive), **FRAMES)

    expected = ODOM_FROM_WORLD @ drive.odom_from_cam(5)
    # 50 Hz odometry is a polygon: at 1 m/s and 0.5 rad/s its sides are off by 25 um at most
    np.testing.assert_allclose(found.odom_from_cam[..., :3, 3], expected[..., :3, 3], atol=5e-5)
    np.testing.assert_allclose(found.odom_from_cam, expected, atol=1e-4)
    assert found.warnings == ()
    assert found.lag_s == 0.0


def test_one_camera_gets_its_scale_from_the_platforms_motion():
    drive = AnalyticDrive(model=COARSE, base_from_cam=outward_rig(1))
    window, buffer = drive.window(3), odometry(drive)
    motion = window_motion(window, drive.rig, buffer, **FRAMES)

    tracked = Tracker().update(
        window, drive.predict(3, (3,)), drive.rig, odom_from_cam=motion.odom_from_cam
    )

    assert tracked.scale.source is ScaleSource.MOTION
    assert tracked.scale.value == pytest.approx(drive.metres_per_unit, rel=1e-3)
    assert motion.newest_known == 1


def test_frames_without_a_pose_are_counted_by_cause():
    drive = AnalyticDrive(model=COARSE, base_from_cam=outward_rig(2))
    rig = Rig((drive.base_from_cam[0], None))
    late = odometry(drive, until_s=0.41)  # the window ends at 0.5 s

    found = window_motion(drive.window(5), rig, late, **FRAMES)

    assert found.unknown == {"late": 1, "no_extrinsics": 4}
    assert found.newest_unknown == {"late": 1, "no_extrinsics": 1}
    assert found.newest_known == 0
    assert found.lag_s == pytest.approx(0.1)
    known = np.isfinite(found.odom_from_cam).all(axis=(2, 3))
    assert known.tolist() == [[True, False]] * 3 + [[False, False]]
    assert found.warnings == (
        "platform motion: 5 of 8 frames: odom -> base_link: the newest is 0.100 s older than the "
        "image",
    )
    nothing = window_motion(drive.window(5), rig, TransformBuffer(), **FRAMES)
    assert nothing.unknown == {"missing": 4, "no_extrinsics": 4}
    told = unknown_motion(drive.window(5), "the odometry's frame is not known")
    assert told.warnings == ("platform motion: 8 of 8 frames: the odometry's frame is not known",)


def test_odometry_of_another_part_of_the_robot_is_carried_to_the_base():
    drive = AnalyticDrive(model=COARSE)
    foot_from_base = se3.exp(np.array([0.1, 0.0, 0.4, 0.0, 0.0, 0.3]))
    buffer = TransformBuffer()
    for index in range(8):
        pose = drive.base(index) @ se3.inverse(foot_from_base)
        quat = se3.quat_xyzw_from_matrix(pose[:3, :3])
        buffer.add("odom", "base_footprint", drive.stamp_ns(index, 0), pose[:3, 3], quat)

    found = window_motion(
        drive.window(5),
        drive.rig,
        buffer,
        fixed_frame="odom",
        moving_frame="base_footprint",
        moving_from_base=foot_from_base,
    )

    np.testing.assert_allclose(found.odom_from_cam, drive.odom_from_cam(5), atol=1e-9)


def test_missing_images_are_not_asked_for():
    drive = AnalyticDrive(model=COARSE, missing={(4, 1)})

    found = window_motion(drive.window(5), drive.rig, odometry(drive), **FRAMES)

    assert not np.isfinite(found.odom_from_cam[2, 1]).any()
    assert not found.unknown
