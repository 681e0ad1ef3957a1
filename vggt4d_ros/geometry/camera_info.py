# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From the numbers of a sensor_msgs/CameraInfo to the camera model of the image that came.

REP-104: K and P hold for the full, unbinned image; region of interest (in unbinned pixels) and
binning say which part came and how it was scaled, and the consumer applies them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vggt4d_ros.datatypes import CameraModel
from vggt4d_ros.geometry.pinhole import DISTORTION_MODELS, bin_model, crop_model, resize_model

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Calibration:
    """A camera's image as it comes, and as it is once rectified; both of the same size.

    The optical frame of TF is the rectified one, as in image_geometry.
    """

    raw: CameraModel
    rectified: CameraModel  # no distortion
    rectified_from_raw: tuple[float, ...] = IDENTITY  # rotation, 9 numbers, row by row


def calibration_from_info_values(
    *,
    width: int,
    height: int,
    K: Sequence[float],  # noqa: N803  (the names of the message)
    D: Sequence[float],  # noqa: N803
    distortion_model: str,
    R: Sequence[float] = IDENTITY,  # noqa: N803
    P: Sequence[float] = (),  # noqa: N803
    binning_x: int = 0,
    binning_y: int = 0,
    roi: tuple[int, int, int, int] = (0, 0, 0, 0),
) -> Calibration | None:
    """Gives the calibration of the image that comes with a CameraInfo; None: uncalibrated.

    The translation in P (second camera of a stereo pair) is left out: where a camera is, TF says.

    Args:
        width: of the full image, pixels.
        height: of the full image, pixels.
        K: 9 numbers, row by row.
        D: distortion coefficients.
        distortion_model: plumb_bob, rational_polynomial, equidistant or none.
        R: 9 numbers, row by row; all 0 (drivers that leave it out): identity.
        P: 12 numbers, row by row; empty or all 0: K.
        binning_x: 0 and 1 both mean none.
        binning_y: 0 and 1 both mean none.
        roi: x_offset, y_offset, height, width in pixels of the full image; all 0: the full image.

    Raises:
        ValueError: numbers that cannot be a calibration; one line that says which.
    """
    k, d, r, p = (_finite(name, v) for name, v in (("K", K), ("D", D), ("R", R), ("P", P)))
    for name, values, count in (("K", k, 9), ("R", r, 9), ("P", p, 12)):
        if len(values) != count and not (name == "P" and not values):
            raise ValueError(f"CameraInfo.{name} must have {count} numbers, got {len(values)}")
    if k[0] == 0.0:
        return None
    if k[0] < 0 or k[4] <= 0:
        raise ValueError(f"CameraInfo.K has no positive focal lengths: fx {k[0]:g}, fy {k[4]:g}")
    if width <= 0 or height <= 0:
        raise ValueError(f"CameraInfo gives an image of {width} x {height} pixels")
    model = distortion_model.strip().lower()
    _check_coefficients(model, d)
    distortion = d if any(d) else ()
    if not distortion and model not in DISTORTION_MODELS:
        model = ""  # a name we do not know, of a distortion that is none
    full = CameraModel(width, height, k[0], k[4], k[2], k[5], model, distortion)
    flat = replace(full, distortion_model="", distortion=())
    if p and p[0] > 0 and p[5] > 0:
        flat = replace(flat, fx=p[0], fy=p[5], cx=p[2], cy=p[6])
    raw, rectified = (_as_delivered(m, binning_x, binning_y, roi) for m in (full, flat))
    return Calibration(raw, rectified, _rotation(r))


def camera_model_from_info_values(
    *,
    width: int,
    height: int,
    K: Sequence[float],  # noqa: N803
    D: Sequence[float],  # noqa: N803
    distortion_model: str,
    R: Sequence[float] = IDENTITY,  # noqa: N803
    P: Sequence[float] = (),  # noqa: N803
    binning_x: int = 0,
    binning_y: int = 0,
    roi: tuple[int, int, int, int] = (0, 0, 0, 0),
) -> CameraModel | None:
    """Gives the model of the image as it comes, with distortion; None: uncalibrated.

    Raises:
        ValueError: as ``calibration_from_info_values``.
    """
    calibration = calibration_from_info_values(
        width=width,
        height=height,
        K=K,
        D=D,
        distortion_model=distortion_model,
        R=R,
        P=P,
        binning_x=binning_x,
        binning_y=binning_y,
        roi=roi,
    )
    return None if calibration is None else calibration.raw


def fit_to_image(model: CameraModel, width: int, height: int) -> CameraModel:
    """Gives the model for an image of width x height: itself, or resized where the shape agrees.

    Shapes agree when one factor explains both sides up to the rounding of a resize.

    Raises:
        ValueError: the image cannot be a resized version of what was calibrated.
    """
    if (width, height) == (model.width, model.height):
        return model
    factor = max(width / model.width, height / model.height)
    misfit = max(abs(factor * model.width - width), abs(factor * model.height - height))
    if width <= 0 or height <= 0 or misfit > 1.0:
        raise ValueError(
            f"image of {width} x {height} does not fit a CameraInfo for "
            f"{model.width} x {model.height}"
        )
    return resize_model(model, width, height)


def fit_calibration(calibration: Calibration, width: int, height: int) -> Calibration:
    """Gives the calibration for an image of width x height, as ``fit_to_image``.

    Raises:
        ValueError: the image cannot be a resized version of what was calibrated.
    """
    return replace(
        calibration,
        raw=fit_to_image(calibration.raw, width, height),
        rectified=fit_to_image(calibration.rectified, width, height),
    )


def _finite(name: str, values: Sequence[float]) -> tuple[float, ...]:
    numbers = tuple(float(value) for value in values)
    if not np.isfinite(numbers).all():
        raise ValueError(f"CameraInfo.{name} is not finite: {list(numbers)}")
    return numbers


def _check_coefficients(model: str, distortion: tuple[float, ...]) -> None:
    if model not in DISTORTION_MODELS:
        if not any(distortion):  # nothing to model: the name does not matter
            return
        raise ValueError(
            f"unknown distortion model {model!r}; "
            f"known: {', '.join(filter(None, DISTORTION_MODELS))}"
        )
    if any(distortion) and len(distortion) not in DISTORTION_MODELS[model]:
        raise ValueError(
            f"distortion model {model or 'none'!r} takes "
            f"{' or '.join(map(str, DISTORTION_MODELS[model]))} coefficients, got {len(distortion)}"
        )


def _rotation(values: tuple[float, ...]) -> tuple[float, ...]:
    if not any(values):
        return IDENTITY
    matrix = np.array(values).reshape(3, 3)
    if np.abs(matrix @ matrix.T - np.eye(3)).max() > 1e-3 or np.linalg.det(matrix) < 0:
        raise ValueError(f"CameraInfo.R is no rotation: {list(values)}")
    return values


def _as_delivered(
    model: CameraModel, binning_x: int, binning_y: int, roi: tuple[int, int, int, int]
) -> CameraModel:
    """Applies the region of interest, then the binning."""
    left, top, height, width = roi
    if width or height:
        inside = left >= 0 and top >= 0 and width > 0 and height > 0
        if not inside or left + width > model.width or top + height > model.height:
            raise ValueError(
                f"CameraInfo.roi {width} x {height} at ({left}, {top}) is not inside the image "
                f"of {model.width} x {model.height}"
            )
        model = crop_model(model, left, top, width, height)
    if binning_x > 1 or binning_y > 1:
        model = bin_model(model, max(binning_x, 1), max(binning_y, 1))
    return model
