# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""WindowStatus messages: what became of a window and of every frame so far."""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Mapping, Sequence

from builtin_interfaces.msg import Time

from vggt4d_ros.msg import Count, StageTime, WindowStatus
from vggt4d_ros.processor import Processed
from vggt4d_ros.ros.encode import NANOSECONDS, header, stamp_from_ns
from vggt4d_ros.stream.pipeline import StreamCounts


def resident_bytes() -> int:
    """Resident set of this process now, bytes."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:  # no procfs: the peak is all there is
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


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


def fill_counts(status: WindowStatus, counts: StreamCounts) -> None:
    """Writes the counters of the stream into a status."""
    status.frames_received = counts.frames.received
    status.frames_used = counts.frames.used
    status.frames_pending = counts.frames.pending
    status.frames_dropped = [
        Count(name=name, count=count) for name, count in sorted(counts.frames.dropped.items())
    ]
    status.sets = counts.sets
    status.windows = counts.windows_done
    status.windows_superseded = counts.windows_dropped.get("superseded", 0)


def window_status(
    processed: Processed,
    counts: StreamCounts,
    *,
    cameras: Sequence[str],
    fixed_frame: str,
    now_ns: int,
    stage_ms: Mapping[str, float],
    warnings: Sequence[str],
) -> WindowStatus:
    """Status of one finished window.

    Args:
        processed: the window.
        counts: of the stream, this window included.
        cameras: names in view order.
        fixed_frame: frame of the poses.
        now_ns: the node's clock.
        stage_ms: wall time by stage, milliseconds.
        warnings: in words.
    """
    window, tracked = processed.window, processed.tracked
    newest = window.sets[-1]
    status = WindowStatus(header=header(newest.stamp_ns, fixed_frame))
    status.window = window.index
    status.steps = window.shape[0]
    status.cameras = list(cameras)
    frames = [frame for frame_set in window.sets for frame in frame_set.frames]
    status.stamps = [stamp_from_ns(f.stamp_ns) if f is not None else Time() for f in frames]
    status.valid = [bool(valid) for valid in tracked.valid.ravel()]
    status.invalid_reasons = [
        f"step {step} camera {cameras[view]}: {reason}"
        for (step, view), reason in sorted(tracked.invalid_reasons.items())
    ] + [f"camera {cameras[r.frame.camera]}: {r.reason}" for r in processed.refused]
    status.spread = newest.spread_ns / NANOSECONDS
    fill_counts(status, counts)
    status.stage_times = [StageTime(name=k, milliseconds=float(v)) for k, v in stage_ms.items()]
    status.latency = (now_ns - newest.stamp_ns) / NANOSECONDS
    status.memory = resident_bytes()
    status.scale_source = int(tracked.scale.source)
    status.scale = float(tracked.scale.value)
    status.scale_sigma = float(tracked.scale.sigma)
    alignment = tracked.alignment
    status.overlap_points = 0 if alignment is None else int(alignment.points)
    status.overlap_translation = math.nan if alignment is None else float(alignment.residual_m)
    status.overlap_rotation = math.nan if alignment is None else float(alignment.residual_rad)
    status.overlap_scale = 1.0 if alignment is None else float(alignment.scale_ratio)
    status.warnings = list(warnings)
    return status
