# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A recording holds what the live node publishes, field by field."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("rosbags")

from rclpy.serialization import serialize_message
from record_windows import CAMERAS, config, processed_windows, rig
from tf_transformations import quaternion_from_matrix

from vggt4d_ros.evaluation.bag import open_bag
from vggt4d_ros.evaluation.record import RecordSink
from vggt4d_ros.evaluation.sink import SinkContext
from vggt4d_ros.messages.encode import quaternion_xyzw
from vggt4d_ros.messages.frames import FrameNames
from vggt4d_ros.messages.outputs import WindowMessages
from vggt4d_ros.messages.topics import Topic
from vggt4d_ros.products import view_products
from vggt4d_ros.ros.encode import ENCODER
from vggt4d_ros.ros.memory import MessageMemory
from vggt4d_ros.stream import StreamPipeline


class Publishers:
    """Stands for the node's: keeps what rclpy would hand to the middleware."""

    def __init__(self) -> None:
        self.sent: dict[str, list[bytes]] = {}

    def wants(self, topic: Topic, view: int = 0) -> bool:
        return True

    def send(self, topic: Topic, message: object, view: int = 0) -> None:
        name = topic.resolve(CAMERAS[view]).replace("~", "/vggt4d", 1)
        self.sent.setdefault(name, []).append(serialize_message(message))


@pytest.mark.parametrize("encoding", ["32FC1", "16UC1"])
def test_recorded_messages_are_the_live_ones_byte_for_byte(tmp_path: Path, encoding: str) -> None:
    settings = config(**{"output.depth_encoding": encoding})
    pipeline = StreamPipeline(len(CAMERAS), settings.sync, settings.window)
    sink = RecordSink(tmp_path / "out.mcap", SinkContext(settings, {}, "null", pipeline.counts))
    live, memory = Publishers(), MessageMemory()
    messages = WindowMessages(ENCODER, live)
    for processed in processed_windows(3, rig()):
        views = view_products(processed, settings.geometry, memory)  # as the node has it
        messages.emit(processed, views, settings, FrameNames("vggt4d_odom", "base_link"))
        sink.window(processed, view_products(processed, settings.geometry))
    sink.close()

    compared = 0
    with open_bag(tmp_path / "out.mcap") as bag:
        store = bag.typestore
        for message in bag.messages(list(live.sent)):
            # what pads fields is left as it was by the middleware: written anew it is zero
            content = store.deserialize_cdr(live.sent[message.topic].pop(0), message.type)
            assert message.data == bytes(store.serialize_cdr(content, message.type)), message.topic
            compared += 1
    assert compared == 3 * (8 * 2 + 4)
    assert not any(live.sent.values())


def test_status_is_the_live_nodes(tmp_path: Path) -> None:
    from vggt4d_ros.messages.status import Circumstances, window_status

    settings = config()
    pipeline = StreamPipeline(len(CAMERAS), settings.sync, settings.window)
    sink = RecordSink(tmp_path / "out.mcap", SinkContext(settings, {}, "null", pipeline.counts))
    (processed,) = processed_windows(1, rig())
    sink.window(processed, view_products(processed, settings.geometry))
    sink.close()

    with open_bag(tmp_path / "out.mcap") as bag:
        (recorded,) = bag.messages(["/vggt4d/status"])
        store, found = bag.typestore, bag.deserialize(recorded)
    about = Circumstances(
        cameras=CAMERAS,
        fixed_frame="vggt4d_odom",
        latency_s=found.latency,
        stage_ms={time.name: time.milliseconds for time in found.stage_times},
        warnings=processed.warnings,
        memory=found.memory,
        gpu_memory=0,
        device="auto",
        model="null",
    )
    live = serialize_message(window_status(ENCODER, processed, pipeline.counts(), about))
    content = store.deserialize_cdr(live, recorded.type)
    assert recorded.data == bytes(store.serialize_cdr(content, recorded.type))


def test_quaternion_is_that_of_tf_transformations() -> None:
    from scipy.spatial.transform import Rotation

    for rotation in Rotation.random(50, random_state=0):
        matrix = np.eye(4)
        matrix[:3, :3] = rotation.as_matrix()
        expected = np.array(quaternion_from_matrix(matrix))

        found = np.array(quaternion_xyzw(matrix[:3, :3]))

        assert min(abs(found - expected).max(), abs(found + expected).max()) < 1e-12
