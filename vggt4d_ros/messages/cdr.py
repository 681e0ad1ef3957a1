# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Serialized images, read without rclpy and without a copy of their data.

Plain CDR of DDS (OMG formal/2018-01-01, DDSI-RTPS 2.3, section 10; alignment by CORBA 3.3 part 2,
section 9.3.1): four bytes that name the byte order, then the fields in order, each aligned to its
own size from there on; strings and sequences begin with their length, that of a string counts its
final NUL.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vggt4d_ros.datatypes import DecodeError

_ENCAPSULATION = 4  # bytes, of which the second tells the byte order and the last two are options
_ORDERS: dict[bytes, Literal["big", "little"]] = {b"\x00\x00": "big", b"\x00\x01": "little"}


@dataclass(frozen=True, slots=True)
class SerializedStamp:
    """builtin_interfaces/Time."""

    sec: int
    nanosec: int


@dataclass(frozen=True, slots=True)
class SerializedHeader:
    """std_msgs/Header."""

    stamp: SerializedStamp
    frame_id: str


@dataclass(frozen=True, slots=True, eq=False)
class SerializedImage:
    """sensor_msgs/Image; ``data`` is a view of the serialized message."""

    header: SerializedHeader
    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: memoryview


@dataclass(frozen=True, slots=True, eq=False)
class SerializedCompressedImage:
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
    return SerializedImage(
        header=reader.header(),
        height=reader.uint32(),
        width=reader.uint32(),
        encoding=reader.string(),
        is_bigendian=reader.uint8(),
        step=reader.uint32(),
        data=reader.sequence(),
    )


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
        self._order: Literal["big", "little"] = order
        self._body = memoryview(serialized)[_ENCAPSULATION:]
        self._at = 0

    def _take(self, size: int) -> memoryview:
        start, self._at = self._at, self._at + size
        if self._at > len(self._body):
            raise DecodeError(
                "short_data",
                f"serialized message of {len(self._body)} bytes ends before its byte {self._at}",
            )
        return self._body[start : self._at]

    def uint8(self) -> int:
        """The next byte."""
        return self._take(1)[0]

    def uint32(self, *, signed: bool = False) -> int:
        """The next number of four bytes."""
        self._at += -self._at % 4
        return int.from_bytes(self._take(4), self._order, signed=signed)

    def sequence(self) -> memoryview:
        """The next sequence of bytes."""
        return self._take(self.uint32())

    def string(self) -> str:
        """The next string, as rclpy reads it: to its first NUL, what is no UTF-8 replaced."""
        return self.sequence().tobytes().partition(b"\0")[0].decode("utf-8", "replace")

    def header(self) -> SerializedHeader:
        """The next header."""
        stamp = SerializedStamp(self.uint32(signed=True), self.uint32())
        return SerializedHeader(stamp, self.string())
