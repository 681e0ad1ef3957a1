# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A room of boxes in closed form: exact depth, flow and velocity of every pixel.

Without textures and without torch, for the accuracy and the speed of the geometry alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.datatypes import Array, CameraModel
from vggt4d_ros.geometry import se3
from vggt4d_ros.geometry.pinhole import pixel_rays, project

_NEAREST_M = 1e-3  # a camera inside of a box does not see it


@dataclass(frozen=True, slots=True, eq=False)
class Box:
    """An upright box that moves without turning."""

    low: tuple[float, float, float]  # corner at time 0, m
    high: tuple[float, float, float]
    velocity: tuple[float, float, float] = (0.0, 0.0, 0.0)  # m/s

    def corners(self, time_s: float) -> tuple[Array, Array]:
        """Low and high corner (3,) at a time."""
        shift = time_s * np.array(self.velocity)
        return np.array(self.low) + shift, np.array(self.high) + shift


@dataclass(frozen=True, slots=True, eq=False)
class AnalyticScene:
    """Boxes in a room."""

    room: Box  # seen from inside
    things: tuple[Box, ...] = ()


_ROOM = Box((-7.0, -6.0, 0.0), (7.0, 6.0, 3.5))
MOVING_BOXES = (
    Box((-6.0, -3.0, 0.2), (-4.9, -1.9, 1.8), (0.0, 1.2, 0.0)),
    Box((4.6, 2.2, 0.1), (5.6, 2.9, 1.7), (-0.9, -0.9, 0.0)),
)
FURNISHED_ROOM = AnalyticScene(
    _ROOM,
    (
        Box((-6.0, -5.5, 0.0), (-4.5, -4.0, 1.5)),
        Box((4.0, -5.0, 0.0), (6.0, -3.5, 2.5)),
        Box((4.5, 3.0, 0.0), (6.0, 5.0, 1.0)),
        Box((-5.5, 3.5, 0.0), (-3.5, 5.5, 2.0)),
        Box((-0.6, 4.5, 0.0), (0.8, 5.5, 1.2)),
        Box((-0.5, -5.5, 0.0), (0.7, -4.3, 2.8)),
        *MOVING_BOXES,
    ),
)
BARE_ROOM = AnalyticScene(_ROOM)


@dataclass(frozen=True, slots=True, eq=False)
class AnalyticView:
    """What one image would show, exactly."""

    depth: Array  # (H, W) m along z
    velocity: Array  # (H, W, 3) m/s of each pixel's point, world axes
    points: Array  # (H, W, 3) world, m
    moving: NDArray[np.bool_] = field(init=False)  # (H, W)

    def __post_init__(self) -> None:
        object.__setattr__(self, "moving", self.velocity.any(axis=-1))


def render(
    world_from_cam: Array,
    time_s: float,
    model: CameraModel,
    scene: AnalyticScene = FURNISHED_ROOM,
) -> AnalyticView:
    """Casts one ray per pixel against all boxes (slab method: Kay and Kajiya, SIGGRAPH 1986)."""
    columns, rows = np.meshgrid(np.arange(model.width), np.arange(model.height))
    rays = np.moveaxis(pixel_rays(np.stack([columns, rows], axis=-1), model), -1, 0)
    turn, origin = world_from_cam[:3, :3], world_from_cam[:3, 3]
    # world axes; the length along the optical axis is 1, so distances along a ray are depths
    direction = [row[0] * rays[0] + row[1] * rays[1] + row[2] for row in turn]
    with np.errstate(divide="ignore"):
        inverse = [1.0 / axis for axis in direction]
    depth = _slab(origin, inverse, *scene.room.corners(time_s))[1]
    velocity = np.zeros((*depth.shape, 3))
    for box in scene.things:
        near, far = _slab(origin, inverse, *box.corners(time_s))
        hit = (near < far) & (near > _NEAREST_M) & (near < depth)
        depth[hit] = near[hit]
        velocity[hit] = box.velocity
    points = np.stack([o + d * depth for o, d in zip(origin, direction, strict=True)], axis=-1)
    return AnalyticView(depth, velocity, points)


def _slab(origin: Array, inverse: list[Array], low: Array, high: Array) -> tuple[Array, Array]:
    """Gives where rays enter and leave a box; they miss it where they leave before they enter."""
    near, far = np.full_like(inverse[0], -np.inf), np.full_like(inverse[0], np.inf)
    for start, axis, a, b in zip(origin, inverse, low, high, strict=True):
        with np.errstate(invalid="ignore"):
            first, second = (a - start) * axis, (b - start) * axis
        np.maximum(near, np.minimum(first, second), out=near)
        np.minimum(far, np.maximum(first, second), out=far)
    return near, far


def exact_flow(
    view: AnalyticView, other_from_world: Array, dt_s: float, model: CameraModel
) -> NDArray[np.float32]:
    """Gives the pixels (H, W, 2) that each point moves until ``dt_s`` later, in another camera.

    NaN where the point is behind it.
    """
    points = view.points + dt_s * view.velocity
    height, width = view.depth.shape
    local = se3.transform_points(other_from_world, points.reshape(-1, 3))
    pixels = project(local, model).reshape(height, width, 2)
    pixels[..., 0] -= np.arange(width)
    pixels[..., 1] -= np.arange(height)[:, None]
    return pixels.astype(np.float32)
