# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From light to images: what each camera makes of a scene."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vggt4d_ros.data.primitives import Array, Scene

GREY = 0.42  # mean brightness that automatic exposure aims at


def expose(images: Tensor, scenes: Sequence[Scene], seeds: Sequence[int]) -> Tensor:
    """Applies each camera's blur, vignetting, gain, gamma, noise and border; clips to [0, 1]."""
    device = images.device
    _, steps, views, _, height, width = images.shape

    def table(name: str, per_view: bool) -> Tensor:
        values = np.stack([getattr(scene.photometry, name) for scene in scenes])
        tensor = torch.from_numpy(values).to(device, torch.float32)
        return tensor[:, None].expand(-1, steps, -1) if per_view else tensor

    blur = table("blur", True)[..., None, None, None]
    flat = images.flatten(0, 2)
    kernel = torch.tensor([1.0, 2.0, 1.0], device=device) / 4
    padded = functional.pad(flat, (1, 1, 1, 1), mode="replicate")
    rows = kernel[0] * (padded[..., :-2] + padded[..., 2:]) + kernel[1] * padded[..., 1:-1]
    soft = kernel[0] * (rows[..., :-2, :] + rows[..., 2:, :]) + kernel[1] * rows[..., 1:-1, :]
    images = torch.lerp(images, soft.view_as(images), blur)
    y = torch.linspace(-1, 1, height, device=device)[:, None]
    x = torch.linspace(-1, 1, width, device=device)
    fall = 1 - table("vignette", True)[..., None, None, None] * (x * x + y * y) / 2
    gamma = table("gamma", True)[..., None, None, None]
    # automatic exposure: each camera comes near a medium grey over the window
    level = images.mean((1, 3, 4, 5), keepdim=True).clamp(min=0.02)
    images = images * (GREY / level) ** 0.85
    images = (images * fall * table("gain", False)[..., None, None]).clamp(min=1e-4) ** gamma
    noise = torch.stack(
        [
            torch.randn(
                images.shape[1:], generator=torch.Generator().manual_seed(seed & 0x7FFFFFFFFFFF)
            )
            for seed in seeds
        ]
    ).to(device)
    images = images + noise * table("noise", True)[..., None, None, None]
    images = (images + table("offset", False)[..., None, None, None]).clamp(0, 1)
    for row, scene in enumerate(scenes):
        _draw_border(images[row], scene.photometry.border)
    return images


def _draw_border(images: Tensor, border: Array) -> None:
    """Overwrites the margins of images (T, V, 3, H, W); see ``Photometry``."""
    height, width = images.shape[-2:]
    for view, (left, right, top, bottom, *color) in enumerate(border):
        image = images[:, view]
        paint = image.new_tensor(color)[None, :, None, None]
        image[..., : round(left * width)] = paint
        image[..., width - round(right * width) :] = paint
        image[..., : round(top * height), :] = paint
        image[..., height - round(bottom * height) :, :] = paint
