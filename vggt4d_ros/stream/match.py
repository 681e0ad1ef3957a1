# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which waiting frames make a complete set with a frame that has just come.

The rule is that of ``message_filters.ApproximateTimeSynchronizer`` in Python, found in
polynomial instead of exponential time: of all combinations whose spread is within the tolerance,
the first in the order that goes through each camera's frames from the nearest to the farthest.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

Stamps = Sequence[int]  # ns, strictly increasing


def nearest(stamps: Stamps, stamp: int) -> int:
    """Gives the index of the stamp nearest to ``stamp``, the older of two; ``stamps`` not empty."""
    index = bisect_left(stamps, stamp)
    if index == len(stamps):
        return index - 1
    if index and stamp - stamps[index - 1] <= stamps[index] - stamp:
        return index - 1
    return index


def find_set(queues: Sequence[Stamps], camera: int, tolerance_ns: int) -> list[int] | None:
    """Gives an index into each queue, or None where no complete set is there.

    Args:
        queues: waiting stamps of each camera.
        camera: whose newest frame has just come; it must be part of the set.
        tolerance_ns: largest spread of the set, inclusive.
    """
    stamp = queues[camera][-1]
    chosen: list[int] = []
    low = high = stamp
    for other, stamps in enumerate(queues):
        if not stamps:
            return None
        index = len(stamps) - 1 if other == camera else nearest(stamps, stamp)
        found = stamps[index]
        if abs(found - stamp) > tolerance_ns:
            return None
        chosen.append(index)
        low, high = min(low, found), max(high, found)
    if high - low <= tolerance_ns:
        return chosen
    return _search(queues, camera, tolerance_ns)


def _search(queues: Sequence[Stamps], camera: int, tolerance_ns: int) -> list[int] | None:
    """As find_set, where the nearest frames are too far apart."""
    stamp = queues[camera][-1]
    near: list[list[tuple[int, int, int]]] = []  # per camera: (distance, stamp, index), ascending
    for other, stamps in enumerate(queues):
        near.append(
            sorted(
                (abs(found - stamp), found, index)
                for index, found in enumerate(stamps)
                if abs(found - stamp) <= tolerance_ns and (other != camera or found == stamp)
            )
        )
    # Every set lies in a span [start, start + tolerance] that starts at one of its own stamps.
    starts = [
        start
        for start in {found for frames in near for _, found, _ in frames if found <= stamp}
        if all(any(start <= f <= start + tolerance_ns for _, f, _ in frames) for frames in near)
    ]
    chosen: list[int] = []
    for frames in near:
        for _, found, index in frames:
            left = [start for start in starts if start <= found <= start + tolerance_ns]
            if left:
                starts = left
                chosen.append(index)
                break
        else:
            return None
    return chosen
