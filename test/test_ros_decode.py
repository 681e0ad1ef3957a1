# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Messages to images: every encoding by hand-made bytes, every kind of damage by its cause."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy")

from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from vggt4d_ros.datatypes import DecodeError, LazyImage
from vggt4d_ros.messages.decode import (
    calibration_from_msg,
    image_from_compressed_msg,
    image_from_msg,
    rectified,
)

pytestmark = pytest.mark.ros

# one row of two pixels: pure red, then (10, 20, 30)
RED_AND_DARK = [[[255, 0, 0], [10, 20, 30]]]


def image(encoding: str, data: bytes, width: int, height: int = 1, **fields: int) -> Image:
    step = fields.pop("step", len(data) // height)
    message = Image(encoding=encoding, width=width, height=height, step=step, **fields)
    message.data = data
    return message


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("rgb8", [255, 0, 0, 10, 20, 30]),
        ("bgr8", [0, 0, 255, 30, 20, 10]),
        ("8UC3", [0, 0, 255, 30, 20, 10]),
        ("rgba8", [255, 0, 0, 9, 10, 20, 30, 9]),
        ("bgra8", [0, 0, 255, 9, 30, 20, 10, 9]),
    ],
)
def test_colour_encodings_become_rgb(encoding: str, data: list[int]) -> None:
    decoded = image_from_msg(image(encoding, bytes(data), width=2)).rgb()

    assert decoded.dtype == np.uint8
    assert decoded.tolist() == RED_AND_DARK


@pytest.mark.parametrize("encoding", ["mono8", "8UC1"])
def test_grey_is_repeated_in_all_channels(encoding: str) -> None:
    decoded = image_from_msg(image(encoding, bytes([7, 200]), width=2)).rgb()

    assert decoded.tolist() == [[[7, 7, 7], [200, 200, 200]]]


@pytest.mark.parametrize(("big", "data"), [(0, [0x34, 0x12]), (1, [0x12, 0x34])])
def test_mono16_keeps_the_high_byte_in_either_byte_order(big: int, data: list[int]) -> None:
    decoded = image_from_msg(image("mono16", bytes(data), width=1, is_bigendian=big)).rgb()

    assert decoded.tolist() == [[[0x12, 0x12, 0x12]]]


# BT.601 video range: Y 145, Cb 54, Cr 34 is pure green (0, 255, 1) within rounding
@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("uyvy", [54, 145, 34, 145] * 2),
        ("yuv422", [54, 145, 34, 145] * 2),
        ("yuyv", [145, 54, 145, 34] * 2),
        ("yuv422_yuy2", [145, 54, 145, 34] * 2),
        ("nv12", [145, 145, 145, 145, 54, 34]),
        ("nv21", [145, 145, 145, 145, 34, 54]),
    ],
)
def test_yuv_formats_become_rgb(encoding: str, data: list[int]) -> None:
    step = 2 if encoding.startswith("nv") else 4
    message = image(encoding, bytes(data), width=2, height=2, step=step)

    decoded = image_from_msg(message).rgb()

    assert decoded.shape == (2, 2, 3)
    assert np.abs(decoded.astype(int) - (0, 255, 0)).max() <= 3


def test_nv12_needs_its_chroma_lines() -> None:
    with pytest.raises(DecodeError) as caught:
        image_from_msg(image("nv12", bytes(4), width=2, height=2, step=2))

    assert caught.value.cause == "short_data"


def test_padded_rows_are_cut_off() -> None:
    data = bytes([1, 2, 3, 99, 99, 4, 5, 6, 99, 99])

    decoded = image_from_msg(image("rgb8", data, width=1, height=2, step=5)).rgb()

    assert decoded.tolist() == [[[1, 2, 3]], [[4, 5, 6]]]


def test_rgb8_is_a_view_of_the_message() -> None:
    message = image("rgb8", bytes(12), width=2, height=2)

    decoded = image_from_msg(message).rgb()

    assert np.shares_memory(decoded, np.frombuffer(message.data, np.uint8))


def test_bayer_goes_through_cv_bridge() -> None:
    pytest.importorskip("cv_bridge")
    # an all-red scene under an RGGB filter: only the R sites are lit
    mosaic = np.zeros((8, 8), np.uint8)
    mosaic[0::2, 0::2] = 200

    decoded = image_from_msg(image("bayer_rggb8", mosaic.tobytes(), width=8, height=8)).rgb()

    red, green, blue = decoded[4, 4]
    assert red > 150
    assert green < 60
    assert blue < 60


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        (image("rgb24", bytes(6), width=2), "unknown_encoding"),
        (image("32FC1", bytes(8), width=2), "unknown_encoding"),
        (image("", bytes(6), width=2), "unknown_encoding"),
        (image("rgb8", bytes(5), width=2, step=6), "short_data"),
        (image("rgb8", b"", width=2, height=2, step=6), "short_data"),
        (image("rgb8", bytes(6), width=0), "bad_size"),
        (image("rgb8", bytes(6), width=2, step=3), "bad_size"),
        (image("mono8", bytes(6), width=2**31, step=6), "bad_size"),
    ],
)
def test_impossible_images_are_refused_by_cause(message: Image, cause: str) -> None:
    with pytest.raises(DecodeError) as caught:
        image_from_msg(message)

    assert caught.value.cause == cause


def jpeg(size: int = 64) -> bytes:
    rng = np.random.default_rng(0)
    picture = cv2.GaussianBlur(rng.integers(0, 255, (size, size, 3), np.uint8), (9, 9), 0)
    done, data = cv2.imencode(".jpg", picture)
    assert done
    return data.tobytes()


def compressed(data: bytes, form: str = "jpeg") -> CompressedImage:
    message = CompressedImage(format=form)
    message.data = data
    return message


def test_jpeg_decodes_to_rgb_not_bgr() -> None:
    done, data = cv2.imencode(".jpg", np.full((16, 16, 3), (0, 0, 250), np.uint8))  # red in BGR
    assert done

    red, green, blue = image_from_compressed_msg(compressed(data.tobytes())).rgb()[8, 8]

    assert red > 240
    assert green < 10
    assert blue < 10


def test_jpeg_with_zero_padding_at_its_end_decodes() -> None:
    decoded = image_from_compressed_msg(compressed(jpeg() + bytes(300))).rgb()

    assert decoded.shape == (64, 64, 3)


@pytest.mark.parametrize("keep", [0.3, 0.7, 0.98])
def test_truncated_jpeg_is_refused(keep: float) -> None:
    data = jpeg()
    lazy = image_from_compressed_msg(compressed(data[: int(len(data) * keep)]))

    with pytest.raises(DecodeError) as caught:
        lazy.rgb()

    assert caught.value.cause == "corrupt_data"


def test_bytes_that_are_no_picture_are_refused() -> None:
    with pytest.raises(DecodeError) as caught:
        image_from_compressed_msg(compressed(b"not a picture at all", "png")).rgb()

    assert caught.value.cause == "corrupt_data"


def test_empty_compressed_image_is_refused_at_once() -> None:
    with pytest.raises(DecodeError) as caught:
        image_from_compressed_msg(compressed(b""))

    assert caught.value.cause == "short_data"


def camera_info(k00: float = 100.0, d: list[float] | None = None, width: int = 64) -> CameraInfo:
    message = CameraInfo(width=width, height=64, distortion_model="plumb_bob")
    message.d = d or [0.0] * 5
    message.k = [k00, 0.0, 31.5, 0.0, k00, 31.5, 0.0, 0.0, 1.0]
    message.r = np.eye(3).ravel().tolist()
    message.p = [k00, 0.0, 31.5, 0.0, 0.0, k00, 31.5, 0.0, 0.0, 0.0, 1.0, 0.0]
    return message


def test_zero_focal_length_means_uncalibrated() -> None:
    assert calibration_from_msg(camera_info(k00=0.0)) is None


def test_nan_in_camera_info_is_an_error() -> None:
    with pytest.raises(ValueError, match="(?i)nan|finite"):
        calibration_from_msg(camera_info(k00=float("nan")))


def test_lens_distortion_is_taken_out_lazily() -> None:
    calibration = calibration_from_msg(camera_info(d=[-0.3, 0.1, 0.0, 0.0, 0.0]))
    assert calibration is not None
    calls = []
    straight = np.zeros((64, 64, 3), np.uint8)
    straight[:, 10] = 255  # a line far from the centre, bent by rectification

    def decode() -> np.ndarray:
        calls.append(1)
        return straight

    lazy = rectified(LazyImage(decode, 64, 64), calibration)
    assert not calls
    columns = lazy.rgb()[..., 0].argmax(axis=1)

    assert columns[32] != columns[5]


def test_calibration_of_another_shape_is_a_mismatch() -> None:
    calibration = calibration_from_msg(camera_info(d=[-0.3, 0.1, 0.0, 0.0, 0.0], width=100))
    assert calibration is not None

    with pytest.raises(DecodeError) as caught:
        rectified(LazyImage.from_array(np.zeros((64, 64, 3), np.uint8)), calibration).rgb()

    assert caught.value.cause == "camera_info_mismatch"
