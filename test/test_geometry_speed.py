# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tracking stays cheap: a guard on its ratio to small numpy calls, never on a time."""

from __future__ import annotations

import time

import numpy as np
import pytest

from vggt4d_ros.datatypes import CameraModel, Frame, FrameSet, LazyImage, Rig, Window
from vggt4d_ros.geometry import se3
from vggt4d_ros.geometry.tracker import Tracker
from vggt4d_ros.model.null import NullPredictor

STEPS, VIEWS = 4, 4
MODEL = CameraModel(640, 480, 640.0, 640.0, 319.5, 239.5)
MOST = 12.0  # times the calls below; 7 to 8.5 is usual, 13 to 14 was what single arrays took
TRIES = 3  # other work on the machine strikes a single run
WINDOWS = 25


def small_calls() -> None:
    """What tracking is made of."""
    values = np.zeros((4, 3))
    for _ in range(300):
        np.add(values, values).sum(axis=1)


def window(index: int, image: LazyImage) -> Window:
    def frame(view: int, step: int) -> Frame:
        return Frame(view, (index + step + 1) * 100_000_000, image, f"cam{view}", MODEL)

    rows = (tuple(frame(view, step) for view in range(VIEWS)) for step in range(STEPS))
    return Window(tuple(FrameSet(row) for row in rows), index)


def ratio() -> float:
    """CPU time of a window's tracking over that of the small calls beside it."""
    rng = np.random.default_rng(0)
    image = LazyImage.from_array(np.zeros((480, 640, 3), np.uint8))
    mounts = np.repeat(se3.BODY_FROM_OPTICAL[None], VIEWS, axis=0)
    mounts[:, 1, 3] = -0.1 * np.arange(VIEWS)
    tracker, engine, rig = Tracker(), NullPredictor(), Rig(tuple(mounts))
    tracking, calls = [], []
    for index in range(WINDOWS):
        seen = window(index, image)
        prediction = engine.predict(seen, tracker.dense_steps(seen, flow=False))
        noise = se3.exp(rng.normal(0, 0.002, (STEPS, VIEWS, 6)))
        prediction.cam_from_world[:] = noise @ prediction.cam_from_world
        began = time.thread_time()
        tracked = tracker.update(seen, prediction, rig)
        middle = time.thread_time()
        small_calls()
        tracking.append(middle - began)
        calls.append(time.thread_time() - middle)
    assert tracked.scale.known
    assert tracked.alignment is not None
    return float(np.median(tracking) / np.median(calls))


def test_tracking_costs_no_more_than_some_thousands_of_small_calls():
    ratios = []
    for _ in range(TRIES):
        ratios.append(ratio())
        if ratios[-1] <= MOST:
            return

    pytest.fail(f"tracking takes {ratios} times as long as 600 small numpy calls")
