# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Windows of two cameras on a rig that moves, as the network without weights sees them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vggt4d_ros.config import Config, EngineConfig, config_from_flat
from vggt4d_ros.datatypes import CameraModel, Frame, FrameSet, LazyImage, Rig, Window
from vggt4d_ros.geometry import se3
from vggt4d_ros.model.engine import load_engine
from vggt4d_ros.processor import Processed, Processor

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND + 123_456_789
CAMERAS = ("front", "rig/left")
MODEL = CameraModel(48, 36, 40.0, 41.0, 23.5, 17.5)
BODY_FROM_OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


def stamp(camera: int, step: int) -> int:
    return START + step * SECOND // 10 + camera * 1000


def config(**values: object) -> Config:
    return config_from_flat(
        {"cameras.names": CAMERAS, "geometry.allow_unscaled": True, "window.length": 2} | values
    )


def frame(camera: int, step: int) -> Frame:
    rng = np.random.default_rng(100 * step + camera)
    rgb = rng.integers(0, 255, (36, 48, 3), dtype=np.uint8)
    image = LazyImage.from_array(rgb)
    return Frame(camera, stamp(camera, step), image, f"cam{camera}_optical", MODEL)


def rig() -> Rig:
    mounts = [np.array([0.3, 0.1, 0.5]), np.array([0.2, -0.4, 0.5])]
    return Rig(tuple(se3.make_transform(BODY_FROM_OPTICAL, mount) for mount in mounts))


def processed_windows(count: int, mounts: Rig | None = None) -> Iterator[Processed]:
    """Windows of two steps each, one step apart."""
    processor = Processor(load_engine(EngineConfig(engine="null")))
    sets = [FrameSet((frame(0, step), frame(1, step))) for step in range(count + 1)]
    for index in range(count):
        window = Window(tuple(sets[index : index + 2]), index)
        yield processor.process(window, mounts or Rig((None, None)))
