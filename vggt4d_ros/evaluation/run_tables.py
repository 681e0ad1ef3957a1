# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Plain values of a run's windows, frames and configuration, as its folder has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vggt4d_ros.config import Config, leaves
from vggt4d_ros.evaluation.results import Row
from vggt4d_ros.processor import Processed
from vggt4d_ros.stream.pipeline import StreamCounts


def window_row(processed: Processed) -> Row:
    """The columns of windows.csv that every window has."""
    tracked, window = processed.tracked, processed.window
    alignment = tracked.alignment
    nan = float("nan")
    steps, views = window.shape
    return {
        "index": window.index,
        "epoch": window.epoch,
        "stamp_ns": window.sets[-1].stamp_ns,
        "steps": steps,
        "views": views,
        "valid_slots": int(tracked.valid.sum()),
        "scale": float(tracked.scale.value),
        "scale_sigma": float(tracked.scale.sigma),
        "scale_source": tracked.scale.source.name.lower(),
        "residual_m": nan if alignment is None else float(alignment.residual_m),
        "residual_rad": nan if alignment is None else float(alignment.residual_rad),
    }


def camera_counts(counts: StreamCounts, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Received, used and dropped frames of each camera once the stream is closed.

    Raises:
        AssertionError: they do not add up: a frame was lost without a cause.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, camera in zip(names, counts.frames.cameras, strict=True):
        if camera.received != camera.used + sum(camera.dropped.values()):
            raise AssertionError(f"{name}: frames do not add up: {camera}")
        dropped = dict(sorted(camera.dropped.items()))
        found[name] = {"received": camera.received, "used": camera.used, "dropped": dropped}
    return found


def flat_config(config: Config) -> dict[str, Any]:
    """The configuration by ``section.field``."""
    found: dict[str, Any] = {}
    for leaf in leaves():
        section, _, key = leaf.name.partition(".")
        value = getattr(getattr(config, section), key)
        found[leaf.name] = list(value) if isinstance(value, tuple) else value
    return found
