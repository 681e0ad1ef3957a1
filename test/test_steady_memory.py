# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Thousands of windows take no more memory than hundreds, whatever cameras come and go."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from vggt4d_ros.config import Config, SyncConfig
from vggt4d_ros.datatypes import CameraModel, Frame, LazyImage, Rig
from vggt4d_ros.geometry.se3 import BODY_FROM_OPTICAL
from vggt4d_ros.model.null import NullPredictor
from vggt4d_ros.processor import Processor
from vggt4d_ros.products import merged_cloud, view_products
from vggt4d_ros.ros.memory import MessageMemory
from vggt4d_ros.stream.pipeline import StreamPipeline

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
    """Frames in, products out, as in the node, without ROS and without a network."""

    def __init__(self, width: int, height: int) -> None:
        self.config = Config(sync=SyncConfig(min_cameras=1, deadline_s=0.03))
        self.pipeline = StreamPipeline(CAMERAS, self.config.sync, self.config.window)
        self.processor = Processor(NullPredictor(), flow=True)
        self.memory = MessageMemory()
        self.model = CameraModel(width, height, width, width, (width - 1) / 2, (height - 1) / 2)
        mounts = np.repeat(BODY_FROM_OPTICAL[None], CAMERAS, axis=0)
        mounts[:, 1, 3] = -0.1 * np.arange(CAMERAS)
        self.rig = Rig(tuple(mounts))
        self.index = self.windows = self.partial = 0

    def until(self, windows: int) -> None:
        while self.windows < windows:
            self.index += 1
            for camera in filter(lambda one: is_there(one, self.index), range(CAMERAS)):
                pixels = np.full((self.model.height, self.model.width, 3), camera, np.uint8)
                image = LazyImage.from_array(pixels)
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


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no procfs")
def test_memory_stays_the_same_over_two_thousand_windows():
    run = Run(width=160, height=120)
    run.until(WARM_UP)
    before = resident_mib()

    run.until(WARM_UP + WINDOWS)

    growth = resident_mib() - before
    print(f"{growth:+.1f} MiB over {WINDOWS} windows, {run.partial} of them not complete")
    assert run.partial > WINDOWS / 10
    assert growth < MOST_MIB, f"{growth:.1f} MiB more after {WINDOWS} windows"
