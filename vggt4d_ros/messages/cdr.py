# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Serialized images, read without rclpy and without a copy of their data.

Plain CDR of DDS (OMG formal/2018-01-01, DDSI-RTPS 2.3, section 10; alignment by CORBA 3.3 part 2,
section 9.3.1): four bytes that name the byte order, then the fields in order, each aligned to its
own size from there on; strings and sequences begin with their length, that of a string counts its
final NUL.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

from vggt4d_ros.datatypes import DecodeError

_ENCAPSULATION = 4  # bytes, of which the second tells the byte order and the last two are options
_ORDERS = {b"\x00\x00": ">", b"\x00\x01": "<"}  # as ``struct`` names them


class SerializedStamp(NamedTuple):
    """builtin_interfaces/Time."""

    sec: int
    nanosec: int


class SerializedHeader(NamedTuple):
    """std_msgs/Header."""

    stamp: SerializedStamp
    frame_id: str


class SerializedImage(NamedTuple):
    """sensor_msgs/Image; ``data`` is a view of the serialized message."""

    header: SerializedHeader
    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: memoryview


class SerializedCompressedImage(NamedTuple):
    """sensor_msgs/CompressedImage; ``data`` is a view of the serialized message."""

    header: SerializedHeader
    format: str
    data: memoryview


def image_from_cdr(serialized: bytes) -> SerializedImage:
    """Reads an Image; its data stay where they are.

    Raises:
        DecodeError: corrupt_data where it is no CDR, short_data where it ends too early.
    """
    reader = _Reader(serialized)
    header = reader.header()
    height, width = reader.numbers("II")
    encoding = reader.string()
    (is_bigendian,) = reader.numbers("B", alignment=1)
    (step,) = reader.numbers("I")
    return SerializedImage(header, height, width, encoding, is_bigendian, step, reader.sequence())


def compressed_image_from_cdr(serialized: bytes) -> SerializedCompressedImage:
    """Reads a CompressedImage; its data stay where they are.

    Raises:
        DecodeError: corrupt_data where it is no CDR, short_data where it ends too early.
    """
    reader = _Reader(serialized)
    return SerializedCompressedImage(reader.header(), reader.string(), reader.sequence())


class _Reader:
    """Takes the fields of a serialized message one after the other."""

    def __init__(self, serialized: bytes) -> None:
        order = _ORDERS.get(bytes(serialized[:2]))
        if order is None or len(serialized) < _ENCAPSULATION:
            raise DecodeError(
                "corrupt_data",
                f"message begins with {bytes(serialized[:4])!r}, which is no plain CDR",
            )
        self._order = order
        self._body = memoryview(serialized)[_ENCAPSULATION:]
        self._at = 0

    def _skip(self, size: int) -> int:
        """Goes on by some bytes; gives where they begin."""
        start, self._at = self._at, self._at + size
        if self._at > len(self._body):
            raise DecodeError(
                "short_data",
                f"serialized message of {len(self._body)} bytes ends before its byte {self._at}",
            )
        return start

    def numbers(self, layout: str, alignment: int = 4) -> tuple[Any, ...]:
        """The next numbers, all of one size: their layout as ``struct`` names it."""
        self._at += -self._at % alignment
        start = self._skip(alignment * len(layout))
        return struct.unpack_from(self._order + layout, self._body, start)

    def sequence(self) -> memoryview:
        """The next sequence of bytes."""
        (size,) = self.numbers("I")
        start = self._skip(size)
        return self._body[start : self._at]

    def string(self) -> str:
        """The next string, as rclpy reads it: to its first NUL, what is no UTF-8 replaced."""
        return self.sequence().tobytes().partition(b"\0")[0].decode("utf-8", "replace")

    def header(self) -> SerializedHeader:
        """The next header."""
        stamp = SerializedStamp(*self.numbers("iI"))
        return SerializedHeader(stamp, self.string())
