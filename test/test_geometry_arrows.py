# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Arrows, flow colours and OpenCV's optical flow."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from vggt4d_ros.datatypes import CameraModel
from vggt4d_ros.geometry import se3
from vggt4d_ros.geometry.arrows import arrow_colours, flow_arrows, flow_image_rgb
from vggt4d_ros.geometry.optical_flow import dis_flow
from vggt4d_ros.geometry.scene_flow import SceneFlow

MODEL = CameraModel(40, 30, 20.0, 20.0, 19.5, 14.5)
POSE = se3.exp(np.array([1.0, 2.0, 3.0, 0.4, -0.2, 0.9]))


def flow_of(velocity: np.ndarray, dynamic: np.ndarray) -> SceneFlow:
    """Scene flow with velocities (H, W, 3) in camera axes."""
    return SceneFlow(
        velocity_cam=np.ascontiguousarray(np.moveaxis(velocity, -1, 0)).astype(np.float32),
        sigma=np.ones(dynamic.shape, np.float32),
        dynamic=dynamic,
        valid=np.ones(dynamic.shape, bool),
        dt_s=0.1,
        world_from_cam=POSE[:3, :3],
        ego_correction=np.zeros(7),
    )


def random_flow(share: float) -> tuple[SceneFlow, np.ndarray]:
    rng = np.random.default_rng(0)
    dynamic = rng.random((30, 40)) < share
    flow = flow_of(rng.normal(0, 1, (30, 40, 3)), dynamic)
    return flow, rng.uniform(1, 9, (30, 40)).astype(np.float32)


@pytest.mark.parametrize("max_count", [1, 7, 100, 1200, 5000])
def test_there_are_never_more_arrows_than_allowed(max_count):
    flow, depth = random_flow(0.9)

    arrows = flow_arrows(depth, MODEL, POSE, flow, max_count, 0.5)

    assert 0 < len(arrows.speed_mps) <= max_count
    assert arrows.points.shape == (2 * len(arrows.speed_mps), 3)


def test_arrow_starts_at_its_point_and_ends_where_it_will_be():
    dynamic = np.zeros((30, 40), bool)
    dynamic[5, 25] = True
    velocity = np.zeros((30, 40, 3))
    velocity[5, 25] = [1.0, -2.0, 0.5]
    depth = np.full((30, 40), 4.0, np.float32)

    arrows = flow_arrows(depth, MODEL, POSE, flow_of(velocity, dynamic), 100, 0.5)

    start = np.array([(25 - 19.5) / 20 * 4, (5 - 14.5) / 20 * 4, 4.0])
    ends = np.stack([start, start + 0.5 * velocity[5, 25]])
    assert_allclose(arrows.points, ends @ POSE[:3, :3].T + POSE[:3, 3], atol=1e-5)
    assert_allclose(arrows.speed_mps, [np.sqrt(5.25)], atol=1e-6)


def test_the_fastest_of_each_cell_is_taken_and_still_points_get_none():
    flow, depth = random_flow(0.3)

    arrows = flow_arrows(depth, MODEL, POSE, flow, 12, 1.0)  # cells of 10 x 10

    speed = np.where(flow.dynamic, flow.speed, 0)
    best = speed.reshape(3, 10, 4, 10).max(axis=(1, 3)).ravel()
    assert_allclose(np.sort(arrows.speed_mps), np.sort(best), rtol=1e-5)


def test_nothing_moving_or_no_arrow_allowed_gives_none():
    still, depth = random_flow(0.0)
    moving, _ = random_flow(1.0)

    assert len(flow_arrows(depth, MODEL, POSE, still, 100, 1.0).points) == 0
    assert len(flow_arrows(depth, MODEL, POSE, moving, 0, 1.0).points) == 0


def test_wrong_arrows_are_refused():
    flow, depth = random_flow(0.5)

    with pytest.raises(ValueError, match="max_count -1"):
        flow_arrows(depth, MODEL, POSE, flow, -1, 1.0)
    with pytest.raises(ValueError, match="depth must be"):
        flow_arrows(depth[:10], MODEL, POSE, flow, 10, 1.0)


def test_colours_run_from_green_over_yellow_to_red():
    colours = arrow_colours(np.array([0.0, 1.0, 2.0, 9.0]))

    assert_allclose(colours, [[0, 1, 0], [1, 1, 0], [1, 0, 0], [1, 0, 0]])


def test_flow_picture_is_white_where_still_and_black_where_unknown():
    velocity = np.zeros((1, 4, 3), np.float32)
    velocity[0, 1] = np.nan
    velocity[0, 2] = [2.0, 0.0, 0.0]
    velocity[0, 3] = [-2.0, 0.0, 0.0]

    picture = flow_image_rgb(velocity)

    assert picture[0, :2].tolist() == [[255, 255, 255], [0, 0, 0]]
    assert picture[0, 2].tolist() == [255, 0, 0]
    assert picture[0, 3].tolist() == [0, 255, 255]


def textured(seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 255, (60, 80, 3)).astype(np.uint8)
    return cv2.resize(noise, (320, 240), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("preset", ["fast", "medium"])
def test_optical_flow_says_where_pixels_went(preset):
    image = textured()
    moved = cv2.warpAffine(image, np.array([[1.0, 0, 3.0], [0, 1, -2.0]]), (320, 240))

    flow = dis_flow(image, moved, 320, 240, preset)

    assert flow.shape == (240, 320, 2)
    assert flow.dtype == np.float32
    assert_allclose(np.median(flow[40:-40, 40:-40], axis=(0, 1)), [3.0, -2.0], atol=0.3)


def test_optical_flow_is_in_pixels_of_the_size_that_was_asked_for():
    image = textured()
    moved = cv2.warpAffine(image, np.array([[1.0, 0, 8.0], [0, 1, 0.0]]), (320, 240))

    flow = dis_flow(image, moved, 160, 120)

    assert flow.shape == (120, 160, 2)
    assert np.median(flow[20:-20, 20:-20, 0]) == pytest.approx(4.0, abs=0.3)


def test_optical_flow_does_not_depend_on_what_was_asked_before():
    images = textured(0), textured(1)
    before = dis_flow(*images, 320, 240)
    dis_flow(*images, 48, 36)  # too small for the preset: OpenCV looks for another scale

    assert_array_equal(dis_flow(*images, 320, 240), before)


def test_optical_flow_may_be_asked_for_from_several_threads():
    images = [textured(seed) for seed in range(4)]
    alone = [dis_flow(images[0], image, 320, 240) for image in images]

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda image: dis_flow(images[0], image, 320, 240), images))

    for one, other in zip(alone, together, strict=True):
        assert_array_equal(one, other)


def test_images_that_are_no_pair_are_refused():
    with pytest.raises(ValueError, match="of one size"):
        dis_flow(textured(), textured()[:100], 320, 240)
    with pytest.raises(ValueError, match="ultrafast, fast, medium, got 'slow'"):
        dis_flow(textured(), textured(), 320, 240, "slow")
