# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The demo's monitor: stamps and arrays from serialized messages, and the instant it picks."""

from __future__ import annotations

import struct

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("vggt4d_ros.msg", reason="the package is not built")

from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField

from vggt4d_ros.ros.demo_monitor import stamp_of
from vggt4d_ros.ros.demo_picture import PictureData, cloud_arrays, image_array

pytestmark = pytest.mark.ros


def test_stamp_is_read_from_the_bytes_of_any_message_with_a_header():
    message = CameraInfo(height=3)
    message.header.stamp.sec, message.header.stamp.nanosec = 1_700_000_000, 987_654_321

    assert stamp_of(serialize_message(message)) == 1_700_000_000_987_654_321


def test_stamp_is_read_from_big_endian_bytes():
    raw = b"\x00\x00\x00\x00" + struct.pack(">iI", 12, 34)

    assert stamp_of(raw) == 12_000_000_034


@pytest.mark.parametrize(
    ("encoding", "dtype", "shape"),
    [
        ("32FC1", np.float32, (3, 4)),
        ("16UC1", np.uint16, (3, 4)),
        ("mono8", np.uint8, (3, 4)),
        ("rgb8", np.uint8, (3, 4, 3)),
    ],
)
def test_padded_rows_of_an_image_are_cut(encoding, dtype, shape):
    pixels = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    row_bytes = pixels[0].nbytes
    padded = np.full((3, row_bytes + 5), 255, np.uint8)
    padded[:, :row_bytes] = pixels.view(np.uint8).reshape(3, row_bytes)
    message = Image(height=3, width=4, encoding=encoding, step=row_bytes + 5)
    message.data = padded.tobytes()

    np.testing.assert_array_equal(image_array(message), pixels)


def test_cloud_gives_positions_and_colours():
    names = ("x", "y", "z", "rgb", "confidence")
    message = PointCloud2(height=1, width=2, point_step=20, row_step=40)
    message.fields = [
        PointField(name=name, offset=4 * index, datatype=PointField.FLOAT32, count=1)
        for index, name in enumerate(names)
    ]
    message.data = struct.pack("<fffIf", 1, 2, 3, 0x112233, 9) + struct.pack(
        "<fffIf", 4, 5, 6, 0xFFFE00, 9
    )

    positions, colours = cloud_arrays(message)

    np.testing.assert_array_equal(positions, [[1, 2, 3], [4, 5, 6]])
    np.testing.assert_array_equal(colours, [[0x11, 0x22, 0x33], [0xFF, 0xFE, 0x00]])


def test_newest_instant_with_all_outputs_is_picked():
    data = PictureData(("a", "b"), "/vggt4d", ("/a/image_raw", "/b/image_raw"))
    outputs = [
        f"/vggt4d/{camera}/{name}"
        for camera in "ab"
        for name in (
            "depth/image_rect",
            "depth/confidence",
            "scene_flow/rgb",
            "scene_flow/dynamic_mask",
        )
    ]
    topics = ["/a/image_raw", "/b/image_raw", "/vggt4d/points", *outputs]
    whole = {topic: {1: b"", 2: b"", 3: b""} for topic in topics}

    assert data.choose(whole) == 3
    assert data.choose({**whole, "/vggt4d/b/depth/confidence": {1: b"", 2: b""}}) == 2
    assert data.choose({**whole, "/vggt4d/points": {}}) == 0
    assert data.choose({}) == 0
