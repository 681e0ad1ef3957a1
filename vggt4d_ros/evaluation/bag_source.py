# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Opens each storage format: whole recordings through ``rosbags``, cut ones salvaged."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from rosbags.interfaces import (
    Connection,
    ConnectionExtRosbag1,
    ConnectionExtRosbag2,
    MessageDefinitionFormat,
    QosDurability,
)
from rosbags.rosbag1 import Reader as Ros1Reader
from rosbags.rosbag2 import Reader as Ros2Reader
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from vggt4d_ros.evaluation.bag_format import BagError, BagMessage, BagSource, BagTopic
from vggt4d_ros.evaluation.bag_salvage import Definition, Salvage, decompress
from vggt4d_ros.evaluation.bag_salvage_mcap import salvage_mcap
from vggt4d_ros.evaluation.bag_salvage_ros1 import salvage_ros1
from vggt4d_ros.evaluation.bag_salvage_sqlite import salvage_sqlite
from vggt4d_ros.evaluation.bag_types import (
    Ros1Converter,
    build_typestore,
    modern_name,
    successor_name,
)

STORAGE_SUFFIXES = (".mcap", ".db3")
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
MAGIC = {".mcap": b"\x89MCAP0\r\n", ".db3": b"SQLite format 3\x00", ".bag": b"#ROSBAG V2.0\n"}


def open_source(path: Path) -> BagSource:
    """Opens what ``path`` holds.

    Raises:
        BagError: it is no bag, or nothing in it can be read.
    """
    if path.is_dir():
        return _open_directory(path)
    if path.suffix not in MAGIC:
        raise BagError(f"{path}: not a bag: a rosbag2 directory, .mcap, .db3 or .bag is wanted")
    return _open_file(path)


def _open_directory(path: Path) -> BagSource:
    listed = _listed_files(path)
    files = listed or sorted(p for p in path.iterdir() if p.suffix in STORAGE_SUFFIXES)
    if not files:
        there = (path / "metadata.yaml").is_file()
        missing = "a metadata.yaml that names no file" if there else "no metadata.yaml"
        raise BagError(f"{path}: a directory that is no bag: {missing}, no .mcap or .db3 in it")
    if listed:
        try:
            return Ros2Source(Ros2Reader(path))
        # a cut storage file raises whatever its decoder met; file by file says what is left
        except Exception as error:
            lost = [file.name for file in files if not file.exists()]
            if lost:
                raise BagError(f"{path}: {lost[0]}, named in metadata.yaml, is missing") from None
            if any(file.suffix not in STORAGE_SUFFIXES for file in files):
                raise BagError(f"{path}: {error}") from error
    sources = [_open_file(file) for file in files]
    return sources[0] if len(sources) == 1 else Sequel(sources)


def _listed_files(path: Path) -> list[Path]:
    """Gives the storage files that metadata.yaml names; none where there is no such file."""
    metadata = path / "metadata.yaml"
    if not metadata.is_file():
        return []
    try:
        names = YAML(typ="safe").load(metadata.read_text())["rosbag2_bagfile_information"][
            "relative_file_paths"
        ]
        return [path / Path(name).name for name in names]
    # a half-written metadata.yaml is common after a power cut; the storage files tell the same
    except (YAMLError, KeyError, TypeError, UnicodeDecodeError):
        return []


def _open_file(path: Path) -> BagSource:
    magic = MAGIC[path.suffix]
    with path.open("rb") as file:
        head = file.read(len(magic))
    if not head:
        raise BagError(f"{path}: an empty file")
    if head != magic:
        raise BagError(f"{path}: not a bag, its first bytes are not those of a {path.suffix} file")
    try:
        if path.suffix == ".bag":
            return Ros1Source(Ros1Reader(path))
        return Ros2Source(Ros2Reader(path))
    # the decoders raise whatever a damaged byte leads to: struct.error, AssertionError, OSError...
    except Exception as error:
        return SalvagedSource(_salvage(path, str(error) or type(error).__name__))


def _salvage(path: Path, reason: str) -> Salvage:
    """Finds what can be read of a file that its own reader refuses for ``reason``.

    Nothing is raised for what is damaged: the worst case is no channel and no message.
    """
    reader = {".mcap": salvage_mcap, ".db3": salvage_sqlite, ".bag": salvage_ros1}[path.suffix]
    found = reader(path, reason.rstrip("."))
    found.count()
    return found


class Ros2Source(BagSource):
    """A rosbag2 recording that ``rosbags`` can read."""

    def __init__(self, reader: Ros2Reader) -> None:
        reader.open()
        self._reader = reader
        self.topics = _topics(reader.connections)
        self.start_ns = reader.start_time
        self.end_ns = reader.end_time - 1

    def messages(
        self, topics: Collection[str], start_ns: int | None, stop_ns: int | None
    ) -> Iterator[BagMessage]:
        wanted = [c for c in self._reader.connections if c.topic in topics]
        types = {c.id: modern_name(c.msgtype) for c in wanted}
        if not wanted:
            return
        for connection, stamp_ns, data in self._reader.messages(wanted, start_ns, stop_ns):
            # a single file of a recording with compressed messages: CDR never begins like this
            if data[:4] == ZSTD_MAGIC:
                data = decompress("zstd", data)
            yield BagMessage(connection.topic, types[connection.id], stamp_ns, bytes(data))

    def typestore(self) -> Typestore:
        return build_typestore(
            {
                modern_name(c.msgtype): Definition(
                    c.msgdef.data, c.msgdef.format == MessageDefinitionFormat.IDL
                )
                for c in self._reader.connections
                if c.msgdef.format != MessageDefinitionFormat.NONE
            },
            [modern_name(c.msgtype) for c in self._reader.connections],
        )

    def close(self) -> None:
        if self._reader.is_open:
            self._reader.close()


class Ros1Source(BagSource):
    """A ROS 1 recording that ``rosbags`` can read; messages come as their ROS 2 successors."""

    def __init__(self, reader: Ros1Reader) -> None:
        reader.open()
        self._reader = reader
        self.topics = _topics(reader.connections)
        self.start_ns = reader.start_time
        self.end_ns = reader.end_time - 1
        self._converter = Ros1Converter({c.msgtype: c.msgdef.data for c in reader.connections})

    def messages(
        self, topics: Collection[str], start_ns: int | None, stop_ns: int | None
    ) -> Iterator[BagMessage]:
        wanted = [c for c in self._reader.connections if c.topic in topics]
        if not wanted:
            return
        for connection, stamp_ns, data in self._reader.messages(wanted, start_ns, stop_ns):
            name, cdr = self._converter(connection.msgtype, data)
            yield BagMessage(connection.topic, name, stamp_ns, cdr)

    def typestore(self) -> Typestore:
        return self._converter.store

    def close(self) -> None:
        if self._reader.bio is not None:
            self._reader.close()


class SalvagedSource(BagSource):
    """What could be read of a cut recording."""

    def __init__(self, found: Salvage) -> None:
        self._found = found
        self.fault = found.fault
        self.start_ns, self.end_ns = found.start_ns, found.end_ns
        self._converter = None
        if found.ros1:
            self._converter = Ros1Converter(
                {name: known.text for name, known in found.definitions.items()}
            )
        self.topics = tuple(
            BagTopic(c.topic, successor_name(c.type), c.count, c.latched) for c in found.channels
        )

    def messages(
        self, topics: Collection[str], start_ns: int | None, stop_ns: int | None
    ) -> Iterator[BagMessage]:
        for topic, name, stamp_ns, data in self._found.messages():
            if topic not in topics:
                continue
            if (start_ns is not None and stamp_ns < start_ns) or (
                stop_ns is not None and stamp_ns >= stop_ns
            ):
                continue
            if self._converter is not None:
                name, data = self._converter(name, data)
            yield BagMessage(topic, modern_name(name), stamp_ns, data)

    def typestore(self) -> Typestore:
        if self._converter is not None:
            return self._converter.store
        definitions = {modern_name(name): text for name, text in self._found.definitions.items()}
        return build_typestore(definitions, [topic.type for topic in self.topics])


class Sequel(BagSource):
    """Files of one recording, one after the other."""

    def __init__(self, parts: Sequence[BagSource]) -> None:
        self._parts = parts
        filled = [part for part in parts if any(topic.count for topic in part.topics)]
        self.start_ns = min((part.start_ns for part in filled), default=0)
        self.end_ns = max((part.end_ns for part in filled), default=0)
        faults = [part.fault for part in parts if part.fault]
        self.fault = "; ".join(faults) or None
        merged: dict[str, BagTopic] = {}
        for topic in (topic for part in parts for topic in part.topics):
            before = merged.get(topic.name, BagTopic(topic.name, topic.type, 0))
            merged[topic.name] = BagTopic(
                topic.name, topic.type, before.count + topic.count, before.latched or topic.latched
            )
        self.topics = tuple(merged[name] for name in sorted(merged))

    def messages(
        self, topics: Collection[str], start_ns: int | None, stop_ns: int | None
    ) -> Iterator[BagMessage]:
        for part in self._parts:
            yield from part.messages(topics, start_ns, stop_ns)

    def typestore(self) -> Typestore:
        store = get_typestore(Stores.EMPTY)
        for part in self._parts:
            store.register(
                {
                    name: fields
                    for name, fields in part.typestore().fielddefs.items()
                    if name not in store.fielddefs
                }
            )
        return store

    def close(self) -> None:
        for part in self._parts:
            part.close()


def _topics(connections: Sequence[Connection]) -> tuple[BagTopic, ...]:
    """Gives one entry per topic, by name; a ROS 1 topic may have several connections."""
    merged: dict[str, BagTopic] = {}
    for c in connections:
        before = merged.get(c.topic)
        merged[c.topic] = BagTopic(
            c.topic,
            successor_name(c.msgtype),
            c.msgcount + (before.count if before else 0),
            _is_latched(c) or (before is not None and before.latched),
        )
    return tuple(merged[name] for name in sorted(merged))


def _is_latched(connection: Connection) -> bool:
    extra = connection.ext
    if isinstance(extra, ConnectionExtRosbag1):
        return bool(extra.latching)
    assert isinstance(extra, ConnectionExtRosbag2)
    return any(
        qos.durability == QosDurability.TRANSIENT_LOCAL for qos in extra.offered_qos_profiles
    )
