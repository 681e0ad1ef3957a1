# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Reads a cut or unindexed ROS 1 .bag record by record (https://wiki.ros.org/Bags/Format/2.0).

A record is [header length, 4 B] [fields "name=value"] [data length, 4 B] [data], little endian;
connections and messages stand in chunks.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from vggt4d_ros.evaluation.bag_salvage import (
    Channel,
    Definition,
    RawMessage,
    Salvage,
    decompress,
    truncated,
)

MAGIC_LENGTH = len(b"#ROSBAG V2.0\n")
MESSAGE, CHUNK, CONNECTION = b"\x02", b"\x05", b"\x07"


def salvage_ros1(path: Path, reason: str) -> Salvage:
    """Finds the readable part of a .bag; messages stay in ROS 1 serialization."""
    topics: dict[int, Channel] = {}
    definitions: dict[str, Definition] = {}

    def messages() -> Iterator[RawMessage]:
        for fields, data, _, is_whole in _file_records(path):
            if fields.get(b"op") == CHUNK:
                yield from _chunk_messages(fields, data, topics, definitions)
            if not is_whole:
                return

    for _ in messages():
        pass  # takes up the connections
    readable = max(
        (end for _, _, end, is_whole in _file_records(path) if is_whole), default=MAGIC_LENGTH
    )
    return Salvage(
        fault=truncated(path, readable, reason),
        ros1=True,
        channels=list({channel.topic: channel for channel in topics.values()}.values()),
        definitions=definitions,
        messages=messages,
    )


def _file_records(path: Path) -> Iterator[tuple[dict[bytes, bytes], bytes, int, bool]]:
    """Gives (header fields, data that is there, offset after it, whether it is whole)."""
    with path.open("rb") as file:
        file.seek(MAGIC_LENGTH)
        for fields, data, is_whole in _records(file):
            yield fields, data, file.tell(), is_whole


def _records(file: BinaryIO) -> Iterator[tuple[dict[bytes, bytes], bytes, bool]]:
    """Gives (header fields, data that is there, whether it is whole)."""
    while True:
        header, has_header = _sized(file)
        if not has_header:
            return
        data, is_whole = _sized(file)
        yield _fields(header), data, is_whole
        if not is_whole:
            return


def _sized(file: BinaryIO) -> tuple[bytes, bool]:
    """Gives bytes behind their u32 length, and whether all of them are there."""
    length = file.read(4)
    if len(length) < 4:
        return b"", False
    (size,) = struct.unpack("<I", length)
    data = file.read(size)
    return data, len(data) == size


def _chunk_messages(
    fields: dict[bytes, bytes],
    data: bytes,
    topics: dict[int, Channel],
    definitions: dict[str, Definition],
) -> Iterator[RawMessage]:
    """Gives the whole messages of a chunk by time, and takes up its connections."""
    inner = decompress(fields.get(b"compression", b"none").decode(), data)
    messages: list[RawMessage] = []
    for part, body, is_whole in _records(io.BytesIO(inner)):
        if not is_whole or part.get(b"op") not in (MESSAGE, CONNECTION):
            break
        (key,) = struct.unpack("<I", part[b"conn"])
        if part[b"op"] == CONNECTION and key not in topics:
            known = _fields(body)
            name = known[b"type"].decode().replace("/", "/msg/", 1)
            topics[key] = Channel(
                part[b"topic"].decode(), name, known.get(b"latching", b"0") == b"1"
            )
            definitions[name] = Definition(known[b"message_definition"].decode())
        elif part[b"op"] == MESSAGE and key in topics:
            seconds, nanoseconds = struct.unpack("<II", part[b"time"])
            known_topic = topics[key]
            stamp_ns = seconds * 10**9 + nanoseconds
            messages.append((known_topic.topic, known_topic.type, stamp_ns, body))
    yield from sorted(messages, key=lambda message: message[2])


def _fields(header: bytes) -> dict[bytes, bytes]:
    """Gives the name=value pairs of a record header, each behind its u32 length."""
    fields, offset = {}, 0
    while offset + 4 <= len(header):
        (size,) = struct.unpack_from("<I", header, offset)
        name, _, value = header[offset + 4 : offset + 4 + size].partition(b"=")
        fields[name] = value
        offset += 4 + size
    return fields
