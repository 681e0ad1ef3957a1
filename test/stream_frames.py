# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Frames and drivers for the tests of the stream; times in milliseconds where a name says so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from vggt4d_ros.config import SyncConfig
from vggt4d_ros.datatypes import Frame, FrameSet, LazyImage, Window
from vggt4d_ros.stream import FrameLedger, Synchronizer, TimeJump

MS = 1_000_000
START_NS = 1_700_000_000_000_000_000  # a stamp of our days: beyond what float seconds can hold
IMAGE = LazyImage.from_array(np.zeros((2, 2, 3), np.uint8))

# A set as written in a table: ms after START per camera, None where the camera is missing.
SetMs = tuple[float | None, ...]


def frame(camera: int, ms: float) -> Frame:
    """A frame of ``camera`` stamped ``ms`` milliseconds after START_NS."""
    return Frame(camera, START_NS + round(ms * MS), IMAGE)


def frame_set(*ms: float | None) -> FrameSet:
    """A set from a stamp per camera."""
    return FrameSet(
        tuple(None if stamp is None else frame(camera, stamp) for camera, stamp in enumerate(ms))
    )


def to_ms(stamp_ns: int) -> float:
    return (stamp_ns - START_NS) / MS


def set_ms(ready: FrameSet) -> SetMs:
    return tuple(None if f is None else to_ms(f.stamp_ns) for f in ready.frames)


def window_ms(window: Window) -> list[SetMs]:
    return [set_ms(ready) for ready in window.sets]


class SyncRun:
    """A synchroniser with its ledger, and all that came out of it."""

    def __init__(self, num_cameras: int, config: SyncConfig) -> None:
        self.ledger = FrameLedger(num_cameras)
        self.sync = Synchronizer(num_cameras, config, self.ledger)
        self.sets: list[SetMs] = []
        self.jumps: list[TimeJump] = []
        self.frame_sets: list[FrameSet] = []

    def add(self, camera: int, ms: float) -> list[SetMs]:
        """Feeds one frame; gives the sets that went on because of it."""
        return self.feed(frame(camera, ms))

    def feed(self, new: Frame) -> list[SetMs]:
        self.ledger.receive(new)
        output = self.sync.add(new)
        if output.jump is not None:
            self.jumps.append(output.jump)
        return self._take(output.sets)

    def tick(self, ms: float) -> list[SetMs]:
        return self._take(self.sync.tick(round(ms * MS)))

    def add_all(self, arrivals: Iterable[tuple[int, float]]) -> None:
        for camera, ms in arrivals:
            self.add(camera, ms)

    @property
    def dropped(self) -> dict[str, int]:
        return self.ledger.counts().dropped

    def _take(self, ready: Sequence[FrameSet]) -> list[SetMs]:
        self.frame_sets += ready
        new = [set_ms(one) for one in ready]
        self.sets += new
        return new
