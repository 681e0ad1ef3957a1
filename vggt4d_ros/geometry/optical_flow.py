# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Correspondence between two images of a camera where the network gives none: OpenCV DIS.

Kroeger et al., Fast Optical Flow using Dense Inverse Search, ECCV 2016.
"""

from __future__ import annotations

import threading

import cv2
import numpy as np
from numpy.typing import NDArray

# OpenCV's presets: fast stops at a quarter of the resolution, medium at half of it and refines
PRESETS = {"ultrafast": 0, "fast": 1, "medium": 2}
_engines = threading.local()  # an engine keeps buffers, so each thread has its own


def dis_flow(
    rgb_from: NDArray[np.uint8],
    rgb_to: NDArray[np.uint8],
    width: int,
    height: int,
    preset: str = "fast",
) -> NDArray[np.float32]:
    """Gives where each pixel went, (height, width, 2) float32 (du, dv).

    Args:
        rgb_from: (h, w, 3) image whose pixels are followed.
        rgb_to: (h, w, 3) image in which they are looked for.
        width: of the result; the images are resized to it before.
        height: of the result.
        preset: ultrafast, fast or medium.

    Raises:
        ValueError: unknown preset, or images of different sizes.
    """
    if preset not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}, got {preset!r}")
    if rgb_from.shape != rgb_to.shape:
        raise ValueError(f"images must be of one size, got {rgb_from.shape} and {rgb_to.shape}")
    engine = getattr(_engines, preset, None)
    if engine is None:
        create = vars(cv2)["DISOpticalFlow_create"]  # OpenCV's own type stubs leave it out
        engine = create(PRESETS[preset])
        setattr(_engines, preset, engine)
    grey = [_grey(image, width, height) for image in (rgb_from, rgb_to)]
    finest = engine.getFinestScale()
    flow = np.asarray(engine.calc(grey[0], grey[1], None), dtype=np.float32)
    if engine.getFinestScale() != finest:
        # an image too small for the preset changes the engine for good, and with it later results
        delattr(_engines, preset)
    return flow


def _grey(rgb: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    if grey.shape != (height, width):
        grey = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(grey, dtype=np.uint8)
