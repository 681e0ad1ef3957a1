# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""When windows are worked on: all of them, or those a live node of a given latency would take."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from vggt4d_ros.datatypes import Window
from vggt4d_ros.stream.pipeline import StreamPipeline


class Policy(Protocol):
    """Takes windows from a pipeline as the recording goes by."""

    every_window: bool
    name: str

    def before(self, now_ns: int, pipeline: StreamPipeline) -> Iterator[Window]:
        """Windows that are taken before what was recorded at ``now_ns`` comes."""
        ...

    def after(self, now_ns: int, pipeline: StreamPipeline) -> Iterator[Window]:
        """Windows that are taken at once when it has come."""
        ...

    def end(self, pipeline: StreamPipeline) -> Iterator[Window]:
        """Windows that are taken when nothing comes any more."""
        ...


class EveryWindow:
    """All windows, in order."""

    every_window = True
    name = "every window, in order"

    def before(self, now_ns: int, pipeline: StreamPipeline) -> Iterator[Window]:
        """None: all were taken."""
        return iter(())

    def after(self, now_ns: int, pipeline: StreamPipeline) -> Iterator[Window]:
        """All that are there."""
        return pipeline.windows()

    def end(self, pipeline: StreamPipeline) -> Iterator[Window]:
        """All that are there."""
        return pipeline.windows()


class NewestWins:
    """The live node's policy in simulated time: a free network takes the newest window.

    Images arrive when they were recorded; the network is busy for ``latency_ms`` after each window
    it takes. What a newer window replaced meanwhile is dropped, by the pipeline's own rule.
    """

    every_window = False

    def __init__(self, latency_ms: float) -> None:
        if not latency_ms >= 0:
            raise ValueError(f"latency_ms must not be negative, got {latency_ms}")
        self._latency_ns = round(latency_ms * 1e6)
        self._free_ns: int | None = None  # when the network is free again; None: it never worked
        self.name = f"newest wins, {latency_ms:g} ms a window"

    def before(self, now_ns: int, pipeline: StreamPipeline) -> Iterator[Window]:
        """The window that waited until the network became free, if that was before ``now_ns``."""
        if self._free_ns is None or self._free_ns > now_ns:
            return
        for window in pipeline.windows():  # one at most: newer ones replace it
            self._free_ns += self._latency_ns
            yield window

    def after(self, now_ns: int, pipeline: StreamPipeline) -> Iterator[Window]:
        """The window that has just been made, if the network is free."""
        if self._free_ns is not None and self._free_ns > now_ns:
            return
        for window in pipeline.windows():
            self._free_ns = now_ns + self._latency_ns
            yield window

    def end(self, pipeline: StreamPipeline) -> Iterator[Window]:
        """The one that still waits."""
        return pipeline.windows()
