# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Puts things where some camera sees them, and lets them move."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vggt4d_ros.data.furniture import least_gap, sample_piece
from vggt4d_ros.data.looks import sample_surface
from vggt4d_ros.data.primitives import Array, Primitive, rotation_x, rotation_y, transform
from vggt4d_ros.data.things import Part, sample_parts

# metres between a camera and the bounding ball of a thing, times the scene's scale
CLEARANCE = 0.35
TRIES = 6
STANDING_SIZE = (0.08, 0.34)  # of things that do not move, over their distance


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """The surroundings and their size."""

    kind: str
    center: Array  # (3,)
    half: Array  # (3,)
    scale: float

    @property
    def floor(self) -> float:
        """Height (y, downwards) of the floor."""
        return float(self.center[1] + self.half[1])


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """What is there before the things are."""

    ground: Ground
    cam_from_world: Array  # (T, V, 4, 4)
    field_of_view: Array  # (V,)
    textures: int  # in the bank
    moving_size: tuple[float, float] = (0.08, 0.26)  # as in ``SceneConfig``
    moving_pace: tuple[float, float] = (0.025, 0.12)

    @property
    def time(self) -> Array:
        """Steps, 0 in the middle of the window, (T,)."""
        steps = len(self.cam_from_world)
        return np.arange(steps, dtype=np.float64) - (steps - 1) / 2

    @property
    def eyes(self) -> Array:
        """Camera centres in the world, (T, V, 3)."""
        return camera_centers(self.cam_from_world)

    def gap(self, way: Array) -> float:
        """Least distance of a way (T, 3) from a camera at any step, metres."""
        return float(np.min(np.linalg.norm(self.eyes.reshape(-1, 1, 3) - way[None], axis=-1)))


def camera_centers(cam_from_world: Array) -> Array:
    """Camera centres in the world, (..., 3)."""
    rotation = np.swapaxes(cam_from_world[..., :3, :3], -1, -2)
    return -(rotation @ cam_from_world[..., :3, 3:])[..., 0]


def add_thing(rng: np.random.Generator, stage: Stage, number: int, speed: float) -> list[Primitive]:
    """Makes up a thing that some camera sees; no primitive where no free place was found.

    Args:
        rng: source of chance.
        stage: surroundings and cameras.
        number: the thing's instance number.
        speed: against the usual; 0: it stands still.
    """
    ground, time = stage.ground, stage.time
    for _ in range(TRIES):
        step, place, distance = _spot(rng, stage)
        size = distance * rng.uniform(*(stage.moving_size if speed else STANDING_SIZE))
        parts = sample_parts(rng, size, speed > 0)
        bottom = max(part.bottom for part in parts)
        if rng.random() < 0.75:
            place[1] = ground.floor - bottom
        if np.any(np.abs(place - ground.center) > ground.half):
            continue
        course, swing = rng.uniform(-math.pi, math.pi), rng.normal(0, 0.15) * (speed > 0)
        heading = np.asarray(course + swing * time, dtype=np.float64)
        pace = speed * distance * rng.uniform(*stage.moving_pace)
        way = np.cumsum(np.stack([np.sin(heading), 0 * time, np.cos(heading)], -1), axis=0) * pace
        way += place - way[step]
        if speed and place[1] + bottom < ground.floor - 0.2 * size:  # in the air: up and down too
            way[:, 1] += rng.normal(0, 0.3) * pace * (time - time[step])
        radius = max(part.reach for part in parts)
        if stage.gap(way) < radius + CLEARANCE * ground.scale:
            continue
        turning = rotation_y(heading)
        if speed and rng.random() < 0.3:  # tumbles
            turning = turning @ rotation_x(rng.normal(0, 0.2) * time + rng.uniform(-3, 3))
        phase, pace_angle = rng.uniform(0, 2 * math.pi), rng.uniform(0.4, 1.1)
        phases = phase + pace_angle * time if speed else np.full(len(time), phase)
        placed = [transform(turning, way) @ part.at(phases) for part in parts]
        return clothed(rng, stage, parts, placed, number=number, size=size)
    return []


def add_furniture(rng: np.random.Generator, stage: Stage, number: int) -> list[Primitive]:
    """Puts a piece of furniture into a room; no primitive where it would be at a camera."""
    ground, eyes = stage.ground, stage.eyes.reshape(-1, 3)
    for _ in range(TRIES):
        parts, world_from_piece = sample_piece(rng, ground.center, ground.half)
        if least_gap(parts, world_from_piece, eyes) < CLEARANCE:
            continue
        still = np.zeros(len(stage.time))
        placed = [world_from_piece @ part.at(still) for part in parts]
        return clothed(rng, stage, parts, placed, number=number, size=0.6, alike=0.75)
    return []


def _spot(rng: np.random.Generator, stage: Stage) -> tuple[int, Array, float]:
    """A step, a place in the sight of a camera at that step, and its distance from it."""
    ground, cams = stage.ground, stage.cam_from_world
    step, view = int(rng.integers(cams.shape[0])), int(rng.integers(cams.shape[1]))
    reach = 4.0 * ground.scale if ground.kind != "room" else 0.9 * float(np.max(ground.half))
    distance = math.exp(rng.uniform(math.log(0.7 * ground.scale), math.log(1.6 * reach)))
    angle = rng.uniform(-0.5, 0.5) * stage.field_of_view[view]
    ray = np.array([math.sin(angle), rng.uniform(-0.3, 0.3), math.cos(angle)])
    world_from_cam = np.swapaxes(cams[step, view, :3, :3], 0, 1)
    return step, stage.eyes[step, view] + world_from_cam @ (ray * distance), distance


def clothed(
    rng: np.random.Generator,
    stage: Stage,
    parts: Sequence[Part],
    world_from_part: Sequence[Array],
    *,
    number: int,
    size: float,
    alike: float = 0.5,
) -> list[Primitive]:
    """Gives each part a look; the share ``alike`` of them has the same one."""
    shared = sample_surface(rng, stage.textures, size)
    primitives = []
    for part, pose in zip(parts, world_from_part, strict=True):
        own = rng.random() >= alike
        look = sample_surface(rng, stage.textures, size) if own else shared
        primitives.append(Primitive(part.kind, part.half, pose, look, number))
    return primitives
