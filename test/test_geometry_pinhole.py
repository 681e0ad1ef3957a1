# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Camera model: intrinsics follow the image, rays and pixels belong together."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from vggt4d_ros.datatypes import CameraModel
from vggt4d_ros.geometry import pinhole

PLUMB = CameraModel(
    640, 480, 458.6, 457.3, 367.2, 248.4, "plumb_bob", (-0.283, 0.074, 0.0002, 0.00002, 0.01)
)
RATIONAL = CameraModel(
    640,
    480,
    500.0,
    505.0,
    321.0,
    238.0,
    "rational_polynomial",
    (0.5, -0.2, 0.001, -0.0005, 0.03, 0.8, -0.1, 0.02),
)
FISHEYE = CameraModel(
    640, 480, 285.0, 286.0, 317.0, 241.0, "equidistant", (-0.01, 0.04, -0.03, 0.006)
)
FLAT = CameraModel(640, 480, 500.0, 510.0, 322.5, 236.25)


def random_points(count: int, spread: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    depth = rng.uniform(0.5, 20.0, count)
    return np.stack([*(rng.uniform(-spread, spread, (2, count)) * depth), depth], axis=-1)


def plumb_bob_by_hand(points: np.ndarray, model: CameraModel) -> np.ndarray:
    """Brown's model as written in the CameraInfo message and the OpenCV manual."""
    x, y = points[:, 0] / points[:, 2], points[:, 1] / points[:, 2]
    k1, k2, p1, p2, k3, *rest = (*model.distortion, 0.0, 0.0, 0.0)[:8]
    k4, k5, k6 = rest
    r2 = x * x + y * y
    radial = (1 + k1 * r2 + k2 * r2**2 + k3 * r2**3) / (1 + k4 * r2 + k5 * r2**2 + k6 * r2**3)
    xd = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    yd = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    return np.stack([model.fx * xd + model.cx, model.fy * yd + model.cy], axis=-1)


def equidistant_by_hand(points: np.ndarray, model: CameraModel) -> np.ndarray:
    """Kannala-Brandt: theta_d = theta (1 + k1 theta^2 + ... + k4 theta^8)."""
    radius = np.hypot(points[:, 0], points[:, 1])
    theta = np.arctan2(radius, points[:, 2])
    powers = theta[:, None] ** np.array([2, 4, 6, 8])
    bent = theta * (1 + powers @ np.array(model.distortion))
    return np.stack(
        [
            model.fx * bent * points[:, 0] / radius + model.cx,
            model.fy * bent * points[:, 1] / radius + model.cy,
        ],
        axis=-1,
    )


@pytest.mark.parametrize(
    ("model", "by_hand"),
    [(PLUMB, plumb_bob_by_hand), (RATIONAL, plumb_bob_by_hand), (FISHEYE, equidistant_by_hand)],
    ids=["plumb_bob", "rational_polynomial", "equidistant"],
)
def test_projection_follows_the_formula_of_the_lens(model, by_hand):
    points = random_points(500, 0.6)

    assert_allclose(pinhole.project(points, model), by_hand(points, model), atol=1e-6)


@pytest.mark.parametrize(
    "model", [FLAT, PLUMB, RATIONAL, FISHEYE], ids=lambda m: m.distortion_model
)
def test_rays_of_all_pixels_project_back_onto_their_pixels(model):
    model = pinhole.resize_model(model, 160, 120)

    rays = np.moveaxis(pinhole.ray_planes(model), 0, -1).astype(np.float64)
    points = np.concatenate([rays, np.ones((120, 160, 1))], axis=-1)

    pixels = pinhole.project(points, model)

    expected = np.stack(np.meshgrid(np.arange(160), np.arange(120)), axis=-1)
    assert np.isfinite(rays).all()
    assert_allclose(pixels, expected, atol=2e-4)  # float32 rays


@pytest.mark.parametrize("model", [FLAT, PLUMB], ids=["flat", "distorted"])
def test_factors_of_rays_are_the_rays_of_all_pixels(model):
    planes = pinhole.ray_planes(model)

    for plane, factor in zip(planes, pinhole.ray_factors(model), strict=True):
        assert factor.dtype == np.float32
        assert_array_equal(np.broadcast_to(factor, plane.shape), plane)


def test_pixels_that_no_ray_meets_are_nan_not_made_up():
    # bends back on itself at r = 0.58: pixels beyond are outside of the lens model
    model = CameraModel(640, 480, 300.0, 300.0, 319.5, 239.5, "plumb_bob", (-1.0, 0.0, 0.0, 0.0))

    rays = pinhole.pixel_rays(np.array([[319.5, 239.5], [400.0, 239.5], [639.0, 479.0]]), model)

    assert np.isfinite(rays[:2]).all()
    assert np.isnan(rays[2]).all()


def test_principal_point_unprojects_onto_the_axis():
    model = CameraModel(4, 3, 2.0, 2.0, 1.0, 2.0)
    depth = np.full((3, 4), 5.0, dtype=np.float32)

    points = pinhole.unproject_depth(depth, model)

    assert points.dtype == np.float32
    assert_allclose(points[2, 1], [0, 0, 5], atol=0)
    assert_allclose(points[2, 3], [5, 0, 5], atol=0)  # two pixels right at f = 2: 45 degrees


def test_points_behind_the_camera_have_no_pixel():
    pixels = pinhole.project(np.array([[0.0, 0.0, -1.0], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]), FLAT)

    assert np.isnan(pixels[:2]).all()
    assert_allclose(pixels[2], [322.5, 236.25])


def test_resized_model_projects_where_the_resized_image_has_the_point():
    points = random_points(1000, 0.4)
    for width, height in ((320, 240), (518, 392), (1280, 333)):
        small = pinhole.resize_model(FLAT, width, height)

        # areas map onto areas: the image's outer edge at -0.5 stays the outer edge
        expected = (pinhole.project(points, FLAT) + 0.5) * [width / 640, height / 480] - 0.5
        assert_allclose(pinhole.project(points, small), expected, atol=1e-6)


def test_resize_agrees_with_what_opencv_does_to_the_pixels():
    # a bright blob, found in the resized image by its centroid: half-pixel errors would show
    model = CameraModel(640, 480, 500.0, 500.0, 300.0, 200.0)
    point = np.array([[0.05, 0.1, 1.0]])
    u, v = pinhole.project(point, model)[0]
    rows, columns = np.mgrid[:480, :640]
    image = np.exp(-((columns - u) ** 2 + (rows - v) ** 2) / (2 * 8.0**2)).astype(np.float32)

    small = cv2.resize(image, (160, 160), interpolation=cv2.INTER_AREA)

    rows, columns = np.mgrid[:160, :160]
    centroid = [(columns * small).sum() / small.sum(), (rows * small).sum() / small.sum()]
    found = pinhole.project(point, pinhole.resize_model(model, 160, 160))[0]
    assert_allclose(found, centroid, atol=1e-3)


@pytest.mark.parametrize("model", [FLAT, PLUMB, FISHEYE], ids=lambda m: m.distortion_model)
def test_crop_moves_pixels_and_nothing_else(model):
    points = random_points(1000, 0.4)

    cropped = pinhole.crop_model(model, 17, -5, 300, 600)

    expected = pinhole.project(points, model) - [17, -5]
    assert_allclose(pinhole.project(points, cropped), expected, atol=1e-6)
    assert (cropped.width, cropped.height) == (300, 600)


def test_binned_pixel_lies_at_the_centre_of_the_pixels_it_joins():
    model = CameraModel(642, 481, 500.0, 500.0, 300.0, 200.0)

    binned = pinhole.bin_model(model, 4, 2)

    # super-pixel 10 joins columns 40..43 (centre 41.5), super-row 7 joins rows 14, 15 (14.5)
    ray = np.array([(41.5 - 300) / 500, (14.5 - 200) / 500, 1.0])
    assert_allclose(pinhole.project(ray, binned), [10, 7], atol=1e-9)
    assert (binned.width, binned.height) == (160, 240)


def test_field_of_view_of_a_centred_camera_is_twice_the_half_angle():
    model = CameraModel(200, 100, 100.0, 100.0, 99.5, 49.5)

    horizontal, vertical = pinhole.field_of_view(model)

    assert horizontal == pytest.approx(math.pi / 2)
    assert vertical == pytest.approx(2 * math.atan(0.5))


def test_unprojection_batches_over_leading_axes():
    depth = np.random.default_rng(0).uniform(1, 9, (2, 3, 480, 640)).astype(np.float32)

    points = pinhole.unproject_depth(depth, FLAT)

    assert points.shape == (2, 3, 480, 640, 3)
    assert_allclose(points[1, 2], pinhole.unproject_depth(depth[1, 2], FLAT), atol=0)


def test_cached_rays_cannot_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        pinhole.ray_planes(FLAT)[0, 0, 0] = 1.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pinhole.resize_model(FLAT, 0, 10), "must be positive, got 0 x 10"),
        (lambda: pinhole.crop_model(FLAT, 0, 0, 5, -1), "must be positive, got 5 x -1"),
        (lambda: pinhole.bin_model(FLAT, 0, 1), "at least 1"),
        (lambda: pinhole.bin_model(FLAT, 641, 1), "leaves nothing"),
        (lambda: pinhole.model_from_matrix(np.full((3, 3), np.nan), 4, 4), "no camera matrix"),
        (lambda: pinhole.model_from_matrix(-np.eye(3), 4, 4), "no camera matrix"),
        (lambda: pinhole.unproject_depth(np.ones((480, 641), np.float32), FLAT), "641"),
        (
            lambda: pinhole.project(np.ones(3), CameraModel(4, 4, 1, 1, 1, 1, "odd", (1.0,))),
            "unknown distortion model 'odd'; known: none, plumb_bob",
        ),
    ],
)
def test_wrong_use_is_an_error_that_names_what_came(call, message):
    with pytest.raises(ValueError, match=message):
        call()
