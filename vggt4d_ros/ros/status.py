# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a status tells of the process: its memory and the time around the network."""

from __future__ import annotations

import math
import resource
import sys
import time

from vggt4d_ros.processor import Processed


def resident_bytes() -> int:
    """Resident set of this process now, bytes."""
    try:
        with open("/proc/self/statm", "rb", buffering=0) as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:  # no procfs: the peak is all there is
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


class MemoryMeter:
    """``resident_bytes``, looked at once a second: asking the kernel costs as much as a message."""

    def __init__(self) -> None:
        self._bytes = 0
        self._looked = -math.inf

    def read(self) -> int:
        """Resident set of this process, bytes."""
        now = time.monotonic()
        if now - self._looked >= 1.0:
            self._bytes, self._looked = resident_bytes(), now
        return self._bytes


class StageTimer:
    """Adds what happens around a processed window to its stage times.

    ``wait`` is from the arrival of the newest frame to the start of the work on its window,
    ``publish`` from the end of the work to the last message, ``total`` all of it.
    """

    def __init__(self, processed: Processed, wait_ms: float) -> None:
        self._stages = {"wait": wait_ms, **processed.stage_ms}
        newest = processed.window.sets[-1].frames
        self._arrived_ns = max(f.received_ns for f in newest if f is not None)
        self._start_ns = time.monotonic_ns()

    def stop(self) -> dict[str, float]:
        """Milliseconds by stage, once all but the status is published."""
        now_ns = time.monotonic_ns()
        publish_ms, total_ms = (now_ns - self._start_ns) / 1e6, (now_ns - self._arrived_ns) / 1e6
        return {**self._stages, "publish": publish_ms, "total": total_ms}
