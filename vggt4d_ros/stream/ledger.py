# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What became of every frame: used, dropped by one cause, or still pending."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from vggt4d_ros.datatypes import Frame

# Cause -> meaning. Where several holders let go of a frame for different causes, the one that
# stands first here is counted; causes from elsewhere (decoding, the network) go before all these.
STREAM_CAUSES: dict[str, str] = {
    "zero_stamp": "the header stamp is zero or negative",
    "duplicate_stamp": "the camera's frame before has the same stamp",
    "out_of_order": "the stamp is older than that of the camera's frame before",
    "stray_stamp": "the stamp is seconds away from the stream's and nothing that followed agrees",
    "late": "the frame set it belongs to had gone on without it",
    "queue_full": "more than sync.queue_size frames of the camera were waiting for their set",
    "unmatched": "too few other cameras had a frame within sync.tolerance_s",
    "superseded": "a newer window replaced its window before the network was free",
    "time_jump": "time jumped back (bag loop, simulation reset) while it was waiting",
    "reset": "the stream was reset while it was waiting",
    "shutdown": "the stream was closed while it was waiting",
    "incomplete_window": "a gap longer than window.max_gap_s came before its window was full",
    "stride": "it lies between two windows (window.stride)",
}
_RANK = {cause: rank for rank, cause in enumerate(STREAM_CAUSES)}


@dataclass(frozen=True, slots=True)
class CameraCounts:
    """Frames of one camera: received = used + sum(dropped) + pending."""

    received: int = 0
    used: int = 0
    pending: int = 0
    dropped: dict[str, int] = field(default_factory=dict)  # by cause


@dataclass(frozen=True, slots=True)
class LedgerCounts:
    """Frames at one instant, per camera and in total: received = used + sum(dropped) + pending."""

    cameras: tuple[CameraCounts, ...]  # V entries

    @property
    def received(self) -> int:
        """Frames that came."""
        return sum(camera.received for camera in self.cameras)

    @property
    def used(self) -> int:
        """Frames the network saw at least once."""
        return sum(camera.used for camera in self.cameras)

    @property
    def pending(self) -> int:
        """Frames in a queue or in a window that is not done."""
        return sum(camera.pending for camera in self.cameras)

    @property
    def dropped(self) -> dict[str, int]:
        """Frames dropped, by cause."""
        total: Counter[str] = Counter()
        for camera in self.cameras:
            total.update(camera.dropped)
        return dict(total)


class _Holding:
    """A frame that somebody holds."""

    __slots__ = ("cause", "holders", "used")

    def __init__(self) -> None:
        self.holders = 1
        self.used = False
        self.cause = ""


class FrameLedger:
    """Counts frames by their fate. Thread-safe.

    Frames are known by identity. Whoever keeps a frame holds it; when the last holder lets go of
    a frame that was never used, it is dropped with the most telling of the causes given.
    """

    def __init__(self, num_cameras: int) -> None:
        if num_cameras < 1:
            raise ValueError(f"num_cameras must be at least 1, got {num_cameras}")
        self._lock = threading.Lock()
        self._held: dict[Frame, _Holding] = {}
        self._received = [0] * num_cameras
        self._used = [0] * num_cameras
        self._pending = [0] * num_cameras
        self._dropped: list[Counter[str]] = [Counter() for _ in range(num_cameras)]

    def receive(self, frame: Frame) -> None:
        """Enters a frame; the caller holds it.

        Raises:
            ValueError: no such camera, or the frame is in the ledger already.
        """
        with self._lock:
            self._check_camera(frame.camera)
            if frame in self._held:
                raise ValueError(f"frame {_name(frame)} was received before")
            self._held[frame] = _Holding()
            self._received[frame.camera] += 1
            self._pending[frame.camera] += 1

    def reject(self, camera: int, cause: str) -> None:
        """Counts a frame that came and was dropped at once."""
        with self._lock:
            self._check_camera(camera)
            self._received[camera] += 1
            self._dropped[camera][cause] += 1

    def hold(self, frames: Iterable[Frame]) -> None:
        """Adds a holder to each frame."""
        with self._lock:
            for frame in frames:
                self._holding(frame).holders += 1

    def use(self, frames: Iterable[Frame]) -> None:
        """Marks frames as used; once used, always used."""
        with self._lock:
            for frame in frames:
                holding = self._holding(frame)
                if not holding.used:
                    holding.used = True
                    self._pending[frame.camera] -= 1
                    self._used[frame.camera] += 1

    def release(self, frames: Iterable[Frame], cause: str) -> None:
        """Takes one holder from each frame; ``cause`` counts for those that were never used."""
        with self._lock:
            for frame in frames:
                holding = self._holding(frame)
                if not holding.cause or _RANK.get(cause, -1) < _RANK.get(holding.cause, -1):
                    holding.cause = cause
                holding.holders -= 1
                if holding.holders:
                    continue
                del self._held[frame]
                if not holding.used:
                    self._pending[frame.camera] -= 1
                    self._dropped[frame.camera][holding.cause] += 1

    def counts(self) -> LedgerCounts:
        """All counts at one instant."""
        with self._lock:
            return LedgerCounts(
                tuple(
                    CameraCounts(received, used, pending, dict(dropped))
                    for received, used, pending, dropped in zip(
                        self._received, self._used, self._pending, self._dropped, strict=True
                    )
                )
            )

    def _holding(self, frame: Frame) -> _Holding:
        holding = self._held.get(frame)
        if holding is None:
            raise ValueError(f"nobody holds frame {_name(frame)}")
        return holding

    def _check_camera(self, camera: int) -> None:
        if not 0 <= camera < len(self._received):
            raise ValueError(f"camera must be in 0..{len(self._received) - 1}, got {camera}")


def _name(frame: Frame) -> str:
    return f"of camera {frame.camera} at {frame.stamp_ns} ns"
