# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The stand-ins for cv_bridge and tf_transformations give known values and what scipy gives."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.transform import Rotation, Slerp

STANDINS = Path(__file__).parents[1] / "scripts" / "standins"


def load(name: str) -> ModuleType:
    """The stand-in itself, also where the real package is installed."""
    spec = importlib.util.spec_from_file_location(f"standin_{name}", STANDINS / name / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


cv_bridge = load("cv_bridge")
bridge = cv_bridge.CvBridge()


@dataclass
class Image:
    """The fields of sensor_msgs/Image that are read."""

    encoding: str
    height: int
    width: int
    step: int
    data: bytes = field(repr=False)
    is_bigendian: int = 0


@dataclass
class Compressed:
    data: bytes = field(repr=False)


def message(encoding: str, pixels: np.ndarray, padding: int = 0) -> Image:
    rows = pixels.reshape(pixels.shape[0], -1).view(np.uint8)
    data = np.pad(rows, ((0, 0), (0, padding)), constant_values=99)
    return Image(encoding, pixels.shape[0], pixels.shape[1], data.shape[1], data.tobytes())


RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize(
    ("encoding", "pixel"),
    [
        ("rgb8", (10, 20, 30)),
        ("bgr8", (30, 20, 10)),
        ("rgba8", (10, 20, 30, 255)),
        ("bgra8", (30, 20, 10, 255)),
    ],
)
def test_colours_come_out_in_the_order_asked_for(
    encoding: str, pixel: tuple[int, ...], padding: int
) -> None:
    image = message(encoding, np.tile(np.uint8(pixel), (2, 3, 1)), padding)

    assert_array_equal(bridge.imgmsg_to_cv2(image, "rgb8"), np.tile((10, 20, 30), (2, 3, 1)))
    assert_array_equal(bridge.imgmsg_to_cv2(image, "bgr8"), np.tile((30, 20, 10), (2, 3, 1)))
    assert_array_equal(bridge.imgmsg_to_cv2(image)[0, 0], pixel)


@pytest.mark.parametrize("colour", [RED, GREEN, BLUE])
@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_bayer_mosaic_of_one_colour_becomes_that_colour(
    pattern: str, colour: tuple[int, int, int], dtype: type
) -> None:
    level = {"r": colour[0], "g": colour[1], "b": colour[2]}
    tile = np.array([level[letter] for letter in pattern], dtype).reshape(2, 2)
    scale = np.iinfo(dtype).max // 255
    image = message(f"bayer_{pattern}{8 * tile.itemsize}", np.tile(tile * dtype(scale), (4, 4)))

    rgb = bridge.imgmsg_to_cv2(image, "rgb8")

    assert rgb.dtype == np.uint8
    assert_array_equal(rgb[2:-2, 2:-2], np.tile(colour, (4, 4, 1)))


@pytest.mark.parametrize(("encoding", "luma_at"), [("yuv422", 1), ("yuv422_yuy2", 0)])
def test_yuv422_bytes_become_the_colours_of_bt601(encoding: str, luma_at: int) -> None:
    # BT.601, studio range: red is Y 81, Cb 90, Cr 240; black 16 and white 235 have Cb = Cr = 128
    pixels = np.empty((2, 6, 2), np.uint8)
    pixels[..., luma_at] = [[81, 81, 16, 16, 235, 235]] * 2
    pixels[:, ::2, 1 - luma_at] = [90, 128, 128]
    pixels[:, 1::2, 1 - luma_at] = [240, 128, 128]

    rgb = bridge.imgmsg_to_cv2(message(encoding, pixels), "rgb8")

    assert_allclose(rgb[0, ::2].astype(int), [RED, (0, 0, 0), (255, 255, 255)], atol=2)


def test_sixteen_bits_are_scaled_to_eight_and_byte_order_is_honoured() -> None:
    image = message("mono16", np.array([[0, 257, 65535]], np.uint16))
    swapped = message("mono16", np.array([[0, 257, 65535]], np.uint16).byteswap())
    swapped.is_bigendian = 1

    for one in (image, swapped):
        assert_array_equal(bridge.imgmsg_to_cv2(one), [[0, 257, 65535]])
        assert_array_equal(bridge.imgmsg_to_cv2(one, "mono8"), [[0, 1, 255]])
        assert_array_equal(bridge.imgmsg_to_cv2(one, "rgb8")[0, 1], [1, 1, 1])


@pytest.mark.parametrize("encoding", ["nv12", "nv21", "nv24", "bayer_rgbg8", "mono", "rgb32", ""])
def test_what_the_real_one_refuses_is_refused(encoding: str) -> None:
    image = message(encoding, np.zeros((4, 4, 3), np.uint8))

    with pytest.raises(cv_bridge.CvBridgeError, match="Unrecognized image encoding"):
        bridge.imgmsg_to_cv2(image, "rgb8")


def test_pixels_without_a_colour_do_not_become_colours() -> None:
    depth = message("32FC1", np.array([[1.5, np.nan]], np.float32))

    assert_array_equal(bridge.imgmsg_to_cv2(depth), np.array([[1.5, np.nan]], np.float32))
    with pytest.raises(cv_bridge.CvBridgeError, match="not both are colours"):
        bridge.imgmsg_to_cv2(depth, "rgb8")


def test_too_little_data_is_an_error_that_gives_the_sizes() -> None:
    image = message("rgb8", np.zeros((4, 4, 3), np.uint8))
    image.data = image.data[:-1]

    with pytest.raises(cv_bridge.CvBridgeError, match=r"4x4 \[rgb8\], step 12, 47 bytes"):
        bridge.imgmsg_to_cv2(image)


def test_compressed_images_decode_and_garbage_is_an_error() -> None:
    _, png = cv2.imencode(".png", np.tile(np.uint8([30, 20, 10]), (2, 3, 1)))
    _, grey = cv2.imencode(".png", np.full((2, 3), 7, np.uint8))

    rgb = bridge.compressed_imgmsg_to_cv2(Compressed(png.tobytes()), "rgb8")
    as_it_is = bridge.compressed_imgmsg_to_cv2(Compressed(grey.tobytes()))

    assert_array_equal(rgb, np.tile((10, 20, 30), (2, 3, 1)))
    assert_array_equal(as_it_is, np.full((2, 3), 7))
    with pytest.raises(cv_bridge.CvBridgeError, match="not a compressed image"):
        bridge.compressed_imgmsg_to_cv2(Compressed(b"garbage"))


@pytest.mark.ros
def test_array_to_message_and_back_is_the_array() -> None:
    pytest.importorskip("sensor_msgs")
    pixels = np.arange(24, dtype=np.uint16).reshape(4, 3, 2)

    image = bridge.cv2_to_imgmsg(pixels)

    assert (image.encoding, image.height, image.width, image.step) == ("16UC2", 4, 3, 12)
    assert_array_equal(bridge.imgmsg_to_cv2(image), pixels)
    with pytest.raises(cv_bridge.CvBridgeError, match="does not fit"):
        bridge.cv2_to_imgmsg(pixels, "rgb8")


# ----------------------------------------------------------------------- tf_transformations

pytest.importorskip("transforms3d")
transformations = load("tf_transformations")
SEEDED = [Rotation.random(random_state=seed) for seed in range(5)]


def assert_same_rotation(quaternion: np.ndarray, expected: np.ndarray) -> None:
    assert_allclose(abs(quaternion @ expected), 1.0, atol=1e-12)


def test_a_quarter_turn_about_z_is_known() -> None:
    half = np.sqrt(0.5)

    assert_allclose(transformations.quaternion_from_euler(0, 0, np.pi / 2), [0, 0, half, half])
    assert_allclose(transformations.quaternion_about_axis(np.pi / 2, (0, 0, 1)), [0, 0, half, half])
    assert_allclose(
        transformations.quaternion_matrix([0, 0, half, half])[:3, 0], [0, 1, 0], atol=1e-15
    )


@pytest.mark.parametrize("rotation", SEEDED)
def test_matrices_and_euler_angles_are_those_of_scipy(rotation: Rotation) -> None:
    xyzw = rotation.as_quat()
    matrix = transformations.quaternion_matrix(xyzw)

    assert_allclose(matrix[:3, :3], rotation.as_matrix(), atol=1e-12)
    assert_allclose(matrix[3], [0, 0, 0, 1])
    assert_same_rotation(transformations.quaternion_from_matrix(matrix), xyzw)
    angles = transformations.euler_from_quaternion(xyzw)
    assert_allclose(angles, rotation.as_euler("xyz"), atol=1e-9)
    assert_same_rotation(transformations.quaternion_from_euler(*angles), xyzw)


@pytest.mark.parametrize("fraction", [0.0, 0.25, 1.0])
def test_products_inverses_and_slerp_are_those_of_scipy(fraction: float) -> None:
    first, second = SEEDED[:2]
    q0, q1 = first.as_quat(), second.as_quat()

    product = transformations.quaternion_multiply(q1, q0)
    between = transformations.quaternion_slerp(q0, q1, fraction)

    assert_same_rotation(product, (second * first).as_quat())
    assert_same_rotation(transformations.quaternion_inverse(q0), first.inv().as_quat())
    expected = Slerp([0, 1], Rotation.concatenate([first, second]))(fraction)
    assert_same_rotation(between, expected.as_quat())


def test_translation_survives_concatenation() -> None:
    move = transformations.translation_matrix((1, 2, 3))
    turn = transformations.euler_matrix(0, 0, np.pi)

    both = transformations.concatenate_matrices(move, turn)

    assert_allclose(transformations.translation_from_matrix(both), [1, 2, 3])
    assert_allclose(both @ transformations.inverse_matrix(both), np.eye(4), atol=1e-12)
