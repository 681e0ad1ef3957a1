# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the node says of itself: /diagnostics, hints, and the QoS of its outputs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("vggt4d_ros.msg", reason="the package is not built")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from nav_msgs.msg import Odometry
from rclpy.qos import QoSProfile, ReliabilityPolicy
from ros_graph import SECOND, CameraRig, fresh_domain, graph_node, running_node, wait_until
from sensor_msgs.msg import Image

from vggt4d_ros.ros import no_data

pytestmark = pytest.mark.ros

START = 1_700_000_000 * SECOND
PERIOD = SECOND // 10
NULL = {
    "model.engine": "null",
    "geometry.allow_unscaled": True,
    "window.length": 2,
    "cameras.names": ["cam0", "cam1"],
}


def newest(messages: list[DiagnosticArray]) -> dict[str, DiagnosticStatus]:
    """The last report of each task."""
    return {
        status.name.split(": ")[-1]: status for message in messages for status in message.status
    }


def values(status: DiagnosticStatus) -> dict[str, str]:
    return {item.key: item.value for item in status.values}


def test_diagnostics_tell_inputs_windows_and_scale(tmp_path: Path) -> None:
    domain = fresh_domain()
    with (
        graph_node("tester", domain) as (node, spin),
        running_node(tmp_path, domain, NULL),
    ):
        rig = CameraRig(node, 2)
        heard: list[DiagnosticArray] = []
        node.create_subscription(DiagnosticArray, "/diagnostics", heard.append, 50)
        node.create_subscription(Odometry, "/vggt4d/odometry", lambda message: None, 5)
        rig.wait_for_node(spin)
        index = 0

        def stream(done: Callable[[], bool], cameras: list[int]) -> Callable[[], bool]:
            def step() -> bool:
                nonlocal index
                rig.publish(START + index * PERIOD, cameras=cameras)
                index += 1
                spin(0.05)
                return done()

            return step

        def running() -> bool:
            found = newest(heard)
            return (
                "windows" in found
                and "frames used" in values(found["windows"])
                and found["inputs"].level == DiagnosticStatus.OK
            )

        wait_until(stream(running, [0, 1]), spin, 20, "diagnostics of a running node")
        good = newest(heard)
        wait_until(
            stream(lambda: "cam1" in newest(heard)["inputs"].message, [0]),
            spin,
            20,
            "diagnostics of a silent camera",
        )
        bad = newest(heard)

    assert good["inputs"].message == "2 cameras"
    assert "images; " in values(good["inputs"])["cam0"]
    windows = values(good["windows"])
    assert int(windows["frames received"]) >= int(windows["frames used"]) > 0
    assert any(key.startswith("stage ") for key in windows)
    assert float(windows["memory"].split()[0]) > 10
    assert "metric scale" in good
    assert "source" in values(good["metric scale"])
    assert bad["inputs"].level == DiagnosticStatus.WARN
    assert bad["inputs"].message == "no images from cam1"


def test_an_outputs_qos_can_be_overridden(tmp_path: Path) -> None:
    domain = fresh_domain()
    topic = "/vggt4d/cam0/depth/image_rect"
    parameters = {**NULL, f"qos_overrides.{topic}.publisher.reliability": "best_effort"}
    with (
        graph_node("tester", domain) as (node, spin),
        running_node(tmp_path, domain, parameters),
    ):
        rig = CameraRig(node, 2)
        node.create_subscription(Image, topic, lambda m: None, QoSProfile(depth=1))
        rig.wait_for_node(spin)
        wait_until(lambda: node.count_publishers(topic) == 1, spin, 10, "depth publisher")
        other = topic.replace("cam0", "cam1")
        wait_until(lambda: node.count_publishers(other) == 1, spin, 10, "second depth publisher")
        found = [
            node.get_publishers_info_by_topic(name)[0].qos_profile.reliability
            for name in (topic, other)
        ]

    assert found == [ReliabilityPolicy.BEST_EFFORT, ReliabilityPolicy.RELIABLE]


@pytest.mark.parametrize(
    ("rmw", "size", "count", "hinted"),
    [
        ("rmw_fastrtps_cpp", 900_000, 5, True),
        ("rmw_fastrtps_cpp", 0, 0, True),  # nothing came at all: it may be that
        ("rmw_fastrtps_cpp", 100_000, 5, False),
        ("rmw_cyclonedds_cpp", 900_000, 5, False),
    ],
)
def test_the_hint_at_shared_memory_comes_where_it_can_be_the_cause(
    monkeypatch: pytest.MonkeyPatch, rmw: str, size: int, count: int, hinted: bool
) -> None:
    monkeypatch.setattr(no_data, "get_rmw_implementation_identifier", lambda: rmw)
    camera = SimpleNamespace(images=SimpleNamespace(bytes_last=size, count=count))
    hint = no_data.suspects_shared_memory([camera])
    assert ("config/dds/fastdds.xml" in hint) == hinted
