# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Serialized images: what rclpy writes is read, what is damaged is refused with its cause."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest

from vggt4d_ros.datatypes import DecodeError
from vggt4d_ros.messages.cdr import compressed_image_from_cdr, image_from_cdr
from vggt4d_ros.messages.decode import image_from_msg

# Image by hand, as the standard lays it out: every number at a multiple of its size from the end
# of the encapsulation on; "ab" and "mono8" take 3 and 6 bytes, 1 and 2 more align what follows
PIXELS = bytes(range(6))


def by_hand(order: str) -> bytes:
    encapsulation = b"\x00\x00\x00\x00" if order == ">" else b"\x00\x01\x00\x00"
    head = struct.pack(f"{order}iII", -1, 7, 3) + b"ab\0" + b"\xee"
    size = struct.pack(f"{order}III", 2, 3, 6) + b"mono8\0"
    return encapsulation + head + size + struct.pack(f"{order}BxII", 0, 3, 6) + PIXELS


@pytest.mark.parametrize("order", ["<", ">"])
def test_fields_are_found_in_either_byte_order(order: str) -> None:
    image = image_from_cdr(by_hand(order))

    assert (image.header.stamp.sec, image.header.stamp.nanosec) == (-1, 7)
    assert (image.header.frame_id, image.encoding) == ("ab", "mono8")
    assert (image.height, image.width, image.step, image.is_bigendian) == (2, 3, 3, 0)
    assert bytes(image.data) == PIXELS


def test_pixels_are_not_copied() -> None:
    serialized = by_hand("<")

    image = image_from_cdr(serialized)

    pixels = np.frombuffer(image.data, np.uint8)
    start = np.frombuffer(serialized, np.uint8).ctypes.data
    assert pixels.ctypes.data == start + len(serialized) - len(PIXELS)
    assert image_from_msg(image).rgb()[..., 0].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_bytes_behind_the_message_are_ignored() -> None:
    assert bytes(image_from_cdr(by_hand("<") + b"\0\0").data) == PIXELS


@pytest.mark.parametrize("keep", range(len(by_hand("<"))))
def test_a_message_cut_short_anywhere_is_refused(keep: int) -> None:
    cut = by_hand("<")[:keep]

    with pytest.raises(DecodeError) as refused:
        image_from_cdr(cut)

    assert refused.value.cause == ("corrupt_data" if keep < 4 else "short_data")


@pytest.mark.parametrize("kind", [b"\x00\x02", b"\x00\x03", b"\x00\x07", b"\x01\x00", b"\xff\xff"])
def test_what_is_no_plain_cdr_is_refused(kind: bytes) -> None:
    with pytest.raises(DecodeError, match="no plain CDR") as refused:
        image_from_cdr(kind + by_hand("<")[2:])

    assert refused.value.cause == "corrupt_data"


def test_random_damage_never_raises_anything_else() -> None:
    rng, outcomes = np.random.default_rng(0), set()
    for _ in range(3000):
        damaged = bytearray(by_hand("<" if rng.random() < 0.5 else ">"))
        for at in rng.integers(0, len(damaged), rng.integers(1, 6)):
            damaged[at] = rng.integers(0, 256)
        for read in (image_from_cdr, compressed_image_from_cdr):
            try:
                read(bytes(damaged))
                outcomes.add("read")
            except DecodeError as error:
                outcomes.add(error.cause)

    assert outcomes == {"read", "short_data", "corrupt_data"}


def test_a_text_that_is_none_is_read_as_far_as_it_goes() -> None:
    damaged = by_hand("<").replace(b"mono8\0", b"mo\xff8\0\0")

    assert image_from_cdr(damaged).encoding == "mo\ufffd8"


@pytest.mark.ros
@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 12])
@pytest.mark.parametrize("frame_id", ["", "a", "ab", "abc", "abcd", "caméra"])
def test_both_types_are_read_as_rclpy_writes_them(frame_id: str, size: int) -> None:
    pytest.importorskip("rclpy")
    from rclpy.serialization import serialize_message
    from sensor_msgs.msg import CompressedImage, Image

    data = bytes(range(1, size + 1))
    for encoding in ("", "8", "rgb8", "bayer_rggb16"):
        image = Image(height=3, width=2**31, encoding=encoding, is_bigendian=1, step=2**32 - 1)
        picture = CompressedImage(format=encoding)
        for message in (image, picture):
            message.header.frame_id = frame_id
            message.header.stamp.sec, message.header.stamp.nanosec = -(2**31), 999_999_999
            message.data = data

        assert_same(image_from_cdr(serialize_message(image)), image)
        assert_same(compressed_image_from_cdr(serialize_message(picture)), picture)


def assert_same(found: Any, expected: Any) -> None:
    for name in expected.get_fields_and_field_types():
        value = getattr(expected, name)
        if name == "data":
            assert bytes(found.data) == bytes(value)
        elif name == "header":
            assert found.header.frame_id == value.frame_id
            assert found.header.stamp.sec == value.stamp.sec
            assert found.header.stamp.nanosec == value.stamp.nanosec
        else:
            assert getattr(found, name) == value, name
