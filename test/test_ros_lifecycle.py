# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Lifecycle, simulated time and TF of the installed node, over real DDS."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy")

from geometry_msgs.msg import TransformStamped
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from nav_msgs.msg import Odometry
from rclpy.node import Node
from ros_graph import (
    NULL,
    PERIOD,
    SECOND,
    START,
    CameraRig,
    Spin,
    call,
    fresh_domain,
    graph_node,
    listen,
    running_node,
    wait_for_stamp,
    wait_until,
)
from rosgraph_msgs.msg import Clock
from tf2_msgs.msg import TFMessage
from vggt4d_ros.msg import WindowStatus

from vggt4d_ros.messages.stamps import ns_from_stamp
from vggt4d_ros.ros.encode import matrix_from_transform, stamp_from_ns

pytestmark = pytest.mark.ros


def change(node: Node, spin: Spin, transition: int) -> bool:
    request = ChangeState.Request(transition=Transition(id=transition))
    return bool(call(node, spin, ChangeState, "/vggt4d/change_state", request).success)


def state(node: Node, spin: Spin) -> str:
    found = call(node, spin, GetState, "/vggt4d/get_state", GetState.Request())
    return str(found.current_state.label)


def play(rig: CameraRig, spin: Spin, first: int, count: int, outputs: list | None = None) -> None:
    """Publishes instants; with ``outputs`` each waits for its own, which the first has not."""
    for index in range(first, first + count):
        rig.publish(START + index * PERIOD)
        spin(0.06)
        if outputs is not None and index > first:
            wait_for_stamp(outputs, START + index * PERIOD, spin, "output")


def test_every_lifecycle_transition_works_twice(tmp_path: Path) -> None:
    domain = fresh_domain()
    parameters = {**NULL, "node.autostart": False}
    states, windows = [], []
    with (
        graph_node("manager", domain) as (node, spin),
        running_node(tmp_path, domain, parameters) as run,
    ):
        rig = CameraRig(node, 2)
        status = listen(node, WindowStatus, "/vggt4d/status")
        listen(node, Odometry, "/vggt4d/odometry")
        states.append(state(node, spin))
        for turn in range(2):
            assert change(node, spin, Transition.TRANSITION_CONFIGURE)
            states.append(state(node, spin))
            assert [p.get_subscription_count() for p in rig.images] == [0, 0]
            assert change(node, spin, Transition.TRANSITION_ACTIVATE)
            states.append(state(node, spin))
            rig.wait_for_node(spin)
            spin(0.5)
            before = len(status)
            play(rig, spin, 10 * turn, 4, status)
            wait_until(lambda n=before: len(status) >= n + 3, spin, 10, "windows while active")
            assert change(node, spin, Transition.TRANSITION_DEACTIVATE)
            spin(0.3)
            windows.append((status[-1].windows, status[-1].frames_pending))
            assert change(node, spin, Transition.TRANSITION_CLEANUP)
        states.append(state(node, spin))
        exit_status, _ = run.stop()
        log = run.output()

    assert states == [
        "unconfigured", "inactive", "active", "inactive", "active", "unconfigured",
    ]  # fmt: skip
    assert windows == [(3, 0), (3, 0)]
    assert exit_status == 0
    assert "Traceback" not in log


def test_a_failed_configure_leaves_the_node_unconfigured_and_alive(tmp_path: Path) -> None:
    domain = fresh_domain()
    parameters = {"node.autostart": False, "model.engine": "null"}  # no cameras
    with (
        graph_node("manager", domain) as (node, spin),
        running_node(tmp_path, domain, parameters) as run,
    ):
        configured = change(node, spin, Transition.TRANSITION_CONFIGURE)
        label = state(node, spin)
        log = run.output()

    assert not configured
    assert label == "unconfigured"
    assert "no cameras given" in log


def test_a_transition_that_does_not_fit_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    domain = fresh_domain()
    with (
        graph_node("manager", domain) as (node, spin),
        running_node(tmp_path, domain, NULL) as run,
    ):
        CameraRig(node, 2).wait_for_node(spin)
        accepted = change(node, spin, Transition.TRANSITION_CONFIGURE)
        label = state(node, spin)
        exit_status, _ = run.stop()

    assert not accepted
    assert label == "active"
    assert exit_status == 0


def test_simulated_time_is_used_and_its_absence_does_no_harm(tmp_path: Path) -> None:
    domain = fresh_domain()
    parameters = {**NULL, "use_sim_time": True}
    with (
        graph_node("player", domain) as (node, spin),
        running_node(tmp_path, domain, parameters) as run,
    ):
        clock = node.create_publisher(Clock, "/clock", 10)
        rig = CameraRig(node, 2)
        status = listen(node, WindowStatus, "/vggt4d/status")
        listen(node, Odometry, "/vggt4d/odometry")
        rig.wait_for_node(spin)
        spin(0.5)
        play(rig, spin, 0, 3)  # no /clock yet: it reads 0
        wait_until(lambda: len(status) >= 2, spin, 10, "windows without a clock")
        for index in range(3, 6):
            clock.publish(Clock(clock=stamp_from_ns(START + index * PERIOD + SECOND // 4)))
            spin(0.2)
            rig.publish(START + index * PERIOD)
            wait_for_stamp(status, START + index * PERIOD, spin, "window")
        rig.publish(START + 100 * PERIOD)  # ten seconds ahead of /clock
        spin(0.3)
        run.stop()
        spin(0.3)

    timed = [s for s in status[:-1] if ns_from_stamp(s.header.stamp) >= START + 3 * PERIOD]
    assert [round(s.latency, 3) for s in timed] == [0.25, 0.25, 0.25]
    assert {d.name: d.count for d in status[-1].frames_dropped} == {"future_stamp": 2}


def test_odom_to_base_is_published_at_the_image_stamp(tmp_path: Path) -> None:
    domain = fresh_domain()
    with (
        graph_node("tester", domain) as (node, spin),
        running_node(tmp_path, domain, {**NULL, "tf.mode": "odom_to_base"}),
    ):
        rig = CameraRig(node, 2)
        transforms = listen(node, TFMessage, "/tf")  # and nothing else is subscribed to
        rig.wait_for_node(spin)
        spin(0.5)
        for index in range(4):
            rig.publish(START + index * PERIOD)
            spin(0.06)
            wait_until(lambda n=index: len(transforms) >= n, spin, 10, "transforms")
        odometry = listen(node, Odometry, "/vggt4d/odometry")
        spin(1.0)
        play(rig, spin, 4, 2)
        wait_until(lambda: len(odometry) >= 1, spin, 10, "odometry")

    edges = [t for message in transforms for t in message.transforms]
    assert {(t.header.frame_id, t.child_frame_id) for t in edges} == {("odom", "base_link")}
    stamps = [ns_from_stamp(t.header.stamp) for t in edges]
    assert stamps == [START + index * PERIOD for index in range(1, len(edges) + 1)]
    message = odometry[-1]
    assert (message.header.frame_id, message.child_frame_id) == ("odom", "base_link")
    edge = edges[stamps.index(ns_from_stamp(message.header.stamp))]
    moved, pose = edge.transform.translation, message.pose.pose.position
    assert (moved.x, moved.y, moved.z) == (pose.x, pose.y, pose.z)
    assert np.isfinite([moved.x, moved.y, moved.z]).all()


def test_without_tf_the_poses_do_not_claim_the_robots_frames(tmp_path: Path) -> None:
    domain = fresh_domain()
    with (
        graph_node("tester", domain) as (node, spin),
        running_node(tmp_path, domain, NULL),
    ):
        rig = CameraRig(node, 2, with_tf=False)
        odometry = listen(node, Odometry, "/vggt4d/odometry")
        rig.wait_for_node(spin)
        spin(0.5)
        play(rig, spin, 0, 3)
        wait_until(lambda: bool(odometry), spin, 10, "odometry")

    assert odometry[0].header.frame_id == "vggt4d_odom"
    assert odometry[0].child_frame_id == "vggt4d_base"


def test_standalone_gives_each_camera_its_own_stamp(tmp_path: Path) -> None:
    domain = fresh_domain()
    with (
        graph_node("tester", domain) as (node, spin),
        running_node(tmp_path, domain, {**NULL, "tf.mode": "standalone"}),
    ):
        rig = CameraRig(node, 2, with_tf=False)
        transforms = listen(node, TFMessage, "/tf")
        rig.wait_for_node(spin)
        spin(0.5)
        for index in range(3):
            rig.publish(START + index * PERIOD, cameras=[0])
            rig.publish(START + index * PERIOD + 5_000_000, cameras=[1])
            spin(0.1)
        wait_until(lambda: len(transforms) >= 2, spin, 10, "transforms")

    edges = {t.child_frame_id: t for t in transforms[0].transforms}
    assert {t.header.frame_id for t in edges.values()} == {"map"}
    assert ns_from_stamp(edges["cam0_optical"].header.stamp) == START + PERIOD
    assert ns_from_stamp(edges["cam1_optical"].header.stamp) == START + PERIOD + 5_000_000


def test_a_second_parent_is_refused_and_its_owner_named(tmp_path: Path) -> None:
    domain = fresh_domain()
    with (
        graph_node("wheel_odometry", domain) as (node, spin),
        running_node(tmp_path, domain, {**NULL, "tf.mode": "odom_to_base"}) as run,
    ):
        rig = CameraRig(node, 2)
        broadcaster = node.create_publisher(TFMessage, "/tf", 10)
        heard = listen(node, TFMessage, "/tf")
        listen(node, Odometry, "/vggt4d/odometry")
        status = listen(node, WindowStatus, "/vggt4d/status")
        rig.wait_for_node(spin)
        wait_until(lambda: broadcaster.get_subscription_count() >= 2, spin, 10, "TF listeners")
        spin(0.5)
        owned = TransformStamped(child_frame_id="base_link")
        owned.header.frame_id = "odom"
        owned.header.stamp = stamp_from_ns(START)
        owned.transform.rotation.w = 1.0
        broadcaster.publish(TFMessage(transforms=[owned]))
        spin(0.5)
        before = len(heard)
        play(rig, spin, 0, 4)
        wait_until(lambda: len(status) >= 3, spin, 10, "windows")
        log = run.output()

    assert len(heard) == before, "nothing of the node's own may have come"
    assert any("already has the parent odom from /wheel_odometry" in w for w in status[-1].warnings)
    assert "/wheel_odometry" in log


def test_map_to_odom_closes_the_chain_through_tf(tmp_path: Path) -> None:
    domain = fresh_domain()
    with (
        graph_node("wheel_odometry", domain) as (node, spin),
        running_node(tmp_path, domain, {**NULL, "tf.mode": "map_to_odom"}),
    ):
        rig = CameraRig(node, 2)
        broadcaster = node.create_publisher(TFMessage, "/tf", 10)
        heard = listen(node, TFMessage, "/tf")
        odometry = listen(node, Odometry, "/vggt4d/odometry")
        rig.wait_for_node(spin)
        wait_until(lambda: broadcaster.get_subscription_count() >= 2, spin, 10, "TF listeners")
        spin(0.5)
        for index in range(4):  # the robot's own odometry: it drives along x
            owned = TransformStamped(child_frame_id="base_link")
            owned.header.frame_id = "odom"
            owned.header.stamp = stamp_from_ns(START + index * PERIOD)
            owned.transform.translation.x = 1.0 + 0.5 * index
            owned.transform.rotation.z = owned.transform.rotation.w = 0.5**0.5  # 90 degrees
            broadcaster.publish(TFMessage(transforms=[owned]))
            spin(0.2)
            rig.publish(START + index * PERIOD)
            if index:
                wait_for_stamp(odometry, START + index * PERIOD, spin, "odometry")
        edges: list[TransformStamped] = []

        def found() -> bool:
            edges[:] = [t for m in heard for t in m.transforms if t.child_frame_id == "odom"]
            return len(edges) >= 3 and len(odometry) >= 3

        wait_until(found, spin, 10, "map to odom")

    assert {t.header.frame_id for t in edges} == {"map"}
    for index, (edge, message) in enumerate(zip(edges, odometry, strict=False), start=1):
        assert message.header.frame_id == "map"
        odom_from_base = np.array(
            [[0, -1, 0, 1.0 + 0.5 * index], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
        )
        chained = matrix_from_transform(edge) @ odom_from_base
        pose = message.pose.pose
        expected = TransformStamped()
        expected.transform.rotation = pose.orientation
        moved = expected.transform.translation
        moved.x, moved.y, moved.z = pose.position.x, pose.position.y, pose.position.z
        np.testing.assert_allclose(chained, matrix_from_transform(expected), atol=1e-9)
