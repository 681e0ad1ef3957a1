# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Random dynamic scenes: rooms, streets and open ground with standing and moving things."""

from __future__ import annotations

import colorsys
import math
from dataclasses import dataclass

import numpy as np

from vggt4d_ros.data.primitives import (
    ROOM,
    Array,
    Primitive,
    Scene,
    Surface,
    rotation_x,
    rotation_y,
    transform,
)
from vggt4d_ros.data.rigs import LAYOUTS, compose, sample_path, sample_photometry, sample_rig
from vggt4d_ros.data.things import sample_parts

KINDS = ("room", "street", "open")
SKY_FACES = {"room": (), "street": (2,), "open": (0, 1, 2, 4, 5)}
CLEARANCE = (
    0.35  # metres between a camera and the bounding ball of a thing, times the scene's scale
)


@dataclass(frozen=True, slots=True)
class SceneConfig:
    """What chance may choose from."""

    kinds: tuple[str, ...] = KINDS
    kind_weights: tuple[float, ...] = (0.5, 0.3, 0.2)
    layouts: tuple[str, ...] = LAYOUTS
    static_things: tuple[int, int] = (3, 9)  # fewest, most
    moving_things: tuple[int, int] = (1, 4)
    still_share: float = 0.15  # windows in which nothing moves but the cameras
    standing_share: float = 0.25  # windows in which the platform stands
    speed: float = 1.0  # of platform and things, against the usual
    drop_share: float = 0.15  # windows with missing frames
    fov_degrees: tuple[float, float] = (45.0, 100.0)  # horizontal


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


def sample_scene(
    rng: np.random.Generator, config: SceneConfig, steps: int, views: int, textures: int
) -> Scene:
    """Makes up one scene.

    Args:
        rng: source of chance; the same state gives the same scene.
        config: limits.
        steps: time steps T.
        views: cameras V.
        textures: number of textures in the bank.
    """
    weights = np.asarray(config.kind_weights) / sum(config.kind_weights)
    ground = _sample_ground(rng, config.kinds[int(rng.choice(len(config.kinds), p=weights))])
    fov, cams = _sample_cameras(rng, config, ground, steps, views)
    eyes = _centers(cams)
    things: list[Primitive] = []
    number = 0
    for _ in range(int(rng.integers(config.static_things[0], config.static_things[1] + 1))):
        number += _add_thing(rng, things, number + 1, 0.0, ground, cams, fov, eyes, textures)
    if rng.random() >= config.still_share:
        low, high = config.moving_things
        for _ in range(int(rng.integers(low, high + 1))):
            speed = config.speed
            number += _add_thing(rng, things, number + 1, speed, ground, cams, fov, eyes, textures)
    room = Primitive(
        ROOM,
        ground.half,
        np.tile(transform(np.eye(3), ground.center), (steps, 1, 1)),
        _room_surface(rng, ground, textures),
        0,
    )
    light = rng.normal(size=3) * [1.0, 0.4, 1.0] + [0.0, -1.2, 0.0]
    return Scene(
        primitives=(*things, room),
        sky_faces=SKY_FACES[ground.kind],
        light=light / np.linalg.norm(light),
        ambient=float(rng.uniform(0.35, 0.75)),
        cam_from_world=cams,
        field_of_view=fov,
        aspect=rng.uniform(0.97, 1.03, views),
        photometry=sample_photometry(rng, steps, views),
        valid=_sample_valid(rng, config, steps, views),
    )


def _centers(cam_from_world: Array) -> Array:
    """Camera centres in the world, (..., 3)."""
    rotation = np.swapaxes(cam_from_world[..., :3, :3], -1, -2)
    return -(rotation @ cam_from_world[..., :3, 3:])[..., 0]


def _sample_ground(rng: np.random.Generator, kind: str) -> Ground:
    """The platform's height above the floor is left to ``center``: the way starts near y = 0."""
    if kind == "room":
        half = np.array([rng.uniform(1.8, 5.0), rng.uniform(1.2, 2.0), rng.uniform(1.8, 5.0)])
        scale, height = 1.0, rng.uniform(0.3, 1.6)
    elif kind == "street":
        half = np.array([rng.uniform(4.5, 11.0), rng.uniform(3.0, 8.0), rng.uniform(20.0, 50.0)])
        scale, height = 2.5, rng.uniform(1.0, 2.2)
    else:
        half = np.array([rng.uniform(25, 60), rng.uniform(15, 30), rng.uniform(25, 60)])
        scale, height = float(rng.uniform(1.0, 3.0)), rng.uniform(0.6, 2.2)
    center = np.array([0.0, min(height, 2 * half[1] - 0.6) - half[1], 0.0])
    return Ground(kind, center, half, scale)


def _sample_cameras(
    rng: np.random.Generator, config: SceneConfig, ground: Ground, steps: int, views: int
) -> tuple[Array, Array]:
    """Fields of view (V,) and cam_from_world (T, V, 4, 4), all cameras inside the room."""
    low, high = np.radians(config.fov_degrees)
    fov = np.full(views, rng.uniform(low, high))
    if rng.random() < 0.5:  # cameras of different kinds
        fov = np.clip(fov + rng.normal(0, 0.2, views), low, high)
    layout = str(rng.choice(config.layouts))
    still = rng.random() < config.standing_share * (2.0 if layout == "inward" else 1.0)
    speed = 0.0 if still else config.speed * ground.scale * rng.uniform(0.03, 0.28)
    limit = ground.half - [0.5, 0.25, 0.5]
    shrink = 1.0
    while True:  # ends: with shrink near 0 all cameras sit at the centre, which is inside
        start = rng.uniform(-1, 1, 3) * limit * [0.6, 0.0, 0.6] * shrink
        start[2 if ground.kind == "street" else 0] *= 0.8
        rig = sample_rig(rng, views, layout, ground.scale * shrink, fov)
        cams = compose(sample_path(rng, steps, speed * shrink, start), rig)
        if np.all(np.abs(_centers(cams) - ground.center) < limit):
            return fov, cams
        shrink *= 0.9


def _sample_valid(
    rng: np.random.Generator, config: SceneConfig, steps: int, views: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    valid = np.ones((steps, views), dtype=bool)
    if steps * views > 2 and rng.random() < config.drop_share:
        if views > 1 and rng.random() < 0.3:  # a camera that has gone altogether
            valid[:, rng.integers(views)] = False
        else:
            valid &= rng.random((steps, views)) > 0.2
    if not valid.any():
        valid[steps - 1, 0] = True
    return valid


def _color(rng: np.random.Generator) -> Array:
    """Mostly dull, now and then strong."""
    saturation = rng.uniform(0, 0.9) if rng.random() < 0.4 else rng.uniform(0, 0.35)
    return np.array(colorsys.hsv_to_rgb(rng.random(), saturation, rng.uniform(0.1, 1.0)))


def _face_colors(rng: np.random.Generator) -> Array:
    first = _color(rng)
    second = _color(rng) if rng.random() < 0.6 else np.clip(first * rng.uniform(0.3, 1.9), 0, 1)
    return np.stack([first, second])


def _surface(rng: np.random.Generator, textures: int, size: float) -> Surface:
    """One look for all faces, or six."""
    same = rng.random() < 0.6
    texture = np.full(6, rng.integers(textures)) if same else rng.integers(0, textures, 6)
    colors = _face_colors(rng)
    stack = np.stack(
        [colors if same or rng.random() < 0.5 else _face_colors(rng) for _ in range(6)]
    )
    repeats = np.full(6, rng.uniform(0.25, 0.9) / size)
    return Surface(texture, stack, repeats, rng.random((6, 2)))


def _room_surface(rng: np.random.Generator, ground: Ground, textures: int) -> Surface:
    """Walls alike or not, another floor and another ceiling."""
    texture = np.full(6, rng.integers(textures))
    if rng.random() < 0.5:
        texture = rng.integers(0, textures, 6)
    texture[2:4] = rng.integers(0, textures, 2)
    wall = _face_colors(rng)
    colors = np.stack([wall if rng.random() < 0.6 else _face_colors(rng) for _ in range(6)])
    colors[3] = _face_colors(rng)
    tile = {"room": (1.5, 4.0), "street": (4.0, 10.0), "open": (4.0, 16.0)}[ground.kind]
    repeats = 1.0 / rng.uniform(*tile, 6)
    if ground.kind != "room":  # a sky of clouds, light above
        sky = np.stack([_sky(rng), np.array([0.9, 0.92, 0.95]) * rng.uniform(0.7, 1.0)])
        cloud = rng.integers(textures // 8) * 8  # noise is the first of every eight patterns
        for face in SKY_FACES[ground.kind]:
            colors[face], texture[face], repeats[face] = sky, cloud, 0.25 / ground.half[0]
    return Surface(texture, colors, repeats, rng.random((6, 2)))


def _sky(rng: np.random.Generator) -> Array:
    return np.array([rng.uniform(0.3, 0.8), rng.uniform(0.5, 0.85), rng.uniform(0.75, 1.0)])


def _add_thing(
    rng: np.random.Generator,
    things: list[Primitive],
    number: int,
    speed: float,
    ground: Ground,
    cams: Array,
    fov: Array,
    eyes: Array,
    textures: int,
) -> bool:
    """Adds a thing that some camera sees; gives False where no free place was found."""
    steps, views = cams.shape[:2]
    time = np.arange(steps) - (steps - 1) / 2
    for _ in range(6):
        step, view = int(rng.integers(steps)), int(rng.integers(views))
        reach = 4.0 * ground.scale if ground.kind != "room" else 0.9 * float(np.max(ground.half))
        distance = math.exp(rng.uniform(math.log(0.7 * ground.scale), math.log(1.6 * reach)))
        angle = rng.uniform(-0.5, 0.5) * fov[view]
        ray = np.array([math.sin(angle), rng.uniform(-0.3, 0.3), math.cos(angle)])
        place = eyes[step, view] + np.swapaxes(cams[step, view, :3, :3], 0, 1) @ (ray * distance)
        size = distance * rng.uniform(0.08, 0.26) if speed else distance * rng.uniform(0.08, 0.34)
        parts = sample_parts(rng, size, speed > 0)
        bottom = max(part.bottom for part in parts)
        if rng.random() < 0.75:
            place[1] = ground.floor - bottom
        if np.any(np.abs(place - ground.center) > ground.half):
            continue
        course, swing = rng.uniform(-math.pi, math.pi), rng.normal(0, 0.15) * (speed > 0)
        pace = speed * distance * rng.uniform(0.025, 0.12)
        step_xyz = np.stack(
            [np.sin(course + swing * time), 0 * time, np.cos(course + swing * time)], -1
        )
        way = np.cumsum(step_xyz, axis=0) * pace
        way += place - way[step]
        if speed and place[1] + bottom < ground.floor - 0.2 * size:  # in the air: up and down too
            way[:, 1] += rng.normal(0, 0.3) * pace * (time - time[step])
        radius = max(part.reach for part in parts)
        gap = np.min(np.linalg.norm(eyes.reshape(-1, 1, 3) - way[None], axis=-1))
        if gap < radius + CLEARANCE * ground.scale:
            continue
        turning = rotation_y(course + swing * time)
        if speed and rng.random() < 0.3:  # tumbles
            turning = turning @ rotation_x(rng.normal(0, 0.2) * time + rng.uniform(-3, 3))
        world_from_thing = transform(turning, way)
        phase = rng.uniform(0, 2 * math.pi)
        pace_angle = rng.uniform(0.4, 1.1)
        surface = _surface(rng, textures, size)
        for part in parts:
            look = surface if rng.random() < 0.5 else _surface(rng, textures, size)
            local = part.at(phase + pace_angle * time if speed else np.full(steps, phase))
            things.append(Primitive(part.kind, part.half, world_from_thing @ local, look, number))
        return True
    return False
