# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Drives the node's stream and processor with a recording, window by window."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from vggt4d_ros.datatypes import Window
from vggt4d_ros.evaluation.real_time import Policy
from vggt4d_ros.evaluation.sources import Arrival, Source
from vggt4d_ros.evaluation.stopwatch import NETWORK, Stopwatch
from vggt4d_ros.processor import EmptyWindow, Processed, Processor
from vggt4d_ros.stream.pipeline import StreamPipeline
from vggt4d_ros.stream.sync import SyncReport

Progress = Callable[[int, int], None]  # images done, images in all


class Replay:
    """One pass over a source.

    Args:
        source: what is read.
        pipeline: made with the policy's ``every_window``.
        processor: the network and the tracker.
        policy: which windows are worked on.
        stopwatch: gets the time of reading and of the stages.
        progress: told after each image.
    """

    def __init__(
        self,
        source: Source,
        pipeline: StreamPipeline,
        processor: Processor,
        policy: Policy,
        *,
        stopwatch: Stopwatch,
        progress: Progress | None = None,
    ) -> None:
        self._source = source
        self.pipeline = pipeline
        self._processor = processor
        self._policy = policy
        self._stopwatch = stopwatch
        self._progress = progress
        self._hints = source.hints()
        self._epoch = pipeline.epoch
        self.images = 0
        self.sync_report: SyncReport | None = None  # of the end

    def windows(self) -> Iterator[Processed]:
        """Gives every window that was worked on; closes the stream at the end."""
        pipeline, policy = self.pipeline, self._policy
        for arrival in self._arrivals():
            for window in policy.before(arrival.recorded_ns, pipeline):
                yield from self._work(window)
            if arrival.frame is None:
                pipeline.reject(arrival.camera, arrival.cause)
            elif pipeline.receive(arrival.frame) is not None:
                self._source.forget()
            for window in policy.after(arrival.recorded_ns, pipeline):
                yield from self._work(window)
        for window in policy.end(pipeline):
            yield from self._work(window)
        self.sync_report = pipeline.report()
        pipeline.close()

    def _arrivals(self) -> Iterator[Arrival]:
        """The source's arrivals, their reading timed."""
        arrivals = self._source.arrivals()
        while True:
            begin = time.perf_counter()
            arrival = next(arrivals, None)
            self._stopwatch.add("read", time.perf_counter() - begin)
            if arrival is None:
                return
            yield arrival
            self.images += 1
            if self._progress is not None:
                self._progress(self.images, self._source.total)

    def _work(self, window: Window) -> Iterator[Processed]:
        """Runs a window as the live node's worker does."""
        if window.epoch != self._epoch:
            self._epoch = window.epoch
            self._processor.reset("the stream started anew")
        try:
            rig = self._source.rig(window)
            processed = self._processor.process(window, rig, self._hints)
        except EmptyWindow as empty:
            causes = {refusal.frame: refusal.cause for refusal in empty.refused}
            self.pipeline.drop(window, "undecodable", causes)
            return
        except BaseException:
            self.pipeline.drop(window, "failed")
            raise
        self.pipeline.done(window, {r.frame: r.cause for r in processed.refused})
        self._note_times(processed)
        yield processed

    def _note_times(self, processed: Processed) -> None:
        stages = processed.stage_ms
        network = sum(stages.get(name, 0.0) for name in NETWORK)
        self._stopwatch.add("decode", stages.get("decode", 0.0) / 1e3)
        self._stopwatch.add("network", network / 1e3)
        self._stopwatch.add("geometry", stages.get("geometry", 0.0) / 1e3)
