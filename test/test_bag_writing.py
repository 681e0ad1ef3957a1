# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bags written from raw bytes, and the recording that ships with the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rosbags")

from scipy.spatial.transform import Rotation

from vggt4d_ros.evaluation.bag import Bag, BagError, open_bag
from vggt4d_ros.evaluation.bag_writer import BagWriter, register

STRING = "std_msgs/msg/String"
STATUS = "vggt4d_ros/msg/WindowStatus"
DEMO = Path(__file__).resolve().parents[1] / "demo"
HELLO = b"\x00\x01\x00\x00\x06\x00\x00\x00hello\x00"  # CDR: encapsulation, length, text, NUL


def test_bytes_and_stamps_come_back_as_they_were_written(tmp_path):
    with BagWriter(tmp_path / "bag") as writer:
        writer.add_topic("/a", STRING)
        writer.add_topic("/b", STRING, is_latched=True)
        writer.write("/a", 20, HELLO)
        writer.write("/b", 10, HELLO + b"\0\0\0")

    with open_bag(tmp_path / "bag") as bag:
        assert [(m.topic, m.type, m.stamp_ns, m.data) for m in bag.messages()] == [
            ("/b", STRING, 10, HELLO + b"\0\0\0"),
            ("/a", STRING, 20, HELLO),
        ]
        assert {topic.name: topic.latched for topic in bag.topics} == {"/a": False, "/b": True}


def test_bag_is_whole_when_the_recording_ends_with_an_error(tmp_path):
    def fail_while_recording() -> None:
        with BagWriter(tmp_path / "bag") as writer:
            writer.add_topic("/a", STRING)
            writer.write("/a", 1, HELLO)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_while_recording()

    with open_bag(tmp_path / "bag") as bag:
        assert len(list(bag.messages())) == 1


def test_own_messages_are_defined_in_the_bag(tmp_path):
    with BagWriter(tmp_path / "bag") as writer:
        writer.add_topic("/vggt4d/status", STATUS)
        status = default_message(writer.typestore, STATUS)
        count = writer.typestore.types["vggt4d_ros/msg/Count"]("late", 3)
        status.frames_dropped.append(count)
        raw = writer.typestore.serialize_cdr(status, STATUS)
        writer.write("/vggt4d/status", 1, bytes(raw))

    with open_bag(tmp_path / "bag") as bag:
        (message,) = bag.messages()
        found = bag.deserialize(message)

    assert (found.frames_dropped[0].name, found.frames_dropped[0].count) == ("late", 3)


def default_message(store, kind: str):
    """A message with zeros, empty texts and empty lists."""
    from rosbags.convert.converter import default_message as make

    return make(store, kind)


def test_type_without_definition_is_named(tmp_path):
    with (
        BagWriter(tmp_path / "bag") as writer,
        pytest.raises(BagError, match=r"no definition of odd_msgs/msg/Thing: source the ROS"),
    ):
        writer.add_topic("/odd", "odd_msgs/msg/Thing")


def test_definition_brings_those_it_is_made_of():
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_JAZZY)

    register(store, STATUS)

    assert {STATUS, "vggt4d_ros/msg/Count", "vggt4d_ros/msg/StageTime"} <= store.fielddefs.keys()


def test_topic_cannot_change_its_type(tmp_path):
    with BagWriter(tmp_path / "bag") as writer:
        writer.add_topic("/a", STRING)
        writer.add_topic("/a", STRING)  # again is fine

        with pytest.raises(BagError, match="/a is std_msgs/msg/String already, not std_msgs"):
            writer.add_topic("/a", "std_msgs/msg/Bool")


def test_bag_that_exists_is_not_overwritten(tmp_path):
    with pytest.raises(BagError, match="exists already"):
        BagWriter(tmp_path)


@pytest.fixture(scope="module")
def demo():
    with open_bag(DEMO / "walk_4cam") as bag:
        yield bag


def newest(bag: Bag, topic: str):
    *_, message = bag.messages([topic])
    return bag.deserialize(message)


def test_shipped_recording_is_small_and_has_its_licence():
    size = sum(file.stat().st_size for file in DEMO.rglob("*") if file.is_file())

    assert size < 6 * 2**20
    assert (
        "Redistribution and use in source and binary forms"
        in (DEMO / "walk_4cam.LICENSE").read_text()
    )


def test_shipped_recording_has_four_synchronised_cameras(demo):
    stamps = {}
    for number in range(1, 5):
        topic = f"/cam0{number}/image_raw/compressed"
        images = [demo.deserialize(message) for message in demo.messages([topic])]
        assert all(image.header.frame_id == f"cam0{number}_optical" for image in images)
        assert all(bytes(image.data[:3]) == b"\xff\xd8\xff" for image in images)  # JPEG
        stamps[number] = [
            image.header.stamp.sec * 10**9 + image.header.stamp.nanosec for image in images
        ]

    assert len(stamps[1]) == 13
    assert stamps[1] == stamps[2] == stamps[3] == stamps[4]
    np.testing.assert_allclose(np.diff(stamps[1]), 1e9 / 15, atol=1.0)


def test_every_camera_of_the_shipped_recording_sees_the_origin(demo):
    """The origin is on the beam that the person walks along: calibration and TF must agree."""
    (message,) = demo.messages(["/tf_static"])
    transforms = demo.deserialize(message).transforms

    assert [item.child_frame_id for item in transforms] == [f"cam0{n}_optical" for n in range(1, 5)]
    for number, item in enumerate(transforms, 1):
        info = newest(demo, f"/cam0{number}/camera_info")
        q, t = item.transform.rotation, item.transform.translation
        base_from_cam = Rotation.from_quat([q.x, q.y, q.z, q.w])
        centre = np.array([t.x, t.y, t.z])
        origin_in_cam = base_from_cam.inv().apply(-centre)
        u, v, _ = info.k.reshape(3, 3) @ (origin_in_cam / origin_in_cam[2])
        assert item.header.frame_id == "base_link"
        assert 2.0 < origin_in_cam[2] < 6.0
        assert 0 < u < info.width
        assert 0 < v < info.height
        assert 1.0 < centre[2] < 3.0  # z is up: the cameras stand above the floor
        up_in_cam = base_from_cam.inv().apply([0.0, 0.0, 1.0])
        assert up_in_cam[1] < -0.5  # y of an optical frame points down
