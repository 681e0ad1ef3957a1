# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Reads recordings, ROS 2 (mcap, sqlite3) and ROS 1, as raw CDR messages in order; needs no ROS.

The formats are read by the ``rosbags`` library. What it refuses because the file ends early or has
no index goes to ``bag_salvage``, which gives all that can still be read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import cached_property
from pathlib import Path
from types import TracebackType

from rosbags.typesys.store import Typestore

from vggt4d_ros.evaluation.bag_format import BagError, BagMessage, BagSource, BagTopic
from vggt4d_ros.evaluation.bag_source import open_source

__all__ = ["BAG_SUFFIXES", "IMAGE_TYPES", "Bag", "BagError", "BagMessage", "BagTopic", "open_bag"]

BAG_SUFFIXES = (".mcap", ".db3", ".bag")  # of files; a rosbag2 recording may be a folder
IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")


class Bag:
    """An open recording; a context manager. ``open_bag`` makes it."""

    def __init__(self, path: Path, source: BagSource) -> None:
        self.path = path
        self._source = source
        self.topics = source.topics
        self.start_ns = source.start_ns
        self.end_ns = source.end_ns
        self.fault = source.fault

    @property
    def count(self) -> int:
        """Number of messages."""
        return sum(topic.count for topic in self.topics)

    @property
    def duration_s(self) -> float:
        """Time from the first to the last message, s."""
        return (self.end_ns - self.start_ns) * 1e-9

    @property
    def image_topics(self) -> tuple[BagTopic, ...]:
        """Topics with images, raw or compressed, that hold at least one."""
        return tuple(t for t in self.topics if t.type in IMAGE_TYPES and t.count)

    def require_images(self) -> tuple[BagTopic, ...]:
        """Gives ``image_topics``.

        Raises:
            BagError: there are none; names the topics that are there.
        """
        if not self.image_topics:
            there = ", ".join(f"{topic.name} ({topic.type})" for topic in self.topics)
            raise BagError(f"{self.path}: no image topic in this bag; it has {there}")
        return self.image_topics

    def messages(
        self,
        topics: Collection[str] | None = None,
        start_ns: int | None = None,
        stop_ns: int | None = None,
    ) -> Iterator[BagMessage]:
        """Gives the messages with start <= stamp < stop, oldest first.

        Args:
            topics: names of the wanted topics; None: all.
            start_ns: first stamp; None: from the start.
            stop_ns: first stamp that is left out; None: to the end.

        Raises:
            BagError: a topic is not in the bag; or, after all that can be read was given, that the
                recording is damaged, with how much was read.
        """
        counts = {topic.name: topic.count for topic in self.topics}
        wanted = counts.keys() if topics is None else set(topics)
        unknown = sorted(set(wanted) - counts.keys())
        if unknown:
            raise BagError(
                f"{self.path}: no topic {unknown[0]} in this bag; it has {', '.join(counts)}"
            )
        given = 0
        try:
            for message in self._source.messages(wanted, start_ns, stop_ns):
                yield message
                given += 1
        # the formats' decoders raise whatever a damaged byte leads to
        except Exception as error:
            raise BagError(
                f"{self.path}: damaged after {given} messages: {error or type(error).__name__}"
            ) from error
        if self.fault is not None:
            raise BagError(f"{self.path}: {self.fault}; {given} messages could be read")
        expected = sum(counts[name] for name in wanted)
        if start_ns is None and stop_ns is None and given < expected:
            raise BagError(f"{self.path}: only {given} of {expected} messages could be read")

    @cached_property
    def typestore(self) -> Typestore:
        """Definitions of the recorded types (from the bag, else those of ROS 2 Jazzy)."""
        return self._source.typestore()

    def deserialize(self, message: BagMessage) -> object:
        """Gives the message as an object of the ``rosbags`` library; its arrays are numpy's.

        Raises:
            BagError: the bytes do not fit the type, or its definition is nowhere to be found.
        """
        try:
            return self.typestore.deserialize_cdr(message.data, message.type)
        except Exception as error:
            raise BagError(
                f"{self.path}: {message.topic} at {message.stamp_ns} ns is no {message.type}: "
                f"{error or type(error).__name__}"
            ) from error

    def close(self) -> None:
        """Frees the file."""
        self._source.close()

    def __enter__(self) -> Bag:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_bag(path: str | Path) -> Bag:
    """Opens a rosbag2 directory, a single .mcap or .db3 file, or a ROS 1 .bag.

    A recording that was cut off opens too, with ``fault`` set: ``messages`` gives what can be read
    and then raises.

    Raises:
        BagError: nothing there, no bag, or a bag without messages.
    """
    path = Path(path)
    if not path.exists():
        raise BagError(f"{path}: no such file or directory")
    source = open_source(path)
    bag = Bag(path, source)
    if not bag.count:
        bag.close()
        reason = f"; {bag.fault}" if bag.fault else ""
        raise BagError(f"{path}: an empty bag, it holds no messages{reason}")
    return bag
