# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The installed node as users run it: another process, real DDS, real messages."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy")

from nav_msgs.msg import Odometry
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from ros_graph import (
    SECOND,
    CameraRig,
    call,
    camera_info,
    fresh_domain,
    graph_node,
    rgb_image,
    running_node,
    slowness,
    wait_for_stamp,
    wait_until,
)
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_srvs.srv import Trigger
from vggt4d_ros.msg import WindowStatus
from vggt4d_ros.srv import SaveCloud

from vggt4d_ros.messages.stamps import ns_from_stamp
from vggt4d_ros.ros.encode import stamp_from_ns

pytestmark = pytest.mark.ros

START = 1_700_000_000 * SECOND
PERIOD = SECOND // 10
NULL = {"model.engine": "null", "geometry.allow_unscaled": True, "window.length": 2}
Spin = Callable[[float], None]


class Listener:
    """Keeps what comes on some topics."""

    def __init__(self, node: Node, **topics: tuple[type, str]) -> None:
        self.got: dict[str, list] = {key: [] for key in topics}
        for key, (kind, name) in topics.items():
            node.create_subscription(kind, name, self.got[key].append, QoSProfile(depth=50))


def drops(status: WindowStatus) -> dict[str, int]:
    return {count.name: count.count for count in status.frames_dropped}


def assert_adds_up(status: WindowStatus) -> None:
    dropped = sum(drops(status).values())
    assert status.frames_received == status.frames_used + dropped + status.frames_pending


def set_parameter(node: Node, spin: Spin, name: str, value: float) -> object:
    parameter = Parameter(name=name)
    parameter.value = ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=value)
    request = SetParameters.Request(parameters=[parameter])
    return call(node, spin, SetParameters, "/vggt4d/set_parameters", request).results[0]


def play(
    rig: CameraRig,
    spin: Spin,
    count: int,
    first: int = 0,
    outputs: list | None = None,
    **kwargs: object,
) -> None:
    """Publishes instants; with ``outputs`` each waits for its own, which instant 0 has not."""
    for index in range(first, first + count):
        rig.publish(START + index * PERIOD, **kwargs)
        spin(0.05)
        if outputs is not None and index:
            wait_for_stamp(outputs, START + index * PERIOD, spin, "output")


def status_topic() -> dict[str, tuple[type, str]]:
    return {"status": (WindowStatus, "/vggt4d/status"), "odometry": (Odometry, "/vggt4d/odometry")}


def since(heard: Listener, stamp_ns: int) -> list[WindowStatus]:
    """Statuses of windows whose newest stamp is ``stamp_ns`` or later."""
    return [s for s in heard.got["status"] if ns_from_stamp(s.header.stamp) >= stamp_ns]


def test_outputs_carry_each_cameras_own_header_and_counts_add_up(tmp_path: Path) -> None:
    domain = fresh_domain()
    parameters = {**NULL, "cameras.names": ["cam0", "cam1", "cam2"]}
    with (
        graph_node("tester", domain) as (node, spin),
        running_node(tmp_path, domain, parameters) as run,
    ):
        rig = CameraRig(node, 3)
        heard = Listener(
            node,
            depth=(Image, "/vggt4d/cam1/depth/image_rect"),
            info=(CameraInfo, "/vggt4d/cam1/depth/camera_info"),
            points=(PointCloud2, "/vggt4d/cam1/points"),
            **status_topic(),
        )
        rig.wait_for_node(spin)
        spin(0.5)
        play(rig, spin, 5, outputs=heard.got["depth"])
        wait_until(lambda: len(heard.got["depth"]) >= 4, spin, 10, "fourth depth image")
        run.stop()
        spin(0.5)

    stamps = [START + index * PERIOD for index in range(1, 5)]  # the first window has two sets
    for key in ("depth", "info", "points"):
        assert [ns_from_stamp(m.header.stamp) for m in heard.got[key]] == stamps
        assert {m.header.frame_id for m in heard.got[key]} == {"cam1_optical"}
    depth = heard.got["depth"][0]
    assert (depth.encoding, depth.width, depth.height) == ("32FC1", 64, 48)
    assert heard.got["info"][0].k[0] == pytest.approx(64.0)
    last = heard.got["status"][-1]
    assert_adds_up(last)
    assert last.frames_pending == 0
    assert (last.frames_received, last.frames_used, last.windows) == (15, 15, 4)


def test_a_camera_that_dies_and_returns_does_not_stop_the_rest(tmp_path: Path) -> None:
    domain = fresh_domain()
    parameters = {
        **NULL,
        "cameras.names": ["cam0", "cam1"],
        "sync.min_cameras": 1,
        "sync.deadline_s": 0.15,
    }
    with (
        graph_node("tester", domain) as (node, spin),
        running_node(tmp_path, domain, parameters),
    ):
        rig = CameraRig(node, 2)
        heard = Listener(node, **status_topic())
        rig.wait_for_node(spin)
        spin(0.5)
        play(rig, spin, 3)
        play(rig, spin, 6, first=3, cameras=[0])
        play(rig, spin, 4, first=9)
        end = START + 11 * PERIOD
        wait_until(
            lambda: any(all(s.valid) and s.steps == 2 for s in since(heard, end)),
            spin,
            10,
            "window with both cameras again",
        )

    # a status that only reports the counts, as in a pause, is of no window
    windows = [s for s in heard.got["status"] if s.steps]
    alone = [s for s in windows if list(s.valid[-2:]) == [True, False]]
    assert len(alone) >= 3
    assert all(s.valid[0] for s in windows)


def test_what_cannot_be_used_is_counted_by_cause(tmp_path: Path) -> None:
    domain = fresh_domain()
    parameters = {**NULL, "cameras.names": ["cam0"], "window.length": 1}
    with (
        graph_node("tester", domain) as (node, spin),
        running_node(tmp_path, domain, parameters) as run,
    ):
        rig = CameraRig(node, 1)
        heard = Listener(node, depth=(Image, "/vggt4d/cam0/depth/image_rect"), **status_topic())
        rig.wait_for_node(spin)
        spin(0.5)

        def send(stamp_ns: int, **changes: object) -> None:
            message = rgb_image(stamp_ns, "cam0_optical")
            for name, value in changes.items():
                setattr(message, name, value)
            rig.images[0].publish(message)
            spin(0.1)

        play(rig, spin, 1)
        send(START + PERIOD, encoding="32FC7")
        send(START + PERIOD, data=bytes(10))
        send(START + PERIOD, step=3)
        send(0)
        send(START)  # equal to the first
        send(2_100_000_000 * SECOND)  # decades ahead
        rig.infos[0].publish(camera_info(stamp_from_ns(START), "cam0_optical", width=100))
        spin(0.2)
        send(START + 2 * PERIOD)  # 64x48 does not fit 100x48
        rig.infos[0].publish(camera_info(stamp_from_ns(START), "cam0_optical"))
        spin(0.2)
        play(rig, spin, 2, first=3)
        wait_until(lambda: len(heard.got["depth"]) >= 3, spin, 10, "depth after the bad frames")
        run.stop()
        spin(0.5)

    last = heard.got["status"][-1]
    assert drops(last) == {
        "unknown_encoding": 1,
        "short_data": 1,
        "bad_size": 1,
        "zero_stamp": 1,
        "duplicate_stamp": 1,
        "future_stamp": 1,
        "camera_info_mismatch": 1,
    }
    assert last.frames_used == 3
    assert_adds_up(last)
    assert len(heard.got["depth"]) == 3


def test_where_camera_info_is_required_frames_wait_for_a_usable_one(tmp_path: Path) -> None:
    domain = fresh_domain()
    parameters = {
        **NULL,
        "cameras.names": ["cam0"],
        "cameras.require_info": True,
        "window.length": 1,
    }
    with (
        graph_node("tester", domain) as (node, spin),
        running_node(tmp_path, domain, parameters) as run,
    ):
        rig = CameraRig(node, 1, with_info=False)
        heard = Listener(node, **status_topic())
        rig.wait_for_node(spin)
        spin(0.5)
        play(rig, spin, 2)  # no CameraInfo at all
        uncalibrated = camera_info(stamp_from_ns(START), "cam0_optical")
        uncalibrated.k[0] = 0.0
        rig.infos[0].publish(uncalibrated)
        spin(0.3)
        play(rig, spin, 1, first=2)
        rig.infos[0].publish(camera_info(stamp_from_ns(START), "cam0_optical"))
        spin(0.3)
        play(rig, spin, 2, first=3)
        spin(0.5)
        run.stop()
        spin(0.3)

    last = heard.got["status"][-1]
    assert drops(last) == {"no_camera_info": 3}
    assert last.frames_used == 2


def test_when_all_cameras_stop_the_report_says_since_when(tmp_path: Path) -> None:
    domain = fresh_domain()
    parameters = {**NULL, "cameras.names": ["cam0", "cam1"], "node.no_data_report_s": 1.5}
    with (
        graph_node("tester", domain) as (node, spin),
        running_node(tmp_path, domain, parameters) as run,
    ):
        rig = CameraRig(node, 2)
        heard = Listener(node, **status_topic())
        rig.wait_for_node(spin)
        spin(0.5)
        play(rig, spin, 4, outputs=heard.got["status"])
        wait_until(lambda: len(heard.got["status"]) >= 3, spin, 10, "windows")
        before = len(run.output())
        wait_until(lambda: "no window for" in run.output()[before:], spin, 10, "report")
        log = run.output()[before:]

    assert "/cam0/image_raw: 4 messages" in log
    assert "/cam1/image_raw: 4 messages" in log
    assert "8 frames received, 4 sets" in log


def test_a_bad_newest_frame_does_not_publish_the_one_before_again(tmp_path: Path) -> None:
    domain = fresh_domain()
    with (
        graph_node("tester", domain) as (node, spin),
        running_node(tmp_path, domain, {**NULL, "cameras.names": ["cam0"]}) as run,
    ):
        rig = CameraRig(node, 1)
        heard = Listener(node, depth=(Image, "/vggt4d/cam0/depth/image_rect"), **status_topic())
        rig.wait_for_node(spin)
        spin(0.5)
        play(rig, spin, 3, outputs=heard.got["depth"])
        rig.infos[0].publish(camera_info(stamp_from_ns(START), "cam0_optical", width=100))
        spin(0.3)
        rig.images[0].publish(rgb_image(START + 3 * PERIOD, "cam0_optical"))
        spin(0.3)
        play(rig, spin, 2, first=4)
        wait_until(lambda: len(heard.got["depth"]) >= 3, spin, 10, "depth after the bad frame")
        run.stop()
        spin(0.3)

    stamps = [ns_from_stamp(m.header.stamp) for m in heard.got["depth"]]
    assert len(set(stamps)) == len(stamps)
    assert START + 3 * PERIOD not in stamps
    assert drops(heard.got["status"][-1]) == {"camera_info_mismatch": 1}
    assert_adds_up(heard.got["status"][-1])


def test_an_image_size_that_changes_is_taken_up_with_its_intrinsics(tmp_path: Path) -> None:
    domain = fresh_domain()
    parameters = {**NULL, "cameras.names": ["cam0"]}
    with (
        graph_node("tester", domain) as (node, spin),
        running_node(tmp_path, domain, parameters) as run,
    ):
        rig = CameraRig(node, 1)
        heard = Listener(
            node,
            depth=(Image, "/vggt4d/cam0/depth/image_rect"),
            info=(CameraInfo, "/vggt4d/cam0/depth/camera_info"),
            **status_topic(),
        )
        rig.wait_for_node(spin)
        spin(0.5)
        play(rig, spin, 3, outputs=heard.got["depth"])
        for index in range(3, 6):
            rig.images[0].publish(
                rgb_image(START + index * PERIOD, "cam0_optical", width=128, height=96)
            )
            spin(0.1)
        wait_until(
            lambda: bool(heard.got["depth"]) and heard.got["depth"][-1].width == 128,
            spin,
            10,
            "depth in the new size",
        )
        run.stop()
        spin(0.3)

    info = heard.got["info"][-1]
    assert (info.width, info.height) == (128, 96)
    assert info.k[0] == pytest.approx(128.0)  # the CameraInfo for half the size, scaled
    assert_adds_up(heard.got["status"][-1])


def test_truncated_jpegs_are_dropped_and_good_ones_used(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    from sensor_msgs.msg import CompressedImage

    domain = fresh_domain()
    parameters = {
        **NULL,
        "cameras.names": ["cam0"],
        "cameras.transport": "compressed",
        "window.length": 1,
    }
    with (
        graph_node("tester", domain) as (node, spin),
        running_node(tmp_path, domain, parameters) as run,
    ):
        publisher = node.create_publisher(CompressedImage, "cam0/image_raw/compressed", 5)
        heard = Listener(node, depth=(Image, "/vggt4d/cam0/depth/image_rect"), **status_topic())
        wait_until(lambda: publisher.get_subscription_count() > 0, spin, 30, "subscription")
        spin(0.5)
        noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
        data = cv2.imencode(".jpg", noise)[1].tobytes()
        for index, kept in enumerate([len(data), len(data) // 2, len(data)]):
            message = CompressedImage(format="jpeg")
            message.header.stamp = stamp_from_ns(START + index * PERIOD)
            message.header.frame_id = "cam0_optical"
            message.data = data[:kept]
            publisher.publish(message)
            spin(0.2)
        wait_until(lambda: len(heard.got["depth"]) >= 2, spin, 10, "two depth images")
        run.stop()
        spin(0.3)

    last = heard.got["status"][-1]
    assert drops(last) == {"corrupt_data": 1}
    assert last.frames_used == 2


def test_a_time_jump_back_begins_anew_and_says_so(tmp_path: Path) -> None:
    domain = fresh_domain()
    with (
        graph_node("tester", domain) as (node, spin),
        running_node(tmp_path, domain, {**NULL, "cameras.names": ["cam0", "cam1"]}) as run,
    ):
        rig = CameraRig(node, 2)
        heard = Listener(node, **status_topic())
        rig.wait_for_node(spin)
        spin(0.5)
        play(rig, spin, 4, first=50)
        before = len(heard.got["status"])
        play(rig, spin, 5, first=0)  # as a bag that is looped
        wait_until(lambda: len(heard.got["status"]) >= before + 3, spin, 10, "windows after it")
        run.stop()
        spin(0.3)
        log = run.output()

    assert "time jumped back" in log
    stamps = [ns_from_stamp(s.header.stamp) for s in heard.got["status"][before:]]
    assert stamps[0] == START + PERIOD
    assert_adds_up(heard.got["status"][-1])


def test_mismatched_qos_is_named_in_the_report(tmp_path: Path) -> None:
    domain = fresh_domain()
    parameters = {
        **NULL,
        "cameras.names": ["cam0"],
        "node.no_data_report_s": 3.0,  # time to discover the driver
        "qos_overrides./cam0/image_raw.subscription.reliability": "reliable",
    }
    with graph_node("driver", domain) as (node, spin):
        rig = CameraRig(node, 1, reliability=ReliabilityPolicy.BEST_EFFORT)
        assert rig.names == ["cam0"]
        with running_node(tmp_path, domain, parameters) as run:
            wait_until(lambda: "no window for" in run.output(), spin, 30, "report")
            log = run.output()

    # Fast DDS 3 tells of publishers first and of their nodes seconds later
    late = "(its node is not known yet) does not match" in log
    early_distribution = os.environ.get("ROS_DISTRO") in ("humble", "jazzy")
    assert "/driver does not match" in log or (late and not early_distribution), log
    assert "reliab" in log.lower()


def test_silence_is_explained_topic_by_topic(tmp_path: Path) -> None:
    domain = fresh_domain()
    parameters = {**NULL, "cameras.names": ["cam0", "cam1"], "node.no_data_report_s": 1.0}
    with (
        graph_node("driver", domain) as (node, spin),
        running_node(tmp_path, domain, parameters) as run,
    ):
        rig = CameraRig(node, 1)  # cam1 does not exist
        wait_until(lambda: rig.images[0].get_subscription_count() > 0, spin, 30, "subscription")

        def said() -> bool:
            play(rig, spin, 1, first=int(10 * time.monotonic()))
            return "no window for" in run.output()

        wait_until(said, spin, 15, "report")
        log = run.output()

    assert "/cam1/image_raw: nobody publishes it" in log
    assert "/cam0/image_raw: " in log


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({}, "no cameras given"),
        ({"cameras.names": ["a"], "window.length": 0}, "window.length"),
        ({"cameras.names": ["a"], "sync.tolerance_s": "soon"}, "sync.tolerance_s"),
        ({"cameras.names": ["a", "a"]}, "differ"),
        ({"cameras.names": ["/front-cam"]}, "/front-cam"),
        ({"cameras.names": ["a"], "qos_overrides./a/image_raw.subscription.reliability": "maybe"},
         "cannot activate"),
        ({"cameras.names": ["a"], "tf.mode": "both"}, "tf.mode"),
        ({"cameras.names": ["a"], "model.engine": "vggt4d", "model.checkpoint": "/no/such.pt"},
         "/no/such.pt"),
        ({"cameras.names": ["a"], "model.engine": "vggt4d", "model.device": "cuda:99"}, "cuda:99"),
    ],
)  # fmt: skip
def test_what_cannot_start_says_why_in_one_line_and_exits_1(
    tmp_path: Path, parameters: dict[str, object], words: str
) -> None:
    with running_node(tmp_path, fresh_domain(), {"model.engine": "null", **parameters}) as run:
        status = run.process.wait(60)
        log = run.output()

    assert status == 1
    assert words in log
    assert "Traceback" not in log


def test_a_foreign_checkpoint_is_refused(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.safetensors"
    foreign.write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00{}      ")
    parameters = {"cameras.names": ["a"], "model.checkpoint": str(foreign)}
    with running_node(tmp_path, fresh_domain(), parameters) as run:
        status = run.process.wait(60)
        log = run.output()

    assert status == 1
    assert "foreign.safetensors" in log
    assert "Traceback" not in log


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_node_in_two_seconds_with_final_counts(
    tmp_path: Path, number: signal.Signals
) -> None:
    domain = fresh_domain()
    with (
        graph_node("tester", domain) as (node, spin),
        running_node(tmp_path, domain, {**NULL, "cameras.names": ["cam0", "cam1"]}) as run,
    ):
        rig = CameraRig(node, 2)
        heard = Listener(node, **status_topic())
        rig.wait_for_node(spin)
        spin(0.5)
        play(rig, spin, 3, outputs=heard.got["status"])
        play(rig, spin, 1, first=3, cameras=[0])  # this one waits for its partner
        spin(0.3)
        status, seconds = run.stop(number)
        spin(0.5)
        log = run.output()

    assert status == 0
    assert seconds < 2.0 * slowness()
    assert "Traceback" not in log
    last = heard.got["status"][-1]
    assert drops(last) == {"shutdown": 1}
    assert last.frames_pending == 0
    assert_adds_up(last)


def test_a_worker_that_dies_takes_the_process_down(tmp_path: Path) -> None:
    domain = fresh_domain()
    script = tmp_path / "node_with_a_broken_network"
    script.write_text(
        f"#!{sys.executable}\n"
        "import sys\n"
        "from vggt4d_ros.model.null import NullPredictor\n"
        "def predict(*args, **kwargs):\n"
        "    raise RuntimeError('the network broke')\n"
        "NullPredictor.predict = predict\n"
        "from vggt4d_ros.ros.main import main\n"
        "sys.exit(main())\n"
    )
    script.chmod(0o755)
    parameters = {**NULL, "cameras.names": ["cam0"]}
    with (
        graph_node("tester", domain) as (node, spin),
        running_node(tmp_path, domain, parameters, executable=str(script)) as run,
    ):
        rig = CameraRig(node, 1)
        heard = Listener(node, **status_topic())
        rig.wait_for_node(spin)
        spin(0.5)
        play(rig, spin, 3)
        wait_until(lambda: run.process.poll() is not None, spin, 10, "end of the process")
        spin(0.5)
        log = run.output()

    assert run.process.returncode == 1
    assert "the network broke" in log
    last = heard.got["status"][-1]
    assert last.frames_used == 0
    assert_adds_up(last)


def test_nobody_listening_means_no_work(tmp_path: Path) -> None:
    domain = fresh_domain()
    with (
        graph_node("tester", domain) as (node, spin),
        running_node(tmp_path, domain, {**NULL, "cameras.names": ["cam0"]}) as run,
    ):
        rig = CameraRig(node, 1)
        heard = Listener(node, status=(WindowStatus, "/vggt4d/status"))
        rig.wait_for_node(spin)
        spin(0.5)
        play(rig, spin, 4)
        wait_until(lambda: bool(heard.got["status"]), spin, 10, "status with the counts alone")
        run.stop()
        spin(0.5)

    last = heard.got["status"][-1]
    assert last.windows == 0
    assert drops(last)["unwanted"] == last.frames_received == 4


def test_reset_and_save_cloud_and_live_parameters(tmp_path: Path) -> None:
    domain = fresh_domain()
    with (
        graph_node("tester", domain) as (node, spin),
        running_node(tmp_path, domain, {**NULL, "cameras.names": ["cam0"]}),
    ):
        rig = CameraRig(node, 1)
        heard = Listener(node, depth=(Image, "/vggt4d/cam0/depth/image_rect"), **status_topic())
        request = SaveCloud.Request(path=str(tmp_path / "cloud.ply"))
        early = call(node, spin, SaveCloud, "/vggt4d/save_cloud", request)
        rig.wait_for_node(spin)
        spin(0.5)
        play(rig, spin, 3, outputs=heard.got["status"])
        wait_until(lambda: len(heard.got["status"]) >= 2, spin, 10, "windows")
        saved = call(node, spin, SaveCloud, "/vggt4d/save_cloud", request)
        nowhere = SaveCloud.Request(path="/no/such/folder/cloud.ply")
        lost = call(node, spin, SaveCloud, "/vggt4d/save_cloud", nowhere)
        nobody = SaveCloud.Request(path="~nosuchuser/cloud.ply")
        homeless = call(node, spin, SaveCloud, "/vggt4d/save_cloud", nobody)

        live = set_parameter(node, spin, "geometry.range_max", 1.5)
        too_large = set_parameter(node, spin, "geometry.range_max", 1e9)
        not_live = set_parameter(node, spin, "sync.tolerance_s", 0.5)
        before = len(heard.got["depth"])
        play(rig, spin, 2, first=3, outputs=heard.got["depth"])
        wait_until(lambda: len(heard.got["depth"]) >= before + 2, spin, 10, "depth")

        reset = call(node, spin, Trigger, "/vggt4d/reset", Trigger.Request())
        windows = len([s for s in heard.got["status"] if s.steps])
        play(rig, spin, 1, first=5)
        spin(0.5)
        windows_after_one = len([s for s in heard.got["status"] if s.steps])

    assert not early.success
    assert saved.success, saved.message
    assert saved.points > 0
    ply = (tmp_path / "cloud.ply").read_bytes()
    assert f"element vertex {saved.points}\n".encode() in ply
    assert not lost.success
    assert "/no/such/folder" in lost.message
    assert not homeless.success
    assert live.successful
    assert not too_large.successful
    assert not not_live.successful
    assert "configure" in not_live.reason
    first, last = (np.frombuffer(heard.got["depth"][i].data, np.float32) for i in (0, -1))
    assert np.nanmax(first) > 1.5  # the null engine's depth reaches 2
    assert np.nanmax(last) <= 1.5
    assert reset.success
    assert windows_after_one == windows, "a window of two steps needs two sets after a reset"


def test_two_robots_in_two_namespaces_do_not_meet(tmp_path: Path) -> None:
    domain = fresh_domain()
    parameters = {**NULL, "cameras.names": ["cam0"]}
    with (
        graph_node("tester", domain) as (node, spin),
        running_node(tmp_path, domain, parameters, arguments=["-r", "__ns:=/r1"]),
        running_node(tmp_path, domain, parameters, arguments=["-r", "__ns:=/r2"]),
    ):
        images = [node.create_publisher(Image, f"/r{i}/cam0/image_raw", 5) for i in (1, 2)]
        heard = Listener(
            node,
            first=(Image, "/r1/vggt4d/cam0/depth/image_rect"),
            second=(Image, "/r2/vggt4d/cam0/depth/image_rect"),
        )
        wait_until(lambda: all(p.get_subscription_count() for p in images), spin, 30, "both nodes")
        spin(0.5)
        for index in range(4):
            images[0].publish(rgb_image(START + index * PERIOD, "r1_cam0"))
            if index < 3:
                images[1].publish(rgb_image(START + index * PERIOD, "r2_cam0"))
            spin(0.1)
        wait_until(
            lambda: [len(heard.got[k]) for k in ("first", "second")] == [3, 2],
            spin,
            10,
            "depth of both robots",
        )

    assert {m.header.frame_id for m in heard.got["first"]} == {"r1_cam0"}
    assert {m.header.frame_id for m in heard.got["second"]} == {"r2_cam0"}
