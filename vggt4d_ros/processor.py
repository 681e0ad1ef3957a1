# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From a window to poses and depth in the fixed frame: decode, predict, track.

The live node and the evaluation run this very class, so that both give the same numbers.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from vggt4d_ros.datatypes import DecodeError, Frame, FrameSet, Prediction, Rig, Window
from vggt4d_ros.geometry.camera_info import fit_to_image
from vggt4d_ros.geometry.given import fit_given
from vggt4d_ros.geometry.parallax import view_pairs
from vggt4d_ros.geometry.platform_motion import PlatformMotion
from vggt4d_ros.geometry.scale import GivenScale
from vggt4d_ros.geometry.tracked import TrackedWindow
from vggt4d_ros.geometry.tracker import Tracker
from vggt4d_ros.model.engine import Engine
from vggt4d_ros.model.errors import OutOfMemory

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Refusal:
    """A frame of a window that the network did not see, and why."""

    frame: Frame
    cause: str  # as in stream.causes
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class ScaleHints:
    """Lengths that somebody else knows; asked for after the network, so that they may come late.

    Each takes the window as the network saw it.
    """

    motion: Callable[[Window, Rig], PlatformMotion | None] | None = None
    given: Callable[[Window], GivenScale | None] | None = None  # depth images of any size


@dataclass(frozen=True, slots=True, eq=False)
class Processed:
    """One window and all that was made of it."""

    window: Window  # without frames that could not be used
    rig: Rig  # extrinsics at the time
    prediction: Prediction
    tracked: TrackedWindow
    stage_ms: dict[str, float]
    refused: tuple[Refusal, ...]  # frames of the window that the network did not see
    is_news: bool  # the window's newest step is still in it; else its results are known already
    warnings: tuple[str, ...]
    motion: PlatformMotion | None = None  # the platform's own, where it was asked for


class EmptyWindow(ValueError):
    """No frame of the window could be decoded."""

    def __init__(self, refused: list[Refusal]) -> None:
        super().__init__("no frame of the window could be used")
        self.refused = tuple(refused)


class Processor:
    """Runs windows through the engine and into the fixed frame. Not thread-safe.

    Args:
        engine: the network.
        flow: whether scene flow will be asked for (costs dense outputs of one step more).
        masks: whether all that the network says of motion is wanted, its own masks too; else the
            flow that scene flow needs.
    """

    def __init__(self, engine: Engine, *, flow: bool = True, masks: bool = True) -> None:
        self._engine = engine
        self._decoder = WindowDecoder()
        self._tracker = Tracker()
        self.flow = flow
        self._masks = masks
        self._max_steps: int | None = None  # set when memory ran out

    @property
    def engine(self) -> Engine:
        """The network."""
        return self._engine

    def reset(self, reason: str) -> None:
        """Forgets the windows before: the next one begins a new trajectory."""
        self._tracker.reset(reason)

    def process(self, window: Window, rig: Rig, hints: ScaleHints | None = None) -> Processed:
        """Runs one window.

        Args:
            window: as the stream gives it.
            rig: extrinsics.
            hints: what else says how long things are.

        Raises:
            EmptyWindow: nothing in it could be decoded.
            OutOfMemory: not even a window of one step fits.
        """
        clock = _StageClock()
        usable, refused = self._decoder.decode(window)
        clock.lap("decode")
        if not usable.sets:
            raise EmptyWindow(refused)
        seen, prediction = self._predict(usable, rig)
        refused += _cut_off(window, seen, refused)
        is_news = bool(set(seen.sets[-1].stamps_ns) & set(window.sets[-1].stamps_ns))
        clock.skip()
        motion = hints.motion(seen, rig) if hints is not None and hints.motion else None
        given = hints.given(seen) if hints is not None and hints.given else None
        clock.lap("hints")
        tracked = self._tracker.update(
            seen,
            prediction,
            rig,
            odom_from_cam=None if motion is None else motion.odom_from_cam,
            given=None if given is None else fit_given(given, prediction),
        )
        clock.lap("geometry")
        stages = {"decode": clock.ms["decode"], **prediction.stage_ms}
        if hints is not None:
            stages["hints"] = clock.ms["hints"]
        stages["geometry"] = clock.ms["geometry"]
        return Processed(
            window=seen,
            rig=rig,
            prediction=prediction,
            tracked=tracked,
            stage_ms=stages,
            refused=tuple(refused),
            is_news=is_news,
            warnings=self._warnings(tracked, motion),
            motion=motion,
        )

    def _predict(self, window: Window, rig: Rig) -> tuple[Window, Prediction]:
        """Runs the network, on ever fewer steps while memory runs out."""
        pairs = view_pairs(rig.base_from_cam)
        while True:
            steps = window.shape[0]
            if self._max_steps is not None and steps > self._max_steps:
                window = replace(window, sets=window.sets[-self._max_steps :])
            try:
                dense = self._tracker.dense_steps(window, flow=self.flow)
                if self._masks:
                    return window, self._engine.predict(window, dense, view_pairs=pairs)
                motion = "flow" if self.flow else "none"
                return window, self._engine.predict(window, dense, motion=motion, view_pairs=pairs)
            except OutOfMemory as error:
                steps = window.shape[0]
                if steps == 1:
                    raise
                self._max_steps = steps // 2
                _LOG.warning("%s; windows shrink to %d steps from now on", error, self._max_steps)

    def _warnings(self, tracked: TrackedWindow, motion: PlatformMotion | None) -> tuple[str, ...]:
        shrunk = (
            (f"GPU memory ran out: windows are cut to {self._max_steps} steps",)
            if self._max_steps is not None
            else ()
        )
        told = motion.warnings if motion is not None else ()
        return (*self._engine.warnings, *shrunk, *told, *tracked.warnings)


def _cut_off(window: Window, seen: Window, refused: list[Refusal]) -> list[Refusal]:
    """Frames that could be decoded but for which there was no memory."""
    kept = {(f.camera, f.stamp_ns) for s in seen.sets for f in s.frames if f is not None}
    kept |= {(r.frame.camera, r.frame.stamp_ns) for r in refused}
    return [
        Refusal(frame, "out_of_memory", "no memory for so many steps")
        for frame_set in window.sets
        for frame in frame_set.frames
        if frame is not None and (frame.camera, frame.stamp_ns) not in kept
    ]


class _StageClock:
    def __init__(self) -> None:
        self.ms: dict[str, float] = {}
        self._last = time.perf_counter()

    def skip(self) -> None:
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.ms[stage] = 1000.0 * (now - self._last)
        self._last = now


class WindowDecoder:
    """Decodes the frames of windows and fits their intrinsics to the image.

    A frame that is in several windows stays one object, by which the network knows it again.
    """

    def __init__(self) -> None:
        self._fitted: dict[Frame, Frame] = {}  # as it came -> with fitted intrinsics

    def decode(self, window: Window) -> tuple[Window, list[Refusal]]:
        """Gives the window without what cannot be used, and what was refused.

        A camera has one image size in a window, that of its newest frame: older frames of another
        size are refused, so that a camera that changes its mode goes on at once in the new one.
        Steps that are left empty are taken out.
        """
        steps, views = window.shape
        refused: list[Refusal] = []
        slots: list[list[Frame | None]] = [[None] * views for _ in range(steps)]
        fitted: dict[Frame, Frame] = {}
        for view in range(views):
            size: tuple[int, int] | None = None
            for step in reversed(range(steps)):
                frame = window.frame(step, view)
                if frame is None:
                    continue
                try:
                    slots[step][view] = fitted[frame] = self._decode_frame(frame, size)
                    size = (frame.image.width, frame.image.height)
                except DecodeError as error:
                    refused.append(Refusal(frame, error.cause, str(error)))
        self._fitted = fitted
        sets = tuple(FrameSet(tuple(row)) for row in slots if any(f is not None for f in row))
        return replace(window, sets=sets), refused

    def _decode_frame(self, frame: Frame, size: tuple[int, int] | None) -> Frame:
        height, width = frame.image.rgb().shape[:2]
        if size is not None and (width, height) != size:
            raise DecodeError(
                "size_changed",
                f"image is {width}x{height}, the camera's newest is {size[0]}x{size[1]}",
            )
        if frame.model is None:
            return frame
        if frame in self._fitted:
            return self._fitted[frame]
        try:
            model = fit_to_image(frame.model, width, height)
        except ValueError as error:
            raise DecodeError("camera_info_mismatch", str(error)) from error
        return frame if model is frame.model else replace(frame, model=model)
