# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Random surfaces: textures and colours of things and rooms."""

from __future__ import annotations

import colorsys
from dataclasses import replace

import numpy as np

from vggt4d_ros.data.primitives import Array, Surface

SKY_FACES: dict[str, tuple[int, ...]] = {"room": (), "street": (2,), "open": (0, 1, 2, 4, 5)}


def _color(rng: np.random.Generator) -> Array:
    """Mostly dull, now and then strong."""
    saturation = rng.uniform(0, 0.9) if rng.random() < 0.4 else rng.uniform(0, 0.35)
    return np.array(colorsys.hsv_to_rgb(rng.random(), saturation, rng.uniform(0.1, 1.0)))


def _face_colors(rng: np.random.Generator) -> Array:
    first = _color(rng)
    second = _color(rng) if rng.random() < 0.6 else np.clip(first * rng.uniform(0.3, 1.9), 0, 1)
    return np.stack([first, second])


def sample_surface(rng: np.random.Generator, textures: int, size: float) -> Surface:
    """One look for all faces, or six."""
    same = rng.random() < 0.6
    texture = np.full(6, rng.integers(textures)) if same else rng.integers(0, textures, 6)
    colors = _face_colors(rng)
    stack = np.stack(
        [colors if same or rng.random() < 0.5 else _face_colors(rng) for _ in range(6)]
    )
    repeats = np.full(6, rng.uniform(0.25, 0.9) / size)
    return Surface(texture, stack, repeats, rng.random((6, 2)))


def sample_room_surface(rng: np.random.Generator, kind: str, half: Array, textures: int) -> Surface:
    """Walls alike or not, another floor and another ceiling."""
    texture = np.full(6, rng.integers(textures))
    if rng.random() < 0.5:
        texture = rng.integers(0, textures, 6)
    texture[2:4] = rng.integers(0, textures, 2)
    wall = _face_colors(rng)
    colors = np.stack([wall if rng.random() < 0.6 else _face_colors(rng) for _ in range(6)])
    colors[3] = _face_colors(rng)
    tile = {"room": (1.5, 4.0), "street": (4.0, 10.0), "open": (4.0, 16.0)}[kind]
    repeats = 1.0 / rng.uniform(*tile, 6)
    if kind != "room":  # a sky of clouds, light above
        sky = np.stack([_sky(rng), np.array([0.9, 0.92, 0.95]) * rng.uniform(0.7, 1.0)])
        cloud = rng.integers(textures // 8) * 8  # noise is the first of every eight patterns
        for face in SKY_FACES[kind]:
            colors[face], texture[face], repeats[face] = sky, cloud, 0.25 / half[0]
    return Surface(texture, colors, repeats, rng.random((6, 2)))


def fade(surface: Surface, contrast: float) -> Surface:
    """The same with its second colours nearer to the first: plain walls for 0."""
    first = surface.colors[:, :1]
    colors = first + np.array([0.0, contrast])[:, None] * (surface.colors - first)
    return replace(surface, colors=colors)


def _sky(rng: np.random.Generator) -> Array:
    return np.array([rng.uniform(0.3, 0.8), rng.uniform(0.5, 0.85), rng.uniform(0.75, 1.0)])
