# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From scene descriptions (numpy, float64) to the tables that rendering reads (torch)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vggt4d_ros.data.primitives import BALL, CYLINDER, Array, Primitive, Scene, invert
from vggt4d_ros.data.raycast import Placed

SMALLEST_MOTION = 1e-4  # metres per step; less counts as standing still


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """Per frame f = (b, t, v) and primitive k; ``unit`` are coordinates of the unit primitive."""

    placed: Placed
    half: Tensor  # (F, K, 3)
    light: Tensor  # (F, K, 3) towards the light, so that n . light is the cosine for unit normals
    own_pixel: Tensor  # (F, K, 3, 4) unit to homogeneous pixels; depth is the third
    next_pixel: Tensor  # (F, K, 3, 4) unit to homogeneous pixels at t+1
    last_pixel: Tensor  # (F, K, 3, 4) the same at t-1
    next_shift: Tensor  # (F, K, 3, 4) unit to world displacement until t+1
    last_shift: Tensor  # (F, K, 3, 4) unit to world displacement until t-1
    instance: Tensor  # (F, K) int16
    texture: Tensor  # (F, K, 6) long
    colors: Tensor  # (F, K, 6, 2, 3)
    repeats: Tensor  # (F, K, 6)
    shift: Tensor  # (F, K, 6, 2)
    sky: Tensor  # (F, K, 6) bool: seen, but without depth
    lamps: Tensor  # (F, K, L, 5): place as seen from the part, metres; reach and strength
    focal: Tensor  # (F,)
    ambient: Tensor  # (F,)
    intrinsics: Tensor  # (B, T, V, 3, 3)
    cam_from_world: Tensor  # (B, T, V, 4, 4)


def camera_matrices(scene: Scene, height: int, width: int) -> Array:
    """Intrinsics (V, 3, 3), pixels; the principal point is the middle of the image."""
    fx = width / 2 / np.tan(scene.field_of_view / 2)
    k = np.zeros((len(fx), 3, 3))
    k[:, 0, 0], k[:, 1, 1] = fx, fx * scene.aspect
    k[:, 0, 2], k[:, 1, 2], k[:, 2, 2] = (width - 1) / 2, (height - 1) / 2, 1.0
    return k


def make_tables(
    scenes: Sequence[Scene], height: int, width: int, device: torch.device | str = "cpu"
) -> Tables:
    """Builds the tables of a batch of scenes that agree in T and V."""
    count = max(len(scene.primitives) for scene in scenes)
    lamps = max(len(scene.lamps) for scene in scenes)
    parts = [_scene_tables(scene, count, lamps, height, width) for scene in scenes]

    def stack(name: str, dtype: torch.dtype = torch.float32, flat: bool = True) -> Tensor:
        array = np.stack([part[name] for part in parts])  # (B, T, V, ...)
        array = array.reshape(math.prod(array.shape[:3]), *array.shape[3:]) if flat else array
        return torch.from_numpy(array).to(device, dtype)

    placed = Placed(
        kind=stack("kind", torch.long),
        ball=stack("ball"),
        part_from_pixel=stack("part_from_pixel"),
        eye=stack("eye"),
        pixel_rays=stack("pixel_rays"),
    )
    return Tables(
        placed=placed,
        half=stack("half"),
        light=stack("light"),
        own_pixel=stack("own_pixel"),
        next_pixel=stack("next_pixel"),
        last_pixel=stack("last_pixel"),
        next_shift=stack("next_shift"),
        last_shift=stack("last_shift"),
        instance=stack("instance", torch.int16),
        texture=stack("texture", torch.long),
        colors=stack("colors"),
        repeats=stack("repeats"),
        shift=stack("shift"),
        sky=stack("sky", torch.bool),
        lamps=stack("lamps"),
        focal=stack("focal"),
        ambient=stack("ambient"),
        intrinsics=stack("intrinsics", flat=False),
        cam_from_world=stack("cam_from_world", flat=False),
    )


def _scene_tables(
    scene: Scene, count: int, lamps: int, height: int, width: int
) -> dict[str, Array]:
    """All tables of one scene, (T, V, K, ...); unused primitives come before the room."""
    cams = scene.cam_from_world
    steps, views = cams.shape[:2]
    things, spare = scene.primitives, count - len(scene.primitives)
    order = [*things[:-1], *[None] * spare, things[-1]]
    base = things[-1]
    filled = [base if part is None else part for part in order]
    k_matrix = camera_matrices(scene, height, width)
    rays = np.linalg.inv(k_matrix)
    world_from_part = np.stack([part.world_from_part for part in filled], 1)  # (T, K, 4, 4)
    half = np.stack([part.half for part in filled])
    scaled = world_from_part[:, :, :3].copy()  # unit to world
    scaled[..., :3] *= half[None, :, None, :]
    cam_from_part = cams[:, :, None] @ world_from_part[:, None]  # (T, V, K, 4, 4)
    back = invert(cam_from_part)
    part_from_pixel = (back[..., :3, :3] @ rays[None, :, None]) / half[:, :, None]
    light = np.einsum("tkij,i->tkj", world_from_part[..., :3, :3], scene.light) / half
    after = np.minimum(np.arange(steps) + 1, steps - 1)
    before = np.maximum(np.arange(steps) - 1, 0)

    def pixels(step: np.ndarray) -> Array:
        to_pixel = k_matrix[None] @ cams[step, :, :3]  # (T, V, 3, 4)
        lifted = np.concatenate([scaled[step], np.zeros((*scaled.shape[:2], 1, 4))], 2)
        lifted[..., 3, 3] = 1.0
        return np.asarray(to_pixel[:, :, None] @ lifted[:, None])

    def spread(array: Array, axes: int) -> Array:
        """Repeats over the missing leading axes (T, V)."""
        shape = (steps, views)[:axes]
        return np.broadcast_to(array[(None,) * axes], (*shape, *array.shape))

    def over_views(array: Array) -> Array:
        return np.broadcast_to(array[:, None], (steps, views, *array.shape[1:]))

    ball = np.concatenate(
        [cam_from_part[..., :3, 3], spread(_ball_radius(filled)[:, None], 2)], axis=-1
    )
    sky = np.zeros((count, 6), dtype=bool)
    sky[-1, list(scene.sky_faces)] = True
    looks = [part.surface for part in filled]
    shift = scaled[after] - scaled
    return {
        "kind": spread(np.array([-1 if part is None else part.kind for part in order]), 2),
        "ball": ball,
        "part_from_pixel": part_from_pixel,
        "eye": back[..., :3, 3] / half,
        "pixel_rays": spread(rays, 1),
        "half": spread(half, 2),
        "light": over_views(light),
        "own_pixel": pixels(np.arange(steps)),
        "next_pixel": pixels(after),
        "last_pixel": pixels(before),
        "next_shift": over_views(shift),
        "last_shift": over_views(scaled[before] - scaled),
        "instance": spread(np.array([part.instance for part in filled]), 2),
        "texture": spread(np.stack([look.texture for look in looks]), 2),
        "colors": spread(np.stack([look.colors for look in looks]), 2),
        "repeats": spread(np.stack([look.repeats for look in looks]), 2),
        "shift": spread(np.stack([look.shift for look in looks]), 2),
        "sky": spread(sky, 2),
        "lamps": over_views(_lamps_from_parts(scene, world_from_part, lamps)),
        "focal": spread(k_matrix[:, 0, 0], 1),
        "ambient": np.full((steps, views), scene.ambient),
        "intrinsics": spread(k_matrix, 1),
        "cam_from_world": cams,
    }


def _lamps_from_parts(scene: Scene, world_from_part: Array, count: int) -> Array:
    """Lamps (T, K, count, 5) as seen from the parts (T, K, 4, 4); missing ones give no light."""
    lamps = np.ones((count, 5)) * [0, 0, 0, 1, 0]
    lamps[: len(scene.lamps)] = scene.lamps
    away = lamps[:, :3] - world_from_part[..., None, :3, 3]
    place = away @ world_from_part[..., :3, :3]  # rows: the inverse rotation
    rest = np.broadcast_to(lamps[:, 3:], (*place.shape[:-1], 2))
    return np.concatenate([place, rest], -1)


def _ball_radius(parts: Sequence[Primitive]) -> Array:
    radii = []
    for part in parts:
        x, y, z = part.half
        if part.kind == BALL:
            radii.append(max(x, y, z))
        elif part.kind == CYLINDER:
            radii.append(math.hypot(max(x, z), y))
        else:
            radii.append(math.sqrt(x * x + y * y + z * z))
    return np.array(radii)
