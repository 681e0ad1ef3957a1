# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A window's cloud seen from behind and above its cameras, drawn point by point."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.datatypes import Array
from vggt4d_ros.geometry import se3
from vggt4d_ros.products import ViewProducts

Rgb = NDArray[np.uint8]

_POINTS = 60_000
_FAR_PERCENTILE = 95.0
_FIELD = 0.9  # focal length in image widths
_BACKGROUND = 24


def render_cloud(views: Sequence[ViewProducts], width: int) -> tuple[Rgb, str] | None:
    """Gives an image (H, W, 3) and its caption; None without a point to draw."""
    usable = [view for view in views if view.has_pose]
    points, colours = [], []
    for view in usable:
        cloud = view.cloud.reshape(-1, view.cloud.shape[-1])
        known = np.flatnonzero(np.isfinite(cloud[:, :3]).all(axis=-1))
        known = known[:: max(1, len(known) * len(usable) // _POINTS)]
        points.append(se3.transform_points(view.world_from_cam, cloud[known, :3].astype(float)))
        colours.append(_colours(cloud[known, 3]))
    if not points or not sum(len(part) for part in points):
        return None
    world, rgb = np.concatenate(points), np.concatenate(colours)
    centres = np.stack([view.world_from_cam[:3, 3] for view in usable])
    eye_from_world, reach = _viewpoint(world, centres, usable)
    height = width * 3 // 4
    image = _draw(se3.transform_points(eye_from_world, world), rgb, width, height)
    _mark(image, se3.transform_points(eye_from_world, centres), width, height)
    return image, f"cloud of {len(usable)} cameras (white marks), {reach:.1f} deep"


def _colours(packed: NDArray[np.float32]) -> Rgb:
    """The bit pattern 0x00RRGGBB in a float32, as (N, 3)."""
    bits = np.ascontiguousarray(packed).view(np.uint32)
    return np.stack([bits >> 16, bits >> 8, bits], axis=-1).astype(np.uint8)


def _viewpoint(world: Array, centres: Array, views: Sequence[ViewProducts]) -> tuple[Array, float]:
    """A camera behind and above the cameras' middle that looks where they look on average."""
    ahead = np.mean([view.world_from_cam[:3, 2] for view in views], axis=0)
    middle = centres.mean(axis=0)
    away = np.linalg.norm(world - middle, axis=-1)
    reach = float(np.percentile(away, _FAR_PERCENTILE))
    if np.linalg.norm(ahead) < 0.3:  # cameras look all around: from above
        ahead = np.median(world, axis=0) - middle
    if np.linalg.norm(ahead) < 1e-6:
        ahead = np.array([1.0, 0.0, 0.0])
    ahead = ahead / np.linalg.norm(ahead)
    up = np.array([0.0, 0.0, 1.0])
    if abs(float(ahead @ up)) > 0.95:
        up = np.array([0.0, 1.0, 0.0])
    eye = middle - 0.35 * reach * ahead + 0.3 * reach * up
    target = middle + 0.45 * reach * ahead
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])  # rows: optical axes
    return se3.make_transform(rotation, -rotation @ eye), reach


def _draw(points: Array, rgb: Rgb, width: int, height: int) -> Rgb:
    """The nearest point of each pixel; points are two pixels wide."""
    front = points[:, 2] > 1e-6
    points, rgb = points[front], rgb[front]
    order = np.argsort(-points[:, 2], kind="stable")  # far ones first: near ones overwrite them
    points, rgb = points[order], rgb[order]
    u, v = _pixels(points, width, height)
    image = np.full((height, width, 3), _BACKGROUND, np.uint8)
    for down in (0, 1):
        for across in (0, 1):
            x, y = u + across, v + down
            inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
            image[y[inside], x[inside]] = rgb[inside]
    return image


def _mark(image: Rgb, centres: Array, width: int, height: int) -> None:
    for centre in centres[centres[:, 2] > 1e-6]:
        u, v = (int(value[0]) for value in _pixels(centre[None], width, height))
        image[max(v - 2, 0) : max(v + 3, 0), max(u - 2, 0) : max(u + 3, 0)] = 255


def _pixels(points: Array, width: int, height: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    focal = _FIELD * width
    flat = np.clip(points[:, :2] / points[:, 2:], -1e4, 1e4)
    u = np.floor(flat[:, 0] * focal + width / 2).astype(np.intp)
    v = np.floor(flat[:, 1] * focal + height / 2).astype(np.intp)
    return u, v
