# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Thousands of windows take no more memory than hundreds, whatever cameras come and go."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from vggt4d_ros.config import Config, EngineConfig, SyncConfig
from vggt4d_ros.datatypes import CameraModel, Frame, LazyImage, Rig
from vggt4d_ros.geometry.se3 import BODY_FROM_OPTICAL
from vggt4d_ros.model.contract import Engine
from vggt4d_ros.model.engine import load_engine
from vggt4d_ros.model.null import NullPredictor
from vggt4d_ros.processor import Processor
from vggt4d_ros.products import merged_cloud, view_products
from vggt4d_ros.ros.memory import MessageMemory
from vggt4d_ros.stream.pipeline import StreamPipeline

if TYPE_CHECKING:
    from vggt4d_ros.model.trunk import Trunk

CAMERAS, PERIOD_NS = 4, 33_333_333
WARM_UP, WINDOWS = 500, 2000
MOST_MIB = 8.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def is_there(camera: int, index: int) -> bool:
    """Camera 1 loses a frame now and then, 2 is gone for whole spells, 3 starts late."""
    return (
        camera == 0
        or (camera == 1 and index % 7 != 0)
        or (camera == 2 and index % 200 < 150)
        or (camera == 3 and index > 100)
    )


class Run:
    """Frames in, products out, as in the node, without ROS."""

    def __init__(self, engine: Engine, width: int, height: int) -> None:
        self.config = Config(sync=SyncConfig(min_cameras=1, deadline_s=0.03))
        self.pipeline = StreamPipeline(CAMERAS, self.config.sync, self.config.window)
        self.processor = Processor(engine, flow=True)
        self.rng = np.random.default_rng(0)
        self.memory = MessageMemory()
        self.model = CameraModel(width, height, width, width, (width - 1) / 2, (height - 1) / 2)
        mounts = np.repeat(BODY_FROM_OPTICAL[None], CAMERAS, axis=0)
        mounts[:, 1, 3] = -0.1 * np.arange(CAMERAS)
        self.rig = Rig(tuple(mounts))
        self.index = self.windows = self.partial = 0
        self.each: Callable[[], None] = lambda: None  # called after each window

    def until(self, windows: int) -> None:
        while self.windows < windows:
            self.index += 1
            for camera in filter(lambda one: is_there(one, self.index), range(CAMERAS)):
                size = (self.model.height, self.model.width, 3)
                image = LazyImage.from_array(self.rng.integers(0, 256, size, dtype=np.uint8))
                stamp_ns = self.index * PERIOD_NS
                self.pipeline.receive(Frame(camera, stamp_ns, image, f"cam{camera}", self.model))
            window = self.pipeline.take(0.0)
            if window is None:
                continue
            processed = self.processor.process(window, self.rig)
            self.pipeline.done(window)
            views = view_products(processed, self.config.geometry, self.memory)
            for view in views:
                assert view.cloud.shape[2] == 5
            if self.windows % 20 == 0:
                merged_cloud(views, 0.05)
            self.windows += 1
            self.partial += not window.valid.all()
            self.each()


def settled_growth(run: Run, windows: int = WINDOWS) -> float:
    """MiB that so many windows after the warm-up add, told in four parts."""
    run.until(WARM_UP)
    before, marks = resident_mib(), []
    for part in range(1, 5):
        run.until(WARM_UP + windows * part // 4)
        marks.append(resident_mib() - before)
    told = ", ".join(f"{mark:+.1f}" for mark in marks)
    print(f"{before:.1f} MiB after {WARM_UP} windows, then {told}; {run.partial} not complete")
    assert run.partial > windows / 10
    return marks[-1]


needs_procfs = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no procfs")


@needs_procfs
def test_memory_stays_the_same_over_two_thousand_windows() -> None:
    growth = settled_growth(Run(NullPredictor(), width=160, height=120))

    assert growth < MOST_MIB, f"{growth:.1f} MiB more after {WINDOWS} windows"


class Kept:
    """How much the network keeps from window to window, at most so far."""

    def __init__(self, trunk: Trunk) -> None:
        self._trunk = trunk
        self.entries = self.mib = 0.0

    def note(self) -> None:
        *windows, rows = self._trunk.caches
        self.entries = max(self.entries, *map(len, windows), len(rows))
        self.mib = max(self.mib, sum(tensor_bytes(vars(cache)) for cache in windows) / 2**20)


def tensor_bytes(value: object) -> int:
    """Bytes of the tensors in nested dictionaries and tuples."""
    if isinstance(value, (dict, list, tuple)):
        return sum(map(tensor_bytes, value.values() if isinstance(value, dict) else value))
    return value.untyped_storage().nbytes() if hasattr(value, "untyped_storage") else 0


@needs_procfs
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("compiled", "windows"), [(False, WINDOWS), (True, WINDOWS // 4)])
def test_the_network_keeps_no_more_from_window_to_window(compiled: bool, windows: int) -> None:
    """The packaged network on small images: its memory, its caches and what is compiled."""
    pytest.importorskip("torch")
    from torch._dynamo.testing import CompileCounter

    from vggt4d_ros.model.predictor import Predictor
    from vggt4d_ros.model.speed import compile_stages

    predictor = load_engine(EngineConfig(device="cpu", image_size=48, threads=1))
    assert isinstance(predictor, Predictor)
    counter = CompileCounter()
    if compiled:
        predictor._known = {}
        compile_stages(predictor.model, predictor.device, backend=counter)
    run, kept = Run(predictor, width=48, height=32), Kept(predictor.trunk)
    run.each = kept.note
    run.until(WARM_UP)
    early = (kept.entries, kept.mib, counter.frame_count)

    growth = settled_growth(run, windows)

    print(f"caches: {kept.entries} entries, {kept.mib:.2f} MiB; {counter.frame_count} graphs")
    assert (kept.entries, kept.mib, counter.frame_count) == early
    assert kept.entries >= CAMERAS * run.config.window.length
    assert kept.mib > 0
    assert (counter.frame_count > 0) == compiled
    assert growth < MOST_MIB, f"{growth:.1f} MiB more after {windows} windows"
