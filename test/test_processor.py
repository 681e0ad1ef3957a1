# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From windows to results: what is decoded, what is refused, what happens when memory runs out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from vggt4d_ros.config import EngineConfig, GeometryConfig
from vggt4d_ros.datatypes import (
    CameraModel,
    DecodeError,
    Frame,
    FrameSet,
    LazyImage,
    Prediction,
    Rig,
    Window,
)
from vggt4d_ros.geometry.platform_motion import PlatformMotion
from vggt4d_ros.geometry.scale import GivenScale, ScaleSource
from vggt4d_ros.model.engine import load_engine
from vggt4d_ros.model.errors import OutOfMemory
from vggt4d_ros.model.null import NullPredictor
from vggt4d_ros.processor import EmptyWindow, Processor, ScaleHints, WindowDecoder
from vggt4d_ros.products import view_products

SECOND = 1_000_000_000
NO_RIG = Rig((None, None))


def picture(width: int = 32, height: int = 24) -> LazyImage:
    return LazyImage.from_array(np.zeros((height, width, 3), np.uint8))


def broken() -> LazyImage:
    def decode() -> np.ndarray:
        raise DecodeError("corrupt_data", "cut short")

    return LazyImage(decode)


def frame(camera: int, step: int, image: LazyImage | None = None, **kwargs: object) -> Frame:
    return Frame(camera, (1 + step) * SECOND, image or picture(), f"cam{camera}", **kwargs)


def window(*steps: Sequence[Frame | None]) -> Window:
    return Window(tuple(FrameSet(tuple(frames)) for frames in steps))


def null_engine() -> NullPredictor:
    engine = load_engine(EngineConfig(engine="null"))
    assert isinstance(engine, NullPredictor)
    return engine


def test_a_frame_that_cannot_be_decoded_leaves_its_slot_empty() -> None:
    bad = frame(1, 0, broken())
    given = window([frame(0, 0), bad], [frame(0, 1), frame(1, 1)])

    usable, refused = WindowDecoder().decode(given)

    assert usable.valid.tolist() == [[True, False], [True, True]]
    assert [(r.frame, r.cause) for r in refused] == [(bad, "corrupt_data")]


def test_a_step_without_any_usable_frame_is_taken_out() -> None:
    given = window([frame(0, 0, broken())], [frame(0, 1)])

    usable, _ = WindowDecoder().decode(given)

    assert usable.shape == (1, 1)
    assert usable.sets[0].stamp_ns == 2 * SECOND


def test_the_newest_frame_decides_the_size_of_a_camera() -> None:
    given = window([frame(0, 0, picture(64, 48))], [frame(0, 1, picture(32, 24))])

    usable, refused = WindowDecoder().decode(given)

    assert usable.shape == (1, 1)
    assert [r.cause for r in refused] == ["size_changed"]
    assert "64x48" in refused[0].reason


def test_intrinsics_follow_the_image_and_the_frame_stays_one_object() -> None:
    model = CameraModel(64, 48, 60.0, 60.0, 31.5, 23.5)  # made for twice the size
    first, second = frame(0, 0, model=model), frame(0, 1, model=model)
    decoder = WindowDecoder()

    usable, _ = decoder.decode(window([first], [second]))
    again, _ = decoder.decode(window([second], [frame(0, 2, model=model)]))

    fitted = usable.frame(1, 0)
    assert fitted is not None
    assert fitted.model is not None
    assert (fitted.model.width, fitted.model.fx) == (32, 30.0)
    assert fitted.model.cx == pytest.approx(15.5)  # the centre of 32 pixels, integer at centres
    assert again.frame(0, 0) is fitted


def test_intrinsics_of_another_shape_refuse_the_frame() -> None:
    model = CameraModel(64, 64, 60.0, 60.0, 31.5, 31.5)

    _, refused = WindowDecoder().decode(window([frame(0, 0, model=model)]))

    assert [r.cause for r in refused] == ["camera_info_mismatch"]


def test_a_window_without_a_usable_frame_says_so() -> None:
    with pytest.raises(EmptyWindow) as caught:
        Processor(null_engine()).process(window([frame(0, 0, broken()), None]), NO_RIG)

    assert [r.cause for r in caught.value.refused] == ["corrupt_data"]


def test_every_stage_is_timed() -> None:
    processed = Processor(null_engine()).process(window([frame(0, 0), frame(1, 0)]), NO_RIG)

    assert {"decode", "geometry"} < set(processed.stage_ms)
    assert all(value >= 0 for value in processed.stage_ms.values())


class Blind(NullPredictor):
    """Stands in for a network that predicts no usable field of view."""

    def predict(
        self, window: Window, dense_steps: Sequence[int] | None = None, **asked: Any
    ) -> Prediction:
        found = super().predict(window, dense_steps, **asked)
        return replace(found, intrinsics=np.full_like(found.intrinsics, np.nan))


def test_a_camera_without_any_intrinsics_has_no_products_and_stops_nobody() -> None:
    engine = Blind.from_config(EngineConfig(engine="null"))
    model = CameraModel(32, 24, 30.0, 30.0, 15.5, 11.5)
    given = window([frame(0, 0, model=model), frame(1, 0)])

    processed = Processor(engine).process(given, NO_RIG)

    assert [view.view for view in view_products(processed, GeometryConfig())] == [0]


class SmallMemory(NullPredictor):
    """Stands in for a GPU on which only windows of ``fits`` steps have room."""

    fits = 1
    asked: list[int]

    def predict(
        self, window: Window, dense_steps: Sequence[int] | None = None, **asked: Any
    ) -> Prediction:
        self.asked.append(window.shape[0])
        if window.shape[0] > self.fits:
            raise OutOfMemory("no room")
        return super().predict(window, dense_steps, **asked)


def small_memory(fits: int) -> SmallMemory:
    engine = SmallMemory.from_config(EngineConfig(engine="null"))
    assert isinstance(engine, SmallMemory)
    engine.fits, engine.asked = fits, []
    return engine


def test_when_memory_runs_out_windows_shrink_for_good_and_say_so() -> None:
    engine = small_memory(fits=2)
    processor = Processor(engine)
    given = window(*([frame(0, step)] for step in range(4)))

    first = processor.process(given, Rig((None,)))
    second = processor.process(replace(given, index=1), Rig((None,)))

    assert engine.asked == [4, 2, 2]
    assert first.window.shape[0] == second.window.shape[0] == 2
    assert first.window.sets[-1].stamp_ns == 4 * SECOND, "the newest steps are kept"
    assert any("memory ran out" in warning for warning in second.warnings)


def test_when_not_even_one_step_fits_the_error_comes_through() -> None:
    engine = small_memory(fits=0)

    with pytest.raises(OutOfMemory):
        Processor(engine).process(window([frame(0, 0)], [frame(0, 1)]), Rig((None,)))

    assert engine.asked == [2, 1]


def test_hints_are_asked_for_the_window_the_network_saw_and_give_the_scale() -> None:
    rig = Rig((np.eye(4), None))
    asked: list[Window] = []

    def motion(seen: Window, of: Rig) -> PlatformMotion:
        asked.append(seen)
        poses = np.full((*seen.shape, 4, 4), np.nan)
        return PlatformMotion(poses, Counter(late=3), Counter(late=1), 0.5, "odom has stopped")

    def given(seen: Window) -> GivenScale:
        # the null engine's depth goes from 1 to 2; here it is three times that, at half the size
        depth = np.repeat(np.linspace(3.0, 6.0, 12, dtype=np.float32)[:, None], 16, axis=1)
        return GivenScale(depth_m={(0, 0): depth})

    processed = Processor(null_engine()).process(
        window([None, None], [frame(0, 1), None]), rig, ScaleHints(motion, given)
    )

    assert [seen.shape for seen in asked] == [(1, 2)]
    assert processed.motion is not None
    assert "platform motion: 3 of 2 frames: odom has stopped" in processed.warnings
    assert processed.tracked.scale.source is ScaleSource.GIVEN
    assert processed.tracked.scale.value == pytest.approx(3.0, rel=0.02)
    assert "hints" in processed.stage_ms
