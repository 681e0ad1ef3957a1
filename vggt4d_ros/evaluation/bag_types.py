# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Message definitions of a recording, and ROS 1 messages as their ROS 2 successors."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Mapping, Sequence

from rosbags.convert.converter import STATIC_MSGTYPE_RENAMES, generate_message_converter
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from vggt4d_ros.evaluation.bag_salvage import Definition


def modern_name(name: str) -> str:
    """Gives pkg/msg/Name, also for the pkg/Name of some recorders."""
    package, _, rest = name.partition("/")
    return f"{package}/msg/{rest}" if rest and "/" not in rest else name


def successor_name(name: str) -> str:
    """Gives the name of the ROS 2 type that followed a ROS 1 type."""
    modern = modern_name(name)
    renamed: str = STATIC_MSGTYPE_RENAMES.get(modern, modern)
    return renamed


class Ros1Converter:
    """Turns serialized ROS 1 messages into CDR of the ROS 2 type that followed them."""

    def __init__(self, definitions: Mapping[str, str]) -> None:
        self._old = get_typestore(Stores.EMPTY)
        self.store = get_typestore(Stores.ROS2_JAZZY)
        self._convert: dict[str, Callable[[bytes | memoryview], memoryview]] = {}
        for name, text in definitions.items():
            self._old.register(get_types_from_msg(text, name))
        for name in definitions:
            self._add(name)

    def _add(self, name: str) -> None:
        successor = successor_name(name)
        if successor not in self.store.fielddefs:
            text, _ = self._old.generate_msgdef(name, ros_version=2)
            types = get_types_from_msg(text, successor)
            self.store.register({k: v for k, v in types.items() if k not in self.store.fielddefs})
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it migrates
            self._convert[name] = generate_message_converter(
                self._old, self.store, name, successor, {}, src_is2=False, dst_is2=True
            )

    def __call__(self, name: str, data: bytes) -> tuple[str, bytes]:
        """Gives the ROS 2 type name and the CDR bytes."""
        return successor_name(name), bytes(self._convert[name](data))


def build_typestore(definitions: Mapping[str, Definition], types: Sequence[str]) -> Typestore:
    """Gives the recorded definitions; what is not defined there is as in ROS 2 Jazzy."""
    store = get_typestore(Stores.EMPTY)
    known = {}
    for name, definition in definitions.items():
        if not definition.is_idl:
            known.update(get_types_from_msg(definition.text, name))
            continue
        # rosbag2 puts several files into one text, each below a ruler and its name
        for part in definition.text.split("=" * 80 + "\n"):
            body = part.split("\n", 1)[1] if part.startswith("IDL: ") else part
            if body.strip():
                known.update(get_types_from_idl(body))
    if not all(name in known for name in types):
        jazzy = get_typestore(Stores.ROS2_JAZZY)
        if not known:
            return jazzy
        known = {**jazzy.fielddefs, **known}
    store.register(known)
    return store
