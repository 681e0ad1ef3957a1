# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Organized clouds in the memory layout of sensor_msgs/PointCloud2: one float32 buffer.

Field i lies at offset 4 * i. ``rgb`` is a float32 whose bits are 0x00RRGGBB, as in PCL.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.datatypes import CameraModel
from vggt4d_ros.geometry.pinhole import check_size, ray_factors

Plane = NDArray[np.float32]

CLOUD_FIELDS = ("x", "y", "z", "rgb", "confidence")
SCENE_FLOW_FIELDS = ("x", "y", "z", "rgb", "vx", "vy", "vz", "confidence")


def pack_rgb(rgb: NDArray[np.uint8]) -> Plane:
    """Gives (...) float32 with the bits 0x00RRGGBB from RGB (..., 3)."""
    wide = np.zeros((*rgb.shape[:-1], 4), dtype=np.uint8)
    wide[..., :3] = rgb[..., ::-1]
    packed: Plane = (wide.view("<u4")[..., 0]).astype(np.uint32, copy=False).view(np.float32)
    return packed


def unpack_rgb(packed: Plane) -> NDArray[np.uint8]:
    """Gives RGB (..., 3) uint8 from packed colours (...); inverse of ``pack_rgb``."""
    bits = np.ascontiguousarray(packed).view(np.uint32)
    shifted = bits[..., None] >> np.array([16, 8, 0], dtype=np.uint32)
    return np.asarray(shifted & np.uint32(255), dtype=np.uint8)


def _pack_image(rgb: NDArray[np.uint8], width: int, height: int) -> Plane:
    """``pack_rgb`` of an image (H, W, 3), resized where it is not of the cloud's size."""
    if rgb.shape[:2] != (height, width):
        rgb = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
    wide = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGRA))  # ten times the speed of numpy's copy
    packed = wide.view("<u4")[..., 0]
    packed &= np.uint32(0x00FFFFFF)
    return packed.view(np.float32)


def write_cloud(
    depth: Plane,
    model: CameraModel,
    rgb: NDArray[np.uint8],
    confidence: Plane,
    *,
    velocity: Plane | None = None,
    out: Plane | None = None,
) -> Plane:
    """Gives an organized cloud in the optical frame, (H, W, 5) or with velocity (H, W, 8).

    Fields as in ``CLOUD_FIELDS`` or ``SCENE_FLOW_FIELDS``; x, y, z are NaN where depth is, so the
    message's is_dense is false.

    Args:
        depth: (H, W) metres, NaN invalid.
        model: of the depth image.
        rgb: (h, w, 3), resized to the depth image where it is of another size.
        confidence: (H, W).
        velocity: (H, W, 3) m/s, NaN invalid.
        out: a buffer to write into, reused where shape and layout fit, else a new one is made.

    Raises:
        ValueError: planes of different sizes.
    """
    check_size(depth, model)
    for name, plane in (("confidence", confidence), ("velocity", velocity)):
        if plane is not None and plane.shape[:2] != depth.shape:
            raise ValueError(f"{name} must be of depth's size {depth.shape}, got {plane.shape}")
    fields = CLOUD_FIELDS if velocity is None else SCENE_FLOW_FIELDS
    shape = (*depth.shape, len(fields))
    if out is None or out.shape != shape or out.dtype != np.float32 or not out.flags.c_contiguous:
        out = np.empty(shape, dtype=np.float32)
    x, y = ray_factors(model)
    planes = [x * depth, y * depth, depth, _pack_image(rgb, model.width, model.height)]
    if velocity is not None:
        planes += cv2.split(velocity)
    planes.append(confidence)
    # numpy would write each field on its own, at twice the time
    cv2.merge([np.asarray(plane, dtype=np.float32) for plane in planes], dst=out)
    return out
