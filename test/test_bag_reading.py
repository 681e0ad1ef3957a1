# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Recordings of every kind, whole and broken, read by evaluation.bag."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rosbags")

from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as Ros2Writer
from rosbags.rosbag2.enums import CompressionFormat, CompressionMode
from rosbags.typesys import Stores, get_typestore

from vggt4d_ros.evaluation.bag import Bag, BagError, BagMessage, open_bag

ROS2 = get_typestore(Stores.ROS2_JAZZY)
ROS1 = get_typestore(Stores.ROS1_NOETIC)
START = 1_700_000_000_000_000_000
IMAGE = "sensor_msgs/msg/Image"
STRING = "std_msgs/msg/String"
COUNT = 40  # images in the recordings made here, 10 ms apart, the first byte of each its number


def image(store, number: int):
    header = store.types["std_msgs/msg/Header"]
    time = store.types["builtin_interfaces/msg/Time"](sec=number, nanosec=7)
    stamped = (
        header(seq=number, stamp=time, frame_id="cam")
        if store is ROS1
        else header(stamp=time, frame_id="cam")
    )
    # noise, so that compression does not make a file too small to be cut
    data = np.random.default_rng(number).integers(0, 256, 64 * 96 * 3, dtype=np.uint8)
    data[0] = number
    return store.types[IMAGE](
        header=stamped, height=64, width=96, encoding="rgb8", is_bigendian=0, step=96 * 3, data=data
    )


def qos(durability: QosDurability) -> Qos:
    always = QosTime(0, 0)
    return Qos(
        QosHistory.KEEP_LAST,
        1,
        QosReliability.RELIABLE,
        durability,
        always,
        always,
        QosLiveliness.AUTOMATIC,
        always,
        False,
    )


def write_ros2(
    path: Path,
    plugin: StoragePlugin = StoragePlugin.MCAP,
    compression: CompressionMode | None = None,
    count: int = COUNT,
) -> Path:
    writer = Ros2Writer(path, version=9, storage_plugin=plugin)
    if compression is not None:
        writer.set_compression(compression, CompressionFormat.ZSTD)
    with writer:
        images = writer.add_connection("/cam/image_raw", IMAGE, typestore=ROS2)
        notes = writer.add_connection(
            "/note",
            STRING,
            typestore=ROS2,
            offered_qos_profiles=[qos(QosDurability.TRANSIENT_LOCAL)],
        )
        if count:
            text = ROS2.types[STRING](data="hello")
            writer.write(notes, START, ROS2.serialize_cdr(text, STRING))
        for number in range(count):
            raw = ROS2.serialize_cdr(image(ROS2, number), IMAGE)
            writer.write(images, START + number * 10_000_000, raw)
    return path


def write_ros1(path: Path, compression: Ros1Writer.CompressionFormat | None = None) -> Path:
    writer = Ros1Writer(path)
    if compression is not None:
        writer.set_compression(compression)
    with writer:
        images = writer.add_connection("/cam/image_raw", IMAGE, typestore=ROS1)
        notes = writer.add_connection("/note", STRING, typestore=ROS1, latching=1)
        text = ROS1.types[STRING](data="hello")
        writer.write(notes, START, ROS1.serialize_ros1(text, STRING))
        for number in range(COUNT):
            raw = ROS1.serialize_ros1(image(ROS1, number), IMAGE)
            writer.write(images, START + number * 10_000_000, raw)
    return path


def cut(path: Path, share: float) -> int:
    """Leaves the first ``share`` of a file and gives the bytes left."""
    size = int(path.stat().st_size * share)
    with path.open("r+b") as file:
        file.truncate(size)
    return size


def read_until_fault(bag: Bag) -> tuple[list[BagMessage], str]:
    messages: list[BagMessage] = []
    with pytest.raises(BagError) as caught:
        messages.extend(bag.messages())  # extend keeps what came before the error
    return messages, str(caught.value)


def assert_images_are_a_prefix(bag: Bag, messages: list[BagMessage]) -> int:
    """The images read are the first ones, each as it was written; gives their number."""
    images = [message for message in messages if message.topic == "/cam/image_raw"]
    for number, message in enumerate(images):
        assert message.stamp_ns == START + number * 10_000_000
        assert message.type == IMAGE
        expected = image(ROS2, number)
        found = bag.deserialize(message)
        assert found.header.stamp.sec == number
        np.testing.assert_array_equal(found.data, expected.data)
    return len(images)


def assert_is_whole(path: Path) -> None:
    with open_bag(path) as bag:
        topics = {topic.name: topic for topic in bag.topics}
        messages = list(bag.messages())

        assert bag.fault is None
        assert bag.count == COUNT + 1
        assert bag.start_ns == START
        assert bag.end_ns == START + (COUNT - 1) * 10_000_000
        assert bag.duration_s == pytest.approx(0.01 * (COUNT - 1))
        assert topics["/cam/image_raw"].type == IMAGE
        assert topics["/cam/image_raw"].count == COUNT
        assert not topics["/cam/image_raw"].latched
        assert topics["/note"].latched
        assert len(messages) == COUNT + 1
        assert assert_images_are_a_prefix(bag, messages) == COUNT
        note = next(message for message in messages if message.topic == "/note")
        assert bag.deserialize(note).data == "hello"


@pytest.mark.parametrize("plugin", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_rosbag2_directory_gives_what_was_written(tmp_path, plugin):
    assert_is_whole(write_ros2(tmp_path / "bag", plugin))


@pytest.mark.parametrize(
    ("plugin", "mode"),
    [
        (StoragePlugin.MCAP, CompressionMode.STORAGE),
        (StoragePlugin.MCAP, CompressionMode.MESSAGE),
        (StoragePlugin.SQLITE3, CompressionMode.FILE),
        (StoragePlugin.SQLITE3, CompressionMode.MESSAGE),
    ],
)
def test_compressed_rosbag2_gives_what_was_written(tmp_path, plugin, mode):
    assert_is_whole(write_ros2(tmp_path / "bag", plugin, mode))


@pytest.mark.parametrize(
    ("plugin", "suffix"), [(StoragePlugin.MCAP, ".mcap"), (StoragePlugin.SQLITE3, ".db3")]
)
def test_single_storage_file_gives_what_was_written(tmp_path, plugin, suffix):
    assert_is_whole(write_ros2(tmp_path / "bag", plugin) / f"bag{suffix}")


def test_single_file_of_a_bag_with_compressed_messages_is_unpacked(tmp_path):
    path = write_ros2(tmp_path / "bag", StoragePlugin.MCAP, CompressionMode.MESSAGE)

    assert_is_whole(path / "bag.mcap")


@pytest.mark.parametrize("compression", [None, *Ros1Writer.CompressionFormat])
def test_ros1_bag_gives_its_messages_as_ros2(tmp_path, compression):
    assert_is_whole(write_ros1(tmp_path / "old.bag", compression))


def test_ros1_type_that_got_another_layout_is_migrated(tmp_path):
    kind = "sensor_msgs/msg/CameraInfo"
    old = ROS1.types[kind](
        header=image(ROS1, 3).header,
        height=4,
        width=6,
        distortion_model="plumb_bob",
        D=np.arange(5.0),
        K=np.arange(9.0),
        R=np.arange(9.0),
        P=np.arange(12.0),
        binning_x=0,
        binning_y=0,
        roi=ROS1.types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False),
    )
    with Ros1Writer(tmp_path / "old.bag") as writer:
        connection = writer.add_connection("/cam/camera_info", kind, typestore=ROS1)
        writer.write(connection, START, ROS1.serialize_ros1(old, kind))

    with open_bag(tmp_path / "old.bag") as bag:
        (message,) = bag.messages()

        assert message.type == kind
        # by the definitions of ROS 2, not by the bag's
        new = ROS2.deserialize_cdr(message.data, kind)
        assert new.distortion_model == "plumb_bob"
        np.testing.assert_array_equal(new.k, np.arange(9.0))
        assert new.header.stamp.sec == 3


def test_topics_and_times_can_be_chosen(tmp_path):
    with open_bag(write_ros2(tmp_path / "bag")) as bag:
        first = START + 50_000_000

        chosen = list(bag.messages(["/cam/image_raw"], first, first + 30_000_000))

        assert [message.stamp_ns for message in chosen] == [
            first,
            first + 10_000_000,
            first + 20_000_000,
        ]


def test_unknown_topic_is_named_with_those_that_are_there(tmp_path):
    with (
        open_bag(write_ros2(tmp_path / "bag")) as bag,
        pytest.raises(BagError, match=r"no topic /front in this bag; it has .*/cam/image_raw"),
    ):
        next(bag.messages(["/front"]))


def test_path_that_is_not_there_is_said(tmp_path):
    with pytest.raises(BagError, match="nothing: no such file or directory"):
        open_bag(tmp_path / "nothing")


def test_file_of_another_kind_is_no_bag(tmp_path):
    path = tmp_path / "walk.mp4"
    path.write_bytes(b"\0" * 100)

    with pytest.raises(BagError, match=r"walk.mp4: not a bag: a rosbag2 directory, .mcap"):
        open_bag(path)


@pytest.mark.parametrize("name", ["a.mcap", "a.db3", "a.bag"])
def test_file_that_only_has_the_name_of_a_bag_is_none(tmp_path, name):
    (tmp_path / name).write_bytes(b"something else" * 100)

    with pytest.raises(BagError, match=rf"{name}: not a bag, its first bytes"):
        open_bag(tmp_path / name)


@pytest.mark.parametrize("name", ["a.mcap", "a.db3", "a.bag"])
def test_file_of_no_bytes_is_said_to_be_empty(tmp_path, name):
    (tmp_path / name).touch()

    with pytest.raises(BagError, match="an empty file"):
        open_bag(tmp_path / name)


def test_directory_without_a_recording_is_no_bag(tmp_path):
    (tmp_path / "image.png").touch()

    with pytest.raises(BagError, match="a directory that is no bag: no metadata.yaml"):
        open_bag(tmp_path)
    (tmp_path / "metadata.yaml").write_text("foo: [")
    with pytest.raises(BagError, match="no bag: a metadata.yaml that names no file"):
        open_bag(tmp_path)


@pytest.mark.parametrize("plugin", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_bag_without_messages_is_said_to_be_empty(tmp_path, plugin):
    path = write_ros2(tmp_path / "bag", plugin, count=0)

    with pytest.raises(BagError, match="an empty bag, it holds no messages"):
        open_bag(path)


def test_bag_without_images_names_what_it_has(tmp_path):
    with Ros2Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        notes = writer.add_connection("/note", STRING, typestore=ROS2)
        writer.write(notes, START, ROS2.serialize_cdr(ROS2.types[STRING](data="x"), STRING))

    with (
        open_bag(tmp_path / "bag") as bag,
        pytest.raises(BagError, match=r"no image topic in this bag; it has /note \(std_msgs"),
    ):
        bag.require_images()


def test_storage_file_that_metadata_names_but_is_gone_is_said(tmp_path):
    path = write_ros2(tmp_path / "bag")
    (path / "bag.mcap").unlink()

    with pytest.raises(BagError, match=r"bag.mcap, named in metadata.yaml, is missing"):
        open_bag(path)


@pytest.mark.parametrize("plugin", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
@pytest.mark.parametrize("text", [None, "", "rosbag2_bagfile_information:\n  vers"])
def test_directory_whose_metadata_is_lost_or_cut_is_read_all_the_same(tmp_path, plugin, text):
    path = write_ros2(tmp_path / "bag", plugin)
    (path / "metadata.yaml").unlink()
    if text is not None:
        (path / "metadata.yaml").write_text(text)

    assert_is_whole(path)


def test_parts_of_a_split_recording_come_one_after_the_other(tmp_path):
    whole = write_ros2(tmp_path / "bag")
    later = tmp_path / "late"
    with Ros2Writer(later, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        images = writer.add_connection("/cam/image_raw", IMAGE, typestore=ROS2)
        for number in range(COUNT, COUNT + 3):
            raw = ROS2.serialize_cdr(image(ROS2, number), IMAGE)
            writer.write(images, START + number * 10_000_000, raw)
    split = tmp_path / "split"
    split.mkdir()
    shutil.copy(whole / "bag.mcap", split / "part_0.mcap")
    shutil.copy(later / "late.mcap", split / "part_1.mcap")

    with open_bag(split) as bag:
        messages = list(bag.messages())

        assert bag.count == COUNT + 4
        assert bag.duration_s == pytest.approx(0.01 * (COUNT + 2))
        assert assert_images_are_a_prefix(bag, messages) == COUNT + 3


@pytest.mark.parametrize("compression", [None, CompressionMode.STORAGE])
@pytest.mark.parametrize("share", [0.9, 0.5, 0.2])
def test_cut_mcap_gives_what_is_whole_and_then_says_how_much(tmp_path, compression, share):
    path = write_ros2(tmp_path / "bag", StoragePlugin.MCAP, compression) / "bag.mcap"
    size = cut(path, share)

    with open_bag(path) as bag:
        counted = bag.count
        messages, error = read_until_fault(bag)

        number = assert_images_are_a_prefix(bag, messages)
        # all but the message in which the cut is, and zstd's last block of 128 kB (7 images)
        assert share * COUNT - (9 if compression else 2) <= number <= share * COUNT + 1
        assert counted == len(messages) == number + 1
        assert "truncated" in error
        assert f"of {size} B" in error
        assert f"{len(messages)} messages could be read" in error
        assert "\n" not in error


@pytest.mark.parametrize("share", [0.9, 0.5])
def test_cut_mcap_in_a_directory_with_metadata_is_salvaged(tmp_path, share):
    path = write_ros2(tmp_path / "bag")
    cut(path / "bag.mcap", share)

    with open_bag(path) as bag:
        messages, error = read_until_fault(bag)

        assert assert_images_are_a_prefix(bag, messages) >= share * COUNT - 2
        assert "truncated" in error


def test_mcap_that_lost_only_its_footer_gives_all(tmp_path):
    path = write_ros2(tmp_path / "bag") / "bag.mcap"
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 20)

    with open_bag(path) as bag:
        messages, error = read_until_fault(bag)

        assert assert_images_are_a_prefix(bag, messages) == COUNT
        assert "truncated" in error


@pytest.mark.parametrize("share", [0.9, 0.5])
def test_cut_sqlite_gives_what_is_whole_and_then_says_how_much(tmp_path, share):
    path = write_ros2(tmp_path / "bag", StoragePlugin.SQLITE3) / "bag.db3"
    cut(path, share)

    with open_bag(path) as bag:
        messages, error = read_until_fault(bag)

        assert assert_images_are_a_prefix(bag, messages) >= share * COUNT - 4
        assert "truncated" in error
        assert f"{len(messages)} messages could be read" in error


@pytest.mark.parametrize("share", [0.9, 0.5, 0.2])
def test_cut_ros1_bag_gives_what_is_whole_and_then_says_how_much(tmp_path, share):
    path = write_ros1(tmp_path / "old.bag")
    size = cut(path, share)

    with open_bag(path) as bag:
        messages, error = read_until_fault(bag)

        number = assert_images_are_a_prefix(bag, messages)
        assert share * COUNT - 3 <= number <= share * COUNT + 1
        assert f"of {size} B" in error
        assert f"{len(messages)} messages could be read" in error


def test_bag_cut_before_its_first_message_is_empty_and_truncated(tmp_path):
    path = write_ros2(tmp_path / "bag") / "bag.mcap"
    with path.open("r+b") as file:
        file.truncate(60)

    with pytest.raises(BagError, match="an empty bag, it holds no messages; truncated"):
        open_bag(path)


def test_byte_that_went_wrong_in_the_middle_is_found_and_the_rest_before_it_given(tmp_path):
    path = write_ros2(tmp_path / "bag", StoragePlugin.MCAP, CompressionMode.STORAGE, 200)
    file = path / "bag.mcap"
    data = bytearray(file.read_bytes())
    block = data.index(b"\x28\xb5\x2f\xfd", len(data) // 2)  # where one is compressed by zstd
    data[block : block + 64] = bytes(64)
    file.write_bytes(data)

    with open_bag(path) as bag:
        messages, error = read_until_fault(bag)

        assert 20 < len(messages) < 180
        assert assert_images_are_a_prefix(bag, messages) == len(messages) - 1
        assert f"damaged after {len(messages)} messages" in error


def test_bytes_that_are_no_message_of_their_type_are_named(tmp_path):
    with Ros2Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        images = writer.add_connection("/cam/image_raw", IMAGE, typestore=ROS2)
        writer.write(images, START, b"\x00\x01\x00\x00nonsense")

    with open_bag(tmp_path / "bag") as bag:
        (message,) = bag.messages()

        with pytest.raises(BagError, match=rf"/cam/image_raw at {START} ns is no sensor_msgs"):
            bag.deserialize(message)
