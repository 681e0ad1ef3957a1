# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""WindowStatus messages: what became of a window and of every frame so far."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vggt4d_ros.config import Config
from vggt4d_ros.messages.encode import Encoder, Message
from vggt4d_ros.messages.stamps import NANOSECONDS
from vggt4d_ros.processor import Processed
from vggt4d_ros.stream.pipeline import StreamCounts

UNSCALED = (
    "no metric scale: depth, clouds, poses and TF are held back; give the rig's extrinsics by TF, "
    "or set geometry.allow_unscaled"
)


def is_held_back(processed: Processed, config: Config) -> bool:
    """Whether results are in network units and may not go out."""
    return not processed.tracked.scale.known and not config.geometry.allow_unscaled


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a status tells beside the window itself."""

    cameras: Sequence[str]  # names in view order
    fixed_frame: str  # of the poses
    latency_s: float  # newest image stamp to now
    stage_ms: Mapping[str, float]  # wall time by stage
    warnings: Sequence[str]
    memory: int  # resident set of the process, bytes
    gpu_memory: int  # bytes
    device: str
    model: str


def fill_counts(encoder: Encoder, status: Message, counts: StreamCounts) -> None:
    """Writes the counters of the stream into a status."""
    status.frames_received = counts.frames.received
    status.frames_used = counts.frames.used
    status.frames_pending = counts.frames.pending
    status.frames_dropped = [
        encoder.new("vggt4d_ros/Count", name=name, count=count)
        for name, count in sorted(counts.frames.dropped.items())
    ]
    status.sets = counts.sets
    status.windows = counts.windows_done
    status.windows_superseded = counts.windows_dropped.get("superseded", 0)


def window_status(
    encoder: Encoder, processed: Processed, counts: StreamCounts, about: Circumstances
) -> Message:
    """Status of one finished window; ``counts`` are of the stream, this window included."""
    window, tracked = processed.window, processed.tracked
    newest = window.sets[-1]
    head = encoder.header(newest.stamp_ns, about.fixed_frame)
    status = encoder.new("vggt4d_ros/WindowStatus", header=head)
    status.window = window.index
    status.steps = window.shape[0]
    status.cameras = list(about.cameras)
    frames = [frame for frame_set in window.sets for frame in frame_set.frames]
    status.stamps = [encoder.stamp(f.stamp_ns if f is not None else 0) for f in frames]
    status.valid = encoder.booleans(tracked.valid.ravel())
    status.invalid_reasons = [
        f"step {step} camera {about.cameras[view]}: {reason}"
        for (step, view), reason in sorted(tracked.invalid_reasons.items())
    ] + [f"camera {about.cameras[r.frame.camera]}: {r.reason}" for r in processed.refused]
    status.spread = newest.spread_ns / NANOSECONDS
    fill_counts(encoder, status, counts)
    status.stage_times = [
        encoder.new("vggt4d_ros/StageTime", name=name, milliseconds=float(value))
        for name, value in about.stage_ms.items()
    ]
    status.latency = about.latency_s
    status.device, status.model = about.device, about.model
    status.memory, status.gpu_memory = about.memory, about.gpu_memory
    status.scale_source = int(tracked.scale.source)
    status.scale = float(tracked.scale.value)
    status.scale_sigma = float(tracked.scale.sigma)
    alignment = tracked.alignment
    status.overlap_points = 0 if alignment is None else int(alignment.points)
    status.overlap_translation = math.nan if alignment is None else float(alignment.residual_m)
    status.overlap_rotation = math.nan if alignment is None else float(alignment.residual_rad)
    status.overlap_scale = 1.0 if alignment is None else float(alignment.scale_ratio)
    status.warnings = list(about.warnings)
    return status
