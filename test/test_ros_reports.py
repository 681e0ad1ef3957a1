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

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from diagnostic_updater import DiagnosticStatusWrapper
from geometry_msgs.msg import TransformStamped
from nav_msgs.msg import Odometry
from rclpy.qos import QoSProfile, ReliabilityPolicy
from ros_graph import (
    NULL,
    PERIOD,
    START,
    CameraRig,
    fresh_domain,
    graph_node,
    listen,
    newest_reports,
    running_node,
    values,
    wait_until,
)
from sensor_msgs.msg import Image
from tf2_msgs.msg import TFMessage
from tf2_ros import TransformListener
from vggt4d_ros.msg import WindowStatus

from vggt4d_ros.datatypes import Rig
from vggt4d_ros.ros import diagnostics, no_data
from vggt4d_ros.ros.rig_report import RigWatch
from vggt4d_ros.ros.tf_listener import WatchingListener

pytestmark = pytest.mark.ros


def test_diagnostics_tell_inputs_windows_and_scale(tmp_path: Path) -> None:
    domain = fresh_domain()
    with (
        graph_node("tester", domain) as (node, spin),
        running_node(tmp_path, domain, NULL),
    ):
        rig = CameraRig(node, 2)
        heard = listen(node, DiagnosticArray, "/diagnostics")
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
            found = newest_reports(heard)
            return (
                "windows" in found
                and "frames used" in values(found["windows"])
                and found["inputs"].level == DiagnosticStatus.OK
            )

        wait_until(stream(running, [0, 1]), spin, 20, "diagnostics of a running node")
        good = newest_reports(heard)
        wait_until(
            stream(lambda: "cam1" in newest_reports(heard)["inputs"].message, [0]),
            spin,
            20,
            "diagnostics of a silent camera",
        )
        bad = newest_reports(heard)

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


@pytest.mark.parametrize(("cause", "is_told"), [("paced", False), ("unwanted", False), ("x", True)])
def test_windows_left_out_on_purpose_are_no_silence(
    monkeypatch: pytest.MonkeyPatch, cause: str, is_told: bool
) -> None:
    dropped = {cause: 0}
    counts = SimpleNamespace(windows_done=0, windows_open=0, windows_dropped=dropped)
    watch = no_data.NoDataWatch(None, [], SimpleNamespace(counts=lambda: counts), 2)
    monkeypatch.setattr(watch, "_report", lambda silent_s, counts: "nothing comes")
    dropped[cause] = 1

    assert (watch.check(1e-9) is not None) == is_told


def test_only_cameras_that_sent_something_lack_extrinsics() -> None:
    tracked = SimpleNamespace(contradicted={}, rig_residual_m=np.nan, rig_residual_rad=np.nan)
    window = SimpleNamespace(valid=np.array([[True, False, False], [True, True, False]]))
    processed = SimpleNamespace(
        tracked=tracked, window=window, rig=Rig((np.eye(4), None, None)), warnings=()
    )

    watch = RigWatch(["front", "left", "right"], "base_link")

    watch.note(processed)

    report = watch.report()
    assert report is not None

    assert report.missing == ("left",)
    assert report.warnings == ("TF does not say where left is on base_link",)


@pytest.mark.parametrize(
    ("said", "level"),
    [
        ("deadline 0.1 s: 2 time steps, one window in 3, 0.090 s each", DiagnosticStatus.OK),
        (
            "deadline 0.1 s: 1 time steps, every window, 0.300 s each; the target is out of reach",
            DiagnosticStatus.WARN,
        ),
        ("", DiagnosticStatus.OK),
    ],
)
def test_windows_warn_of_a_target_out_of_reach(
    said: str, level: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = {}
    updater = SimpleNamespace(setHardwareID=lambda name: None, add=rows.__setitem__)
    monkeypatch.setattr(diagnostics, "Updater", lambda node: updater)
    last = WindowStatus(warnings=["another matter", said] if said else [])
    session = SimpleNamespace(last_status=last)
    told = diagnostics.Diagnostics(None, "camera rig", lambda: session)
    told.note_window()

    row = rows["windows"](DiagnosticStatusWrapper())

    assert row.level == level
    assert (row.message == said) == (level == DiagnosticStatus.WARN)


def test_own_transforms_may_be_added_while_others_are_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The worker's thread adds them, the executor's compares."""
    monkeypatch.setattr(TransformListener, "__init__", lambda self, buffer, node: None)
    listener = WatchingListener(None, None)
    listener.unregister = lambda: None  # its end would call it

    class Sent(TransformStamped):
        def __eq__(self, other: object) -> bool:
            listener.remember_own(TransformStamped(child_frame_id="odom"))
            return super().__eq__(other)

    for _ in range(3):
        listener.remember_own(Sent(child_frame_id="odom"))
    foreign = TransformStamped(child_frame_id="odom")
    foreign.header.frame_id = "world"
    listener._watch(TFMessage(transforms=[foreign]).transforms, float("inf"))

    assert listener.foreign_parent("odom") == "world"
