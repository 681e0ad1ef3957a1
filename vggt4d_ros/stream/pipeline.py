# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From frames to windows, with the fate of each known: what the node and evaluation both use."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from vggt4d_ros.config import SyncConfig, WindowConfig
from vggt4d_ros.datatypes import Frame, FrameSet, Window
from vggt4d_ros.stream.ledger import FrameLedger, LedgerCounts
from vggt4d_ros.stream.mailbox import Mailbox
from vggt4d_ros.stream.sync import Synchronizer, SyncReport
from vggt4d_ros.stream.timeline import TimeJump
from vggt4d_ros.stream.window import SlidingWindow, present


@dataclass(frozen=True, slots=True)
class StreamCounts:
    """The whole stream at one instant.

    frames: received = used + sum(dropped) + pending;
    windows = windows_done + sum(windows_dropped) + windows_open.
    """

    frames: LedgerCounts
    sets: int
    partial_sets: int  # of these, without some camera
    windows: int  # formed
    windows_done: int
    windows_open: int  # in the mailbox or being worked on
    windows_dropped: dict[str, int]  # by cause
    time_jumps: int
    gaps: int  # fresh starts because of window.max_gap_s


class StreamPipeline:
    """Ledger, synchroniser, sliding window and mailbox in one. Thread-safe.

    One thread calls ``receive``; the same or another takes windows and ends each with ``done`` or
    ``drop``. With ``every_window`` no window is replaced by a newer one: an offline run empties
    ``windows()`` after each ``receive`` and gives the same result every time.
    """

    def __init__(
        self,
        num_cameras: int,
        sync: SyncConfig,
        window: WindowConfig,
        *,
        every_window: bool = False,
    ) -> None:
        self._lock = threading.Lock()
        self._ledger = FrameLedger(num_cameras)
        self._sync = Synchronizer(num_cameras, sync, self._ledger)
        self._window = SlidingWindow(window, self._ledger)
        self._mailbox = Mailbox(every=every_window)
        self._open: set[Window] = set()
        self._closed = False
        self._sets = self._partial_sets = self._done = self._jumps = 0
        self._dropped: Counter[str] = Counter()

    @property
    def epoch(self) -> int:
        """Counts fresh starts; a window of an older epoch is out of date."""
        return self._window.epoch

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._closed

    def receive(self, frame: Frame) -> TimeJump | None:
        """Takes a frame that came; tells when time has jumped back."""
        with self._lock:
            if self._closed:
                self._ledger.reject(frame.camera, "shutdown")
                return None
            self._ledger.receive(frame)
            output = self._sync.add(frame)
            if output.jump is not None:
                self._jumps += 1
                self._start_anew("time_jump")
            self._push(output.sets)
            return output.jump

    def reject(self, camera: int, cause: str) -> None:
        """Counts a frame that came but could not be made a Frame."""
        self._ledger.reject(camera, cause)

    def tick(self, now_ns: int) -> None:
        """Lets the deadline of incomplete sets pass while no frames come; live use only.

        Args:
            now_ns: ROS time, so that a slowed-down replay is judged by its own clock.
        """
        with self._lock:
            if not self._closed:
                self._push(self._sync.tick(now_ns))

    def take(self, timeout_s: float | None = None) -> Window | None:
        """Waits for the next window; None when the time is up or the stream is closed.

        The caller ends the window with ``done`` or ``drop``.
        """
        return self._mailbox.take(timeout_s)

    def windows(self) -> Iterator[Window]:
        """Takes the windows that are there, in order, without waiting."""
        while (window := self._mailbox.take(0.0)) is not None:
            yield window

    def done(self, window: Window, unusable: Mapping[Frame, str] | None = None) -> None:
        """Ends a window the network has seen.

        Args:
            window: as given by take().
            unusable: frames of it the network did not see (e.g. not decodable), with the cause.

        Raises:
            ValueError: the window is not open, and the stream was not closed meanwhile.
        """
        bad = unusable or {}
        with self._lock:
            if self._end(window):
                self._done += 1
                self._ledger.use(frame for frame in _frames(window) if frame not in bad)
                for frame in _frames(window):
                    self._ledger.release((frame,), bad.get(frame, ""))

    def drop(self, window: Window, cause: str, unusable: Mapping[Frame, str] | None = None) -> None:
        """Ends a window the network has not seen or failed on.

        Its frames may still be used by a later window; if not, they are dropped with ``cause``,
        those in ``unusable`` with their own.

        Raises:
            ValueError: the window is not open, and the stream was not closed meanwhile.
        """
        with self._lock:
            if self._end(window):
                self._let_go(window, cause, unusable or {})

    def reset(self, cause: str = "reset") -> None:
        """Starts anew: drops all that waits; a window being worked on stays open."""
        with self._lock:
            self._sync.clear(cause)
            self._start_anew(cause)

    def close(self) -> None:
        """Ends the stream: afterwards no frame is pending and every one that comes is dropped."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._mailbox.close()
            self._sync.clear("shutdown")
            self._window.clear("shutdown")
            for window in list(self._open):
                self._open.remove(window)
                self._let_go(window, "shutdown")

    def counts(self) -> StreamCounts:
        """All counts at one instant."""
        with self._lock:
            return StreamCounts(
                frames=self._ledger.counts(),
                sets=self._sets,
                partial_sets=self._partial_sets,
                windows=self._window.windows,
                windows_done=self._done,
                windows_open=len(self._open),
                windows_dropped=dict(self._dropped),
                time_jumps=self._jumps,
                gaps=self._window.gaps,
            )

    def report(self) -> SyncReport:
        """What explains why there are no sets."""
        with self._lock:
            return self._sync.report()

    def _push(self, sets: Iterable[FrameSet]) -> None:
        for frame_set in sets:
            self._sets += 1
            self._partial_sets += None in frame_set.frames
            window = self._window.push(frame_set)
            if window is not None:
                self._open.add(window)
                for replaced in self._mailbox.post(window):
                    self._open.remove(replaced)
                    self._let_go(replaced, "superseded")

    def _start_anew(self, cause: str) -> None:
        self._window.clear(cause)
        for window in self._mailbox.clear():
            self._open.remove(window)
            self._let_go(window, cause)

    def _end(self, window: Window) -> bool:
        """Takes a window off the open ones; False if closing the stream has done so."""
        if window in self._open:
            self._open.remove(window)
            return True
        if self._closed:
            return False
        raise ValueError(f"window {window.index} is not open")

    def _let_go(
        self, window: Window, cause: str, causes: Mapping[Frame, str] | None = None
    ) -> None:
        self._dropped[cause] += 1
        for frame in _frames(window):
            self._ledger.release((frame,), (causes or {}).get(frame, cause))


def _frames(window: Window) -> list[Frame]:
    return [frame for frame_set in window.sets for frame in present(frame_set)]
