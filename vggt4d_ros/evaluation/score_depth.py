# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Depth against its truth, its steadiness over time, and whether its confidence means anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.datatypes import Array
from vggt4d_ros.evaluation.baselines import constant_depth
from vggt4d_ros.evaluation.metrics.calibration import depth_sparsification
from vggt4d_ros.evaluation.metrics.depth import DepthAlignment, depth_metrics
from vggt4d_ros.evaluation.metrics.temporal import temporal_metrics
from vggt4d_ros.evaluation.results import Metrics
from vggt4d_ros.evaluation.sources import FrameTruth, Map
from vggt4d_ros.evaluation.tally import Tally
from vggt4d_ros.geometry import se3
from vggt4d_ros.processor import Processed
from vggt4d_ros.products import ViewProducts

_CURVE_POINTS = 100
_TEMPORAL_PIXELS = 60_000  # of a frame, at least, where it has so many
_SEQUENCE_PIXELS = 256  # per frame, for the alignments of a whole sequence
_SEQUENCE_FRAMES = 4096  # every second one is forgotten beyond


@dataclass(frozen=True, slots=True, eq=False)
class _Before:
    """A camera's last depth."""

    depth: Map
    world_from_cam: Array
    intrinsics: Array
    epoch: int


def _thinned(view: ViewProducts, epoch: int) -> _Before:
    """Every n-th row and column: depth over time needs no more than these."""
    height, width = view.depth.shape
    stride = max(1, int(np.sqrt(height * width / _TEMPORAL_PIXELS)))
    intrinsics = view.model.matrix
    intrinsics[:2] /= stride
    depth = np.ascontiguousarray(view.depth[::stride, ::stride])
    return _Before(depth, view.world_from_cam, intrinsics, epoch)


class DepthScorer:
    """Scores the depth that the node would publish.

    Args:
        tally: of the network.
        baselines: of constant depth; None: not wanted.
        metric: truth is in metres.
    """

    def __init__(self, tally: Tally, baselines: Tally | None, *, metric: bool) -> None:
        self._tally = tally
        self._baselines = baselines
        self._metric = metric
        self._before: dict[int, _Before] = {}
        self._curves = np.zeros((2, _CURVE_POINTS))
        self._curve_frames = 0
        self._sequence = SequenceSample()

    def score(
        self, processed: Processed, view: ViewProducts, truth: FrameTruth | None
    ) -> dict[str, float]:
        """Scores one camera's newest depth; gives columns for windows.csv."""
        columns = self._score_temporal(processed, view)
        if truth is None or truth.depth is None:
            return columns
        true = match_size(truth.depth, view.depth.shape, sparse=truth.sparse)
        if true is None:
            return columns
        scale = processed.tracked.scale
        is_metric = self._metric and scale.known
        for alignment in get_args(DepthAlignment):
            if alignment == "metric" and not is_metric:
                continue
            found = view.depth / scale.value if alignment == "none" else view.depth
            try:
                numbers = depth_metrics(found, true, alignment)
            except ValueError:
                return columns  # no pixel has both
            self._tally.add("depth", alignment, numbers)
            if alignment == "median":
                columns |= {name: numbers[name] for name in ("abs_rel", "rmse", "delta1")}
            elif alignment == "metric":
                columns["metric_abs_rel"] = numbers["abs_rel"]
        self._sequence.add(view.depth / scale.value, true)
        self._score_confidence(view, true)
        self._score_constant(true)
        return columns

    def _score_confidence(self, view: ViewProducts, true: Map) -> None:
        curve = depth_sparsification(view.depth, true, view.prediction.depth_confidence)
        if curve is None:
            return
        self._tally.add("calibration", "depth", {"ause": curve.ause, "aurg": curve.aurg})
        self._curves += curve.curves[1:]
        self._curve_frames += 1

    def _score_constant(self, true: Map) -> None:
        if self._baselines is None:
            return
        if not (np.isfinite(true) & (true > 0)).any():
            return
        flat = constant_depth(true)
        for alignment in ("median", "scale_shift"):
            self._baselines.add("depth", alignment, depth_metrics(flat, true, alignment))

    def _score_temporal(self, processed: Processed, view: ViewProducts) -> dict[str, float]:
        """The depth of the window before, moved along by the estimated poses, against this one."""
        before = self._before.pop(view.view, None)
        if not view.has_pose:
            return {}
        epoch = processed.window.epoch
        now = _thinned(view, epoch)
        self._before[view.view] = now
        goes_on = not processed.tracked.started and before is not None and before.epoch == epoch
        if before is None or not goes_on or before.depth.shape != now.depth.shape:
            return {}
        try:
            numbers = temporal_metrics(
                before.depth,
                now.depth,
                intrinsics=np.stack([before.intrinsics, now.intrinsics]),
                previous_from_current=se3.inverse(before.world_from_cam) @ now.world_from_cam,
            )
        except ValueError:
            return {}
        self._tally.add("temporal", "all", numbers)
        return {"change": numbers["change"]}

    def finish(self) -> tuple[Metrics, dict[str, list[float]]]:
        """Metrics of the whole sequence, and the mean sparsification curves."""
        metrics: Metrics = {}
        sequence = self._sequence.metrics()
        if sequence:
            metrics["depth"] = sequence
        if not self._curve_frames:
            return metrics, {}
        found, oracle = (self._curves / self._curve_frames).tolist()
        shares = (np.arange(_CURVE_POINTS) / _CURVE_POINTS).tolist()
        return metrics, {"share": shares, "found": found, "oracle": oracle}


class SequenceSample:
    """Some pixels of every frame, for alignments that a whole sequence shares."""

    def __init__(self) -> None:
        self._pairs: list[NDArray[np.float32]] = []
        self._every = 1
        self._seen = 0

    def add(self, found: Map, true: Map) -> None:
        """Takes evenly spread pixels that have both."""
        self._seen += 1
        if self._seen % self._every:
            return
        with np.errstate(invalid="ignore"):
            both = np.flatnonzero((found > 0) & np.isfinite(found) & (true > 0) & np.isfinite(true))
        chosen = both[:: max(1, len(both) // _SEQUENCE_PIXELS)][:_SEQUENCE_PIXELS]
        self._pairs.append(np.stack([found.ravel()[chosen], true.ravel()[chosen]]))
        if len(self._pairs) > _SEQUENCE_FRAMES:
            self._pairs, self._every = self._pairs[1::2], 2 * self._every

    def metrics(self) -> dict[str, dict[str, float]]:
        """One alignment for all frames; empty where there are fewer than two."""
        if len(self._pairs) < 2:
            return {}
        found, true = np.concatenate(self._pairs, axis=1)
        return {
            "median_sequence": depth_metrics(found, true, "median"),
            "scale_shift_sequence": depth_metrics(found, true, "scale_shift"),
        }


def match_size(values: Map, shape: tuple[int, ...], *, sparse: bool) -> Map | None:
    """Truth (H, W) at another size of the same shape; None: another shape.

    Dense maps are taken at the nearest pixel, of sparse ones the nearest point in each new pixel.
    """
    height, width = shape
    own_height, own_width = values.shape
    if (own_height, own_width) == (height, width):
        return values
    if abs(own_height / own_width - height / width) > 0.02 * height / width:
        return None
    if not sparse:
        resized = cv2.resize(values, (width, height), interpolation=cv2.INTER_NEAREST)
        return np.asarray(resized, dtype=np.float32)
    v, u = np.nonzero(np.isfinite(values))
    at = (v * height // own_height, u * width // own_width)
    small = np.full((height, width), np.inf, np.float32)
    np.minimum.at(small, at, values[v, u])
    return np.where(np.isfinite(small), small, np.float32(np.nan))
