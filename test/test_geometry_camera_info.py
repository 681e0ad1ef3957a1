# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""CameraInfo numbers to camera models (REP-104), and rectification."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from vggt4d_ros.geometry import pinhole, se3
from vggt4d_ros.geometry.camera_info import (
    calibration_from_info_values,
    camera_model_from_info_values,
    fit_calibration,
    fit_to_image,
)
from vggt4d_ros.geometry.rectify import Rectifier, rectification_maps

K = [500.0, 0.0, 330.0, 0.0, 510.0, 235.0, 0.0, 0.0, 1.0]
INFO = {"width": 640, "height": 480, "K": K, "D": [0.0] * 5, "distortion_model": "plumb_bob"}
TURN = se3.exp(np.array([0, 0, 0, 0.01, -0.03, 0.02]))[:3, :3]
P = [420.0, 0.0, 315.0, -50.0, 0.0, 425.0, 245.0, 0.0, 0.0, 0.0, 1.0, 0.0]


def test_plain_info_gives_its_own_numbers():
    model = camera_model_from_info_values(**INFO)

    assert (model.width, model.height) == (640, 480)
    assert (model.fx, model.fy, model.cx, model.cy) == (500.0, 510.0, 330.0, 235.0)
    assert not pinhole.is_distorted(model)


def test_zero_focal_length_means_uncalibrated():
    assert camera_model_from_info_values(**{**INFO, "K": [0.0] * 9}) is None


def test_region_then_binning_keeps_known_points_on_their_pixels():
    full = camera_model_from_info_values(**INFO)
    part = camera_model_from_info_values(**INFO, binning_x=2, binning_y=3, roi=(40, 60, 300, 400))
    points = np.random.default_rng(0).uniform([-1, -1, 3], [1, 1, 9], (100, 3))

    # by hand: shift by the offset, then the centre of super-pixel n is at b n + (b - 1) / 2
    expected = (pinhole.project(points, full) - [40, 60] - [0.5, 1.0]) / [2, 3]
    assert_allclose(pinhole.project(points, part), expected, atol=1e-6)
    assert (part.width, part.height) == (200, 100)


def test_binning_of_zero_and_one_both_mean_none():
    assert camera_model_from_info_values(**INFO, binning_x=1, binning_y=0) == (
        camera_model_from_info_values(**INFO)
    )


def test_missing_rectification_is_identity_and_missing_projection_is_k():
    calibration = calibration_from_info_values(
        **{**INFO, "D": [-0.2, 0.05, 0, 0, 0]}, R=[0.0] * 9, P=[0.0] * 12
    )

    assert calibration.rectified_from_raw == tuple(np.eye(3).ravel())
    assert (calibration.rectified.fx, calibration.rectified.cx) == (500.0, 330.0)
    assert calibration.rectified.distortion == ()


def test_unknown_model_without_coefficients_is_no_distortion():
    model = camera_model_from_info_values(**{**INFO, "D": [], "distortion_model": "thin_prism"})

    assert_allclose(pinhole.project(np.array([0.0, 0.0, 1.0]), model), [330.0, 235.0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"K": [float("nan")] * 9}, "CameraInfo.K is not finite"),
        ({"D": [float("inf")]}, "CameraInfo.D is not finite"),
        ({"P": [float("nan")] * 12}, "CameraInfo.P is not finite"),
        ({"K": K[:8]}, "CameraInfo.K must have 9 numbers, got 8"),
        ({"P": K}, "CameraInfo.P must have 12 numbers, got 9"),
        ({"K": [-1.0, *K[1:]]}, "no positive focal lengths"),
        ({"width": 0}, "image of 0 x 480"),
        ({"D": [0.1], "distortion_model": "thin_prism"}, "unknown distortion model 'thin_prism'"),
        ({"D": [0.1] * 3}, "takes 0 or 4 or 5 coefficients, got 3"),
        ({"D": [0.1] * 5, "distortion_model": "equidistant"}, "'equidistant' takes 0 or 4"),
        ({"R": [2.0, 0, 0, 0, 1, 0, 0, 0, 1]}, "CameraInfo.R is no rotation"),
        ({"roi": (600, 0, 480, 100)}, r"100 x 480 at \(600, 0\) is not inside"),
        ({"roi": (-1, 0, 480, 100)}, "is not inside"),
    ],
)
def test_numbers_that_are_no_calibration_are_refused_in_one_line(change, message):
    with pytest.raises(ValueError, match=message) as caught:
        camera_model_from_info_values(**{**INFO, **change})
    assert "\n" not in str(caught.value)


def test_image_of_another_size_is_rescaled_where_its_shape_agrees():
    model = camera_model_from_info_values(**INFO)

    assert fit_to_image(model, 640, 480) is model
    assert fit_to_image(model, 320, 240).fx == pytest.approx(250.0)
    assert fit_to_image(model, 427, 320).width == 427  # 426.67, rounded up


@pytest.mark.parametrize("size", [(480, 640), (640, 400), (320, 243), (0, 0)])
def test_image_of_another_shape_is_refused(size):
    calibration = calibration_from_info_values(**INFO)

    with pytest.raises(ValueError, match=f"image of {size[0]} x {size[1]} does not fit"):
        fit_calibration(calibration, *size)


LENSES = {
    "plumb_bob": [-0.28, 0.07, 0.0002, 0.0001, 0.01],
    "rational_polynomial": [0.5, -0.2, 0.001, -0.0005, 0.03, 0.8, -0.1, 0.02],
    "equidistant": [-0.01, 0.04, -0.03, 0.006],
}


@pytest.mark.parametrize("lens", LENSES)
def test_rectified_pixel_shows_what_the_raw_pixel_of_the_same_point_shows(lens):
    calibration = calibration_from_info_values(
        **{**INFO, "D": LENSES[lens], "distortion_model": lens}, R=TURN.ravel(), P=P
    )
    rectifier = Rectifier(calibration)
    # smooth image whose value says where it was taken: red rises with u, green with v
    columns, rows = np.meshgrid(np.arange(640) * 0.25, np.arange(480) * 0.25)
    image = np.stack([columns, rows, rows], axis=-1).astype(np.uint8)
    points_raw = np.random.default_rng(0).uniform([-1, -0.7, 3], [1, 0.7, 6], (300, 3))

    rectified = rectifier.rectify(image)

    raw_pixels = pinhole.project(points_raw, calibration.raw)
    flat_pixels = pinhole.project(points_raw @ TURN.T, rectifier.model)
    column, row = np.round(flat_pixels).astype(int).T
    assert_allclose(rectified[row, column, 0], raw_pixels[:, 0] * 0.25, atol=1.3)
    assert_allclose(rectified[row, column, 1], raw_pixels[:, 1] * 0.25, atol=1.3)


@pytest.mark.parametrize("lens", LENSES)
def test_rectification_maps_hold_to_a_thirtysecond_of_a_pixel(lens):
    calibration = calibration_from_info_values(
        **{**INFO, "D": LENSES[lens], "distortion_model": lens}, R=TURN.ravel(), P=P
    )
    whole, fraction = rectification_maps(calibration)
    rays = np.moveaxis(pinhole.ray_planes(calibration.rectified), 0, -1).astype(np.float64)
    points_raw = np.concatenate([rays, np.ones((480, 640, 1))], axis=-1) @ TURN

    fine = np.stack([fraction & 31, fraction >> 5], axis=-1) / 32  # OpenCV's 5-bit fractions
    found = whole.astype(np.float64) + fine

    assert_allclose(found, pinhole.project(points_raw, calibration.raw), atol=1 / 32 + 1e-3)


def test_rectified_camera_is_left_alone():
    rectifier = Rectifier(calibration_from_info_values(**INFO))
    image = np.random.default_rng(0).integers(0, 255, (480, 640, 3)).astype(np.uint8)

    assert not rectifier.needed
    assert rectifier.rectify(image) is image


def test_rectifier_refuses_an_image_of_another_size():
    rectifier = Rectifier(calibration_from_info_values(**INFO))

    with pytest.raises(ValueError, match="must be 640 x 480"):
        rectifier.rectify(np.zeros((10, 20, 3), np.uint8))
