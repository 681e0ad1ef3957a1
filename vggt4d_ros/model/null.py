# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""An engine without a network, to measure everything around it.

It answers at once with made-up numbers: depth rises from 1 to 2 from the top to the bottom of the
image, confidence is 2, cameras look the same way and stand 0.1 apart along x. It must never be
mistaken for a prediction: a warning says so. Imports numpy only.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.config import EngineConfig
from vggt4d_ros.datatypes import DecodeError, FramePrediction, LazyImage, Prediction, Window
from vggt4d_ros.model.contract import EngineDescription, resolve_steps

WARNING = "model.engine is 'null': depth and poses are made up; for benchmarks and dry runs only"
SPACING = 0.1  # network units between neighbouring cameras
FOCAL = 1.0  # in image widths


class NullPredictor:
    """As ``Predictor``; arrays are made once per image size and shared, read-only."""

    def __init__(self) -> None:
        self.warnings: tuple[str, ...] = (WARNING,)
        self.image_size = 0  # it has none
        self._depth: dict[tuple[int, int], FramePrediction] = {}

    @classmethod
    def from_config(cls, engine: EngineConfig) -> NullPredictor:
        """Takes any configuration; nothing in it matters here."""
        return cls()

    @property
    def image_sizes(self) -> tuple[int, ...]:
        """No other."""
        return (0,)

    @property
    def description(self) -> EngineDescription:
        """What runs."""
        return EngineDescription("null", 0, "cpu", "fp32", "none")

    @property
    def memory_bytes(self) -> int:
        """Memory of the made-up arrays."""
        return sum(f.depth.nbytes + f.depth_confidence.nbytes for f in self._depth.values())

    def largest_window(self, views: int) -> int:
        """Any is small."""
        return 64

    def warm_up(self, window_shape: tuple[int, int], sizes: Sequence[tuple[int, int]]) -> None:
        """Makes the arrays of these (height, width)."""
        for height, width in sizes:
            self._frame(height, width)

    def close(self) -> None:
        """Frees the arrays."""
        self._depth.clear()

    def predict(
        self,
        window: Window,
        dense_steps: Sequence[int] | None = None,
        *,
        points: bool = False,
        motion: str = "all",
        view_pairs: Sequence[tuple[int, int]] = (),
    ) -> Prediction:
        """Made-up outputs in the shapes of real ones; no flow, mask, point map or matches."""
        started = time.perf_counter()
        steps, views = window.shape
        dense = resolve_steps(dense_steps, steps)
        valid = window.valid
        poses = np.full((steps, views, 4, 4), np.nan)
        intrinsics = np.full((steps, views, 3, 3), np.nan)
        frames: dict[tuple[int, int], FramePrediction] = {}
        reasons: dict[tuple[int, int], str] = {}
        for step in range(steps):
            for view in range(views):
                frame = window.frame(step, view)
                if frame is None:
                    reasons[step, view] = "missing"
                    continue
                try:
                    height, width = _size(frame.image)
                except DecodeError as error:
                    valid[step, view] = False
                    reasons[step, view] = f"not decoded: {error.cause}"
                    continue
                poses[step, view] = _pose(view)
                intrinsics[step, view] = _intrinsics(height, width)
                if step in dense:
                    frames[step, view] = self._frame(height, width)
        elapsed_ms = (time.perf_counter() - started) * 1e3
        return Prediction(valid, poses, intrinsics, frames, reasons, {"heads": elapsed_ms})

    def _frame(self, height: int, width: int) -> FramePrediction:
        if (height, width) not in self._depth:
            rows: NDArray[np.float32] = np.linspace(1.0, 2.0, height, dtype=np.float32)
            depth = np.repeat(rows[:, None], width, axis=1)
            confidence = np.full((height, width), 2.0, dtype=np.float32)
            for array in (depth, confidence):
                array.setflags(write=False)
            self._depth[height, width] = FramePrediction(depth, confidence)
        return self._depth[height, width]


def _size(image: LazyImage) -> tuple[int, int]:
    if not (image.height and image.width):
        image.rgb()
    return image.height, image.width


@lru_cache(maxsize=64)
def _pose(view: int) -> NDArray[np.float64]:
    pose = np.eye(4)
    pose[0, 3] = -SPACING * view
    return pose


@lru_cache(maxsize=64)
def _intrinsics(height: int, width: int) -> NDArray[np.float64]:
    focal = FOCAL * width
    centre = ((width - 1) / 2, (height - 1) / 2)
    return np.array([[focal, 0.0, centre[0]], [0.0, focal, centre[1]], [0.0, 0.0, 1.0]])
