# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Recordings of outputs: what is in them, read back; no ROS."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rosbags")

from record_windows import CAMERAS, MODEL, START, config, processed_windows, rig, stamp
from scipy.spatial.transform import Rotation

from vggt4d_ros.config import Config
from vggt4d_ros.datatypes import Rig
from vggt4d_ros.evaluation import record as recording
from vggt4d_ros.evaluation.bag import BagError, open_bag
from vggt4d_ros.evaluation.bag_messages import BagTypes
from vggt4d_ros.evaluation.bag_writer import BagWriter
from vggt4d_ros.evaluation.record import RecordSink
from vggt4d_ros.evaluation.sink import SinkContext
from vggt4d_ros.messages.encode import Encoder, quaternion_xyzw
from vggt4d_ros.messages.topics import TOPICS
from vggt4d_ros.products import view_products
from vggt4d_ros.stream import StreamPipeline


def record(
    path: Path,
    settings: Config,
    *,
    count: int = 2,
    mounts: Rig | None = None,
    bag: Path | None = None,
) -> Path:
    pipeline = StreamPipeline(len(CAMERAS), settings.sync, settings.window)
    sink = RecordSink(path, SinkContext(settings, {}, "null", pipeline.counts, bag))
    for processed in processed_windows(count, mounts):
        sink.window(processed, view_products(processed, settings.geometry))
    sink.close()
    return path


def content(path: Path) -> dict[str, list]:
    """Deserialized messages by topic."""
    found: dict[str, list] = {}
    with open_bag(path) as bag:
        for message in bag.messages():
            found.setdefault(message.topic, []).append(bag.deserialize(message))
    return found


def stamp_of(message) -> int:
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def edges(messages: list) -> set[tuple[str, str]]:
    return {(t.header.frame_id, t.child_frame_id) for m in messages for t in m.transforms}


def robot_bag(path: Path, *pairs: tuple[str, str], step_s: float = 0.0) -> Path:
    """A bag with TF: static pairs, or with ``step_s`` ten samples of each."""
    with BagWriter(path) as writer:
        topic = "/tf" if step_s else "/tf_static"
        writer.add_topic(topic, "tf2_msgs/msg/TFMessage", is_latched=not step_s)
        encoder = Encoder(BagTypes(writer.typestore))
        for index in range(10 if step_s else 1):
            when = START + round((index - 1) * step_s * 1e9)
            transforms = []
            for parent, child in pairs:
                pose = np.eye(4)
                pose[:3, 3] = (1.0 + index, 2.0, 0.5)
                transforms.append(encoder.transform(pose, child, encoder.header(when, parent)))
            raw = writer.typestore.serialize_cdr(encoder.tf(transforms), "tf2_msgs/msg/TFMessage")
            writer.write(topic, when, bytes(raw))
    return path


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    """A recording of three windows of a bare bag."""
    return record(tmp_path_factory.mktemp("plain") / "out.mcap", config(), count=3)


def test_every_topic_of_the_node_is_there_with_its_type_and_latched_where_it_is(plain):
    with open_bag(plain) as bag:
        found = {topic.name: (topic.type, topic.latched) for topic in bag.topics}
        counts = {topic.name: topic.count for topic in bag.topics}
    for topic in TOPICS:
        for camera in CAMERAS if topic.per_camera else [""]:
            name = topic.resolve(camera).replace("~", "/vggt4d", 1)
            assert found[name] == (topic.type.replace("/", "/msg/"), topic.latched)
            assert counts[name] == 3, name


def test_recording_is_one_file_and_nothing_unfinished_is_left(plain):
    assert plain.is_file()
    assert list(plain.parent.iterdir()) == [plain]


def test_images_clouds_and_intrinsics_carry_their_cameras_header_and_values(plain):
    found = content(plain)

    (*_, processed) = processed_windows(2)
    for view, product in enumerate(view_products(processed, config().geometry)):
        name = f"/vggt4d/{CAMERAS[view]}"
        depth = found[f"{name}/depth/image_rect"][1]
        info = found[f"{name}/depth/camera_info"][1]
        points = found[f"{name}/points"][1]
        for message in (depth, info, points):
            assert stamp_of(message) == stamp(view, 2)
            assert message.header.frame_id == f"cam{view}_optical"
        assert (depth.encoding, depth.height, depth.width, depth.step) == ("32FC1", 36, 48, 192)
        np.testing.assert_array_equal(depth.data.view(np.float32).reshape(36, 48), product.depth)
        assert info.k.tolist() == [40.0, 0, 23.5, 0, 41.0, 17.5, 0, 0, 1]
        assert (info.width, info.height) == (MODEL.width, MODEL.height)
        names = [(field.name, field.offset, field.datatype) for field in points.fields]
        assert names == [
            ("x", 0, 7),
            ("y", 4, 7),
            ("z", 8, 7),
            ("rgb", 12, 7),
            ("confidence", 16, 7),
        ]
        cloud = points.data.view(np.float32).reshape(36, 48, 5)
        np.testing.assert_array_equal(cloud.view(np.uint32), product.cloud.view(np.uint32))


def test_path_grows_and_status_tells_of_each_window(plain):
    found = content(plain)

    assert [len(path.poses) for path in found["/vggt4d/path"]] == [1, 2, 3]
    statuses = found["/vggt4d/status"]
    assert [status.window for status in statuses] == [0, 1, 2]
    assert list(statuses[0].cameras) == list(CAMERAS)
    assert {time.name for time in statuses[0].stage_times} >= {"decode", "geometry", "total"}


def test_results_without_scale_are_held_back_as_by_the_live_node(tmp_path, monkeypatch):
    # not caplog: it listens at the root logger, which other tests' imports (launch) replace
    said: list[str] = []
    monkeypatch.setattr(recording._LOG, "warning", lambda text, *args: said.append(text % args))
    settings = config(**{"geometry.allow_unscaled": False})

    found = content(record(tmp_path / "out.mcap", settings))

    assert set(found) == {"/vggt4d/status"}
    assert len(said) == 1
    assert "out.mcap holds nothing but statuses: no metric scale" in said[0]
    assert any("no metric scale" in line for line in found["/vggt4d/status"][0].warnings)


def test_fixed_frame_hangs_below_the_base_of_a_robot_that_has_its_own_tree(tmp_path):
    pairs = [("base_link", "cam0_optical"), ("base_link", "cam1_optical")]
    bag = robot_bag(tmp_path / "robot", *pairs)

    found = content(record(tmp_path / "out.mcap", config(), mounts=rig(), bag=bag))

    assert edges(found["/tf"]) == {("base_link", "vggt4d_odom")}
    assert edges(found["/tf_static"]) == set(pairs)
    odometry = found["/vggt4d/odometry"][0]
    assert (odometry.header.frame_id, odometry.child_frame_id) == ("vggt4d_odom", "base_link")


def test_cameras_of_a_bare_bag_hang_below_the_fixed_frame(plain):
    found = content(plain)

    assert edges(found["/tf"]) == {
        ("vggt4d_odom", "vggt4d_base"),
        ("vggt4d_odom", "cam0_optical"),
        ("vggt4d_odom", "cam1_optical"),
    }


def test_frame_with_a_parent_in_the_bag_gets_no_second_one(tmp_path):
    bag = robot_bag(tmp_path / "robot", ("odom", "base_link"))
    settings = config(**{"tf.mode": "odom_to_base"})

    found = content(record(tmp_path / "out.mcap", settings, mounts=rig(), bag=bag))

    assert edges(found["/tf"]) == {("base_link", "vggt4d_odom")}
    assert "base_link already has the parent odom" in found["/vggt4d/status"][0].warnings[-1]
    assert found["/vggt4d/path"][0].header.frame_id == "vggt4d_odom"


def test_cameras_that_are_placed_already_are_not_placed_again(tmp_path):
    bag = robot_bag(tmp_path / "robot", ("mast", "cam0_optical"))
    settings = config(**{"tf.mode": "standalone"})

    found = content(record(tmp_path / "out.mcap", settings, bag=bag))

    parents: dict[str, set[str]] = {}
    for parent, child in edges(found["/tf"]) | edges(found["/tf_static"]):
        parents.setdefault(child, set()).add(parent)
    assert parents == {
        "cam0_optical": {"mast"},
        "cam1_optical": {"map"},
        "vggt4d_base": {"vggt4d_odom"},
    }


def test_map_to_odom_goes_through_the_odometry_at_the_image(tmp_path):
    bag = robot_bag(tmp_path / "robot", ("odom", "base_link"), step_s=0.1)
    settings = config(**{"tf.mode": "map_to_odom"})

    found = content(record(tmp_path / "out.mcap", settings, mounts=rig(), bag=bag))

    own = [t for m in found["/tf"] for t in m.transforms if t.child_frame_id == "odom"]
    assert {t.header.frame_id for t in own} == {"map"}
    # the first window's newest image is one period after START, where x of the base is 3 m
    place = own[0].transform.translation
    odometry = found["/vggt4d/odometry"][0].pose.pose.position
    found_base = np.array([place.x + 3.0, place.y + 2.0, place.z + 0.5])
    np.testing.assert_allclose(found_base, [odometry.x, odometry.y, odometry.z], atol=1e-4)


def test_recording_that_exists_is_not_overwritten(tmp_path):
    (tmp_path / "out.mcap").write_bytes(b"mine")

    with pytest.raises(BagError, match="exists already"):
        record(tmp_path / "out.mcap", config())

    assert (tmp_path / "out.mcap").read_bytes() == b"mine"


@pytest.mark.parametrize("axis", [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.6, 0, 0.8]])
@pytest.mark.parametrize("angle", [0.0, 1e-9, 1.0, 2.5, np.pi - 1e-9, np.pi, 4.0])
def test_quaternion_of_one_matrix_is_scipys(axis, angle):
    rotation = Rotation.from_rotvec(angle * np.array(axis))
    expected = rotation.as_quat()

    found = np.array(quaternion_xyzw(rotation.as_matrix()))

    assert found[3] >= 0
    assert min(abs(found - expected).max(), abs(found + expected).max()) < 1e-12
