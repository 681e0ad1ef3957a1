# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What every storage format of recordings gives, and how it fails."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple

from rosbags.typesys.store import Typestore


class BagError(Exception):
    """A recording cannot be used, or not wholly; one line for a user that begins with its path."""


class BagMessage(NamedTuple):
    """One recorded message."""

    topic: str
    type: str  # e.g. sensor_msgs/msg/Image
    stamp_ns: int  # when it was recorded, not the header's stamp
    data: bytes  # CDR with its 4 B encapsulation header


@dataclass(frozen=True, slots=True)
class BagTopic:
    """One topic of a recording."""

    name: str
    type: str
    count: int
    latched: bool = False  # recorded as transient local (ROS 1: latching)


class BagSource(AbstractContextManager["BagSource"]):
    """What a storage format gives; ``Bag`` puts the checks and the counting around it."""

    topics: tuple[BagTopic, ...] = ()
    start_ns: int = 0
    end_ns: int = 0  # stamp of the last message
    fault: str | None = None  # why the end of the recording is missing

    def messages(
        self, topics: Collection[str], start_ns: int | None, stop_ns: int | None
    ) -> Iterator[BagMessage]:
        """Gives the messages of ``topics`` with start <= stamp < stop, oldest first."""
        raise NotImplementedError

    def typestore(self) -> Typestore:
        """Gives the message definitions of the recording."""
        raise NotImplementedError

    def close(self) -> None:
        """Frees the file."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
