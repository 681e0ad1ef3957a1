# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Reads recorded outputs: instants of cameras with what was published of them, and their truth."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.evaluation.bag import Bag, BagError
from vggt4d_ros.messages.stamps import ns_from_stamp

Slot = tuple[int, str]  # camera, key of the output

# Truth is read so far ahead of an output; outputs come late, but in the order of their stamps.
_AHEAD_NS = 500_000_000
_KEPT = 128  # messages of each truth topic around the output that is scored
_OPEN_INSTANTS = 8  # of a camera: its mask may come after the next depth on a busy machine


@dataclass(slots=True)
class Instant:
    """What was published of one camera's image."""

    camera: int
    stamp_ns: int
    messages: dict[str, Any] = field(default_factory=dict)  # key of the output -> message


def instants(bag: Bag, images: Mapping[str, Slot], faults: list[str]) -> Iterator[Instant]:
    """Gives the instants in order of their first message; damage ends them and is a fault."""
    open_: OrderedDict[tuple[int, int], Instant] = OrderedDict()
    counts: dict[int, int] = {}
    try:
        for message in bag.messages(list(images)):
            camera, key = images[message.topic]
            content: Any = bag.deserialize(message)
            stamp_ns = ns_from_stamp(content.header.stamp)
            at = camera, stamp_ns
            if at in open_ and key in open_[at].messages:  # a loop has come round
                counts[camera] -= 1
                yield open_.pop(at)
            if at not in open_:
                open_[at] = Instant(camera, stamp_ns)
                counts[camera] = counts.get(camera, 0) + 1
            open_[at].messages[key] = content
            if counts[camera] > _OPEN_INSTANTS:
                oldest = next(other for other in open_ if other[0] == camera)
                counts[camera] -= 1
                yield open_.pop(oldest)
    except BagError as error:
        faults.append(str(error))
    yield from open_.values()


class TruthFeed:
    """Messages of truth topics, found by stamp; the bag is read along with the outputs.

    Args:
        bag: its own reader, opened for this alone.
        images: truth topic -> what it is the truth of.
        tolerance_s: how far the stamps of a pair may lie apart.
        faults: takes the damage at which the bag ends.
    """

    def __init__(
        self, bag: Bag, images: Mapping[str, Slot], tolerance_s: float, faults: list[str]
    ) -> None:
        self._slots = dict(images)
        self._tolerance_ns = round(tolerance_s * 1e9)
        self._faults = faults
        self._stamps: dict[Slot, list[int]] = {slot: [] for slot in self._slots.values()}
        self._messages: dict[tuple[Slot, int], Any] = {}
        self._bag = bag
        self._reader = self._read() if self._slots else iter(())
        self._newest_ns = -(2**62)
        self.range: dict[Slot, tuple[int, int]] = {}  # first and last stamp so far

    def _read(self) -> Iterator[tuple[Slot, Any]]:
        try:
            for message in self._bag.messages(list(self._slots)):
                yield self._slots[message.topic], self._bag.deserialize(message)
        except BagError as error:
            self._faults.append(str(error))

    def find(self, slot: Slot, stamp_ns: int) -> Any | None:
        """The message nearest in time; None: none is within the tolerance."""
        if slot not in self._stamps:
            return None
        while self._newest_ns < stamp_ns + self._tolerance_ns + _AHEAD_NS:
            item = next(self._reader, None)
            if item is None:
                break
            self._keep(*item)
        stamps = self._stamps[slot]
        index = bisect_left(stamps, stamp_ns)
        near = stamps[max(index - 1, 0) : index + 1]
        best = min(near, key=lambda other: abs(other - stamp_ns), default=None)
        if best is None or abs(best - stamp_ns) > self._tolerance_ns:
            return None
        return self._messages[slot, best]

    def _keep(self, slot: Slot, message: Any) -> None:
        stamp_ns = ns_from_stamp(message.header.stamp)
        self._newest_ns = max(self._newest_ns, stamp_ns)
        first, last = self.range.get(slot, (stamp_ns, stamp_ns))
        self.range[slot] = min(first, stamp_ns), max(last, stamp_ns)
        stamps = self._stamps[slot]
        if (slot, stamp_ns) not in self._messages:
            insort(stamps, stamp_ns)
        self._messages[slot, stamp_ns] = message
        while len(stamps) > _KEPT:
            del self._messages[slot, stamps.pop(0)]


def mask_of(message: Any) -> NDArray[np.bool_]:
    """(H, W) bool of a mono8 image: what is not 0.

    Raises:
        ValueError: another encoding, or too few bytes.
    """
    return np.asarray(_plane(message, ("mono8", "8UC1"), np.dtype(np.uint8), 1)[..., 0] > 0)


def velocity_of(message: Any) -> NDArray[np.float32]:
    """(H, W, 3) m/s of a 32FC3 image; as ``mask_of``."""
    order = ">" if message.is_bigendian else "<"
    return _plane(message, ("32FC3",), np.dtype(f"{order}f4"), 3).astype(np.float32)


def _plane(
    message: Any, encodings: tuple[str, ...], kind: np.dtype[Any], channels: int
) -> NDArray[Any]:
    if message.encoding not in encodings:
        raise ValueError(f"{message.encoding!r} is not {' or '.join(encodings)}")
    height, width, step = message.height, message.width, message.step
    row = width * channels * kind.itemsize
    if step < row or len(message.data) < height * step:
        raise ValueError(f"{len(message.data)} bytes for {height} rows of {step}")
    rows = np.frombuffer(message.data, np.uint8, count=height * step).reshape(height, step)
    values = np.ascontiguousarray(rows[:, :row]).view(kind)
    return values.reshape(height, width, channels)
