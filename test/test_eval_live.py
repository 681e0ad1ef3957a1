# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The live node over real DDS and the offline run give the same messages for the same bag."""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("rosbags")
pytest.importorskip("torch")
pytest.importorskip("vggt4d_ros.msg", reason="the package is not built")

from vggt4d_ros.demo.domain import free_domain
from vggt4d_ros.evaluation.bag import open_bag
from vggt4d_ros.evaluation.offline import evaluate_bag
from vggt4d_ros.evaluation.options import EvalOptions
from vggt4d_ros.evaluation.parameter_file import read_parameters
from vggt4d_ros.messages.stamps import ns_from_stamp

pytestmark = [pytest.mark.ros, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[1]
BAG = ROOT / "demo" / "walk_4cam"
PARAMETERS = ROOT / "config" / "demo.yaml"
# of each camera its depth, of one its scene flow: each topic costs the live node time
TOPICS = r"/vggt4d/(cam0\d/depth/image_rect|cam01/scene_flow/(image|dynamic_mask)|odometry|status)"
WINDOWS = 10  # of 13 instants, 4 at a time
DEADLINE_S = 300.0


@dataclass
class Outputs:
    """What a recording of the node's topics holds, by topic and header stamp."""

    images: dict[tuple[str, int], tuple[Any, ...]] = field(default_factory=dict)
    poses: dict[int, np.ndarray] = field(default_factory=dict)
    status: Any = None  # the last one


def read_outputs(path: Path) -> Outputs:
    found = Outputs()
    with open_bag(path) as bag:
        for message in bag.messages():
            content: Any = bag.deserialize(message)
            if message.topic.endswith("/status"):
                found.status = content
                continue
            if message.type == "sensor_msgs/msg/Image":
                key = message.topic, ns_from_stamp(content.header.stamp)
                about = content.header.frame_id, content.encoding, content.width, content.height
                found.images[key] = *about, content.data.tobytes()
            elif message.topic.endswith("/odometry"):
                found.poses[ns_from_stamp(content.header.stamp)] = odometry_numbers(content)
    return found


def odometry_numbers(message: Any) -> np.ndarray:
    """Position, quaternion, velocities and covariances."""
    pose, twist = message.pose.pose, message.twist.twist
    parts = (pose.position, pose.orientation, twist.linear, twist.angular)
    plain = [getattr(p, axis) for p in parts for axis in ("x", "y", "z", "w") if hasattr(p, axis)]
    return np.concatenate([plain, message.pose.covariance, message.twist.covariance])


def play_live(out: Path, engine: str, rate: float) -> Outputs:
    """Replays the bag into the installed node and records what it publishes."""
    process = subprocess.Popen(
        [
            *("ros2", "launch", "vggt4d_ros", "replay.launch.py", f"bag:={BAG}", f"rate:={rate}"),
            *(f"record:={out}", f"record_regex:={TOPICS}", f"engine:={engine}"),
            *(f"params_file:={PARAMETERS}", "drain_s:=5.0", "wait_timeout_s:=120.0"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "ROS_DOMAIN_ID": str(free_domain())},
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=DEADLINE_S)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert "played 104 messages" in output, output
    assert "starting all the same" not in output, output
    return read_outputs(out)


def live_without_drops(tmp_path: Path, engine: str, rates: tuple[float, ...]) -> Outputs:
    """Replays ever slower until the machine keeps up: what is dropped cannot be compared."""
    for rate in rates:
        found = play_live(tmp_path / f"live_{rate}", engine, rate)
        if not found.status.windows_superseded:
            return found
    raise AssertionError(f"windows were dropped at each of the rates {rates}")


def run_offline(tmp_path: Path, engine: str) -> Outputs:
    parameters = read_parameters(PARAMETERS, "/").with_texts([f"model.engine={engine}"])
    options = EvalOptions(
        config=parameters.config(), record=tmp_path / "offline", baselines=False, pictures=0
    )
    evaluate_bag(BAG, options)
    return read_outputs(tmp_path / "offline")


@pytest.mark.parametrize(
    ("engine", "rates"),
    [
        ("null", (0.5, 0.1, 0.03)),
        pytest.param("vggt4d", (0.02, 0.008), marks=pytest.mark.slow),
    ],
)
def test_live_replay_gives_the_messages_of_the_offline_run(tmp_path, engine, rates):
    live = live_without_drops(tmp_path, engine, rates)
    offline = run_offline(tmp_path, engine)

    offline_images = {key: image for key, image in offline.images.items() if key in live.images}
    cameras = {topic for topic, _ in live.images}
    assert len(cameras) == 6
    assert len(live.images) == len(cameras) * WINDOWS
    assert offline_images.keys() == live.images.keys()
    differing = [key for key, image in live.images.items() if image != offline_images[key]]
    assert not differing
    assert live.poses.keys() == offline.poses.keys()
    assert len(live.poses) == WINDOWS
    for stamp, numbers in live.poses.items():
        np.testing.assert_allclose(numbers, offline.poses[stamp], rtol=1e-9, atol=1e-12)
    assert live.status.frames_received == offline.status.frames_received == 52
    assert live.status.frames_used == 52
