# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Transforms over time: values by hand, what is not known, and tf2 as the reference."""

from __future__ import annotations

import numpy as np
import pytest

from vggt4d_ros.geometry import se3
from vggt4d_ros.geometry.transform_buffer import TransformBuffer

SECOND = 1_000_000_000
UPRIGHT = (0.0, 0.0, 0.0, 1.0)
QUARTER_LEFT = (0.0, 0.0, 0.5**0.5, 0.5**0.5)  # 90 degrees about z


def drive(buffer: TransformBuffer, stamps: list[int]) -> None:
    """base_link drives along x of odom, 1 m/s."""
    for stamp in stamps:
        buffer.add("odom", "base_link", stamp, (stamp / SECOND, 0.0, 0.0), UPRIGHT)


def test_between_two_stamps_position_is_linear_and_rotation_on_the_arc():
    buffer = TransformBuffer()
    buffer.add("odom", "base_link", 0, (1.0, 0.0, 0.0), UPRIGHT)
    buffer.add("odom", "base_link", SECOND, (3.0, 4.0, 0.0), QUARTER_LEFT)

    found = buffer.lookup("odom", "base_link", [SECOND // 4]).target_from_source[0]

    np.testing.assert_allclose(found[:3, 3], [1.5, 1.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(se3.rotation_vector(found[:3, :3]), [0, 0, np.pi / 8], atol=1e-12)


def test_the_shorter_arc_is_taken_whichever_sign_the_quaternion_has():
    buffer = TransformBuffer()
    buffer.add("odom", "base_link", 0, (0.0, 0.0, 0.0), UPRIGHT)
    buffer.add("odom", "base_link", SECOND, (0.0, 0.0, 0.0), tuple(-q for q in QUARTER_LEFT))

    found = buffer.lookup("odom", "base_link", [SECOND // 2]).target_from_source[0]

    assert se3.rotation_angle(found[:3, :3]) == pytest.approx(np.pi / 4)


def test_a_chain_goes_up_to_the_common_ancestor_and_down_again():
    buffer = TransformBuffer()
    drive(buffer, [0, SECOND])
    buffer.add("base_link", "camera", 0, (0.0, 0.5, 0.0), QUARTER_LEFT, is_static=True)
    buffer.add("odom", "beacon", 0, (10.0, 0.0, 0.0), UPRIGHT, is_static=True)

    camera_from_beacon = buffer.lookup("camera", "beacon", [SECOND // 2]).target_from_source[0]

    # the beacon is 9.5 m ahead and 0.5 m right of a camera that looks left: behind is its x
    np.testing.assert_allclose(camera_from_beacon[:3, 3], [-0.5, -9.5, 0.0], atol=1e-12)


def test_what_is_not_known_is_nan_and_said():
    buffer = TransformBuffer(max_gap_s=0.5)
    drive(buffer, [SECOND, 2 * SECOND, 2 * SECOND + SECOND // 4])
    stamps = [SECOND // 2, SECOND, 3 * SECOND // 2, 2 * SECOND + 1, 3 * SECOND]

    found = buffer.lookup("odom", "base_link", stamps)

    assert found.known.tolist() == [False, True, False, True, False]
    assert found.late.tolist() == [False, False, False, False, True]
    assert found.reason == "odom -> base_link: the oldest is 0.500 s newer than the image"
    late = buffer.lookup("odom", "base_link", stamps[4:])
    assert late.reason == "odom -> base_link: the newest is 0.750 s older than the image"
    gap = buffer.lookup("odom", "base_link", stamps[2:3])
    assert gap.reason == "odom -> base_link: the image falls into a gap of 1.000 s"
    stranger = buffer.lookup("map", "base_link", stamps)
    assert not stranger.known.any()
    assert not stranger.late.any()
    assert stranger.reason == "no transforms connect map and base_link"


def test_samples_may_come_in_any_order_and_again():
    buffer = TransformBuffer(max_gap_s=10.0)
    drive(buffer, [2 * SECOND, 0, SECOND, SECOND])

    found = buffer.lookup("odom", "base_link", [SECOND // 2, 3 * SECOND // 2])

    np.testing.assert_allclose(found.target_from_source[:, 0, 3], [0.5, 1.5])


def test_what_cannot_be_a_transform_is_refused():
    buffer = TransformBuffer()

    assert not buffer.add("odom", "base_link", 0, (np.nan, 0.0, 0.0), UPRIGHT)
    assert not buffer.add("odom", "base_link", 0, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0))
    for size in (1e-170, 1e170):  # their squares are 0 and inf
        assert not buffer.add("odom", "base_link", 0, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0, size))
    assert not buffer.add("odom", "odom", 0, (0.0, 0.0, 0.0), UPRIGHT)
    assert buffer.add("odom", "base_link", 0, (0.0, 0.0, 0.0), UPRIGHT)
    assert not buffer.add("base_link", "odom", 0, (0.0, 0.0, 0.0), UPRIGHT), "a loop"
    assert list(buffer.frames()) == [("odom", "base_link")]


def test_a_clock_that_goes_back_begins_anew_and_clear_keeps_what_is_static():
    buffer = TransformBuffer(keep_s=5.0)
    buffer.add("base_link", "camera", 0, (0.0, 0.5, 0.0), UPRIGHT, is_static=True)
    drive(buffer, [100 * SECOND, 101 * SECOND])
    drive(buffer, [SECOND, 2 * SECOND])

    assert buffer.lookup("odom", "base_link", [SECOND]).known.all()
    assert buffer.lookup("odom", "base_link", [100 * SECOND]).late.all()

    buffer.clear()

    assert not buffer.lookup("odom", "base_link", [SECOND]).known.any()
    assert buffer.lookup("base_link", "camera", [SECOND]).known.all()


def test_memory_is_bounded():
    buffer = TransformBuffer(keep_s=1.0)
    for index in range(5000):
        buffer.add("odom", "base_link", index * SECOND // 100, (0.0, 0.0, 0.0), UPRIGHT)

    edge = buffer._edges["base_link"]
    assert len(edge.stamps_ns) == len(edge.poses) < 1000
    assert buffer.lookup("odom", "base_link", [49 * SECOND]).known.all()


def test_a_random_tree_gives_what_tf2_gives():
    tf2 = pytest.importorskip("tf2_ros")
    from geometry_msgs.msg import TransformStamped
    from rclpy.duration import Duration
    from rclpy.time import Time

    rng = np.random.default_rng(0)
    reference, buffer = tf2.Buffer(Duration(seconds=100)), TransformBuffer()
    for parent, child, count in (("a", "b", 5), ("b", "c", 9), ("b", "d", 1), ("a", "e", 4)):
        for index in range(count):
            stamp, place, quat = index * SECOND // 2, rng.normal(size=3), rng.normal(size=4)
            quat /= np.linalg.norm(quat)
            buffer.add(parent, child, stamp, place, quat, is_static=count == 1)
            message = TransformStamped(child_frame_id=child)
            message.header.frame_id = parent
            message.header.stamp = Time(nanoseconds=stamp).to_msg()
            move, turn = message.transform.translation, message.transform.rotation
            move.x, move.y, move.z = place
            turn.x, turn.y, turn.z, turn.w = quat
            take = reference.set_transform_static if count == 1 else reference.set_transform
            take(message, "test")

    for target, source in (("e", "c"), ("c", "e"), ("d", "c"), ("a", "d"), ("b", "b")):
        for stamp in (1, 400_000_000, SECOND, 1_400_000_001):
            ours = buffer.lookup(target, source, [stamp]).target_from_source[0]
            theirs = reference.lookup_transform(target, source, Time(nanoseconds=stamp)).transform
            move, turn = theirs.translation, theirs.rotation
            np.testing.assert_allclose(ours[:3, 3], [move.x, move.y, move.z], atol=1e-9)
            expected = se3.matrix_from_quat_xyzw(np.array([turn.x, turn.y, turn.z, turn.w]))
            np.testing.assert_allclose(ours[:3, :3], expected, atol=1e-9)
