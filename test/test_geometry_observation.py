# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is read off a window before anything is fitted to it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vggt4d_ros.data.analytic_drive import AnalyticDrive, outward_rig
from vggt4d_ros.datatypes import CameraModel, FrameSet
from vggt4d_ros.geometry import pinhole
from vggt4d_ros.geometry.observation import observe

PLAIN = CameraModel(64, 48, 40.0, 40.4, 32.1, 23.7)
WIDE = CameraModel(64, 48, 25.0, 25.4, 32.1, 23.7, "equidistant", (-0.03, 0.01, 1e-3, 1e-3))


@pytest.mark.parametrize("model", [PLAIN, WIDE], ids=["plain", "distorted"])
def test_a_sample_lies_on_the_ray_of_its_pixel(model):
    drive = AnalyticDrive(outward_rig(1), length=2, model=PLAIN)
    window, prediction = drive.window(1), drive.predict(1, (1,))
    frames = [replace(one.frames[0], model=model) for one in window.sets]
    window = replace(window, sets=tuple(FrameSet((frame,)) for frame in frames))

    samples = observe(window, prediction).samples[1, 0]

    pixels = pinhole.project(samples.rays, model)
    columns, rows = np.rint(pixels).astype(int).T
    assert np.abs(pixels - np.stack([columns, rows], axis=-1)).max() < 1e-3
    assert np.array_equal(prediction.frames[1, 0].depth[rows, columns], samples.depth)


def test_the_rays_of_a_large_image_are_not_made_for_a_few_hundred_samples():
    drive = AnalyticDrive(outward_rig(1), length=2, model=PLAIN)
    before = pinhole.ray_planes.cache_info().misses

    assert observe(drive.window(1), drive.predict(1, (1,))).samples

    assert pinhole.ray_planes.cache_info().misses == before
