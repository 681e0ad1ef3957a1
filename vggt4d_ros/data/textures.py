# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Procedural textures without detail finer than a few texels, with mip levels.

Detail below a pixel flickers between views and makes warping checks meaningless; the mip level is
chosen so that a texel covers about a pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SIZE = 256  # texels along a side of level 0
LEVELS = 8  # 256 ... 2
CHANNELS = 2  # mixes the two colours of a surface; brightness


@dataclass(frozen=True, slots=True, eq=False)
class TextureBank:
    """Textures of all mip levels in one table."""

    texels: Tensor  # (count * texels of all levels, CHANNELS) uint8
    count: int

    def sample(self, texture: Tensor, u: Tensor, v: Tensor, texels_per_pixel: Tensor) -> Tensor:
        """Bilinear values in [0, 1], (N, CHANNELS).

        Args:
            texture: (N,) long.
            u: (N,) in repeats of the texture; any value, it tiles. ``v`` likewise.
            texels_per_pixel: (N,) of level 0; picks the mip level.
        """
        level = (torch.log2(texels_per_pixel.clamp(min=1e-3)) + 0.5).round().clamp(0, LEVELS - 1)
        level = level.long()
        offsets, sizes = _level_tables(self.texels.device)
        size = sizes[level]
        base = texture * int(offsets[-1]) + offsets[level]
        x = (u - u.floor()) * size - 0.5
        y = (v - v.floor()) * size - 0.5
        x0, y0 = x.floor(), y.floor()
        ax, ay = (x - x0)[:, None], (y - y0)[:, None]
        last = size - 1  # sizes are powers of two: & wraps around
        left, top = x0.long() & last, y0.long() & last
        right, bottom = (left + 1) & last, (top + 1) & last
        row0, row1 = base + top * size, base + bottom * size
        a = self.texels[row0 + left].float()
        b = self.texels[row0 + right].float()
        c = self.texels[row1 + left].float()
        d = self.texels[row1 + right].float()
        upper = torch.lerp(a, b, ax)
        lower = torch.lerp(c, d, ax)
        return torch.lerp(upper, lower, ay) / 255.0


def _level_tables(device: torch.device) -> tuple[Tensor, Tensor]:
    sizes = torch.tensor([SIZE >> level for level in range(LEVELS)])
    offsets = torch.cat([torch.zeros(1, dtype=torch.long), (sizes * sizes).cumsum(0)])
    return offsets.to(device), sizes.to(device)


def make_textures(count: int, seed: int) -> TextureBank:
    """Makes a bank of noise, stripe, tile, brick and spot textures."""
    rng = np.random.default_rng([seed, 7])
    levels = []
    for index in range(count):
        pattern = _PATTERNS[index % len(_PATTERNS)](rng)
        shade = _noise(rng, rng.uniform(1.2, 2.2))
        texture = np.stack([_to_unit(pattern), _to_unit(shade)], axis=-1)
        for level in range(LEVELS):
            if level:
                texture = 0.25 * (
                    texture[::2, ::2]
                    + texture[1::2, ::2]
                    + texture[::2, 1::2]
                    + texture[1::2, 1::2]
                )
            levels.append(np.round(texture * 255).astype(np.uint8).reshape(-1, CHANNELS))
    return TextureBank(torch.from_numpy(np.concatenate(levels)), count)


def _to_unit(values: NDArray[np.float64]) -> NDArray[np.float64]:
    low, high = np.percentile(values, [1, 99])
    unit: NDArray[np.float64] = np.clip((values - low) / max(high - low, 1e-9), 0.0, 1.0)
    return unit


def _filter(values: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Gaussian low-pass on the torus, ``sigma`` in texels."""
    f = np.fft.fftfreq(SIZE)
    gain = np.exp(-2 * (math.pi * sigma) ** 2 * (f[:, None] ** 2 + f[None, :] ** 2))
    smooth: NDArray[np.float64] = np.fft.ifft2(np.fft.fft2(values) * gain).real
    return smooth


def _noise(rng: np.random.Generator, power: float) -> NDArray[np.float64]:
    """Noise whose amplitude falls as frequency^-power, low-passed at 1.5 texels."""
    f = np.fft.fftfreq(SIZE) * SIZE
    radius = np.hypot(f[:, None], f[None, :])
    radius[0, 0] = np.inf
    spectrum = np.fft.fft2(rng.standard_normal((SIZE, SIZE))) * radius**-power
    return _filter(np.fft.ifft2(spectrum).real, 1.5)


def _plain_noise(rng: np.random.Generator) -> NDArray[np.float64]:
    return _noise(rng, rng.uniform(0.7, 1.8))


def _blotches(rng: np.random.Generator) -> NDArray[np.float64]:
    field = _noise(rng, rng.uniform(1.2, 2.0))
    levels = int(rng.integers(2, 5))
    steps = np.searchsorted(np.quantile(field, np.linspace(0, 1, levels + 1)[1:-1]), field)
    shades = rng.permutation(levels)[steps]
    return _filter(shades.astype(float), 1.3) + 0.3 * _to_unit(_noise(rng, 1.0))


def _stripes(rng: np.random.Generator) -> NDArray[np.float64]:
    x, y = np.meshgrid(np.arange(SIZE), np.arange(SIZE))
    kx, ky = int(rng.integers(0, 9)), int(rng.integers(1, 9))
    warp = rng.uniform(0, 12) * _to_unit(_noise(rng, 2.0))
    wave = np.sin(2 * math.pi * (kx * x + ky * y) / SIZE + warp)
    return _filter(np.tanh(wave * rng.uniform(1, 6)), 1.3) + 0.5 * _to_unit(_noise(rng, 1.2))


def _tiles(rng: np.random.Generator) -> NDArray[np.float64]:
    rows, columns = 2 ** int(rng.integers(2, 5)), 2 ** int(rng.integers(2, 5))
    shades = rng.uniform(0, 1, (rows, columns))
    image = np.kron(shades, np.ones((SIZE // rows, SIZE // columns)))
    return _filter(_joints(image, rows, columns, rng), 1.2) + 0.25 * _to_unit(_noise(rng, 1.0))


def _bricks(rng: np.random.Generator) -> NDArray[np.float64]:
    rows, columns = 2 ** int(rng.integers(3, 5)), 2 ** int(rng.integers(2, 4))
    image = np.kron(rng.uniform(0.3, 1, (rows, columns)), np.ones((SIZE // rows, SIZE // columns)))
    image = _joints(image, rows, columns, rng)
    high = SIZE // rows
    for row in range(1, rows, 2):
        part = slice(row * high, (row + 1) * high)
        image[part] = np.roll(image[part], SIZE // columns // 2, axis=1)
    return _filter(image, 1.2) + 0.25 * _to_unit(_noise(rng, 1.0))


def _joints(
    image: NDArray[Any], rows: int, columns: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draws the gaps between tiles."""
    thick = int(rng.integers(1, 5))
    shade = rng.uniform(-0.5, 0.2)
    image = image.copy()
    for offset in range(thick):
        image[offset :: SIZE // rows, :] = shade
        image[:, offset :: SIZE // columns] = shade
    return image


def _spots(rng: np.random.Generator) -> NDArray[np.float64]:
    y, x = np.mgrid[:SIZE, :SIZE]
    image = 0.4 * _to_unit(_noise(rng, 1.2))
    for _ in range(int(rng.integers(10, 60))):
        cx, cy = rng.uniform(0, SIZE, 2)
        radius = rng.uniform(3, 26)
        dx = np.abs(x - cx)
        dy = np.abs(y - cy)
        dx, dy = np.minimum(dx, SIZE - dx), np.minimum(dy, SIZE - dy)
        inside = np.hypot(dx, dy) < radius if rng.random() < 0.5 else np.maximum(dx, dy) < radius
        image[inside] = rng.uniform(0, 1)
    return _filter(image, 1.3)


_PATTERNS = (_plain_noise, _blotches, _stripes, _tiles, _bricks, _spots, _blotches, _spots)
