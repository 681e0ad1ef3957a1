# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The camera: how intrinsics follow an image, and how pixels and rays belong together.

Pixel (u, v) = (column, row) is integer at the pixel centre, as OpenCV and CameraInfo have it, so
an image spans [-0.5, width - 0.5] and every scaling keeps the point (-0.5, -0.5) fixed:
u' + 0.5 = (u + 0.5) * width' / width.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.datatypes import Array, CameraModel

Plane = NDArray[np.float32]

# distortion_model of sensor_msgs/CameraInfo -> numbers of coefficients OpenCV takes
DISTORTION_MODELS: dict[str, tuple[int, ...]] = {
    "": (0,),
    "none": (0,),
    "plumb_bob": (0, 4, 5),
    "rational_polynomial": (0, 8, 12, 14),
    "equidistant": (0, 4),
}


def _check_distortion_model(model: CameraModel) -> None:
    if model.distortion_model not in DISTORTION_MODELS:
        raise ValueError(
            f"unknown distortion model {model.distortion_model!r}; "
            f"known: {', '.join(filter(None, DISTORTION_MODELS))}"
        )


def is_distorted(model: CameraModel) -> bool:
    """Tells whether straight lines are bent in the image."""
    return any(model.distortion)


def resize_model(model: CameraModel, width: int, height: int) -> CameraModel:
    """Gives the model of the image resampled to width x height, each axis by its own factor.

    Raises:
        ValueError: a side is not positive.
    """
    if width <= 0 or height <= 0:
        raise ValueError(f"image size must be positive, got {width} x {height}")
    sx, sy = width / model.width, height / model.height
    return replace(
        model,
        width=width,
        height=height,
        fx=model.fx * sx,
        fy=model.fy * sy,
        cx=(model.cx + 0.5) * sx - 0.5,
        cy=(model.cy + 0.5) * sy - 0.5,
    )


def crop_model(model: CameraModel, left: int, top: int, width: int, height: int) -> CameraModel:
    """Gives the model of the part of the image that starts at pixel (left, top).

    Negative offsets and sizes beyond the image are padding.

    Raises:
        ValueError: a side is not positive.
    """
    if width <= 0 or height <= 0:
        raise ValueError(f"image size must be positive, got {width} x {height}")
    return replace(model, width=width, height=height, cx=model.cx - left, cy=model.cy - top)


def bin_model(model: CameraModel, binning_x: int, binning_y: int) -> CameraModel:
    """Gives the model after binning_x x binning_y neighbours became one pixel.

    What does not fill a super-pixel at the right and lower border is cut off, as sensors do.

    Raises:
        ValueError: binning is below 1 or leaves no pixel.
    """
    if binning_x < 1 or binning_y < 1:
        raise ValueError(f"binning must be at least 1, got {binning_x} x {binning_y}")
    width, height = model.width // binning_x, model.height // binning_y
    if not width or not height:
        raise ValueError(
            f"binning {binning_x} x {binning_y} leaves nothing of {model.width} x {model.height}"
        )
    whole = crop_model(model, 0, 0, width * binning_x, height * binning_y)
    return resize_model(whole, width, height)


def model_from_matrix(matrix: Array, width: int, height: int) -> CameraModel:
    """Gives a model without distortion from a camera matrix (3, 3), pixels.

    Raises:
        ValueError: the matrix is not finite or a focal length is not positive.
    """
    fx, fy, cx, cy = (float(matrix[i, j]) for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    if not all(map(math.isfinite, (fx, fy, cx, cy))) or fx <= 0 or fy <= 0:
        raise ValueError(f"no camera matrix: fx {fx}, fy {fy}, cx {cx}, cy {cy}")
    return CameraModel(width, height, fx, fy, cx, cy)


def field_of_view(model: CameraModel) -> tuple[float, float]:
    """Gives the horizontal and vertical field of view without distortion, rad."""
    horizontal = math.atan((model.cx + 0.5) / model.fx) + math.atan(
        (model.width - 0.5 - model.cx) / model.fx
    )
    vertical = math.atan((model.cy + 0.5) / model.fy) + math.atan(
        (model.height - 0.5 - model.cy) / model.fy
    )
    return horizontal, vertical


def pixel_rays(pixels: Array, model: CameraModel) -> Array:
    """Gives (..., 2): x/z and y/z of the rays of pixels (..., 2).

    NaN where no ray meets the pixel: wide lenses whose image does not fill the sensor.

    Raises:
        ValueError: the distortion model is unknown.
    """
    _check_distortion_model(model)
    flat = np.ascontiguousarray(pixels, dtype=np.float64).reshape(-1, 1, 2)
    if not is_distorted(model):
        rays = (flat - [model.cx, model.cy]) / [model.fx, model.fy]
        return rays.reshape(pixels.shape)
    if model.distortion_model == "equidistant":
        start = cv2.fisheye.undistortPoints(flat, model.matrix, np.array(model.distortion))
    else:
        start = cv2.undistortPoints(flat, model.matrix, np.array(model.distortion))
    start = np.asarray(start, dtype=np.float64)
    return _refine_rays(start.reshape(-1, 2), flat[:, 0], model).reshape(pixels.shape)


def _refine_rays(rays: Array, pixels: Array, model: CameraModel) -> Array:
    """Takes rays (N, 2) to 1e-7 px of their pixels (N, 2); NaN where no ray meets the pixel.

    OpenCV stops after a fixed number of rounds, which leaves tenths of a pixel at wide lenses,
    and says nothing of pixels that lie outside the lens model's range.
    """
    focal = np.array([model.fx, model.fy])
    rays = rays.copy()
    error = np.full(len(rays), np.inf)
    open_rays = np.arange(len(rays))
    for _ in range(50):
        ahead = np.concatenate([rays[open_rays], np.ones((len(open_rays), 1))], axis=-1)
        miss = pixels[open_rays] - project(ahead, model)
        error[open_rays] = np.abs(miss).max(axis=-1)
        rays[open_rays] += miss / focal
        open_rays = open_rays[error[open_rays] > 1e-7]  # NaN counts as done
        if not len(open_rays):
            break
    with np.errstate(invalid="ignore"):
        rays[~(error < 1e-3)] = np.nan
    return rays


def project(points: Array, model: CameraModel) -> Array:
    """Gives pixels (..., 2) of points (..., 3) in the camera frame; NaN at and behind the camera.

    Raises:
        ValueError: the distortion model is unknown.
    """
    _check_distortion_model(model)
    flat = np.asarray(points, dtype=np.float64).reshape(-1, 3)
    with np.errstate(invalid="ignore"):
        ahead = flat[:, 2] > 0
    safe = np.where(ahead[:, None], flat, [0.0, 0.0, 1.0])
    if not is_distorted(model):
        pixels = safe[:, :2] / safe[:, 2:] * [model.fx, model.fy] + [model.cx, model.cy]
    else:
        distortion = np.array(model.distortion)
        zero = np.zeros(3)
        column = np.ascontiguousarray(safe[:, None])
        if model.distortion_model == "equidistant":
            pixels, _ = cv2.fisheye.projectPoints(column, zero, zero, model.matrix, distortion)
        else:
            pixels, _ = cv2.projectPoints(column, zero, zero, model.matrix, distortion)
        pixels = np.asarray(pixels, dtype=np.float64).reshape(-1, 2)
    return np.where(ahead[:, None], pixels, np.nan).reshape(*points.shape[:-1], 2)


@lru_cache(maxsize=64)
def ray_planes(model: CameraModel) -> Plane:
    """Gives (2, H, W) float32: x/z and y/z of every pixel's ray; cached, not to be written to."""
    columns, rows = np.meshgrid(np.arange(model.width), np.arange(model.height))
    rays = pixel_rays(np.stack([columns, rows], axis=-1).astype(np.float64), model)
    planes = np.ascontiguousarray(np.moveaxis(rays, -1, 0), dtype=np.float32)
    planes.flags.writeable = False
    return planes


def ray_factors(model: CameraModel) -> tuple[Plane, Plane]:
    """Gives x/z and y/z of the rays in shapes that broadcast to (H, W).

    Without distortion a row and a column say it all, which spares the time and memory of planes.
    """
    if is_distorted(model):
        planes = ray_planes(model)
        return planes[0], planes[1]
    x = (np.arange(model.width) - model.cx) / model.fx
    y = (np.arange(model.height) - model.cy) / model.fy
    return x[None].astype(np.float32), y[:, None].astype(np.float32)


def unproject_depth(depth: NDArray[np.float32], model: CameraModel) -> NDArray[np.float32]:
    """Gives points (..., H, W, 3) float32 in the camera frame from depth along z (..., H, W).

    Raises:
        ValueError: depth is not of the model's size.
    """
    check_size(depth, model)
    x, y = ray_factors(model)
    points = np.empty((*depth.shape, 3), dtype=np.float32)
    np.multiply(x, depth, out=points[..., 0])
    np.multiply(y, depth, out=points[..., 1])
    points[..., 2] = depth
    return points


def check_size(plane: NDArray[np.generic], model: CameraModel) -> None:
    """Makes sure that a plane (..., H, W) is of the model's size.

    Raises:
        ValueError: it is not; names both.
    """
    if plane.ndim < 2 or plane.shape[-2:] != (model.height, model.width):
        raise ValueError(
            f"depth must be (..., {model.height}, {model.width}) like its camera model, "
            f"got {plane.shape}"
        )
