# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is left of a recording that was cut off: power lost, disk full, recorder killed.

The file is walked from its start, once for the contents and once more for the messages; its index,
which stands at the end and is missing, is not needed.
"""

from __future__ import annotations

import bz2
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lz4.frame import LZ4FrameDecompressor
from rosbags.interfaces import QosDurability
from rosbags.rosbag2.metadata import parse_qos

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdDecompressor, ZstdError
else:
    from backports.zstd import ZstdDecompressor, ZstdError

# topic, type as recorded, stamp in ns, serialized message
RawMessage = tuple[str, str, int, bytes]


@dataclass(frozen=True, slots=True)
class Definition:
    """Text that defines a message type."""

    text: str
    is_idl: bool = False


@dataclass(slots=True)
class Channel:
    """A topic as found in the file."""

    topic: str
    type: str
    latched: bool = False
    count: int = 0


def _nothing() -> Iterator[RawMessage]:
    return iter(())


@dataclass(slots=True)
class Salvage:
    """What a cut file holds."""

    fault: str = ""
    ros1: bool = False
    channels: list[Channel] = field(default_factory=list)
    definitions: dict[str, Definition] = field(default_factory=dict)
    start_ns: int = 0
    end_ns: int = 0
    messages: Callable[[], Iterator[RawMessage]] = _nothing  # opens the file anew at each call

    def count(self) -> None:
        """Walks through the messages once, for counts and times."""
        known = {channel.topic: channel for channel in self.channels}
        stamps = []
        for topic, _, stamp_ns, _ in self.messages():
            known[topic].count += 1
            stamps.append(stamp_ns)
        self.start_ns, self.end_ns = min(stamps, default=0), max(stamps, default=0)


def truncated(path: Path, readable: int, reason: str) -> str:
    """Gives the words for a file of which the first ``readable`` bytes are whole."""
    size = path.stat().st_size
    share = 100.0 * readable / size if size else 0.0
    return f"truncated, {readable} of {size} B ({share:.0f} %) are whole ({reason})"


def is_latched(profiles: str) -> bool:
    """Whether the QoS text that rosbag2 stores with a topic says transient local."""
    return any(qos.durability == QosDurability.TRANSIENT_LOCAL for qos in parse_qos(profiles))


def decompress(compression: str, data: bytes) -> bytes:
    """Gives as much as can be had of data that may end early; b"" for an unknown method."""
    if compression in ("", "none"):
        return data
    decoders = {"zstd": ZstdDecompressor, "lz4": LZ4FrameDecompressor, "bz2": bz2.BZ2Decompressor}
    if compression not in decoders:
        return b""
    try:
        return bytes(decoders[compression]().decompress(data))
    except (ZstdError, OSError, EOFError, RuntimeError):
        return b""
