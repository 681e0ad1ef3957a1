# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the time of a run goes, and how much memory it takes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from vggt4d_ros.evaluation.results import Row

NETWORK = ("preprocess", "encoder", "cross_view", "cross_time", "heads", "postprocess")


def resident_bytes() -> int:
    """Memory of this process; 0 where the system does not say."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


class Stopwatch:
    """Adds up seconds by part of the work; parts do not overlap."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._started = time.perf_counter()
        self._cpu = time.process_time()
        self._rss_first = self._rss_most = resident_bytes()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Counts the time of a block."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, time.perf_counter() - begin)

    def add(self, name: str, seconds: float) -> None:
        """Counts time that was measured elsewhere."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def look(self) -> None:
        """Looks at the memory."""
        self._rss_most = max(self._rss_most, resident_bytes())

    def summary(self, timings: list[Row], images: int) -> dict[str, Any]:
        """What metrics.json says under ``timing``.

        ``read_decode_share`` is that of the time that the run itself took: reading, decoding, the
        network and geometry, not scores and pictures.
        """
        self.look()
        total = time.perf_counter() - self._started
        parts = {name: self.seconds.get(name, 0.0) for name in ("read", "decode")}
        pipeline = sum(
            self.seconds.get(name, 0.0) for name in ("read", "decode", "network", "geometry")
        )
        return {
            "total_s": total,
            "cpu_s": time.process_time() - self._cpu,
            "parts_s": dict(sorted(self.seconds.items())),
            "read_decode_share": sum(parts.values()) / pipeline if pipeline else 0.0,
            "windows_per_s": len(timings) / pipeline if pipeline else 0.0,
            "images_per_s": images / pipeline if pipeline else 0.0,
            "stages_ms": _stages(timings),
            "rss_start_bytes": self._rss_first,
            "rss_most_bytes": self._rss_most,
        }


def _stages(timings: list[Row]) -> dict[str, dict[str, float]]:
    names = dict.fromkeys(name for row in timings for name in row if name.endswith("_ms"))
    found = {}
    for name in names:
        values = [float(row[name]) for row in timings if name in row]
        low, middle, high = np.percentile(values, [0, 50, 95]).tolist()
        mean = float(np.mean(values))
        found[name[:-3]] = {"min": low, "p50": middle, "p95": high, "mean": mean}
    return found
