# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Wall and CPU time of windows, for benchmarks."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from vggt4d_ros.datatypes import Prediction


class Times:
    """Milliseconds of each window of one way to run them."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.busy: list[float] = []  # of all threads: what a loaded machine cannot stretch
        self.stages: dict[str, list[float]] = {}

    def measure(self, predict: Callable[[], Prediction], *, keep: bool) -> Prediction:
        """Runs a window; ``keep``: and takes its time down."""
        started, used = time.perf_counter(), time.process_time()
        prediction = predict()
        elapsed, busy = time.perf_counter() - started, time.process_time() - used
        if keep:
            self.wall.append(elapsed * 1e3)
            self.busy.append(busy * 1e3)
            for name, value in prediction.stage_ms.items():
                self.stages.setdefault(name, []).append(value)
        return prediction

    def report(self) -> dict[str, object]:
        """Medians and tails."""
        return {
            "windows": len(self.wall),
            "ms_p50": percentile(self.wall, 50),
            "ms_p95": percentile(self.wall, 95),
            "cpu_ms_p50": percentile(self.busy, 50),
            "stage_ms_p50": {k: percentile(v, 50) for k, v in self.stages.items()},
        }


def percentile(values: list[float], q: float) -> float:
    """The q-th percentile."""
    return float(np.percentile(values, q))
