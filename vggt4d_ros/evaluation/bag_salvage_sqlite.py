# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Reads a cut .db3 row by row, as far as SQLite follows its pages."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from vggt4d_ros.evaluation.bag_salvage import Channel, Definition, RawMessage, Salvage, is_latched


def salvage_sqlite(path: Path, reason: str) -> Salvage:
    """Finds the readable part of a .db3."""
    topics: dict[int, Channel] = {}
    definitions: dict[str, Definition] = {}
    # a lost or, in old bags, missing table leaves what was read before it
    with closing(_connect(path)) as database, suppress(sqlite3.Error):
        columns = {row[1] for row in database.execute("PRAGMA table_info(topics)")}
        profiles = "offered_qos_profiles" if "offered_qos_profiles" in columns else "''"
        for key, name, kind, qos in database.execute(
            f"SELECT id, name, type, {profiles} FROM topics"
        ):
            topics[key] = Channel(name, kind, is_latched(qos))
        for kind, encoding, text in database.execute(
            "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions"
        ):
            definitions[kind] = Definition(text, is_idl=encoding != "ros2msg")

    def messages() -> Iterator[RawMessage]:
        with closing(_connect(path)) as database, suppress(sqlite3.Error):
            # in the order of writing: the index by time may be among what is lost
            for key, stamp_ns, data in database.execute(
                "SELECT topic_id, timestamp, data FROM messages NOT INDEXED"
            ):
                if key in topics:
                    yield topics[key].topic, topics[key].type, stamp_ns, bytes(data)

    return Salvage(
        fault=f"truncated at {path.stat().st_size} B ({reason})",
        channels=list(topics.values()),
        definitions=definitions,
        messages=messages,
    )


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(f"{path.resolve().as_uri()}?immutable=1", uri=True)
    # SQLite refuses a file with fewer pages than its header says, except in this mode
    database.execute("PRAGMA writable_schema=ON")
    return database
