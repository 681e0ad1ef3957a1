# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Things that fly past a camera: anywhere before it, any way across its image, turning."""

from __future__ import annotations

import math

import numpy as np

from vggt4d_ros.data.placement import CLEARANCE, Stage, clothed
from vggt4d_ros.data.primitives import (
    Array,
    Primitive,
    rotation_x,
    rotation_y,
    rotation_z,
    transform,
)
from vggt4d_ros.data.things import sample_chair, sample_parts

TRIES = 8
CHAIR_SHARE = 0.7  # the others are things as they stand elsewhere
NEAREST, FARTHEST = 0.6, 4.0  # from the camera, metres times the scene's scale
APPROACH = 0.25  # of the way along the view, against that across it
SPIN = 0.12  # radians per step about the view, standard deviation; half of it about the others


def add_flier(
    rng: np.random.Generator,
    stage: Stage,
    number: int,
    sizes: tuple[float, float],
    paces: tuple[float, float],
) -> list[Primitive]:
    """Makes up a flying thing; no primitive where no free place was found.

    Args:
        rng: source of chance.
        stage: surroundings and cameras.
        number: the thing's instance number.
        sizes: half its height over its distance, least and most.
        paces: way per step over its distance, least and most; slow and fast are as likely.
    """
    cams, ground = stage.cam_from_world, stage.ground
    for _ in range(TRIES):
        step, view = int(rng.integers(cams.shape[0])), int(rng.integers(cams.shape[1]))
        world_from_cam = np.swapaxes(cams[step, view, :3, :3], 0, 1)
        distance = ground.scale * math.exp(rng.uniform(math.log(NEAREST), math.log(FARTHEST)))
        spread = math.tan(stage.field_of_view[view] / 2)
        seen = np.array([rng.uniform(-1, 1) * spread, rng.uniform(-0.75, 0.75) * spread, 1.0])
        pace = distance * math.exp(rng.uniform(*np.log(paces)))
        angle = rng.uniform(-math.pi, math.pi)
        course = np.array([math.cos(angle), math.sin(angle), rng.normal(0, APPROACH)]) * pace
        since = stage.time - stage.time[step]
        way = seen * distance + since[:, None] * course  # in the camera of that step
        way = stage.eyes[step, view] + way @ world_from_cam.T
        size = distance * rng.uniform(*sizes)
        parts = sample_chair(rng, size) if rng.random() < CHAIR_SHARE else None
        parts = parts or sample_parts(rng, size, True)
        reach = max(part.reach for part in parts)
        if stage.gap(way) < reach + 0.5 * CLEARANCE * ground.scale:
            continue
        if np.any(np.abs(way[step] - ground.center) > ground.half):
            continue
        turning = world_from_cam @ _turning(rng, since)
        phases = rng.uniform(0, 2 * math.pi) + rng.uniform(0.4, 1.1) * since
        placed = [transform(turning, way) @ part.at(phases) for part in parts]
        return clothed(rng, stage, parts, placed, number=number, size=size)
    return []


def _turning(rng: np.random.Generator, since: Array) -> Array:
    """camera_from_thing (T, 3, 3): about upright in the image, turning about all axes."""
    spin = rng.normal(0, SPIN, 3) * [0.5, 0.5, 1.0]
    tilt = rng.normal(0, 0.3, 2)
    heading = rotation_y(rng.uniform(-math.pi, math.pi) + spin[1] * since)
    rolled = rotation_z(tilt[0] + spin[2] * since) @ rotation_x(tilt[1] + spin[0] * since)
    return np.asarray(rolled @ heading)
