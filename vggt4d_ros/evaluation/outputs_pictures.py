# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of a few instants of recorded outputs."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.evaluation.outputs_score import RecordedView
from vggt4d_ros.evaluation.pictures import (
    depth_range,
    depth_rgb,
    gray_rgb,
    relative_error,
    small,
)
from vggt4d_ros.evaluation.results import Picture
from vggt4d_ros.evaluation.score_depth import match_size

_MOST_CAMERAS = 6
_ERROR_FULL = 0.5  # relative depth error that is drawn in the last colour


class OutputPictures:
    """Draws windows spread evenly.

    Args:
        windows: stamps of all windows, in order.
        wanted: windows to draw.
        cameras: names.
    """

    def __init__(self, windows: Sequence[int], wanted: int, cameras: Sequence[str]) -> None:
        count = max(0, min(wanted, len(windows)))
        spread = np.linspace(0, max(len(windows) - 1, 0), count).round().astype(int)
        self._chosen = {windows[index]: index for index in spread.tolist()}
        self._cameras = cameras
        self.pictures: list[Picture] = []

    def add(self, window_ns: int | None, view: RecordedView) -> None:
        """Draws a camera's outputs if their window is one of those chosen."""
        if window_ns is None or window_ns not in self._chosen or view.view >= _MOST_CAMERAS:
            return
        near, far = depth_range(view.depth)
        caption = f"depth {near:.2f} (red) to {far:.2f} (blue)"
        self._put(window_ns, view, "depth", caption, depth_rgb(view.depth, near, far))
        confidence = view.prediction.depth_confidence
        if np.isfinite(confidence).any():
            excess = np.log(np.maximum(confidence - 1.0, 1e-9))
            low, high = np.nanpercentile(excess, [2, 98]).tolist()
            drawn = gray_rgb(excess, low, max(high, low + 1e-6))
            caption = f"confidence less 1: {np.exp(low):.2g} (dark) to {np.exp(high):.2g} (bright)"
            self._put(window_ns, view, "confidence", caption, drawn)
        if view.mask is not None:
            caption = f"moving: {100 * view.mask.mean():.1f} % of the pixels"
            grey = np.where(view.mask, np.uint8(255), np.uint8(0))
            drawn = small(np.repeat(grey[..., None], 3, axis=2), cv2.INTER_NEAREST)
            self._put(window_ns, view, "dynamic", caption, drawn)
        if view.truth is not None:
            self._truth(window_ns, view, view.truth)

    def _truth(self, window_ns: int, view: RecordedView, truth: NDArray[np.float32]) -> None:
        true = match_size(truth, view.depth.shape, sparse=False)
        if true is None:
            return
        near, far = depth_range(true)
        caption = f"true depth {near:.2f} (red) to {far:.2f} m (blue)"
        self._put(window_ns, view, "depth_truth", caption, depth_rgb(true, near, far))
        error = relative_error(view.depth, true)
        mean = float(np.nanmean(error)) if np.isfinite(error).any() else float("nan")
        caption = f"|error| / true depth after the median is aligned: mean {mean:.3f}"
        self._put(window_ns, view, "error", caption, gray_rgb(error, 0.0, _ERROR_FULL))

    def _put(
        self, window_ns: int, view: RecordedView, kind: str, caption: str, rgb: NDArray[np.uint8]
    ) -> None:
        png = cv2.imencode(".png", rgb[..., ::-1])[1].tobytes()
        index, camera = self._chosen[window_ns], self._cameras[view.view]
        self.pictures.append(Picture(index, view.stamp_ns, camera, kind, caption, png))
