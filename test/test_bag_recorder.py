# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The recorder in its own process records what the player plays."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("rosbags")

from bag_samples import IMAGE_TOPICS, STEPS, running, write_sample

from vggt4d_ros.demo.domain import free_domain
from vggt4d_ros.evaluation.bag import BagError, open_bag

pytestmark = pytest.mark.ros


@pytest.fixture(autouse=True)
def domain(monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(free_domain()))


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    return write_sample(tmp_path_factory.mktemp("bags") / "sample", image_bytes=100_000)


def play(bag: Path, *parameters: str) -> None:
    with running("bag_player", f"bag:={bag}", "wait_for_subscribers:=1", *parameters) as player:
        status, output = player.finish(60)
    assert status == 0, output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_recorded_bytes_are_those_that_were_played(sample, tmp_path, number):
    with running("recorder", f"output:={tmp_path}/out", "regex:=.*") as recorder:
        play(sample, "rate:=2")
        begin = time.monotonic()
        status, output = recorder.finish(30, stop_with=number)

    assert status == 0, output
    assert time.monotonic() - begin < 15.0  # a second, but for a machine with much else to do
    with open_bag(tmp_path / "out") as copy, open_bag(sample) as original:
        topics = {topic.name: topic for topic in copy.topics}
        assert topics["/tf_static"].latched
        assert topics["/tf_static"].count == 2
        assert topics["/clock"].count > 10  # 0.5 s at 100 Hz
        assert "/rosout" not in topics
        for topic in IMAGE_TOPICS:
            recorded = [message.data for message in copy.messages([topic])]
            played = [message.data for message in original.messages([topic])]
            # CDR may be padded to 4 B on its way
            assert [data[: len(played[0])] for data in recorded] == played
        stamps = [message.stamp_ns for message in copy.messages([IMAGE_TOPICS[0]])]
        assert (stamps[-1] - stamps[0]) * 1e-9 == pytest.approx(0.05 * (STEPS - 1) / 2, abs=0.4)
    assert f"of {len(topics)} topics" in output


def test_named_topics_are_recorded_and_those_that_never_come_are_named(sample, tmp_path):
    with running(
        "recorder", f"output:={tmp_path}/out", f"topics:=[{IMAGE_TOPICS[0]}, /nothing]"
    ) as recorder:
        # the player waits for both cameras, of which one is not recorded
        play(sample, "rate:=5", f"topics:=[{IMAGE_TOPICS[0]}]")
        status, output = recorder.finish(30, stop_with=signal.SIGINT)

    assert status == 0
    assert "nothing came on /nothing" in output
    with open_bag(tmp_path / "out") as bag:
        assert [topic.name for topic in bag.topics] == [IMAGE_TOPICS[0]]
        assert bag.count == STEPS


def test_what_a_killed_recorder_wrote_can_be_read(sample, tmp_path):
    with running("recorder", f"output:={tmp_path}/out", "regex:=/.*compressed") as recorder:
        play(sample, "rate:=2")
        recorder.finish(10, stop_with=signal.SIGKILL)

    messages = []
    with open_bag(tmp_path / "out") as bag, pytest.raises(BagError, match="truncated"):
        messages.extend(bag.messages())
    assert 2 * STEPS - 15 < len(messages) <= 2 * STEPS  # but for the last megabyte


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (("regex:=.*",), "parameter output is empty"),
        (("output:={here}/out",), "give topics, or a regex"),
        (("output:={here}/out", "regex:=(("), "parameter regex is no regular expression"),
        (("output:={here}", "regex:=.*"), "exists already"),
    ],
)
def test_useless_option_is_one_line_and_status_1(tmp_path, parameters, message):
    filled = [text.format(here=tmp_path) for text in parameters]

    with running("recorder", *filled) as recorder:
        status, output = recorder.finish(60)

    assert status == 1
    assert len(output.strip().splitlines()) == 1, output
    assert output.startswith("recorder: ")
    assert message in output
