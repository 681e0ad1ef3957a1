# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A batch of windows with ground truth, from scenes and readers to losses and metrics.

Letters: B batch, T time, V view, H, W. Conventions are those of ``datatypes``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class WindowBatch:
    """Images and what is known of them; where a label is not known, its mask is False.

    Lengths are in metres where ``metric`` is True. Masked-out values are finite.
    """

    images: Tensor  # (B, T, V, 3, H, W) float, RGB in [0, 1]
    valid: Tensor  # (B, T, V) bool: the frame is there
    cam_from_world: Tensor  # (B, T, V, 4, 4)
    intrinsics: Tensor  # (B, T, V, 3, 3) pixels, integer at the pixel centre
    depth: Tensor  # (B, T, V, H, W) along z
    depth_valid: Tensor  # (B, T, V, H, W) bool
    flow_forward: Tensor  # (B, T, V, H, W, 2) pixels (du, dv), t -> t+1
    flow_forward_valid: Tensor  # (B, T, V, H, W) bool; also True where the target is hidden
    occluded_forward: Tensor  # (B, T, V, H, W) bool: not seen at t+1 (hidden or out of the image)
    flow_backward: Tensor  # (B, T, V, H, W, 2) pixels (du, dv), t -> t-1
    flow_backward_valid: Tensor  # (B, T, V, H, W) bool
    occluded_backward: Tensor  # (B, T, V, H, W) bool
    scene_flow: Tensor  # (B, T, V, H, W, 3) world displacement of the pixel's point, t -> t+1
    scene_flow_valid: Tensor  # (B, T, V, H, W) bool
    dynamic: Tensor  # (B, T, V, H, W) bool: the pixel's point moves in the world
    dynamic_valid: Tensor  # (B, T, V, H, W) bool
    instance: Tensor  # (B, T, V, H, W) int16: object number, 0 the surroundings, -1 not known
    pose_valid: Tensor  # (B, T, V) bool: cam_from_world and intrinsics are known
    metric: bool = True
    # point tracks, None where there are none; N queries a window
    queries: Tensor | None = None  # (B, N, 4) long: step, view, row, column
    tracks: Tensor | None = None  # (B, N, T, 2) pixels (u, v) in the query's own camera
    tracks_seen: Tensor | None = None  # (B, N, T) bool: inside the image and not hidden
    tracks_known: Tensor | None = None  # (B, N, T) bool: place and tracks_seen are known

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """(B, T, V, H, W)."""
        b, t, v, _, h, w = self.images.shape
        return b, t, v, h, w

    def points(self) -> Tensor:
        """World points of all pixels, (B, T, V, H, W, 3); meaningless where depth is not valid."""
        _, _, _, height, width = self.shape
        rays = pixel_rays(self.intrinsics, height, width)
        in_cam = rays * self.depth[..., None]
        return transform_points(torch.linalg.inv(self.cam_from_world), in_cam)

    def to(self, device: torch.device | str) -> WindowBatch:
        """The same batch on another device."""
        return self._map(lambda value: value.to(device, non_blocking=True))

    def select(self, rows: Tensor) -> WindowBatch:
        """The windows with these numbers."""
        return self._map(lambda value: value[rows])

    def _map(self, change: Callable[[Tensor], Tensor]) -> WindowBatch:
        values: dict[str, Any] = {spec.name: getattr(self, spec.name) for spec in fields(self)}
        for name, value in values.items():
            if isinstance(value, Tensor):
                values[name] = change(value)
        return WindowBatch(**values)


def pixel_rays(intrinsics: Tensor, height: int, width: int) -> Tensor:
    """Directions with z = 1 through the pixel centres, (..., H, W, 3), of K (..., 3, 3)."""
    v, u = torch.meshgrid(
        torch.arange(height, dtype=intrinsics.dtype, device=intrinsics.device),
        torch.arange(width, dtype=intrinsics.dtype, device=intrinsics.device),
        indexing="ij",
    )
    fx, fy = intrinsics[..., 0, 0, None, None], intrinsics[..., 1, 1, None, None]
    cx, cy = intrinsics[..., 0, 2, None, None], intrinsics[..., 1, 2, None, None]
    x = (u - cx) / fx
    return torch.stack([x, (v - cy) / fy, torch.ones_like(x)], dim=-1)


def transform_points(target_from_source: Tensor, points: Tensor) -> Tensor:
    """Moves points (..., H, W, 3) by transforms (..., 4, 4)."""
    rotation = target_from_source[..., None, :3, :3]
    shift = target_from_source[..., None, None, :3, 3]
    return points @ rotation.transpose(-1, -2) + shift


def project_points(points: Tensor, intrinsics: Tensor) -> Tensor:
    """Pixels (..., H, W, 2) of points (..., H, W, 3) in the camera of K (..., 3, 3)."""
    fx, fy = intrinsics[..., 0, 0, None, None], intrinsics[..., 1, 1, None, None]
    cx, cy = intrinsics[..., 0, 2, None, None], intrinsics[..., 1, 2, None, None]
    z = points[..., 2]
    return torch.stack([points[..., 0] / z * fx + cx, points[..., 1] / z * fy + cy], dim=-1)
