# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Images without lens distortion, by OpenCV's maps computed once per calibration."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.datatypes import CameraModel
from vggt4d_ros.geometry.camera_info import IDENTITY, Calibration
from vggt4d_ros.geometry.pinhole import is_distorted


@lru_cache(maxsize=32)
def rectification_maps(calibration: Calibration) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
    """Gives cv2.remap's fixed-point maps, (H, W, 2) int16 and (H, W) uint16; cached."""
    raw, flat = calibration.raw, calibration.rectified
    rotation = np.array(calibration.rectified_from_raw).reshape(3, 3)
    distortion = np.array(raw.distortion if is_distorted(raw) else (0.0,) * 4)
    build = (
        cv2.fisheye.initUndistortRectifyMap
        if raw.distortion_model == "equidistant"
        else cv2.initUndistortRectifyMap
    )
    maps = build(
        raw.matrix, distortion, rotation, flat.matrix, (flat.width, flat.height), cv2.CV_16SC2
    )
    return maps[0], maps[1]


class Rectifier:
    """Rectifies the images of one camera."""

    def __init__(self, calibration: Calibration) -> None:
        self.calibration = calibration

    @property
    def model(self) -> CameraModel:
        """The rectified image's camera model; no distortion."""
        return self.calibration.rectified

    @property
    def needed(self) -> bool:
        """False where images come rectified, so that rectifying would only blur them."""
        raw, flat = self.calibration.raw, self.calibration.rectified
        return (
            is_distorted(raw)
            or self.calibration.rectified_from_raw != IDENTITY
            or (raw.fx, raw.fy, raw.cx, raw.cy) != (flat.fx, flat.fy, flat.cx, flat.cy)
        )

    def rectify(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Gives the rectified image (H, W[, C]); black where the lens saw nothing.

        Raises:
            ValueError: the image is not of the calibrated size.
        """
        raw = self.calibration.raw
        if image.shape[:2] != (raw.height, raw.width):
            raise ValueError(
                f"image must be {raw.width} x {raw.height} like its calibration, "
                f"got {image.shape[1]} x {image.shape[0]}"
            )
        if not self.needed:
            return image
        first, second = rectification_maps(self.calibration)
        rectified = cv2.remap(image, first, second, cv2.INTER_LINEAR)
        return np.asarray(rectified, dtype=np.uint8)
