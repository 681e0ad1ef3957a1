# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Geometry of a running node against the truth: TF, stamps, scene flow, scale, bad extrinsics.

The node is the installed one in a process of its own, over real DDS; an exact room stands in for
the network.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy")

from analytic_node import MODEL, drive_of, publish_mounts, transform, write_node
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.time import Time
from ros_graph import (
    SECOND,
    CameraRig,
    Spin,
    camera_info,
    fresh_domain,
    graph_node,
    listen,
    newest_reports,
    rgb_image,
    running_node,
    values,
    wait_until,
)
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from tf2_msgs.msg import TFMessage
from tf2_ros import Buffer, TransformListener
from vggt4d_ros.msg import WindowStatus

from vggt4d_ros.data.analytic_drive import AnalyticDrive
from vggt4d_ros.datatypes import Array
from vggt4d_ros.geometry import se3
from vggt4d_ros.messages.stamps import ns_from_stamp
from vggt4d_ros.ros.encode import ENCODER, header, matrix_from_transform
from vggt4d_ros.ros.encode import stamp_from_ns as stamp_of
from vggt4d_ros.ros.given_depth import depth_from_msg

pytestmark = pytest.mark.ros

PATIENCE_S = 20.0  # times ros_graph.PATIENCE


def parameters(views: int, **more: object) -> dict[str, object]:
    """Of a node that misses no image, however busy the machine: every one is waited for."""
    names = [f"cam{view}" for view in range(views)]
    heard = [f"/{name}/{topic}" for name in names for topic in ("image_raw", "camera_info")]
    reliable = {"reliability": "reliable", "depth": 10}
    return {
        "cameras.names": names,
        "model.engine": "null",
        "window.length": 3,
        **{
            f"qos_overrides.{topic}.subscription.{key}": value
            for topic in [*heard, "/wheels", "/lidar/depth"]
            for key, value in reliable.items()
        },
        **{key.replace("__", "."): value for key, value in more.items()},
    }


def publish_image(rig: CameraRig, view: int, stamp_ns: int) -> None:
    rig.images[view].publish(rgb_image(stamp_ns, f"cam{view}_optical"))


def drive_on(
    rig: CameraRig, drive: AnalyticDrive, spin: Spin, steps: range, statuses: list, first: int = 0
) -> None:
    """Publishes the images of some instants; from ``first`` on it waits for each one's window."""
    for index in steps:
        stamps = [drive.stamp_ns(index, view) for view in range(drive.views)]
        for view, stamp_ns in enumerate(stamps):
            rig.infos[view].publish(camera_info(stamp_of(stamp_ns), f"cam{view}_optical"))
            publish_image(rig, view, stamp_ns)
        if index >= first:
            wait_for_window(statuses, max(stamps), spin)
        else:
            spin(0.2)


def wait_for_window(statuses: list, newest_ns: int, spin: Spin) -> None:
    def came() -> bool:
        return any(s.windows and ns_from_stamp(s.header.stamp) == newest_ns for s in statuses)

    wait_until(came, spin, PATIENCE_S, f"window of {newest_ns}")


def wait_for_report(reports: list, task: str, words: str, spin: Spin) -> None:
    """Waits until what is said of a task begins with these words."""

    def came() -> bool:
        report = newest_reports(reports).get(task)
        return report is not None and report.message.startswith(words)

    wait_until(came, spin, PATIENCE_S, f"report of {task}")


def windows(statuses: list[WindowStatus]) -> list[WindowStatus]:
    """Statuses of windows, without those that only bring counts."""
    return [status for status in statuses if len(status.stamps)]


def points_of(cloud: PointCloud2) -> Array:
    """Fields of an organized cloud, (H, W, F)."""
    rows = np.frombuffer(cloud.data, np.float32)
    return rows.reshape(cloud.height, cloud.width, cloud.point_step // 4)


def pose_in(buffer: Buffer, stamp_ns: int) -> Array:
    return matrix_from_transform(
        buffer.lookup_transform("odom", "base_link", Time(nanoseconds=stamp_ns))
    )


def test_a_driving_robot_is_where_tf_says_and_still_points_stand_still(tmp_path: Path) -> None:
    domain, drive = fresh_domain(), drive_of(3)
    drive.jitter_s = (0.0, 0.004, 0.007)
    script = write_node(tmp_path, drive.views)
    with (
        graph_node("tester", domain) as (node, spin),
        running_node(
            tmp_path, domain, parameters(3, tf__mode="odom_to_base"), executable=script
        ) as run,
    ):
        publish_mounts(node, list(drive.base_from_cam))
        rig = CameraRig(node, 3, with_tf=False)
        buffer = Buffer()
        listener = TransformListener(buffer, node)
        status = listen(node, WindowStatus, "/vggt4d/status")
        heard = {
            name: [listen(node, kind, f"/vggt4d/cam{view}/{name}") for view in range(3)]
            for name, kind in (
                ("depth/image_rect", Image),
                ("depth/camera_info", CameraInfo),
                ("points", PointCloud2),
                ("scene_flow", PointCloud2),
            )
        }
        rig.wait_for_node(spin)
        spin(0.5)
        drive_on(rig, drive, spin, range(3, 16), status, first=5)
        last = max(drive.stamp_ns(15, view) for view in range(3))
        wait_until(
            lambda: buffer.can_transform("odom", "base_link", Time(nanoseconds=last)),
            spin, PATIENCE_S, "the last transform",
        )  # fmt: skip
        wait_until(
            lambda: all(len(got) >= 10 for topic in heard.values() for got in topic),
            spin, PATIENCE_S, "ten outputs of each",
        )  # fmt: skip
        first = max(drive.stamp_ns(5, view) for view in range(3))
        stamps = range(first, last, SECOND // 50)
        found = np.stack([pose_in(buffer, stamp) for stamp in stamps])
        listener.unregister()
        log = run.output()

    # where it began is known by definition: the first step of the first window
    start_ns = max(drive.stamp_ns(3, view) for view in range(3)) - drive.stamp_ns(0, 0)
    begin = drive.base(start_ns / 1e9 / drive.step_s)
    true = np.stack(
        [
            se3.inverse(begin) @ drive.base((stamp - drive.stamp_ns(0, 0)) / 1e9 / drive.step_s)
            for stamp in stamps
        ]
    )
    steps = np.linalg.norm(np.diff(found[:, :3, 3], axis=0), axis=1)
    assert np.abs(steps - 0.02).max() < 0.005  # 1 m/s, 50 lookups a second: no jump
    np.testing.assert_allclose(found[:, :3, 3], true[:, :3, 3], atol=0.01)
    turn = np.swapaxes(found[:, :3, :3], -1, -2) @ true[:, :3, :3]
    assert se3.rotation_angle(turn).max() < 0.01

    for view in range(3):
        expected = {drive.stamp_ns(index, view) for index in range(5, 16)}
        for topic, got in heard.items():
            own = {ns_from_stamp(message.header.stamp) for message in got[view]}
            assert own <= expected, topic
            assert len(own) >= 10, topic
            assert {message.header.frame_id for message in got[view]} == {f"cam{view}_optical"}
        depth = heard["depth/image_rect"][view][-1]
        metres = np.frombuffer(depth.data, np.float32).reshape(MODEL.height, MODEL.width)
        np.testing.assert_allclose(metres, drive.view(15, view).depth, rtol=0.01)
        speed = np.linalg.norm(points_of(heard["scene_flow"][view][-1])[..., 4:7], axis=-1)
        assert np.isfinite(speed).mean() > 0.7
        assert np.nanmedian(speed) < 0.01
        # between pixels as coarse as these, depth of slanted walls is no straight line
        assert np.nanquantile(speed, 0.75) < 0.1
    assert {s.scale_source for s in windows(status)} == {WindowStatus.SCALE_RIG}
    assert "Traceback" not in log


def odometry_msg(stamp_ns: int, pose: Array, child: str = "base_link") -> Odometry:
    message: Odometry = ENCODER.odometry(
        pose, np.eye(6), np.zeros(6), child, header(stamp_ns, "odom")
    )
    return message


class PlatformPublisher:
    """Wheel odometry, as a topic or as TF."""

    def __init__(self, node: Node, drive: AnalyticDrive, source: str) -> None:
        self._drive, self._source = drive, source
        kind, topic = (TFMessage, "/tf") if source == "tf" else (Odometry, "wheels")
        self.publisher = node.create_publisher(kind, topic, 100)

    def publish(self, index: float, pose: Array | None = None) -> None:
        stamp_ns = self._drive.stamp_ns(0, 0) + round(index * self._drive.step_s * SECOND)
        pose = self._drive.base(index) if pose is None else pose
        if self._source == "tf":
            edge = transform("odom", "base_link", stamp_ns, pose)
            self.publisher.publish(TFMessage(transforms=[edge]))
        else:
            self.publisher.publish(odometry_msg(stamp_ns, pose))


@pytest.mark.parametrize("source", ["tf", "odometry"])
def test_one_camera_is_metric_by_the_platforms_motion(tmp_path: Path, source: str) -> None:
    domain, drive = fresh_domain(), drive_of(1)
    script = write_node(tmp_path, 1)
    more = {
        "geometry__motion_source": source,
        "geometry__odometry_topic": "wheels",
        "geometry__motion_wait_s": 5.0,
    }
    with (
        graph_node("tester", domain) as (node, spin),
        running_node(tmp_path, domain, parameters(1, **more), executable=script),
    ):
        publish_mounts(node, list(drive.base_from_cam))
        platform = PlatformPublisher(node, drive, source)
        rig = CameraRig(node, 1, with_tf=False)
        status = listen(node, WindowStatus, "/vggt4d/status")
        depth = listen(node, Image, "/vggt4d/cam0/depth/image_rect")
        reports = listen(node, DiagnosticArray, "/diagnostics")
        rig.wait_for_node(spin)
        wait_until(
            lambda: platform.publisher.get_subscription_count() > 0, spin, PATIENCE_S, "listener"
        )
        spin(0.5)
        for index in range(3):
            platform.publish(index)
        drive_on(rig, drive, spin, range(3), status, first=2)
        # the image first, its odometry later: the window waits
        for index in range(3, 6):
            publish_image(rig, 0, drive.stamp_ns(index, 0))
            spin(0.2)
            platform.publish(index)
            wait_for_window(status, drive.stamp_ns(index, 0), spin)
        good = len(windows(status))
        broken = drive.base(6).copy()
        broken[0, 3] = np.nan
        platform.publish(6, broken)
        # the wheels are three seconds behind: nobody waits for them
        drive_on(rig, drive, spin, range(36, 39), status)
        wait_until(
            lambda: (found := newest_reports(reports).get("platform motion")) is not None
            and "frames without: late" in values(found),
            spin, PATIENCE_S, "diagnosis",
        )  # fmt: skip

    first = windows(status)[:good]
    assert {s.scale_source for s in first} == {WindowStatus.SCALE_MOTION}
    assert not any("platform motion" in warning for s in first for warning in s.warnings)
    images = {ns_from_stamp(image.header.stamp): image for image in depth}
    for index in range(2, 6):
        found = np.frombuffer(images[drive.stamp_ns(index, 0)].data, np.float32)
        np.testing.assert_allclose(found, drive.view(index, 0).depth.ravel(), rtol=0.02)
    last = windows(status)[-1]
    assert any("platform motion: 3 of 3 frames" in warning for warning in last.warnings)
    report = newest_reports(reports)["platform motion"]
    assert report.level == DiagnosticStatus.WARN
    assert "older than the image" in report.message
    assert values(report)["samples refused"] == "1"
    samples = {"tf": 7, "odometry": 6}[source]  # TF also tells where the camera sits
    assert values(report)["samples"] == str(samples)
    assert values(report)["frames with a pose"] == str(good)


def test_a_depth_camera_gives_the_scale_where_tf_knows_nothing(tmp_path: Path) -> None:
    domain, drive = fresh_domain(), drive_of(1)
    script = write_node(tmp_path, 1)
    more = parameters(1, geometry__depth_topics=["cam0=lidar/depth"])
    with (
        graph_node("tester", domain) as (node, spin),
        running_node(tmp_path, domain, more, executable=script),
    ):
        publisher = node.create_publisher(Image, "lidar/depth", 10)
        rig = CameraRig(node, 1, with_tf=False)
        status = listen(node, WindowStatus, "/vggt4d/status")
        depth = listen(node, Image, "/vggt4d/cam0/depth/image_rect")
        rig.wait_for_node(spin)
        wait_until(
            lambda: publisher.get_subscription_count() > 0, spin, PATIENCE_S, "depth listener"
        )
        spin(0.5)
        for index in range(3, 7):
            stamp_ns = drive.stamp_ns(index, 0)
            true = drive.view(index, 0).depth[::2, ::2].astype(np.float32)  # at half the size
            given = ENCODER.image(true, "32FC1", header(stamp_ns, "cam0_optical"))
            publisher.publish(given)
            spin(0.3)
            drive_on(rig, drive, spin, range(index, index + 1), status, first=5)

    assert {s.scale_source for s in windows(status)} == {WindowStatus.SCALE_GIVEN}
    metres = np.frombuffer(depth[-1].data, np.float32)
    np.testing.assert_allclose(metres, drive.view(6, 0).depth.ravel(), rtol=0.03)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"encoding": "8UC4"}, "encoding '8UC4'"),
        ({"step": 6}, "4x2 32FC1 with step 6"),
        ({"data": bytes(20)}, "20 bytes of data for 2 lines x step 16"),
    ],
)
def test_what_is_no_depth_image_is_refused_in_words(changes: dict, words: str) -> None:
    message = ENCODER.image(np.ones((2, 4), np.float32), "32FC1", header(0, "cam0_optical"))
    assert depth_from_msg(message).shape == (2, 4)
    for name, value in changes.items():
        setattr(message, name, value)

    with pytest.raises(ValueError, match=words):
        depth_from_msg(message)


def test_big_endian_depth_with_padding_is_read() -> None:
    rows = np.array([[1500, 0, 9999], [2000, 65535, 9999]], ">u2")
    message = ENCODER.image(np.zeros((2, 2), np.uint16), "16UC1", header(0, "cam0_optical"))
    message.step, message.is_bigendian, message.data = 6, 1, rows.tobytes()

    np.testing.assert_allclose(depth_from_msg(message), [[1.5, np.nan], [2.0, 65.535]])


def test_cameras_that_are_not_where_tf_says_are_named(tmp_path: Path) -> None:
    domain, drive = fresh_domain(), drive_of(4)
    script = write_node(tmp_path, 4)
    mounts: list[Array | None] = list(drive.base_from_cam)
    mounts[1] = drive.base_from_cam[1] @ se3.exp(np.array([0.0, 0.0, 0.0, 0.0, 0.5, 0.0]))
    mounts[3] = None
    with (
        graph_node("tester", domain) as (node, spin),
        running_node(tmp_path, domain, parameters(4), executable=script),
    ):
        publish_mounts(node, mounts)
        rig = CameraRig(node, 4, with_tf=False)
        status = listen(node, WindowStatus, "/vggt4d/status")
        depth = listen(node, Image, "/vggt4d/cam0/depth/image_rect")
        reports = listen(node, DiagnosticArray, "/diagnostics")
        rig.wait_for_node(spin)
        spin(0.5)
        drive_on(rig, drive, spin, range(3, 7), status, first=5)
        wait_for_report(reports, "extrinsics", "the network contradicts", spin)

    last, report = windows(status)[-1], newest_reports(reports)["extrinsics"]
    assert report.message == "the network contradicts TF: cam1"
    degrees = float(re.findall(r"([\d.]+) degrees away", values(report)["cam1"])[0])
    assert degrees == pytest.approx(np.degrees(0.5), abs=2.0)  # the others may give way a little
    assert "left out of the merged cloud in " in values(report)["cam1"]
    assert values(report)["cam3"] == "TF does not say where it is on base_link"
    assert "cam0" not in values(report)
    assert "cam2" not in values(report)
    assert any("contradicts the extrinsics of cam1_optical" in text for text in last.warnings)
    assert "TF does not say where cam3 is on base_link" in last.warnings
    # the others' baselines still give the scale
    metres = np.frombuffer(depth[-1].data, np.float32)
    np.testing.assert_allclose(metres, drive.view(6, 0).depth.ravel(), rtol=0.05)


def test_a_camera_info_that_is_not_finite_is_refused_counted_and_replaced(tmp_path: Path) -> None:
    domain, drive = fresh_domain(), drive_of(1)
    script = write_node(tmp_path, 1)
    more = parameters(1, geometry__allow_unscaled=True)
    with (
        graph_node("tester", domain) as (node, spin),
        running_node(tmp_path, domain, more, executable=script),
    ):
        rig = CameraRig(node, 1, with_tf=False)
        status = listen(node, WindowStatus, "/vggt4d/status")
        infos = listen(node, CameraInfo, "/vggt4d/cam0/depth/camera_info")
        reports = listen(node, DiagnosticArray, "/diagnostics")
        rig.wait_for_node(spin)
        spin(0.5)
        broken = camera_info(stamp_of(drive.stamp_ns(0, 0)), "cam0_optical")
        broken.k[0] = float("nan")
        for index in range(4):
            rig.infos[0].publish(broken)
            spin(0.2)
            publish_image(rig, 0, drive.stamp_ns(index, 0))
            spin(0.2)
        wait_for_window(status, drive.stamp_ns(3, 0), spin)
        wait_for_report(reports, "inputs", "CameraInfo refused of cam0", spin)

        def camera() -> str:
            return values(newest_reports(reports)["inputs"])["cam0"]

        # a report comes every second: the first that tells of it may not have all four
        wait_until(lambda: "(4 refused)" in camera(), spin, PATIENCE_S, "report of four refused")
        said = camera()
        wait_until(lambda: len(infos) >= 2, spin, PATIENCE_S, "two CameraInfo")
        before = len(windows(status))
        drive_on(rig, drive, spin, range(4, 6), status)
        wait_until(lambda: len(infos) >= 4, spin, PATIENCE_S, "four CameraInfo")

    assert "CameraInfo.K is not finite" in said
    assert all(np.isfinite(info.k).all() and info.k[0] > 0 for info in infos)
    bad, good = windows(status)[:before], windows(status)[-1]
    assert all(any("no usable CameraInfo of cam0" in w for w in s.warnings) for s in bad)
    assert not any("no usable CameraInfo" in warning for warning in good.warnings)
