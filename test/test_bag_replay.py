# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""replay.launch.py as a user starts it: it plays, records, and ends by itself."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("rosbags")
pytest.importorskip("vggt4d_ros.msg", reason="the package is not built")

from vggt4d_ros.demo.domain import free_domain
from vggt4d_ros.evaluation.bag import open_bag

pytestmark = [pytest.mark.ros, pytest.mark.timeout(180)]

ROOT = Path(__file__).resolve().parents[1]
DEADLINE_S = 90.0
# no network is needed here; the demo's parameters let outputs without a scale pass
ARGUMENTS = ("engine:=null", f"params_file:={ROOT}/config/demo.yaml", "drain_s:=2.0")


@pytest.fixture
def start():
    """Gives a function that starts `ros2 launch`; ends what is left of it."""
    processes = []

    def begin(*arguments: str) -> subprocess.Popen[str]:
        command = ["ros2", "launch", "vggt4d_ros", "replay.launch.py", *arguments]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "ROS_DOMAIN_ID": str(free_domain())},
            start_new_session=True,
        )
        processes.append(process)
        return process

    yield begin
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def test_replay_records_what_goes_in_and_comes_out_and_ends(start, tmp_path):
    process = start(
        f"bag:={ROOT}/demo/walk_4cam",
        "rate:=0.5",
        "loop:=2",
        f"record:={tmp_path}/out",
        *ARGUMENTS,
    )
    output, _ = process.communicate(timeout=DEADLINE_S)

    assert "played 209 messages" in output, output
    assert "Traceback" not in output
    with open_bag(tmp_path / "out") as bag:
        counts = {topic.name: topic.count for topic in bag.topics}
        assert counts["/cam01/image_raw/compressed"] == 26
        assert counts["/cam02/image_raw/compressed"] == 26
        assert counts["/vggt4d/cam01/depth/image_rect"] >= 1
        assert counts["/vggt4d/status"] >= 1
        types = {topic.name: topic.type for topic in bag.topics}
        assert types["/vggt4d/status"] == "vggt4d_ros/msg/WindowStatus"
        *_, status = bag.messages(["/vggt4d/status"])
        last = bag.deserialize(status)
        dropped = sum(item.count for item in last.frames_dropped)
        assert last.frames_received == 104 == last.frames_used + dropped


def test_namespace_takes_node_and_bag_along(start, tmp_path):
    process = start(
        f"bag:={ROOT}/demo/walk_4cam",
        "namespace:=robot1",
        f"record:={tmp_path}/out",
        *ARGUMENTS,
    )
    output, _ = process.communicate(timeout=DEADLINE_S)

    assert "Traceback" not in output
    with open_bag(tmp_path / "out") as bag:
        counts = {topic.name: topic.count for topic in bag.topics}
    assert counts["/robot1/cam01/image_raw/compressed"] == 13
    assert counts["/robot1/vggt4d/cam01/depth/image_rect"] >= 1
    assert counts["/tf_static"] == 1


def test_bag_that_is_not_there_ends_the_launch_with_its_reason(start):
    process = start("bag:=/nowhere/at/all", *ARGUMENTS)
    output, _ = process.communicate(timeout=DEADLINE_S)

    assert "bag_player: /nowhere/at/all: no such file or directory" in output
    assert "the bag player failed with status 1" in output


def test_node_that_cannot_start_ends_the_launch(start):
    process = start(f"bag:={ROOT}/demo/walk_4cam", "engine:=warp", "drain_s:=2.0", "cameras:=cam01")
    output, _ = process.communicate(timeout=DEADLINE_S)

    assert "model.engine must be one of vggt4d, null, got 'warp'" in output
    assert "the node failed with status 1" in output


def test_interrupt_ends_all_within_seconds(start):
    process = start(f"bag:={ROOT}/demo/walk_4cam", "loop:=0", *ARGUMENTS)
    assert process.stdout is not None
    for line in process.stdout:
        if "active: waiting for" in line:
            break
    time.sleep(3.0)
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)  # launch hands it on
    output, _ = process.communicate(timeout=DEADLINE_S)

    assert time.monotonic() - begin < 8.0
    assert "Traceback" not in output
    assert "process has died" not in output
