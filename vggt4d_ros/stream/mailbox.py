# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Hands windows from the thread that makes them to the one that works on them."""

from __future__ import annotations

import threading
from collections import deque

from vggt4d_ros.datatypes import Window


class Mailbox:
    """A slot for the newest window, or with ``every`` a queue of all. Thread-safe.

    With ``every`` nothing bounds the queue but the poster: it should empty the mailbox after
    each post, as an offline run does.
    """

    def __init__(self, every: bool = False) -> None:
        self._every = every
        self._windows: deque[Window] = deque()
        self._changed = threading.Condition()
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether the mailbox has been closed for good."""
        return self._closed

    def post(self, window: Window) -> list[Window]:
        """Puts a window in; gives back those that will not be taken any more because of it.

        Once the mailbox is closed that is ``window`` itself.
        """
        with self._changed:
            if self._closed:
                return [window]
            replaced = [] if self._every else self._empty()
            self._windows.append(window)
            self._changed.notify()
            return replaced

    def take(self, timeout_s: float | None = None) -> Window | None:
        """Waits for the next window; None when the time is up or the mailbox is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._windows or self._closed, timeout_s)
            return self._windows.popleft() if self._windows else None

    def clear(self) -> list[Window]:
        """Takes out and gives back everything."""
        with self._changed:
            return self._empty()

    def close(self) -> list[Window]:
        """Wakes everybody who waits, for good; gives back what was not taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            return self._empty()

    def _empty(self) -> list[Window]:
        windows = list(self._windows)
        self._windows.clear()
        return windows
