# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Messages to datatypes: images (lazily), camera intrinsics, stamps; whatever library they are of.

Encodings of the table below are numpy views or one OpenCV call; all others go to cv_bridge.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.datatypes import DecodeError, LazyImage
from vggt4d_ros.geometry.camera_info import (
    Calibration,
    calibration_from_info_values,
    fit_calibration,
)
from vggt4d_ros.geometry.rectify import Rectifier

Message = Any  # of rclpy or of rosbags: the same fields
Rgb = NDArray[np.uint8]

# Limits that tell a corrupt header from an image: 2^15 is what OpenCV's codecs refuse above.
MAX_SIDE = 32768


@dataclass(frozen=True, slots=True)
class _Layout:
    """Pixels of whole bytes, ``pixel_bytes`` each; ``rows`` lines of data for two of the image."""

    pixel_bytes: int
    to_rgb: Callable[[NDArray[np.uint8]], Rgb]  # (H, W, bytes), or (H, W) for one byte
    rows: int = 2


def _convert(code: int) -> Callable[[NDArray[np.uint8]], Rgb]:
    return lambda pixels: np.asarray(cv2.cvtColor(pixels, code), dtype=np.uint8)


def _high_byte_to_rgb(pixels: NDArray[np.uint8]) -> Rgb:
    return _convert(cv2.COLOR_GRAY2RGB)(np.ascontiguousarray(pixels[..., 1]))


# sensor_msgs/image_encodings.hpp; 8UC3 is BGR, as in cv_bridge. 4:2:0 formats have their chroma
# in half as many lines again below the luma.
_LAYOUTS: dict[str, _Layout] = {
    "rgb8": _Layout(3, lambda pixels: pixels),
    "bgr8": _Layout(3, _convert(cv2.COLOR_BGR2RGB)),
    "8UC3": _Layout(3, _convert(cv2.COLOR_BGR2RGB)),
    "rgba8": _Layout(4, _convert(cv2.COLOR_RGBA2RGB)),
    "bgra8": _Layout(4, _convert(cv2.COLOR_BGRA2RGB)),
    "8UC4": _Layout(4, _convert(cv2.COLOR_BGRA2RGB)),
    "mono8": _Layout(1, _convert(cv2.COLOR_GRAY2RGB)),
    "8UC1": _Layout(1, _convert(cv2.COLOR_GRAY2RGB)),
    "mono16": _Layout(2, _high_byte_to_rgb),
    "uyvy": _Layout(2, _convert(cv2.COLOR_YUV2RGB_UYVY)),
    "yuv422": _Layout(2, _convert(cv2.COLOR_YUV2RGB_UYVY)),
    "yuyv": _Layout(2, _convert(cv2.COLOR_YUV2RGB_YUYV)),
    "yuv422_yuy2": _Layout(2, _convert(cv2.COLOR_YUV2RGB_YUYV)),
    "nv12": _Layout(1, _convert(cv2.COLOR_YUV2RGB_NV12), rows=3),
    "nv21": _Layout(1, _convert(cv2.COLOR_YUV2RGB_NV21), rows=3),
}
# encodings cv_bridge turns into rgb8, with their bytes per pixel
_BRIDGED: dict[str, int] = {
    **{f"bayer_{pattern}8": 1 for pattern in ("rggb", "bggr", "gbrg", "grbg")},
    **{f"bayer_{pattern}16": 2 for pattern in ("rggb", "bggr", "gbrg", "grbg")},
    "rgb16": 6,
    "bgr16": 6,
    "rgba16": 8,
    "bgra16": 8,
}
ENCODINGS: tuple[str, ...] = (*_LAYOUTS, *_BRIDGED)


def image_from_msg(message: Message) -> LazyImage:
    """Checks an Image's header against its data; the pixels are converted when asked for.

    Raises:
        DecodeError: unknown_encoding, bad_size or short_data.
    """
    encoding = message.encoding
    layout = _LAYOUTS.get(encoding)
    pixel_bytes = layout.pixel_bytes if layout else _BRIDGED.get(encoding, 0)
    if not pixel_bytes:
        raise DecodeError(
            "unknown_encoding", f"encoding {encoding!r}; known: {', '.join(ENCODINGS)}"
        )
    width, height, step = message.width, message.height, message.step
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE) or step < width * pixel_bytes:
        raise DecodeError(
            "bad_size", f"{width}x{height} {encoding} with step {step}: not a possible image"
        )
    lines = height * (layout.rows if layout else 2) // 2
    if len(message.data) < lines * step:
        raise DecodeError(
            "short_data",
            f"{len(message.data)} bytes of data for {lines} lines x step {step} = {lines * step}",
        )
    if layout is None:
        return LazyImage(lambda: _decode_bridged(message), width, height)
    return LazyImage(lambda: _decode_layout(message, layout, lines), width, height)


def _decode_layout(message: Message, layout: _Layout, lines: int) -> Rgb:
    data = np.frombuffer(message.data, np.uint8, count=lines * message.step)
    rows = data.reshape(lines, message.step)[:, : message.width * layout.pixel_bytes]
    shape = (lines, message.width, layout.pixel_bytes)
    pixels = rows if layout.pixel_bytes == 1 else rows.reshape(shape)  # views, padding or not
    if message.encoding == "mono16" and message.is_bigendian:
        pixels = pixels[..., ::-1]
    try:
        return layout.to_rgb(pixels)
    except cv2.error as error:  # e.g. an odd width in a format that halves it
        raise DecodeError("corrupt_data", f"{message.encoding}: {error}") from error


def _decode_bridged(message: Message) -> Rgb:
    try:
        from cv_bridge import CvBridge, CvBridgeError
    except ImportError as error:
        raise DecodeError(
            "unknown_encoding", f"encoding {message.encoding!r} needs cv_bridge: {error}"
        ) from error
    try:
        return np.asarray(CvBridge().imgmsg_to_cv2(message, "rgb8"), dtype=np.uint8)
    except (CvBridgeError, cv2.error, KeyError, ValueError, TypeError) as error:
        raise DecodeError(
            "unknown_encoding", f"cv_bridge refuses {message.encoding!r}: {error}"
        ) from error


def image_from_compressed_msg(message: Message) -> LazyImage:
    """Wraps a CompressedImage (JPEG, PNG, ...); it is decoded when asked for.

    Raises:
        DecodeError: short_data when there is nothing to decode.
    """
    if len(message.data) == 0:
        raise DecodeError("short_data", "CompressedImage without data")
    return LazyImage(lambda: _decode_compressed(message))


def _decode_compressed(message: Message) -> Rgb:
    data = np.frombuffer(message.data, np.uint8)
    # A JPEG cut short still decodes, its lower part grey: it must not reach the network. Some
    # cameras pad the end with zeros.
    end = data[-4096:].tobytes().rstrip(b"\0")[-64:]
    if data[:2].tobytes() == b"\xff\xd8" and b"\xff\xd9" not in end:
        raise DecodeError("corrupt_data", f"JPEG of {data.size} bytes has no end: truncated")
    try:
        # EXIF turns are ignored: intrinsics are for the pixels as they lie in memory
        bgr = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise DecodeError("corrupt_data", f"{message.format!r}: {error}") from error
    if bgr is None:
        raise DecodeError(
            "corrupt_data", f"{data.size} bytes of format {message.format!r} are no image"
        )
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def calibration_from_msg(message: Message) -> Calibration | None:
    """Intrinsics of the image a CameraInfo goes with (REP-104); None: uncalibrated (K[0] == 0).

    Raises:
        ValueError: numbers that cannot be intrinsics (NaN, unknown distortion model, ...).
    """
    roi = message.roi
    return calibration_from_info_values(
        width=message.width,
        height=message.height,
        K=list(message.k),
        D=list(message.d),
        distortion_model=message.distortion_model,
        R=list(message.r),
        P=list(message.p),
        binning_x=message.binning_x,
        binning_y=message.binning_y,
        roi=(roi.x_offset, roi.y_offset, roi.height, roi.width),
    )


def rectified(image: LazyImage, calibration: Calibration) -> LazyImage:
    """The same image without lens distortion, also made when it is asked for.

    ``rgb()`` raises DecodeError camera_info_mismatch when the calibration is for another image.
    """

    def decode() -> Rgb:
        rgb = image.rgb()
        height, width = rgb.shape[:2]
        try:
            fitted = fit_calibration(calibration, width, height)
        except ValueError as error:
            raise DecodeError("camera_info_mismatch", str(error)) from error
        return np.asarray(Rectifier(fitted).rectify(rgb), dtype=np.uint8)

    return LazyImage(decode, image.width, image.height)
