# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rendered windows of dynamic scenes with exact ground truth; nothing is read from disk.

The window number ``index`` of seed ``seed`` is always the same, whatever was asked for before.
Ground truth follows from the analytic hits alone: a pixel's point is fixed to its primitive, so
its place at the neighbouring steps, and with it flow and scene flow, is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vggt4d_ros.data.exposure import expose
from vggt4d_ros.data.lamps import lamp_light
from vggt4d_ros.data.place import SMALLEST_MOTION, Tables, make_tables
from vggt4d_ros.data.primitives import BALL, CYLINDER, ROOM, Scene
from vggt4d_ros.data.raycast import NEAR, Hits, cast_rays
from vggt4d_ros.data.scenes import SceneConfig, sample_scene
from vggt4d_ros.data.textures import TextureBank, make_textures
from vggt4d_ros.data.tracks import sample_tracks
from vggt4d_ros.data.windows import WindowBatch

TEXTURES = 64
TEXTURE_SEED = 1


@lru_cache(maxsize=1)
def texture_bank() -> TextureBank:
    """The textures of all synthetic scenes; made at the first use (about a second)."""
    return make_textures(TEXTURES, TEXTURE_SEED)


class SyntheticWindows:
    """Gives batches of rendered windows.

    Args:
        config: what chance may choose from.
        seed: of everything. Training and held-out windows differ in it.
        device: where to render.
    """

    def __init__(
        self,
        config: SceneConfig | None = None,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        self.config = config or SceneConfig()
        self.seed = seed
        self.device = torch.device(device)

    def scene(self, index: int, steps: int, views: int) -> Scene:
        """The description of window ``index``."""
        rng = np.random.default_rng([self.seed, index])
        return sample_scene(rng, self.config, steps, views, TEXTURES)

    def batch(
        self, indices: Sequence[int], steps: int, views: int, height: int, width: int
    ) -> WindowBatch:
        """Renders windows of T = ``steps`` and V = ``views``, height and width multiples of 8."""
        scenes = [self.scene(index, steps, views) for index in indices]
        seeds = [int(index) ^ (self.seed << 32) for index in indices]
        return render(scenes, height, width, seeds, self.device)


@torch.no_grad()
def render(
    scenes: Sequence[Scene],
    height: int,
    width: int,
    noise_seeds: Sequence[int] | None = None,
    device: torch.device | str = "cpu",
) -> WindowBatch:
    """Renders scenes that agree in T and V; ``noise_seeds`` None: ideal cameras."""
    steps, views = scenes[0].cam_from_world.shape[:2]
    lead = (len(scenes), steps, views)
    tables = make_tables(scenes, height, width, device)
    hits = cast_rays(tables.placed, height, width)
    lookup = Lookup(tables, hits)
    images = _shade(lookup, texture_bank()).unflatten(0, lead)
    if noise_seeds is not None:
        images = expose(images, scenes, noise_seeds)
    depth = hits.depth.unflatten(0, lead)
    seen = ~lookup.take(tables.sky.flatten(0, 2), lookup.face_row).unflatten(0, lead)
    forward = _flow(lookup, tables.next_pixel, lead, 1)
    backward = _flow(lookup, tables.last_pixel, lead, -1)
    ahead = lookup.apply(tables.next_shift).unflatten(0, lead)
    behind = lookup.apply(tables.last_shift).unflatten(0, lead)
    moves = torch.maximum(ahead.norm(dim=-1), behind.norm(dim=-1)) > SMALLEST_MOTION
    has_next = _has_neighbour(lead, 1, hits.depth.device)
    valid = torch.from_numpy(np.stack([scene.valid for scene in scenes])).to(device)
    there = valid[..., None, None]
    images = images * valid[..., None, None, None]
    pair_next = there & _neighbour(there, 1) & has_next
    tracks = None
    if steps > 1:
        seed = 0 if noise_seeds is None else noise_seeds[0] + 1
        code = hits.primitive * 6 + lookup.face
        tracks = sample_tracks(tables, hits, code, moves, valid, seed)
    pair_last = there & _neighbour(there, -1) & _has_neighbour(lead, -1, hits.depth.device)
    return WindowBatch(
        images=images,
        valid=valid,
        cam_from_world=tables.cam_from_world,
        intrinsics=tables.intrinsics,
        depth=depth,
        depth_valid=seen & there,
        flow_forward=forward[0],
        flow_forward_valid=forward[1] & pair_next,
        occluded_forward=forward[2],
        flow_backward=backward[0],
        flow_backward_valid=backward[1] & pair_last,
        occluded_backward=backward[2],
        scene_flow=ahead,
        scene_flow_valid=seen & there & has_next,
        dynamic=moves,
        dynamic_valid=there.expand_as(moves) if steps > 1 else torch.zeros_like(moves),
        instance=lookup.take(tables.instance.flatten(), lookup.row).unflatten(0, lead),
        pose_valid=valid.clone(),
        queries=None if tracks is None else tracks.queries,
        tracks=None if tracks is None else tracks.places,
        tracks_seen=None if tracks is None else tracks.seen,
        tracks_known=None if tracks is None else tracks.known,
    )


class Lookup:
    """Per pixel, which row of the tables it needs."""

    def __init__(self, tables: Tables, hits: Hits) -> None:
        self.tables, self.hits = tables, hits
        frames, count = tables.placed.kind.shape
        offset = torch.arange(frames, device=hits.depth.device)[:, None, None] * count
        self.row = hits.primitive + offset  # (F, H, W) into (F * K)
        self.kind = self.take(tables.placed.kind.flatten(), self.row)
        self.axis, self.side = _facing(hits.point, self.kind)
        self.face = 2 * self.axis + self.side
        self.face_row = self.row * 6 + self.face  # into (F * K * 6)

    @staticmethod
    def take(table: Tensor, row: Tensor) -> Tensor:
        """Rows of a flat table, (..., rest)."""
        return table[row.flatten()].view(*row.shape, *table.shape[1:])

    def apply(self, matrices: Tensor) -> Tensor:
        """Maps each pixel's point by its primitive's (F, K, 3, 4), gives (F, H, W, 3)."""
        matrix = self.take(matrices.flatten(0, 1), self.row)
        return (matrix[..., :3] @ self.hits.point[..., None])[..., 0] + matrix[..., 3]


def _facing(point: Tensor, kind: Tensor) -> tuple[Tensor, Tensor]:
    """Axis (0..2) that the surface faces most and whether on its positive side, (F, H, W) long."""
    size = point.abs()
    caps = (kind == CYLINDER) & (size[..., 1] < 0.9999)
    height = torch.where(caps, 0.0, size[..., 1])
    axis = torch.stack([size[..., 0], height, size[..., 2]], -1).argmax(-1)
    side = (point.gather(-1, axis[..., None])[..., 0] > 0).long()
    return axis, side


def _unit_normal(lookup: Lookup) -> Tensor:
    """Gradient of the surface in the unit primitive, (F, H, W, 3), of any length."""
    point, kind, axis = lookup.hits.point, lookup.kind, lookup.axis
    flat = functional.one_hot(axis, 3) * point.sign()
    flat = torch.where((kind == ROOM)[..., None], -flat, flat)
    keep = torch.ones_like(point)
    keep[..., 1] = torch.where(kind == CYLINDER, 0.0, 1.0)
    curved = (kind == BALL) | ((kind == CYLINDER) & (axis != 1))
    return torch.where(curved[..., None], point * keep, flat)


def _shade(lookup: Lookup, bank: TextureBank) -> Tensor:
    """Colours of all pixels, (F, 3, H, W), linear, about [0, 1]."""
    tables, hits = lookup.tables, lookup.hits
    rows, face_rows = lookup.row.flatten(), lookup.face_row.flatten()
    half = tables.half.flatten(0, 1)[rows]
    normal = _unit_normal(lookup).reshape(-1, 3)
    length = (normal / half).norm(dim=-1)
    light = (normal * tables.light.flatten(0, 1)[rows]).sum(-1) / length
    direction = hits.direction.reshape(-1, 3)
    slant = (normal * direction).sum(-1).abs() / length / (direction * half).norm(dim=-1)

    metric = hits.point.reshape(-1, 3) * half
    axis = lookup.axis.flatten()
    u = torch.where(axis == 0, metric[:, 2], metric[:, 0])
    v = torch.where(axis == 1, metric[:, 2], metric[:, 1])
    repeats = tables.repeats.flatten()[face_rows]
    shift = tables.shift.flatten(0, 2)[face_rows]
    frames, height, width = hits.depth.shape
    focal = tables.focal[:, None].expand(-1, height * width).flatten()
    texels = hits.depth.flatten() / focal * repeats * 256 / slant.clamp(min=0.15).sqrt()
    texture = tables.texture.flatten()[face_rows]
    value = bank.sample(texture, u * repeats + shift[:, 0], v * repeats + shift[:, 1], texels)

    colors = tables.colors.flatten(0, 2)[face_rows]
    color = torch.lerp(colors[:, 0], colors[:, 1], value[:, :1])
    ambient = tables.ambient[:, None].expand(-1, height * width).flatten()
    shade = ambient + (1 - ambient) * (0.5 + 0.5 * light)
    if tables.lamps.shape[2]:
        shade = shade + lamp_light(tables.lamps.flatten(0, 1)[rows], metric, normal / half, length)
    lit = torch.where(tables.sky.flatten()[face_rows], 1.0, shade * (0.7 + 0.5 * value[:, 1]))
    return (color * lit[:, None]).view(frames, height, width, 3).permute(0, 3, 1, 2)


def _neighbour(x: Tensor, sign: int) -> Tensor:
    """What the step ``sign`` later holds, (B, T, ...); at the end its own."""
    steps = x.shape[1]
    index = (torch.arange(steps, device=x.device) + sign).clamp(0, steps - 1)
    return x[:, index]


def _has_neighbour(lead: tuple[int, int, int], sign: int, device: torch.device) -> Tensor:
    """(1, T, 1, 1, 1) bool."""
    step = torch.arange(lead[1], device=device) + sign
    return ((step >= 0) & (step < lead[1])).view(1, -1, 1, 1, 1)


def _flow(
    lookup: Lookup, to_pixel: Tensor, lead: tuple[int, int, int], sign: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Flow (B, T, V, H, W, 2), where it is defined, and where its target is not seen."""
    frames, height, width = lookup.hits.depth.shape
    device = lookup.hits.depth.device
    target = lookup.apply(to_pixel)
    depth = target[..., 2]
    defined = depth > NEAR
    pixel = target[..., :2] / depth.clamp(min=NEAR)[..., None]
    v, u = torch.meshgrid(
        torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij"
    )
    flow = pixel - torch.stack([u, v], -1)
    # a flow of many image widths says nothing and would upset losses
    defined &= flow.abs().amax(-1) < 2 * width
    flow = torch.where(defined[..., None], flow, 0.0)

    # seen at the target: one of the four pixels around shows the same face at about the depth
    code = (lookup.hits.primitive * 6 + lookup.face).unflatten(0, lead)
    code = _neighbour(code, sign).reshape(frames, -1)
    there = _neighbour(lookup.hits.depth.unflatten(0, lead), sign).reshape(frames, -1)
    own = (lookup.hits.primitive * 6 + lookup.face).flatten(1)
    x, y = pixel[..., 0].flatten(1), pixel[..., 1].flatten(1)
    inside = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
    depth = depth.flatten(1)
    seen = torch.zeros_like(inside)
    x0 = x.nan_to_num().clamp(-2, width + 1).floor().long()
    y0 = y.nan_to_num().clamp(-2, height + 1).floor().long()
    for dy in (0, 1):
        for dx in (0, 1):
            index = (y0 + dy).clamp(0, height - 1) * width + (x0 + dx).clamp(0, width - 1)
            near = (there.gather(1, index) - depth).abs() < 0.1 * depth
            seen |= near & (code.gather(1, index) == own)
    hidden = ~(seen & inside & defined.flatten(1)).view(frames, height, width)
    return flow.unflatten(0, lead), defined.unflatten(0, lead), hidden.unflatten(0, lead)
