# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Camera images to network images, and pixels back.

``crop`` and ``pad`` are the release's two modes. ``fit`` is what the predictor does: the whole
image, longer side at the target; for landscape images that is the same as ``crop``. Images of
different shapes in one window are padded with white around the middle, as in the release.

Pixel mapping of a resize: corners map to corners, so that the centre of camera pixel u (integer)
lies at ``(u + 0.5) * scale - 0.5 + offset`` in the network image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
MODES = ("fit", "crop", "pad")
WHITE = 255
BICUBIC = 3  # Image.BICUBIC, which Pillow has under another name in each of its versions


@dataclass(frozen=True)
class Placement:
    """Where a camera image lies in the network image, pixels."""

    camera_height: int
    camera_width: int
    height: int  # of the camera image in the network image
    width: int
    top: int
    left: int
    total_height: int  # of the network image
    total_width: int

    @property
    def scale_x(self) -> float:
        """Network pixels per camera pixel."""
        return self.width / self.camera_width

    @property
    def scale_y(self) -> float:
        """Network pixels per camera pixel."""
        return self.height / self.camera_height


def _rounded(size: float, patch: int) -> int:
    return max(patch, round(size / patch) * patch)  # Python's round: half to even, as the release


def fitted_size(height: int, width: int, target: int, patch: int) -> tuple[int, int]:
    """Height and width with the longer side at ``target`` and both multiples of ``patch``."""
    if width >= height:
        return _rounded(height * (target / width), patch), target
    return target, _rounded(width * (target / height), patch)


def place(height: int, width: int, size: tuple[int, int], total: tuple[int, int]) -> Placement:
    """The placement of a camera image scaled to ``size`` in the middle of ``total``."""
    top, left = (total[0] - size[0]) // 2, (total[1] - size[1]) // 2
    return Placement(height, width, *size, top, left, *total)


def to_rgb(pixels: Pixels) -> Pixels:
    """RGB (H, W, 3) of RGB or RGBA; RGBA is blended onto white.

    Raises:
        ValueError: the image is not (H, W, 3) or (H, W, 4) uint8.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (3, 4):
        raise ValueError(f"image must be (H, W, 3 or 4) uint8, got {pixels.shape} {pixels.dtype}")
    if pixels.shape[2] == 3:
        return pixels
    image = Image.fromarray(pixels)
    white = Image.new("RGBA", image.size, (WHITE,) * 4)
    return np.asarray(Image.alpha_composite(white, image).convert("RGB"))


def resample(pixels: Pixels, height: int, width: int) -> Pixels:
    """Bicubic with antialiasing, (height, width, 3)."""
    if pixels.shape[:2] == (height, width):
        return pixels
    resized = Image.fromarray(pixels).resize((width, height), BICUBIC)
    return np.array(resized)


def pad_to(pixels: Pixels, height: int, width: int) -> Pixels:
    """Puts the image in the middle of white, rounding towards top left."""
    missing_h, missing_w = height - pixels.shape[0], width - pixels.shape[1]
    if not missing_h and not missing_w:
        return pixels
    top, left = missing_h // 2, missing_w // 2
    margins = ((top, missing_h - top), (left, missing_w - left), (0, 0))
    return np.pad(pixels, margins, constant_values=WHITE)


def preprocess(pixels: Pixels, target: int, mode: str = "fit", patch: int = 14) -> Pixels:
    """The network image of one camera image, (h, w, 3) uint8.

    Args:
        pixels: (H, W, 3) RGB or (H, W, 4) RGBA.
        target: longer side (fit, pad) or width (crop), a multiple of ``patch``.
        mode: fit, crop or pad.
        patch: both sides of the result are multiples of it (crop: both of a landscape image).

    Raises:
        ValueError: unknown mode or not an image.
    """
    pixels = to_rgb(pixels)
    height, width = pixels.shape[:2]
    if mode == "crop":
        new_height = _rounded(height * (target / width), patch)
        resized = resample(pixels, new_height, target)
        start = max(0, (new_height - target) // 2)
        return resized[start : start + target]
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, got {mode!r}")
    resized = resample(pixels, *fitted_size(height, width, target, patch))
    return pad_to(resized, target, target) if mode == "pad" else resized


def batch(images: list[Pixels]) -> Pixels:
    """Stacks images (N, H, W, 3), the smaller ones padded with white around the middle."""
    height = max(image.shape[0] for image in images)
    width = max(image.shape[1] for image in images)
    return np.stack([pad_to(image, height, width) for image in images])
