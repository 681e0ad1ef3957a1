# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the network should say of a window: in its world and in its unit of length."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vggt4d_ros.data.windows import WindowBatch, pixel_rays, transform_points
from vggt4d_ros.model.camera_head import encode_pose


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """Labels in network units; masks say what is known."""

    batch: WindowBatch  # flow and masks, which have no unit of length
    scale: Tensor  # (B,) metres per network unit
    cam_from_world: Tensor  # (B, T, V, 4, 4), world: the reference camera
    pose_encoding: Tensor  # (B, T, V, 9)
    pose_valid: Tensor  # (B, T, V) bool
    depth: Tensor  # (B, T, V, H, W)
    depth_valid: Tensor  # (B, T, V, H, W) bool
    points: Tensor  # (B, T, V, H, W, 3) in the reference camera
    points_valid: Tensor  # (B, T, V, H, W) bool


def make_targets(batch: WindowBatch) -> Targets:
    """Moves the world into the first valid camera and divides lengths by the scene's size.

    The unit is the mean distance of all known points from the reference camera, as VGGT does
    (Wang et al. 2025, section 3.4); 1 where no point is known.
    """
    count, steps, views, height, width = batch.shape
    first = batch.valid.flatten(1).float().argmax(1)
    rows = torch.arange(count, device=first.device)
    reference = batch.cam_from_world.flatten(1, 2)[rows, first]  # (B, 4, 4)
    known = batch.pose_valid & batch.pose_valid.flatten(1)[rows, first][:, None, None]
    cam_from_world = batch.cam_from_world @ torch.linalg.inv(reference)[:, None, None]
    in_cam = pixel_rays(batch.intrinsics, height, width) * batch.depth[..., None]
    points = transform_points(torch.linalg.inv(cam_from_world), in_cam)
    points_valid = batch.depth_valid & known[..., None, None]
    scale = _mean_distance(points, points_valid)
    # without poses depth alone gives the unit
    lonely = ~points_valid.flatten(1).any(1)
    scale = torch.where(lonely, _mean_distance(in_cam, batch.depth_valid), scale)
    shift = cam_from_world[..., :3, 3:] / scale.view(-1, 1, 1, 1, 1)
    cam_from_world = torch.cat(
        [torch.cat([cam_from_world[..., :3, :3], shift], -1), cam_from_world[..., 3:, :]], -2
    )
    unit = scale.view(-1, 1, 1, 1, 1)
    return Targets(
        batch=batch,
        scale=scale,
        cam_from_world=cam_from_world,
        pose_encoding=encode_pose(cam_from_world, batch.intrinsics, height, width),
        pose_valid=known,
        depth=batch.depth / unit,
        depth_valid=batch.depth_valid,
        points=points / unit[..., None],
        points_valid=points_valid,
    )


def _mean_distance(points: Tensor, valid: Tensor) -> Tensor:
    """(B,) mean length of the valid points; 1 where there are none."""
    distance = torch.where(valid, points.norm(dim=-1), 0.0).flatten(1).sum(1)
    number = valid.flatten(1).sum(1)
    return torch.where(number > 0, distance / number.clamp(min=1), 1.0).clamp(min=1e-6)
