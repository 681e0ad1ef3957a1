# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The demo's recording through the running node: TF that a tf2 buffer can follow without a jump."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("rosbags")

from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.time import Time
from ros_graph import fresh_domain, graph_node, running_node, wait_until
from tf2_ros import Buffer, TransformListener
from vggt4d_ros.msg import WindowStatus

from vggt4d_ros.evaluation.bag import Bag, open_bag
from vggt4d_ros.geometry import se3
from vggt4d_ros.messages.stamps import ns_from_stamp
from vggt4d_ros.ros.encode import matrix_from_transform

pytestmark = [pytest.mark.ros, pytest.mark.slow]

BAG = Path(__file__).parents[1] / "demo" / "walk_4cam"
CAMERAS = [f"cam{number:02d}" for number in range(1, 5)]
PARAMETERS = {
    "cameras.names": CAMERAS,
    "cameras.transport": "compressed",
    "sync.max_future_s": 0.0,
    "geometry.allow_unscaled": True,  # the shipped weights do not know the rig
    "tf.mode": "odom_to_base",
    "model.device": "cpu",
    "model.threads": 2,
    **{
        f"qos_overrides./{name}/image_raw/compressed.subscription.{key}": value
        for name in CAMERAS
        for key, value in (("reliability", "reliable"), ("depth", 10))
    },
}
STEP_M, STEP_RAD = 0.1, 0.15  # the cameras stand still: what the network may err from set to set


def publishers(node: Node, bag: Bag) -> dict[str, Publisher]:
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    found = {}
    for topic in bag.topics:
        package, _, kind = topic.type.split("/")
        message = getattr(import_module(f"{package}.msg"), kind)
        qos = latched if topic.name == "/tf_static" else QoSProfile(depth=10)
        found[topic.name] = node.create_publisher(message, topic.name, qos)
    return found


def test_lookups_give_a_continuous_pose_of_the_base(tmp_path: Path) -> None:
    domain, bag = fresh_domain(), open_bag(BAG)
    with (
        graph_node("tester", domain) as (node, spin),
        running_node(tmp_path, domain, PARAMETERS) as run,
    ):
        buffer, status = Buffer(), []
        listener = TransformListener(buffer, node)
        node.create_subscription(WindowStatus, "/vggt4d/status", status.append, 50)
        topics = publishers(node, bag)
        images = [topics[f"/{name}/image_raw/compressed"] for name in CAMERAS]
        wait_until(
            lambda: all(p.get_subscription_count() for p in images), spin, 60, "subscriptions"
        )
        spin(0.5)
        stamps: list[int] = []
        for message in bag.messages():
            if stamps and message.stamp_ns != stamps[-1] and len(stamps) >= 4:
                wait_for_window(status, stamps[-1], spin)  # every window, however slow
            if not stamps or message.stamp_ns != stamps[-1]:
                stamps.append(message.stamp_ns)
                spin(0.3)
            topics[message.topic].publish(message.data)
        wait_for_window(status, stamps[-1], spin)
        late = Time(nanoseconds=stamps[-1])
        wait_until(lambda: buffer.can_transform("odom", "base_link", late), spin, 60, "transform")
        times = np.linspace(stamps[3], stamps[-1], 100).astype(np.int64)
        poses = np.stack(
            [
                matrix_from_transform(
                    buffer.lookup_transform("odom", "base_link", Time(nanoseconds=int(time)))
                )
                for time in times
            ]
        )
        listener.unregister()
        log = run.output()

    assert "Traceback" not in log
    assert len(stamps) == 13
    moved = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1)
    turned = se3.rotation_angle(np.swapaxes(poses[:-1, :3, :3], -1, -2) @ poses[1:, :3, :3])
    per_set = (stamps[-1] - stamps[3]) / 99 / ((stamps[-1] - stamps[0]) / 12)
    assert moved.max() < STEP_M * per_set
    assert turned.max() < STEP_RAD * per_set


def wait_for_window(
    statuses: list[WindowStatus], newest_ns: int, spin: Callable[[float], None]
) -> None:
    def came() -> bool:
        return any(s.stamps and ns_from_stamp(s.header.stamp) == newest_ns for s in statuses)

    wait_until(came, spin, 60, f"window of {newest_ns}")
