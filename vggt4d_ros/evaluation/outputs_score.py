# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Scores recorded outputs of one camera's image, by the measures of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.datatypes import Array, CameraModel, DecodeError, FramePrediction, Window
from vggt4d_ros.evaluation.depth_truth import decode_depth
from vggt4d_ros.evaluation.metrics.mask import mask_metrics
from vggt4d_ros.evaluation.metrics.scene_flow import scene_flow_metrics
from vggt4d_ros.evaluation.outputs_reader import Instant, TruthFeed, mask_of, velocity_of
from vggt4d_ros.evaluation.outputs_status import StatusLog
from vggt4d_ros.evaluation.outputs_topics import DEPTH, FLOW, MASK
from vggt4d_ros.evaluation.results import Metrics, merge
from vggt4d_ros.evaluation.score_depth import DepthScorer
from vggt4d_ros.evaluation.sources import FrameTruth, Map, TruthCounts
from vggt4d_ros.evaluation.tally import Tally
from vggt4d_ros.geometry.scale import ScaleEstimate
from vggt4d_ros.messages import topics
from vggt4d_ros.processor import Processed
from vggt4d_ros.products import ViewProducts

CONFIDENCE = topics.CONFIDENCE.key
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class _Tracked:
    scale: ScaleEstimate
    started: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class RecordedWindow:
    """What the scorer of depth reads of a window."""

    window: Window
    tracked: _Tracked


@dataclass(frozen=True, slots=True, eq=False)
class RecordedView:
    """What the scorer of depth reads of a camera's outputs, and what is drawn of them."""

    view: int
    stamp_ns: int
    depth: Map  # (H, W), metres where the scale is known
    prediction: FramePrediction
    has_pose: bool
    world_from_cam: Array  # (4, 4)
    model: CameraModel | None
    mask: NDArray[np.bool_] | None
    truth: Map | None


class OutputScorer:
    """Scores instants in the order they come.

    Args:
        cameras: names.
        log: of the whole recording.
        feed: gives the truth.
        counts: how much depth truth there was; None: there is no topic of it.
        pose: (4, 4) of a camera at a stamp in the fixed frame; None where it is not known.
        models: newest intrinsics of each camera.
        baselines: whether constant depth is scored beside.
        faults: takes one line for each kind of message that cannot be read.
    """

    def __init__(
        self,
        cameras: Sequence[str],
        log: StatusLog,
        feed: TruthFeed,
        *,
        counts: TruthCounts | None,
        pose: Callable[[int, int], Array | None],
        models: dict[int, CameraModel],
        baselines: bool,
        faults: list[str],
    ) -> None:
        self._cameras = cameras
        self._log = log
        self._feed = feed
        self._counts = counts
        self._pose = pose
        self._models = models
        self._faults = faults
        self._told: set[tuple[str, str]] = set()
        self._tally, self._constant = Tally(), Tally()
        constant = self._constant if baselines else None
        self._depth = DepthScorer(self._tally, constant, metric=True)

    def score(self, instant: Instant) -> tuple[RecordedView | None, dict[str, float]]:
        """Scores one instant; gives what can be drawn, and columns for windows.csv."""
        columns = self._score_mask(instant) | self._score_flow(instant)
        message = instant.messages.get(DEPTH)
        depth = None if message is None else self._read(decode_depth, message, instant, DEPTH)
        if depth is None:
            return None, columns
        view = self._view(instant, depth)
        scale = self._log.scale(self._cameras[instant.camera], instant.stamp_ns)
        if scale is None:  # its status is not in the recording
            return view, columns
        truth = None if view.truth is None else FrameTruth(depth=view.truth)
        starts = self._log.window_of(self._cameras[instant.camera], instant.stamp_ns)
        started = "not tied to the window before" if starts in self._log.starts else ""
        window = RecordedWindow(Window(sets=()), _Tracked(scale, started))
        # the scorer reads nothing that these do not have
        found = self._depth.score(cast(Processed, window), cast(ViewProducts, view), truth)
        return view, columns | found

    def _view(self, instant: Instant, depth: Map) -> RecordedView:
        camera, messages = instant.camera, instant.messages
        confidence = None
        if CONFIDENCE in messages:
            confidence = self._read(decode_depth, messages[CONFIDENCE], instant, CONFIDENCE)
        if confidence is None or confidence.shape != depth.shape:
            confidence = np.full_like(depth, np.nan)
        mask = None
        if MASK in messages:
            mask = self._read(mask_of, messages[MASK], instant, MASK)
        model = self._models.get(camera)
        pose = self._pose(camera, instant.stamp_ns) if model is not None else None
        return RecordedView(
            view=camera,
            stamp_ns=instant.stamp_ns,
            depth=depth,
            prediction=FramePrediction(depth=depth, depth_confidence=confidence),
            has_pose=pose is not None,
            world_from_cam=np.full((4, 4), np.nan) if pose is None else pose,
            model=model,
            mask=mask,
            truth=self._true_depth(instant),
        )

    def _true_depth(self, instant: Instant) -> Map | None:
        if self._counts is None:
            return None
        self._counts.of += 1
        found = self._feed.find((instant.camera, DEPTH), instant.stamp_ns)
        if found is None:
            self._counts.why = self._counts.why or self._why_none(instant)
            return None
        depth = self._read(decode_depth, found, instant, "true depth")
        self._counts.matched += depth is not None
        return depth

    def _why_none(self, instant: Instant) -> str:
        name = self._cameras[instant.camera]
        if (instant.camera, DEPTH) not in self._feed.range:
            return f"no true depth of {name}"
        first, last = self._feed.range[instant.camera, DEPTH]
        return (
            f"true depth of {name} has stamps {first / 1e9:.3f} to {last / 1e9:.3f} s, "
            f"its depth {instant.stamp_ns / 1e9:.3f} s"
        )

    def _score_mask(self, instant: Instant) -> dict[str, float]:
        pair = self._pair(instant, MASK, mask_of)
        if pair is None:
            return {}
        numbers = mask_metrics(*pair)
        self._tally.add("mask", "all", numbers)
        return {name: numbers[name] for name in ("j", "f")}

    def _score_flow(self, instant: Instant) -> dict[str, float]:
        pair = self._pair(instant, FLOW, velocity_of)
        seconds = self._log.interval_s(self._cameras[instant.camera], instant.stamp_ns)
        if pair is None or seconds is None or seconds <= 0:
            return {}
        # measures are of displacements: what points moved since the step before
        found, true = (velocity.astype(np.float64) * seconds for velocity in pair)
        try:
            numbers = scene_flow_metrics(found, true, interval_s=seconds)
        except ValueError:
            return {}  # no point has both
        self._tally.add("scene_flow", "all", numbers)
        return {"epe3d": numbers["epe3d"]}

    def _pair(
        self, instant: Instant, key: str, decode: Callable[[Any], NDArray[Any]]
    ) -> tuple[NDArray[Any], NDArray[Any]] | None:
        """An output and its truth; None where one is missing or they differ in size."""
        if key not in instant.messages:
            return None
        true = self._feed.find((instant.camera, key), instant.stamp_ns)
        if true is None:
            return None
        first = self._read(decode, instant.messages[key], instant, key)
        second = self._read(decode, true, instant, f"true {key}")
        if first is None or second is None or first.shape != second.shape:
            return None
        return first, second

    def _read(
        self, decode: Callable[[Any], Value], message: Any, instant: Instant, what: str
    ) -> Value | None:
        try:
            return decode(message)
        except (DecodeError, ValueError) as error:
            name = self._cameras[instant.camera]
            if (name, what) not in self._told:
                self._told.add((name, what))
                self._faults.append(f"{name}: {what} cannot be read: {error}")
            return None

    def finish(self) -> tuple[Metrics, dict[str, Metrics], dict[str, list[float]]]:
        """Metrics, baselines and curves of all that was scored."""
        more, curves = self._depth.finish()
        metrics = self._tally.result()
        merge(metrics, more)
        constant = self._constant.result()
        return metrics, {"constant_depth": constant} if constant else {}, curves
