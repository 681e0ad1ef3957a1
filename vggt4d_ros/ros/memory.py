# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Memory of large messages, kept from window to window: results are written where rclpy reads."""

from __future__ import annotations

import ctypes
import math
import os
from array import array

import numpy as np
from numpy.typing import NDArray

# mallopt of glibc's <malloc.h>
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_FROM_HEAP = 32 * 2**20  # bytes; the most that glibc takes
_KEPT_FREE = 256 * 2**20
_USERS_CHOICE = ("GLIBC_TUNABLES", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_")


def keep_freed_memory() -> bool:
    """Lets the allocator keep what large messages leave behind; whether it does.

    Otherwise glibc gives the memory of each large message back and gets it anew, page by page, for
    the next one: a cloud of 6 MB then takes four times as long to serialize. What the user has set
    by environment variables stays; so does any other C library.
    """
    if any(name in os.environ for name in _USERS_CHOICE):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    done = mallopt(_M_MMAP_THRESHOLD, _LARGEST_FROM_HEAP) and mallopt(_M_TRIM_THRESHOLD, _KEPT_FREE)
    return bool(done)


class MessageMemory:
    """Gives the same memory for the same result of each window, as ``products.Memory`` asks.

    A message of it must be published before the next window's result is written: rclpy has copied
    it when ``publish`` returns.
    """

    def __init__(self) -> None:
        self._planes: dict[tuple[str, int], NDArray[np.float32]] = {}

    def plane(self, name: str, view: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Memory for one result of one camera, as last time where the shape is the same."""
        plane = self._planes.get((name, view))
        if plane is None or plane.shape != shape:
            memory = array("B", bytes(4 * math.prod(shape)))
            plane = np.frombuffer(memory, dtype=np.float32).reshape(shape)
            self._planes[name, view] = plane
        return plane


def bytes_of(values: NDArray[np.generic]) -> array[int]:
    """The memory of an array as ``array.array('B')``: rclpy checks any other type byte by byte.

    No copy is made of values that fill an ``array.array('B')`` already.
    """
    owner: object = values
    while isinstance(owner, np.ndarray):
        owner = owner.base
    if isinstance(owner, memoryview):
        owner = owner.obj
    whole = isinstance(owner, array) and owner.typecode == "B" and len(owner) == values.nbytes
    if isinstance(owner, array) and whole and values.flags.c_contiguous:
        return owner
    out = array("B")
    out.frombytes(memoryview(np.ascontiguousarray(values)).cast("B"))
    return out
