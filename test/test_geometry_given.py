# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Given lengths: units, what is unknown, and the size of depth beside the network's."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from vggt4d_ros.config import config_from_flat
from vggt4d_ros.datatypes import FramePrediction, Prediction
from vggt4d_ros.geometry.given import depth_from_image, fit_given, given_heights
from vggt4d_ros.geometry.scale import GivenScale

NAN = np.nan


def prediction(height: int, width: int) -> Prediction:
    plane = np.ones((height, width), np.float32)
    frames = {(1, 0): FramePrediction(plane, plane)}
    eye = np.broadcast_to(np.eye(4), (2, 1, 4, 4))
    return Prediction(np.ones((2, 1), bool), eye, eye[..., :3, :3], frames)


def test_millimetres_and_metres_give_the_same_with_unknown_pixels_nan():
    metres = depth_from_image(np.array([[1.5, 0.0, -2.0, np.inf]], np.float32))
    millimetres = depth_from_image(np.array([[1500, 0, 65535, 1]], np.uint16))

    assert_array_equal(metres, np.array([[1.5, NAN, NAN, NAN]], np.float32))
    np.testing.assert_allclose(millimetres, [[1.5, NAN, 65.535, 0.001]], rtol=1e-6)


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)])
def test_what_is_no_depth_image_is_refused(image):
    with pytest.raises(ValueError, match="depth must be"):
        depth_from_image(image)


def test_depth_is_brought_to_the_predictions_size_without_mixing_pixels():
    depth = np.array([[1.0, NAN], [3.0, 4.0]], np.float32)

    fitted = fit_given(GivenScale({0: 1.2}, {(1, 0): depth}), prediction(4, 4))

    assert_array_equal(fitted.depth_m[1, 0], np.kron(depth, np.ones((2, 2), np.float32)))
    assert fitted.camera_height_m == {0: 1.2}


def test_depth_that_cannot_belong_to_the_image_is_left_out():
    square, wide = np.ones((4, 4), np.float32), np.ones((4, 8), np.float32)

    fitted = fit_given(GivenScale({}, {(1, 0): wide, (0, 0): square}), prediction(4, 4))

    assert fitted.depth_m == {}  # the one of another shape, the other of a frame without outputs


@pytest.mark.parametrize(
    ("values", "heights"),
    [
        ({}, {}),
        ({"geometry.camera_height": 1.2}, {0: 1.2}),
        ({"geometry.camera_height": 1.2, "geometry.camera_height_of": "b"}, {1: 1.2}),
    ],
)
def test_a_height_is_that_of_the_named_camera_or_the_first(values, heights):
    assert given_heights(config_from_flat({"cameras.names": ["a", "b"], **values})) == heights
