# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Stamps and poses out of messages, whoever made them."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vggt4d_ros.geometry.transform_buffer import TransformBuffer
from vggt4d_ros.messages.poses import (
    add_odometry,
    add_transform,
    odometry_frames,
    pose_fault,
    pose_numbers,
)
from vggt4d_ros.messages.stamps import ns_from_stamp

HALF = math.sqrt(0.5)
PLACE = SimpleNamespace(x=1.0, y=2.0, z=3.0)
QUARTER_LEFT = SimpleNamespace(x=0.0, y=0.0, z=HALF, w=HALF)
EXPECTED = [[0, -1, 0, 1], [1, 0, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]]


def head(frame_id: str, sec: int = 1_700_000_000, nanosec: int = 987_654_321) -> Any:
    return SimpleNamespace(frame_id=frame_id, stamp=SimpleNamespace(sec=sec, nanosec=nanosec))


def transform(child: str, place: Any = PLACE) -> Any:
    return SimpleNamespace(
        header=head("/odom"),
        child_frame_id=child,
        transform=SimpleNamespace(translation=place, rotation=QUARTER_LEFT),
    )


def odometry(fixed: str, moving: str) -> Any:
    pose = SimpleNamespace(position=PLACE, orientation=QUARTER_LEFT)
    return SimpleNamespace(
        header=head(fixed), child_frame_id=moving, pose=SimpleNamespace(pose=pose)
    )


def test_stamp_keeps_every_nanosecond() -> None:
    assert ns_from_stamp(head("").stamp) == 1_700_000_000_987_654_321


def test_pose_is_read_in_the_order_of_ros() -> None:
    pose = SimpleNamespace(
        position=SimpleNamespace(z=3, y=2, x=1), orientation=SimpleNamespace(w=7, z=6, y=5, x=4)
    )

    assert pose_numbers(pose) == (1, 2, 3, 4, 5, 6, 7)


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({}, ""),
        ({1: math.nan}, "not finite"),
        ({6: math.inf}, "not finite"),
        ({6: 1.004}, ""),  # rounding of a sender's
        ({6: 1.006}, "the quaternion is not of unit length"),
        ({6: 0.0}, "the quaternion is not of unit length"),
        ({6: 1e200}, "the quaternion is not of unit length"),
    ],
)
def test_what_is_no_pose_is_told_from_one(changed: dict[int, float], fault: str) -> None:
    numbers = [1.0, 2.0, 3.0, 0.0, 0.0, 0.0, 1.0]
    for index, value in changed.items():
        numbers[index] = value

    assert pose_fault(numbers) == fault


def test_transform_maps_the_child_into_its_parent_at_its_stamp() -> None:
    buffer = TransformBuffer()

    assert add_transform(buffer, transform("/base_link"))

    stamp_ns = 1_700_000_000_987_654_321
    found = buffer.lookup("odom", "base_link", [stamp_ns, stamp_ns + 1])
    np.testing.assert_allclose(found.target_from_source[0], EXPECTED, atol=1e-12)
    assert found.known.tolist() == [True, False]


def test_static_transform_holds_at_all_times() -> None:
    buffer = TransformBuffer()

    assert add_transform(buffer, transform("base_link"), is_static=True)

    assert buffer.lookup("odom", "base_link", [5]).known.all()


def test_transform_that_is_no_number_is_refused() -> None:
    broken = transform("base_link", SimpleNamespace(x=math.nan, y=0.0, z=0.0))

    assert not add_transform(TransformBuffer(), broken)


def test_odometry_without_names_is_taken_under_the_given_ones() -> None:
    assert odometry_frames(odometry("", ""), "odom", "base_link") == ("odom", "base_link")
    assert odometry_frames(odometry("world", "imu"), "odom", "base_link") == ("world", "imu")


def test_odometry_maps_the_moving_frame_into_the_fixed_one() -> None:
    buffer = TransformBuffer()

    assert add_odometry(buffer, odometry("", ""), "odom", "imu")

    found = buffer.lookup("odom", "imu", [1_700_000_000_987_654_321])
    np.testing.assert_allclose(found.target_from_source[0], EXPECTED, atol=1e-12)
