# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Messages of the rosbags library, made as ``messages.encode.MessageTypes`` asks; needs no ROS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.convert.converter import default_message
from rosbags.interfaces import Nodetype
from rosbags.typesys.store import Typestore

from vggt4d_ros.datatypes import Array
from vggt4d_ros.evaluation.bag_writer import register


def bag_type(kind: str) -> str:
    """``package/Name`` as bags spell it."""
    return kind.replace("/", "/msg/")


class BagTypes:
    """Makes messages of a typestore.

    Raises:
        BagError: a definition is not found.
    """

    def __init__(self, store: Typestore) -> None:
        self._store = store

    def maker(self, kind: str) -> Callable[..., Any]:
        """Makes messages of type ``package/Name`` of their fields; the rest is zero or empty."""
        name = bag_type(kind)
        if name not in self._store.fielddefs:
            register(self._store, name)
        made = self._store.types[name]
        plain, nested = self._defaults(name)

        def make(**fields: object) -> Any:
            fresh = {key: new() for key, new in nested.items() if key not in fields}
            return made(**{**plain, **fresh, **fields})

        return make

    def _defaults(self, name: str) -> tuple[dict[str, Any], dict[str, Callable[[], Any]]]:
        """Values that all messages may share, and makers of those that each needs for itself."""
        plain: dict[str, Any] = {}
        nested: dict[str, Callable[[], Any]] = {}
        for key, (node, detail) in self._store.fielddefs[name][1]:
            if node == Nodetype.BASE:
                plain[key] = "" if detail[0] == "string" else 0
            else:
                nested[key] = self._default_of(name, key)
        return plain, nested

    def _default_of(self, name: str, key: str) -> Callable[[], Any]:
        return lambda: getattr(default_message(self._store, name), key)

    @staticmethod
    def data(values: NDArray[np.generic]) -> NDArray[np.uint8]:
        """The memory of an array as a ``uint8[]`` field."""
        return np.ascontiguousarray(values).reshape(-1).view(np.uint8)

    @staticmethod
    def numbers(values: Array) -> Array:
        """A ``float64`` field."""
        return np.ascontiguousarray(values, dtype=np.float64)

    @staticmethod
    def booleans(values: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """A ``bool[]`` field."""
        return np.ascontiguousarray(values, dtype=np.bool_)
