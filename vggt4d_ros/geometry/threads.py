# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A few threads for work on pixels: numpy and OpenCV let go of the interpreter while they run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_MAX_THREADS = 4  # more gain little: memory is the limit


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    count = min(_MAX_THREADS, os.cpu_count() or 1)
    return ThreadPoolExecutor(count, thread_name_prefix="geometry")


def map_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Gives function(item) of each, in order; the first error is raised again.

    Not to be called from within itself: all threads could wait for each other.
    """
    return list(_pool().map(function, items))
