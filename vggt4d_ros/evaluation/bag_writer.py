# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Writes serialized messages into a rosbag2 directory (mcap), their definitions with them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.rosbag2.errors import WriterError
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from vggt4d_ros.evaluation.bag_format import BagError

FOREVER = QosTime(2147483647, 4294967295)


class BagWriter:
    """A new recording; a context manager, whole once it is closed.

    Args:
        path: of the directory.
        compressed: chunks by Zstandard, which every reader of mcap knows; it takes time.

    Raises:
        BagError: ``path`` exists or cannot be made.
    """

    def __init__(self, path: str | Path, *, compressed: bool = False) -> None:
        self.path = Path(path)
        self.count = 0
        self._store = get_typestore(Stores.ROS2_JAZZY)
        self._connections: dict[str, Connection] = {}
        # version 8 writes the QoS as numbers, the only form that rosbag2 of Humble knows
        try:
            self._writer = Writer(self.path, version=8, storage_plugin=StoragePlugin.MCAP)
            if compressed:
                self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
            self._writer.open()
        except WriterError:
            raise BagError(f"{path}: exists already") from None
        except OSError as error:
            raise BagError(f"{path}: cannot be made: {error.strerror}") from error

    @property
    def typestore(self) -> Typestore:
        """Definitions of all types added so far and of those of ROS 2 Jazzy."""
        return self._store

    def add_topic(self, topic: str, kind: str, *, is_latched: bool = False) -> None:
        """Announces a topic; again with the same type is fine.

        Args:
            topic: full name.
            kind: e.g. sensor_msgs/msg/Image.
            is_latched: late joiners get its last messages when the recording is replayed.

        Raises:
            BagError: the topic has another type already, or the type's definition is not found.
        """
        known = self._connections.get(topic)
        if known is not None:
            if known.msgtype != kind:
                raise BagError(f"{self.path}: {topic} is {known.msgtype} already, not {kind}")
            return
        if kind not in self._store.fielddefs:
            register(self._store, kind)
        self._connections[topic] = self._writer.add_connection(
            topic, kind, typestore=self._store, offered_qos_profiles=[_qos(is_latched)]
        )

    def write(self, topic: str, stamp_ns: int, data: bytes) -> None:
        """Appends a message, CDR bytes, to a topic that was added."""
        self._writer.write(self._connections[topic], stamp_ns, data)
        self.count += 1

    def close(self) -> None:
        """Writes the index and metadata.yaml."""
        self._writer.close()

    def __enter__(self) -> BagWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # also after an error: what was recorded until then is worth having
        self.close()


def register(store: Typestore, kind: str) -> None:
    """Adds a type that ``store`` does not know, and those it is made of, from their .msg files.

    Raises:
        BagError: no .msg file of that name in this package or in a sourced ROS workspace.
    """
    for path in _definition_files(kind):
        if path.is_file():
            types = get_types_from_msg(path.read_text(), kind)
            break
    else:
        raise BagError(f"no definition of {kind}: source the ROS workspace that has it")
    fresh = {name: fields for name, fields in types.items() if name not in store.fielddefs}
    for name in _names(list(fresh.values())):
        if name not in store.fielddefs and name not in fresh:
            register(store, name)
    store.register(fresh)


def _definition_files(kind: str) -> Iterator[Path]:
    package, _, name = kind.split("/")
    if package == "vggt4d_ros":
        yield Path(__file__).parents[2] / "msg" / f"{name}.msg"  # a source checkout
    try:
        from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
    except ImportError:
        return
    try:
        yield Path(get_package_share_directory(package)) / "msg" / f"{name}.msg"
    except PackageNotFoundError:
        return


def _names(tree: object) -> Iterator[str]:
    """Gives the message types that a parsed definition refers to."""
    if isinstance(tree, str):
        if tree.count("/") == 2:
            yield tree
    elif isinstance(tree, (list, tuple)):
        for part in tree:
            yield from _names(part)


def _qos(is_latched: bool) -> Qos:
    return Qos(
        QosHistory.KEEP_LAST,
        100 if is_latched else 10,
        QosReliability.RELIABLE,
        QosDurability.TRANSIENT_LOCAL if is_latched else QosDurability.VOLATILE,
        FOREVER,
        FOREVER,
        QosLiveliness.AUTOMATIC,
        FOREVER,
        avoid_ros_namespace_conventions=False,
    )
