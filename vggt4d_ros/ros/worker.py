# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The thread that owns the network: newest window in, results out, until the stream closes."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from vggt4d_ros.datatypes import Frame, Rig, Window
from vggt4d_ros.processor import EmptyWindow, Processed, Processor, ScaleHints
from vggt4d_ros.stream.deadline import DeadlineControl
from vggt4d_ros.stream.pipeline import StreamPipeline

_LOG = logging.getLogger(__name__)


class Worker:
    """Takes windows from the pipeline until it is closed.

    Args:
        pipeline: where windows come from and where their end is told.
        processor: the network and the tracker; touched by this thread alone.
        rig: gives the extrinsics for a window, at the time it is worked on.
        hints: what else says how long things are.
        wanted: whether anybody wants results now; else windows are dropped as ``unwanted``.
        publish: takes each result on this thread; ``wait_ms`` is how long the window's newest
            frame had waited for the network.
        on_empty: takes windows in which no frame could be used.
        on_fatal: called with what ended the thread, when it was not the stream's close.
        deadline: chooses which windows run, and how much of them.
        targets: the deadline's latency, s, and rate, Hz, as they are now.
        waited_s: seconds that this thread has spent so far waiting for what others send late:
            they are no cost of a window's work.
    """

    def __init__(
        self,
        *,
        pipeline: StreamPipeline,
        processor: Processor,
        rig: Callable[[Window], Rig],
        hints: ScaleHints,
        wanted: Callable[[], bool],
        publish: Callable[[Processed, float], None],
        on_empty: Callable[[EmptyWindow], None],
        on_fatal: Callable[[BaseException], None],
        deadline: DeadlineControl,
        targets: Callable[[], tuple[float, float]],
        waited_s: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._pipeline = pipeline
        self._processor = processor
        self._rig = rig
        self._hints = hints
        self._wanted = wanted
        self._publish = publish
        self._on_empty = on_empty
        self._on_fatal = on_fatal
        self._deadline = deadline
        self._targets = targets
        self._waited_s = waited_s
        self._epoch = pipeline.epoch
        self._thread = threading.Thread(target=self._run, name="network", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def join(self, timeout_s: float) -> bool:
        """Waits for the thread's end after the pipeline was closed; whether it came."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while not self._pipeline.closed:
                window = self._pipeline.take(timeout_s=1.0)
                if window is not None:
                    self._work(window)
        except BaseException as error:  # a dead worker must end the process, whatever killed it
            self._on_fatal(error)

    def _work(self, window: Window) -> None:
        if window.epoch != self._epoch:
            self._epoch = window.epoch
            self._processor.reset("the stream started anew")
        if not self._wanted():
            self._pipeline.drop(window, "unwanted")
            return
        started_ns, waited_before_s = time.monotonic_ns(), self._waited_s()
        received_ns = max(f.received_ns for f in window.sets[-1].frames if f is not None)
        wait_ms = (started_ns - received_ns) / 1e6
        self._deadline.aim(*self._targets())
        if not self._deadline.admits(window.index, received_ns / 1e9):
            self._pipeline.drop(window, "paced")
            return
        self._processor.engine.image_size = self._deadline.plan.rung.image_size
        unseen = self._left_out(window)
        try:
            processed = self._processor.process(
                self._deadline.cut(window), self._rig(window), self._hints
            )
        except EmptyWindow as empty:
            causes = {refusal.frame: refusal.cause for refusal in empty.refused}
            self._pipeline.drop(window, "undecodable", {**unseen, **causes})
            self._on_empty(empty)
            return
        except BaseException:
            self._pipeline.drop(window, "failed")
            raise
        refused = {refusal.frame: refusal.cause for refusal in processed.refused}
        self._pipeline.done(window, {**unseen, **refused})
        # what was computed across a time jump or a close is of no use to anybody
        if self._pipeline.epoch == window.epoch and not self._pipeline.closed:
            said = self._deadline.describe()
            warnings = (*processed.warnings, said) if said else processed.warnings
            self._publish(replace(processed, warnings=warnings), wait_ms)
        waited_s = self._waited_s() - waited_before_s
        self._deadline.observe((time.monotonic_ns() - started_ns) / 1e9 - waited_s, waited_s)

    def _left_out(self, window: Window) -> dict[Frame, str]:
        """Frames of the oldest steps, which are not run, and why not."""
        # without a target, only what fits into memory makes windows shorter
        cause = "paced" if self._deadline.active else "out_of_memory"
        kept = self._deadline.cut(window).shape[0]
        oldest = window.sets[: window.shape[0] - kept]
        return {frame: cause for one in oldest for frame in one.frames if frame is not None}
