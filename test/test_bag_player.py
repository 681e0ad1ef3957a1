# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The bag player in its own process, seen by a subscriber in this one."""

from __future__ import annotations

import json
import signal
import time
from collections import defaultdict
from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("rosbags")

import rclpy
from bag_samples import IMAGE_TOPICS, START_NS, STEP_NS, STEPS, running, write_sample
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage
from tf2_msgs.msg import TFMessage

from vggt4d_ros.demo.domain import free_domain
from vggt4d_ros.evaluation.bag import open_bag

pytestmark = pytest.mark.ros
DEADLINE_S = 60.0


class Listener:
    """Keeps (wall time, message) of what comes."""

    def __init__(self) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node("listener", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.got: dict[str, list] = defaultdict(list)

    def listen(self, topic: str, kind, *, latched: bool = False, raw: bool = False) -> None:
        durability = DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE
        self.node.create_subscription(
            kind,
            topic,
            lambda message: self.got[topic].append((time.monotonic(), message)),
            QoSProfile(depth=1000, durability=durability),
            raw=raw,
        )

    def spin_until(self, condition: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < end, f"{DEADLINE_S} s passed without: {what}"
            self.executor.spin_once(timeout_sec=0.05)

    def spin_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.02)

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        self.context.try_shutdown()


@pytest.fixture
def listener(monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(free_domain()))
    made = Listener()
    yield made
    made.close()


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    return write_sample(tmp_path_factory.mktemp("bags") / "sample")


def listen_to_cameras(listener: Listener) -> None:
    for topic in IMAGE_TOPICS:
        listener.listen(topic, CompressedImage)


def numbers(listener: Listener, topic: str) -> list[int]:
    return [message.data[0] for _, message in listener.got[topic]]


def test_every_message_comes_as_recorded_and_in_time(listener, sample, tmp_path):
    report = tmp_path / "report.json"
    for topic in IMAGE_TOPICS:
        listener.listen(topic, CompressedImage, raw=True)

    with running(
        "bag_player",
        f"bag:={sample}",
        "wait_for_subscribers:=1",
        "rate:=2",
        f"report_file:={report}",
    ) as player:
        listener.spin_until(lambda: not player.is_running, "the player ends by itself")
        status, output = player.finish(5)
        listener.spin_for(0.2)

    assert status == 0, output
    with open_bag(sample) as bag:
        for topic in IMAGE_TOPICS:
            recorded = [message.data for message in bag.messages([topic])]
            # CDR may be padded to 4 B on its way
            received = [bytes(raw)[: len(recorded[0])] for _, raw in listener.got[topic]]
            assert received == recorded
    arrivals = np.array([arrival for arrival, _ in listener.got[IMAGE_TOPICS[0]]])
    assert np.median(np.diff(arrivals)) == pytest.approx(STEP_NS * 1e-9 / 2, abs=0.012)
    assert arrivals[-1] - arrivals[0] == pytest.approx(STEP_NS * 1e-9 * (STEPS - 1) / 2, abs=0.4)
    told = json.loads(report.read_text())
    assert told["messages"] == 2 * STEPS
    assert told["late_ms"]["p50"] < 100.0  # under 1 ms where nothing else runs


def test_clock_runs_at_its_rate_and_never_ahead_of_what_was_sent(listener, sample):
    listener.listen("/clock", Clock)
    listener.listen(IMAGE_TOPICS[0], CompressedImage)

    with running("bag_player", f"bag:={sample}", "wait_for_subscribers:=1", "rate:=0.25") as player:
        listener.spin_until(lambda: not player.is_running, "the player ends by itself")

    clock = [
        message.clock.sec * 10**9 + message.clock.nanosec for _, message in listener.got["/clock"]
    ]
    assert len(clock) > 60  # 3.8 s at 100 Hz; a busy machine is slow to wake and to discover
    assert clock == sorted(clock)
    assert clock[-1] == START_NS + (STEPS - 1) * STEP_NS
    # the stamp of each message is on the clock by itself
    stamps = {START_NS + step * STEP_NS for step in range(STEPS // 2, STEPS)}
    assert stamps <= set(clock)
    steps_ns = np.diff(clock)
    assert 2e6 < np.median(steps_ns[steps_ns > 0]) < 15e6  # 10 ms at a quarter of the speed


def test_clock_can_be_left_to_others(listener, sample):
    listener.listen("/clock", Clock)
    listen_to_cameras(listener)

    with running(
        "bag_player", f"bag:={sample}", "wait_for_subscribers:=1", "clock_hz:=0", "rate:=5.0"
    ) as player:
        listener.spin_until(lambda: not player.is_running, "the player ends by itself")

    assert len(listener.got[IMAGE_TOPICS[0]]) == STEPS
    assert listener.node.count_publishers("/clock") == 0
    assert not listener.got["/clock"]


def test_late_joiner_gets_every_static_transform(listener, sample):
    listen_to_cameras(listener)

    with running("bag_player", f"bag:={sample}", "wait_for_subscribers:=1", "rate:=0.2") as player:
        listener.spin_until(lambda: len(listener.got[IMAGE_TOPICS[0]]) > 3, "some images")
        listener.listen("/tf_static", TFMessage, latched=True)
        listener.spin_until(
            lambda: len(listener.got["/tf_static"]) >= 2 or not player.is_running, "both transforms"
        )

    frames = [message.transforms[0].child_frame_id for _, message in listener.got["/tf_static"]]
    assert frames == ["left_optical", "right_optical"]


@pytest.mark.parametrize("reliability", ["reliable", "best_effort"])
def test_topics_are_offered_with_the_right_qos(listener, sample, reliability):
    with running(
        "bag_player",
        f"bag:={sample}",
        "start_delay_s:=3",
        f"image_reliability:={reliability}",
    ):
        listener.spin_until(
            lambda: all(listener.node.count_publishers(t) for t in (*IMAGE_TOPICS, "/tf_static")),
            "the player's publishers",
        )
        (image,) = listener.node.get_publishers_info_by_topic(IMAGE_TOPICS[0])
        (static,) = listener.node.get_publishers_info_by_topic("/tf_static")

    assert image.qos_profile.reliability == ReliabilityPolicy[reliability.upper()]
    assert image.qos_profile.durability == DurabilityPolicy.VOLATILE
    assert static.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    assert static.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL


def test_loop_plays_the_same_stamps_again(listener, sample):
    listen_to_cameras(listener)

    with running(
        "bag_player", f"bag:={sample}", "wait_for_subscribers:=1", "rate:=5.0", "loop:=3"
    ) as player:
        listener.spin_until(lambda: not player.is_running, "the player ends by itself")
        listener.spin_for(0.2)

    assert numbers(listener, IMAGE_TOPICS[0]) == list(range(STEPS)) * 3
    stamps = [message.header.stamp.nanosec for _, message in listener.got[IMAGE_TOPICS[0]]]
    assert stamps[:STEPS] == stamps[STEPS : 2 * STEPS]


def test_first_message_waits_for_the_subscribers_asked_for(listener, sample):
    with running("bag_player", f"bag:={sample}", "wait_for_subscribers:=1", "rate:=5") as player:
        listener.spin_until(
            lambda: listener.node.count_publishers(IMAGE_TOPICS[0]), "the player's publishers"
        )
        listener.listen(IMAGE_TOPICS[0], CompressedImage)
        listener.spin_for(1.0)  # the whole bag lasts 0.2 s; one camera is still without subscriber
        assert not listener.got[IMAGE_TOPICS[0]]
        listener.listen(IMAGE_TOPICS[1], CompressedImage)
        listener.spin_until(lambda: not player.is_running, "the player ends by itself")
        listener.spin_for(0.2)

    assert numbers(listener, IMAGE_TOPICS[0]) == list(range(STEPS))
    assert numbers(listener, IMAGE_TOPICS[1]) == list(range(STEPS))


def test_subscribers_that_do_not_come_are_named_and_waited_for_no_longer(listener, sample):
    with running(
        "bag_player",
        f"bag:={sample}",
        "wait_for_subscribers:=2",
        "wait_timeout_s:=0.5",
        "rate:=10",
    ) as player:
        status, output = player.finish(DEADLINE_S)

    assert status == 0
    assert "fewer than 2 subscribers on" in output
    assert f"{IMAGE_TOPICS[0]} (0)" in output


def test_camera_that_nobody_wants_does_not_hold_up_the_others_for_long(listener, sample):
    listener.listen(IMAGE_TOPICS[0], CompressedImage)

    begin = time.monotonic()
    with running("bag_player", f"bag:={sample}", "wait_for_subscribers:=1", "rate:=10") as player:
        listener.spin_until(lambda: not player.is_running, "the player ends by itself")
        _, output = player.finish(5)

    assert time.monotonic() - begin > 5.0  # and yet not the time limit, which it would name:
    assert "after 30 s" not in output
    assert f"fewer than 1 subscribers on {IMAGE_TOPICS[1]} (0)" in output
    assert numbers(listener, IMAGE_TOPICS[0]) == list(range(STEPS))


def test_topics_can_be_chosen_and_renamed(listener, sample):
    listener.listen("/front/image", CompressedImage)

    with running(
        "bag_player",
        f"bag:={sample}",
        f"topics:=[{IMAGE_TOPICS[1]}]",
        "wait_for_subscribers:=1",
        "rate:=5",
        remap=(f"{IMAGE_TOPICS[1]}:=/front/image",),
    ) as player:
        listener.spin_until(lambda: not player.is_running, "the player ends by itself")
        listener.spin_for(0.2)

    assert numbers(listener, "/front/image") == list(range(STEPS))
    assert listener.got["/front/image"][0][1].data[1] == 1  # the right camera's


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_player_at_once_and_cleanly(listener, sample, number):
    listener.listen(IMAGE_TOPICS[0], CompressedImage)

    with running("bag_player", f"bag:={sample}", "loop:=0") as player:
        listener.spin_until(lambda: len(listener.got[IMAGE_TOPICS[0]]) > 3, "some images")
        begin = time.monotonic()
        status, output = player.finish(30, stop_with=number)

    assert status == 0
    assert time.monotonic() - begin < 15.0  # at once, but for a machine with much else to do
    assert "Traceback" not in output


def test_cut_bag_is_played_as_far_as_it_goes_and_then_said(listener, tmp_path):
    path = write_sample(tmp_path / "cut", image_bytes=100_000)
    file = path / "cut.mcap"
    with file.open("r+b") as data:
        data.truncate(file.stat().st_size // 2)
    listener.listen(IMAGE_TOPICS[0], CompressedImage)

    with running(
        "bag_player", f"bag:={path}", "wait_for_subscribers:=1", f"topics:=[{IMAGE_TOPICS[0]}]"
    ) as player:
        listener.spin_until(lambda: not player.is_running, "the player ends by itself")
        status, output = player.finish(5)
        listener.spin_for(0.2)

    seen = numbers(listener, IMAGE_TOPICS[0])
    assert seen == list(range(len(seen)))
    assert STEPS // 2 - 2 <= len(seen) <= STEPS // 2
    assert status == 1
    assert output.rstrip().splitlines()[-1].startswith(f"bag_player: {path}: truncated")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ((), "parameter bag is empty"),
        (("bag:=/nowhere/at/all",), "/nowhere/at/all: no such file or directory"),
        (("bag:={sample}", "rate:=0.0"), "rate must be above 0, got 0.0"),
        (("bag:={sample}", "rate:=fast"), "parameter rate must be a float, got 'fast'"),
        (("bag:={sample}", "loop:=-1"), "loop must be 0 (until stopped) or above, got -1"),
        (("bag:={sample}", "topics:=[/up]"), "no topic /up in this bag; it has"),
        (("bag:={sample}", "topics:=[/tf_static]"), "none of the chosen topics has images"),
        (("bag:={sample}", "image_reliability:=yes_please"), "must be reliable or best_effort"),
        (("bag:={here}",), "a directory that is no bag"),
    ],
)
def test_useless_bag_or_option_is_one_line_and_status_1(sample, tmp_path, parameters, message):
    filled = [text.format(sample=sample, here=tmp_path) for text in parameters]

    with running("bag_player", *filled) as player:
        status, output = player.finish(DEADLINE_S)

    assert status == 1
    assert len(output.strip().splitlines()) == 1, output
    assert output.startswith("bag_player: ")
    assert message in output
