# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Reads a cut .mcap record by record (https://mcap.dev/spec).

A record is [opcode, 1 B] [length, 8 B] [content], little endian; most of them stand in chunks.
"""

from __future__ import annotations

import heapq
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from rosbags.rosbag2.errors import ReaderError

from vggt4d_ros.evaluation.bag_salvage import (
    Channel,
    Definition,
    RawMessage,
    Salvage,
    decompress,
    is_latched,
    truncated,
)

MAGIC_LENGTH = 8
SCHEMA, CHANNEL, MESSAGE, CHUNK, DATA_END = 0x03, 0x04, 0x05, 0x06, 0x0F


@dataclass(frozen=True, slots=True)
class _Block:
    """A chunk's records, or one message that stands outside of any chunk."""

    offset: int
    length: int
    compression: str
    start_ns: int


class _Index:
    """What schema and channel records say."""

    def __init__(self) -> None:
        self.definitions: dict[str, Definition] = {}
        self.topics: dict[int, Channel] = {}
        self._schemas: dict[int, str] = {}

    def learn(self, opcode: int, content: bytes) -> None:
        if opcode == SCHEMA:
            (key,) = struct.unpack_from("<H", content)
            (name, encoding, text), _ = _strings(content, 2, 3)
            self._schemas[key] = name
            self.definitions[name] = Definition(text, is_idl=encoding != "ros2msg")
        elif opcode == CHANNEL:
            key, schema = struct.unpack_from("<HH", content)
            (topic, _), end = _strings(content, 4, 2)
            self.topics.setdefault(
                key, Channel(topic, self._schemas.get(schema, ""), _latched(content[end:]))
            )

    def channels(self) -> list[Channel]:
        """Gives one channel per topic."""
        return list({channel.topic: channel for channel in self.topics.values()}.values())


def salvage_mcap(path: Path, reason: str) -> Salvage:
    """Finds the readable part of an .mcap."""
    index = _Index()
    blocks: list[_Block] = []
    readable = MAGIC_LENGTH
    with path.open("rb") as file:
        for opcode, offset, length, is_whole in _records(file, path.stat().st_size):
            if opcode == DATA_END:
                readable = path.stat().st_size
                break  # after it comes the index, which repeats
            try:
                _take(file, opcode, offset, length, is_whole, index, blocks)
            except (struct.error, UnicodeDecodeError, ReaderError):
                break
            if is_whole:
                readable = offset + length
    return Salvage(
        fault=truncated(path, readable, reason),
        channels=index.channels(),
        definitions=index.definitions,
        messages=lambda: _messages(path, blocks, index.topics),
    )


def _take(
    file: BinaryIO,
    opcode: int,
    offset: int,
    length: int,
    is_whole: bool,
    index: _Index,
    blocks: list[_Block],
) -> None:
    """Puts a record into the index, or its place into ``blocks``."""
    if opcode == CHUNK:
        block = _chunk(file, offset, length)
        for inner, content in _contents(file, block):
            index.learn(inner, content)
        blocks.append(block)
    elif opcode == MESSAGE and is_whole:
        (stamp_ns,) = struct.unpack("<Q", _read_at(file, offset + 6, 8))
        blocks.append(_Block(offset - 9, length + 9, "none", stamp_ns))
    elif is_whole:
        index.learn(opcode, _read_at(file, offset, length))


def _records(file: BinaryIO, end: int) -> Iterator[tuple[int, int, int, bool]]:
    """Gives (opcode, offset and length of the content that is there, whether it is whole)."""
    offset = MAGIC_LENGTH
    while offset + 9 <= end:
        opcode, length = struct.unpack("<BQ", _read_at(file, offset, 9))
        there = min(length, end - offset - 9)
        yield opcode, offset + 9, there, there == length
        offset += 9 + length


def _chunk(file: BinaryIO, offset: int, length: int) -> _Block:
    """Gives the place of a chunk's records, of which the last may be missing."""
    head = _read_at(file, offset, min(length, 64))
    start_ns, _, _, _, size = struct.unpack_from("<QQQII", head)
    compression = head[32 : 32 + size].decode()
    skip = 32 + size + 8
    return _Block(offset + skip, max(0, length - skip), compression or "none", start_ns)


def _contents(file: BinaryIO, block: _Block) -> Iterator[tuple[int, bytes]]:
    """Gives (opcode, content) of the whole records in a block."""
    data = decompress(block.compression, _read_at(file, block.offset, block.length))
    offset = 0
    while offset + 9 <= len(data):
        opcode, length = struct.unpack_from("<BQ", data, offset)
        offset += 9
        if offset + length > len(data):
            return
        yield opcode, data[offset : offset + length]
        offset += length


def _messages(path: Path, blocks: list[_Block], topics: dict[int, Channel]) -> Iterator[RawMessage]:
    """Gives the messages of all blocks by time; few blocks are in memory at once."""

    def of_block(file: BinaryIO, block: _Block) -> Iterator[tuple[int, RawMessage | None]]:
        yield block.start_ns, None  # merge waits with unpacking until it is this block's turn
        messages: list[tuple[int, RawMessage | None]] = []
        for opcode, content in _contents(file, block):
            if opcode == MESSAGE and len(content) >= 22:
                key, _, stamp_ns, _ = struct.unpack_from("<HIQQ", content)
                if key in topics:
                    known = topics[key]
                    messages.append((stamp_ns, (known.topic, known.type, stamp_ns, content[22:])))
        yield from sorted(messages, key=lambda item: item[0])

    with path.open("rb") as file:
        queues = (of_block(file, block) for block in blocks)
        for _, message in heapq.merge(*queues, key=lambda item: item[0]):
            if message is not None:
                yield message


def _latched(metadata: bytes) -> bool:
    """Whether a channel's map of strings (u32 length, then pairs) holds a latched QoS."""
    (size,) = struct.unpack_from("<I", metadata)
    offset = 4
    while offset < 4 + size:
        (key, value), offset = _strings(metadata, offset, 2)
        if key == "offered_qos_profiles":
            return is_latched(value)
    return False


def _strings(content: bytes, offset: int, count: int) -> tuple[list[str], int]:
    """Gives ``count`` strings (u32 length, then UTF-8) and the offset after them."""
    found = []
    for _ in range(count):
        (size,) = struct.unpack_from("<I", content, offset)
        found.append(content[offset + 4 : offset + 4 + size].decode())
        offset += 4 + size
    return found, offset


def _read_at(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size)
