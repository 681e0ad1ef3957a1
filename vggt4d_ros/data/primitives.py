# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Descriptions of scenes: unit primitives that are scaled, turned and moved, and cameras.

World: x right, y down (gravity is +y), z ahead; metres. Every primitive is the unit box
[-1, 1]^3, the unit ball or the cylinder of radius 1 and height -1..1 about its y axis, stretched
by ``half`` along its own axes. The last primitive is the room, a box seen from inside.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BOX, BALL, CYLINDER, ROOM = 0, 1, 2, 3
FACES = 6  # -x +x -y +y -z +z; of curved shapes the side that a point of the surface faces most


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """Look of the six faces of a primitive."""

    texture: NDArray[np.int64]  # (6,)
    colors: Array  # (6, 2, 3) the two colours that the texture mixes
    repeats: Array  # (6,) repeats of the texture per metre
    shift: Array  # (6, 2) in repeats


@dataclass(frozen=True, slots=True, eq=False)
class Primitive:
    """One moving shape."""

    kind: int
    half: Array  # (3,) half extents, metres
    world_from_part: Array  # (T, 4, 4) at every step
    surface: Surface
    instance: int  # object it belongs to; 0 the surroundings


@dataclass(frozen=True, slots=True, eq=False)
class Photometry:
    """How a camera turns light into an image, per step and view."""

    gain: Array  # (T, V, 3)
    offset: Array  # (T, V)
    gamma: Array  # (V,)
    noise: Array  # (V,) standard deviation
    blur: Array  # (V,) weight of the neighbours in a 3 x 3 binomial, 0 none .. 1
    vignette: Array  # (V,) darkening at the corners
    # (V, 7) a plain border, as rectified images have it: width at the left, right, top and bottom
    # over the image's size, and colour
    border: Array = field(default_factory=lambda: np.zeros((1, 7)))


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Everything of one window."""

    primitives: tuple[Primitive, ...]  # the last is the room
    sky_faces: tuple[int, ...]  # of the room: seen, but without depth
    light: Array  # (3,) direction towards it
    ambient: float
    cam_from_world: Array  # (T, V, 4, 4)
    field_of_view: Array  # (V,) horizontal, radians
    aspect: Array  # (V,) fy / fx
    photometry: Photometry
    valid: NDArray[np.bool_]  # (T, V)
    # (L, 5) lamps in the room: place, distance at which their light has halved, strength
    lamps: Array = field(default_factory=lambda: np.zeros((0, 5)))


def rotation_y(angle: float | Array) -> Array:
    """Turn to the right about the vertical axis, (..., 3, 3)."""
    c, s = np.cos(angle), np.sin(angle)
    zero, one = np.zeros_like(c), np.ones_like(c)
    rows = [[c, zero, s], [zero, one, zero], [-s, zero, c]]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def rotation_x(angle: float | Array) -> Array:
    """Turn upwards about the x axis, (..., 3, 3)."""
    c, s = np.cos(angle), np.sin(angle)
    zero, one = np.zeros_like(c), np.ones_like(c)
    rows = [[one, zero, zero], [zero, c, -s], [zero, s, c]]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def rotation_z(angle: float | Array) -> Array:
    """Turn about the viewing axis, (..., 3, 3)."""
    c, s = np.cos(angle), np.sin(angle)
    zero, one = np.zeros_like(c), np.ones_like(c)
    rows = [[c, -s, zero], [s, c, zero], [zero, zero, one]]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def transform(rotation: Array, shift: Array) -> Array:
    """Homogeneous (..., 4, 4) of a rotation (..., 3, 3) and a shift (..., 3)."""
    lead = np.broadcast_shapes(rotation.shape[:-2], shift.shape[:-1])
    out = np.zeros((*lead, 4, 4))
    out[..., :3, :3], out[..., :3, 3], out[..., 3, 3] = rotation, shift, 1.0
    return out


def invert(target_from_source: Array) -> Array:
    """Inverse of rigid transforms (..., 4, 4)."""
    rotation = np.swapaxes(target_from_source[..., :3, :3], -1, -2)
    return transform(rotation, -(rotation @ target_from_source[..., :3, 3:])[..., 0])
