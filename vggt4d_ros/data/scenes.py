# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Random dynamic scenes: rooms, streets and open ground with standing and moving things."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from vggt4d_ros.data.fliers import add_flier
from vggt4d_ros.data.lamps import sample_lamps
from vggt4d_ros.data.looks import SKY_FACES, fade, sample_room_surface
from vggt4d_ros.data.placement import Ground, Stage, add_furniture, add_thing, camera_centers
from vggt4d_ros.data.primitives import ROOM, Array, Photometry, Primitive, Scene, Surface, transform
from vggt4d_ros.data.rigs import (
    LAYOUTS,
    compose,
    sample_border,
    sample_path,
    sample_photometry,
    sample_rig,
)

KINDS = ("room", "street", "open")


@dataclass(frozen=True, slots=True)
class SceneConfig:
    """What chance may choose from."""

    kinds: tuple[str, ...] = KINDS
    kind_weights: tuple[float, ...] = (0.5, 0.3, 0.2)
    layouts: tuple[str, ...] = LAYOUTS
    static_things: tuple[int, int] = (3, 9)  # fewest, most
    moving_things: tuple[int, int] = (1, 4)
    still_share: float = 0.15  # windows in which nothing moves but the cameras
    moving_size: tuple[float, float] = (0.08, 0.26)  # of moving things, over their distance
    moving_pace: tuple[float, float] = (0.025, 0.12)  # way per step, over the distance
    standing_share: float = 0.25  # windows in which the platform stands
    speed: float = 1.0  # of platform and things, against the usual
    drop_share: float = 0.15  # windows with missing frames
    fov_degrees: tuple[float, float] = (45.0, 100.0)  # horizontal
    fliers: tuple[int, int] = (0, 0)  # things that fly past a camera; see ``fliers``
    flier_size: tuple[float, float] = (0.1, 0.4)  # over their distance
    flier_pace: tuple[float, float] = (0.006, 0.22)  # way per step, over the distance
    furniture: tuple[int, int] = (0, 0)  # pieces, in rooms only
    harsh: float = 0.0  # windows of cameras with colour casts, too dark or bright, of much contrast
    bordered: float = 0.0  # windows whose images have a plain border
    lamps: tuple[int, int] = (0, 0)  # in rooms only
    plain: float = 0.0  # windows whose walls and floor have little pattern


# what usual windows hold little of: large, fast things before cameras that mostly stand, so that
# the motion of a thing must not be taken for that of the plain surface beside it
BOLD = SceneConfig(
    moving_size=(0.12, 0.5),
    moving_pace=(0.02, 0.16),
    moving_things=(1, 5),
    still_share=0.0,
    standing_share=0.7,
)

# chairs and other things of thin parts that fly every way before surroundings that mostly stand
FLYING = SceneConfig(
    kind_weights=(0.4, 0.2, 0.4),
    static_things=(0, 5),
    moving_things=(0, 1),
    still_share=0.5,
    standing_share=0.75,
    fliers=(3, 9),
    harsh=0.3,
    plain=0.5,
)

# rooms full of furniture, ground full of standing things, cameras that show them ill
FURNISHED = SceneConfig(
    kind_weights=(0.8, 0.1, 0.1),
    static_things=(2, 9),
    moving_things=(1, 3),
    furniture=(8, 22),
    harsh=0.5,
    bordered=0.5,
    lamps=(0, 2),
    plain=0.5,
)


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
    stage = Stage(ground, cams, fov, textures, config.moving_size, config.moving_pace)
    things: list[list[Primitive]] = []
    for _ in range(_number(rng, config.static_things)):
        if thing := add_thing(rng, stage, len(things) + 1, 0.0):
            things.append(thing)
    if rng.random() >= config.still_share:
        for _ in range(_number(rng, config.moving_things)):
            if thing := add_thing(rng, stage, len(things) + 1, config.speed):
                things.append(thing)
    for _ in range(_number(rng, config.fliers)):
        sizes, paces = config.flier_size, config.flier_pace
        if thing := add_flier(rng, stage, len(things) + 1, sizes, paces):
            things.append(thing)
    for _ in range(_number(rng, config.furniture) if ground.kind == "room" else 0):
        if thing := add_furniture(rng, stage, len(things) + 1):
            things.append(thing)
    room = Primitive(
        ROOM,
        ground.half,
        np.tile(transform(np.eye(3), ground.center), (steps, 1, 1)),
        _sample_walls(rng, config, ground, textures),
        0,
    )
    light = rng.normal(size=3) * [1.0, 0.4, 1.0] + [0.0, -1.2, 0.0]
    lamps = _number(rng, config.lamps) if ground.kind == "room" else 0
    return Scene(
        primitives=(*chain.from_iterable(things), room),
        sky_faces=SKY_FACES[ground.kind],
        light=light / np.linalg.norm(light),
        ambient=float(rng.uniform(0.35, 0.75)),
        cam_from_world=cams,
        field_of_view=fov,
        aspect=rng.uniform(0.97, 1.03, views),
        photometry=_sample_photometry(rng, config, steps, views),
        valid=_sample_valid(rng, config, steps, views),
        lamps=sample_lamps(rng, lamps, ground.center, ground.half),
    )


def _number(rng: np.random.Generator, limits: tuple[int, int]) -> int:
    """A number between the fewest and the most; numpy draws nothing where both are the same."""
    return int(rng.integers(limits[0], limits[1] + 1))


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


def _sample_walls(
    rng: np.random.Generator, config: SceneConfig, ground: Ground, textures: int
) -> Surface:
    surface = sample_room_surface(rng, ground.kind, ground.half, textures)
    if config.plain and rng.random() < config.plain:
        surface = fade(surface, rng.uniform(0.0, 0.3))
    return surface


def _sample_photometry(
    rng: np.random.Generator, config: SceneConfig, steps: int, views: int
) -> Photometry:
    photometry = sample_photometry(rng, steps, views, config.harsh)
    if config.bordered and rng.random() < config.bordered:
        photometry = replace(photometry, border=sample_border(rng, views))
    return photometry


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
        if np.all(np.abs(camera_centers(cams) - ground.center) < limit):
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
