# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Random camera rigs and the way they take."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from vggt4d_ros.data.primitives import (
    Array,
    Photometry,
    invert,
    rotation_x,
    rotation_y,
    rotation_z,
    transform,
)

LAYOUTS = ("array", "surround", "inward", "loose")


def sample_rig(
    rng: np.random.Generator, views: int, layout: str, scale: float, fov: Array
) -> Array:
    """Places cameras on the platform, base_from_cam (V, 4, 4).

    Args:
        rng: source of chance.
        views: number of cameras.
        layout: of LAYOUTS. ``array``: side by side, like stereo; ``surround``: looking outwards
            all around, as on a vehicle; ``inward``: around a common target ahead of the base;
            ``loose``: anyhow, within a few decimetres.
        scale: size of the platform, 1 for a small robot.
        fov: (V,) horizontal fields of view, radians.
    """
    index = np.arange(views) - (views - 1) / 2
    small = rng.normal(0, math.radians(2), (views, 3))
    if layout == "array":
        baseline = rng.uniform(0.08, 0.5) * scale
        shift = np.stack([index * baseline, np.zeros(views), np.zeros(views)], -1)
        shift += rng.normal(0, 0.02 * scale, (views, 3))
        yaw = -index * rng.uniform(0, 0.06)
    elif layout == "surround":
        step = min(2 * math.pi / max(views, 1), float(fov.mean()) * rng.uniform(0.45, 0.8))
        yaw = index * step
        radius = rng.uniform(0.05, 0.4) * scale
        shift = np.stack([np.sin(yaw), np.zeros(views), np.cos(yaw)], -1) * radius
    elif layout == "inward":
        distance = rng.uniform(1.5, 3.0) * scale
        yaw = -index * rng.uniform(0.2, 0.7) + rng.normal(0, 0.05, views)
        forward = np.stack([np.sin(yaw), np.zeros(views), np.cos(yaw)], -1)
        shift = np.array([0.0, 0.0, distance]) - forward * distance
        shift[:, 1] += rng.uniform(-0.4, 0.1, views) * scale
    else:
        shift = rng.normal(0, 0.2 * scale, (views, 3)) * [1.0, 0.5, 1.0]
        yaw = rng.uniform(-0.35, 0.35, views)
    rotation = rotation_y(yaw + small[:, 0]) @ rotation_x(small[:, 1]) @ rotation_z(small[:, 2])
    return transform(rotation, shift)


def sample_path(rng: np.random.Generator, steps: int, speed: float, start: Array) -> Array:
    """A smooth way of the platform, world_from_base (T, 4, 4).

    Args:
        rng: source of chance.
        steps: number of instants.
        speed: metres per step; 0: it stands still.
        start: (3,) where it is in the middle of the window.
    """
    time = np.arange(steps) - (steps - 1) / 2
    heading = rng.uniform(-math.pi, math.pi)
    if speed == 0:
        turn, roll = 0.0, 0.0
    else:
        turn = rng.normal(0, math.radians(3.5))
        roll = rng.normal(0, math.radians(0.8))
    yaw = heading + turn * time + 0.5 * rng.normal(0, 0.15) * turn * time**2
    pitch = np.asarray(rng.normal(0, math.radians(6)) + roll * time, dtype=np.float64)
    # mostly ahead, sometimes sideways or back
    course = heading + (rng.normal(0, 0.3) if rng.random() < 0.6 else rng.uniform(-3.1, 3.1))
    step = np.stack(
        [np.sin(course + turn * time), np.zeros(steps), np.cos(course + turn * time)], -1
    )
    way = np.cumsum(step * speed, axis=0)
    way += rng.normal(0, 0.04, (steps, 3)) * speed + start - way.mean(axis=0)
    sway = rotation_z(rng.normal(0, math.radians(1.5)) + rng.normal(0, 0.005, steps) * (speed > 0))
    return transform(rotation_y(yaw) @ rotation_x(pitch) @ sway, way)


def compose(world_from_base: Array, base_from_cam: Array) -> Array:
    """cam_from_world (T, V, 4, 4) of a path (T, 4, 4) and a rig (V, 4, 4)."""
    return invert(world_from_base[:, None] @ base_from_cam[None])


def sample_photometry(
    rng: np.random.Generator, steps: int, views: int, harsh: float = 0.0
) -> Photometry:
    """Random exposure, white balance, noise and blur of each camera.

    ``harsh`` is the share of windows whose cameras show colours and brightness far from true.
    """
    shared = rng.uniform(0.7, 1.25) * rng.uniform(0.9, 1.1, 3)
    per_view = rng.uniform(0.85, 1.18, (views, 1)) * rng.uniform(0.95, 1.05, (views, 3))
    drift = 1 + rng.normal(0, 0.02, (steps, views, 1))
    usual = Photometry(
        gain=shared * per_view[None] * drift,
        offset=rng.normal(0, 0.02, (1, views)) + rng.normal(0, 0.004, (steps, views)),
        gamma=rng.uniform(0.8, 1.2, views),
        noise=rng.uniform(0.0, 1.0, views) ** 2 * 0.04,
        blur=np.where(rng.random(views) < 0.6, rng.uniform(0, 1, views), 0.0),
        vignette=np.where(rng.random(views) < 0.4, rng.uniform(0, 0.4, views), 0.0),
    )
    if not harsh or rng.random() >= harsh:
        return usual
    cast = np.exp(rng.normal(0, 0.3) + rng.normal(0, 0.25, 3))
    contrast = np.exp(rng.normal(0.1, 0.3))
    return replace(
        usual, gain=usual.gain * cast, gamma=usual.gamma * contrast, vignette=usual.vignette * 1.8
    )


def sample_border(rng: np.random.Generator, views: int) -> Array:
    """Widths and colour (V, 7) of the plain border of each camera; see ``Photometry``."""
    wide = rng.uniform(0.0, 0.05, (views, 4)) * (rng.random((views, 4)) < 0.75)
    grey = rng.choice([0.0, 1.0, rng.random()], p=[0.4, 0.4, 0.2])
    return np.concatenate([wide, np.full((views, 3), grey)], -1)
