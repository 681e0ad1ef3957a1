# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Slides a window of T frame sets over the stream."""

from __future__ import annotations

from vggt4d_ros.config import WindowConfig
from vggt4d_ros.datatypes import Frame, FrameSet, Window
from vggt4d_ros.stream.ledger import FrameLedger


def present(frame_set: FrameSet) -> list[Frame]:
    """Gives the frames of a set that are there."""
    return [frame for frame in frame_set.frames if frame is not None]


class SlidingWindow:
    """Keeps the newest T sets and gives a window every ``stride`` sets. Not thread-safe.

    Takes over the hold on the frames of a set that is pushed; each window that is given holds its
    frames once more, for the receiver of the window to release.
    """

    def __init__(self, config: WindowConfig, ledger: FrameLedger) -> None:
        if config.length < 1 or config.stride < 1:
            raise ValueError(
                f"length and stride must be at least 1, got {config.length} and {config.stride}"
            )
        self._length = config.length
        self._stride = config.stride
        self._max_gap_ns = round(config.max_gap_s * 1e9)
        self._ledger = ledger
        self._sets: list[FrameSet] = []
        self._due_in = config.length  # sets until the next window
        self.windows = 0  # given so far
        self.gaps = 0  # times a gap made it start anew
        self.epoch = 0  # counts fresh starts, whatever the reason

    def push(self, frame_set: FrameSet) -> Window | None:
        """Takes the next set; gives a window when one is full and due."""
        if self._sets and self._max_gap_ns:
            gap_ns = frame_set.stamp_ns - self._sets[-1].stamp_ns
            if gap_ns > self._max_gap_ns:
                self.gaps += 1
                self.clear("incomplete_window")
        self._sets.append(frame_set)
        if len(self._sets) > self._length:
            self._ledger.release(present(self._sets.pop(0)), "stride")
        self._due_in -= 1
        if self._due_in > 0:
            return None
        self._due_in = self._stride
        window = Window(tuple(self._sets), self.windows, self.epoch)
        self.windows += 1
        self._ledger.hold(frame for held in window.sets for frame in present(held))
        return window

    def clear(self, cause: str) -> None:
        """Starts anew: lets go of all sets, the next window is full of new ones."""
        for frame_set in self._sets:
            self._ledger.release(present(frame_set), cause)
        self._sets.clear()
        self._due_in = self._length
        self.epoch += 1
