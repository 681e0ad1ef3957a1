# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Stand-in for ROS 2's cv_bridge where ROS comes from PyPI, which lacks it.

It converts what the real one converts (mono, rgb, bgr with alpha, Bayer, yuv422, yuv422_yuy2; 8 and
16 bit) and refuses what the real one refuses: there are no NV12, NV21 and NV24 in it.
"""

from __future__ import annotations

import re
import sys
from array import array
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[Any]

_DEPTHS = {
    "8U": np.uint8,
    "8S": np.int8,
    "16U": np.uint16,
    "16S": np.int16,
    "32S": np.int32,
    "32F": np.float32,
    "64F": np.float64,
}
_CHANNELS = {"mono": 1, "rgb": 3, "bgr": 3, "rgba": 4, "bgra": 4, "bayer": 1}
# OpenCV names a Bayer pattern by the second row's second and third pixel, ROS by the first four
_BAYER = {"rggb": "BayerBG", "bggr": "BayerRG", "gbrg": "BayerGR", "grbg": "BayerGB"}
_YUV = {"yuv422": "UYVY", "yuv422_yuy2": "YUY2"}


class CvBridgeError(TypeError):
    """A conversion that cannot be done."""


def _format(encoding: str) -> tuple[np.dtype[Any], int, str]:
    """Gives dtype, channels and OpenCV's name of the colour space ('': pixels without a colour)."""
    if encoding in _YUV:
        return np.dtype(np.uint8), 2, f"YUV {_YUV[encoding]}"
    if match := re.fullmatch(r"(mono|rgba?|bgra?|bayer)(?:_(\w{4}))?(8|16)", encoding):
        kind, pattern, bits = match.groups()
        if (kind == "bayer") == (pattern in _BAYER) and (kind == "bayer" or not pattern):
            colour = _BAYER[pattern] if pattern else {"mono": "GRAY"}.get(kind, kind.upper())
            return np.dtype(f"uint{bits}"), _CHANNELS[kind], colour
    if match := re.fullmatch(r"(8U|8S|16U|16S|32S|32F|64F)(?:C(\d+))?", encoding):
        return np.dtype(_DEPTHS[match.group(1)]), int(match.group(2) or 1), ""
    raise CvBridgeError(f"Unrecognized image encoding [{encoding}]")


def _convert(image: Pixels, source: str, target: str) -> Pixels:
    if target in ("", "passthrough", source):
        return image
    _, channels, colour = _format(source)
    dtype, target_channels, target_colour = _format(target)
    if not (colour and target_colour):
        if target_colour or channels != target_channels:
            raise CvBridgeError(f"[{source}] to [{target}]: not both are colours")
        return _to_depth(image, dtype)
    if colour != target_colour:
        space, _, layout = colour.partition(" ")
        name = f"COLOR_{space}2{target_colour}" + (f"_{layout}" if layout else "")
        if not hasattr(cv2, name):
            raise CvBridgeError(f"Unsupported conversion from [{source}] to [{target}]")
        image = cv2.cvtColor(image, getattr(cv2, name))
    return _to_depth(image, dtype)


def _to_depth(image: Pixels, dtype: np.dtype[Any]) -> Pixels:
    if image.dtype == dtype:
        return image
    scale = {(np.uint8, np.uint16): 257.0, (np.uint16, np.uint8): 1 / 257.0}
    factor = scale.get((image.dtype.type, dtype.type))
    return np.rint(image * factor).astype(dtype) if factor else image.astype(dtype)


class CvBridge:
    """Converts between sensor_msgs images and numpy arrays."""

    def imgmsg_to_cv2(self, img_msg: Any, desired_encoding: str = "passthrough") -> Pixels:
        """Gives the pixels, (H, W) or (H, W, C), rows' padding removed, native byte order.

        Raises:
            CvBridgeError: unknown encoding, too little data, or no such conversion.
        """
        dtype, channels, _ = _format(img_msg.encoding)
        height, width, row = img_msg.height, img_msg.width, channels * dtype.itemsize
        data = np.frombuffer(img_msg.data, np.uint8)
        if img_msg.step < width * row or data.size < height * img_msg.step:
            raise CvBridgeError(
                f"Image is wrongly formed: {width}x{height} [{img_msg.encoding}], "
                f"step {img_msg.step}, {data.size} bytes"
            )
        rows = data[: height * img_msg.step].reshape(height, img_msg.step)[:, : width * row]
        image = np.ascontiguousarray(rows).view(dtype)
        if bool(img_msg.is_bigendian) != (sys.byteorder == "big"):
            image = image.byteswap()
        image = image.reshape((height, width, channels) if channels > 1 else (height, width))
        return _convert(image, img_msg.encoding, desired_encoding)

    def compressed_imgmsg_to_cv2(
        self, cmprs_img_msg: Any, desired_encoding: str = "passthrough"
    ) -> Pixels:
        """Decodes JPEG, PNG and the like; passthrough is BGR, or grey for a grey image.

        Raises:
            CvBridgeError: not an image, or no such conversion.
        """
        image = cv2.imdecode(np.frombuffer(cmprs_img_msg.data, np.uint8), cv2.IMREAD_ANYCOLOR)
        if image is None:
            raise CvBridgeError("the data is not a compressed image that OpenCV knows")
        return _convert(image, "bgr8" if image.ndim == 3 else "mono8", desired_encoding)

    def cv2_to_imgmsg(self, cvim: Pixels, encoding: str = "passthrough", header: Any = None) -> Any:
        """Gives a sensor_msgs/Image; nothing is converted, the encoding must fit the array.

        Raises:
            CvBridgeError: it does not.
        """
        from sensor_msgs.msg import Image

        if not isinstance(cvim, np.ndarray):
            raise TypeError(f"a numpy array is needed, got {type(cvim).__name__}")
        channels = 1 if cvim.ndim < 3 else cvim.shape[2]
        depth = next((name for name, kind in _DEPTHS.items() if cvim.dtype == kind), None)
        if depth is None:
            raise CvBridgeError(f"no image has pixels of type {cvim.dtype}")
        if encoding == "passthrough":
            encoding = f"{depth}C{channels}"
        if _format(encoding)[:2] != (cvim.dtype, channels):
            raise CvBridgeError(f"[{encoding}] does not fit {channels} x {cvim.dtype}")
        message = Image() if header is None else Image(header=header)
        message.height, message.width = cvim.shape[:2]
        message.encoding = encoding
        message.is_bigendian = int(sys.byteorder == "big")
        message.step = message.width * channels * cvim.dtype.itemsize
        data = array("B")
        data.frombytes(np.ascontiguousarray(cvim).tobytes())
        message.data = data
        return message
