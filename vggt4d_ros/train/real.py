# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Metrics on real recordings, each beside its baselines."""

from __future__ import annotations

from collections.abc import Mapping

from vggt4d_ros.data.readers.recording import Recording, make_window
from vggt4d_ros.data.windows import WindowBatch
from vggt4d_ros.model.vggt4d import VGGT4D
from vggt4d_ros.train.baselines import evaluate_dis
from vggt4d_ros.train.metrics import evaluate

MOST_STEPS = 4


def window_of(recording: Recording, long_side: int, patch: int) -> WindowBatch:
    """The first steps of all cameras, at the network's size; the first image's shape is kept."""
    first = recording.read(0, 0)
    if first is None:
        raise ValueError(f"{recording.name}: its first frame is missing")
    own_height, own_width = first.rgb.shape[:2]
    scale = long_side / max(own_height, own_width)
    height, width = (
        max(patch, round(side * scale / patch) * patch) for side in (own_height, own_width)
    )
    steps = range(min(MOST_STEPS, recording.steps))
    return make_window(recording, steps, range(len(recording.cameras)), (height, width))


def evaluate_recordings(
    model: VGGT4D, recordings: Mapping[str, Recording], long_side: int
) -> dict[str, dict[str, float]]:
    """``evaluate`` of the first window of each recording, with DIS beside the flow."""
    found = {}
    for name, recording in recordings.items():
        window = window_of(recording, long_side, model.config.patch_size)
        numbers = evaluate(model, [window])
        numbers.pop("windows")
        if "epe" in numbers:
            numbers |= evaluate_dis([window])
        found[name] = numbers
    return found
