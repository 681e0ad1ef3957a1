# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which pixels show a point that moves in the world."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from vggt4d_ros.model.camera_head import quaternion_to_matrix
from vggt4d_ros.model.config import ModelConfig
from vggt4d_ros.model.correlation import cell_grid, enlarge
from vggt4d_ros.model.layers import LayerNorm
from vggt4d_ros.model.two_view import POINT_WIDTHS, Motion, compare, fit_motion

CUES = 6  # a direction: flow, what of it the camera's motion does not explain, its length, logit
MORE_CUES = 4  # of a wide mask: what no depth explains either, its length, how depth moves a cell
LIMIT = 8.0  # cells; a larger residual says no more


def fitted_flow(
    flow: Tensor,
    weight: Tensor,
    depth: Tensor,
    pose: Tensor,
    target: Tensor,
    camera: Motion | None = None,
) -> tuple[Tensor, Tensor]:
    """Flow of static points, by the camera's motion.

    Args:
        flow: (N, 2, h, w) cells.
        weight: (N, h, w) >= 0, how sure the flow is.
        depth: (N, h, w) of the source frame.
        pose: (N, 9) pose encodings of the source frame; only the field of view is used.
        target: (N, 9) of the target frame, likewise.
        camera: from the source to the target; None: what most of the flow agrees on.

    Returns:
        Flow (N, 2, h, w) in cells; and (N, 4, h, w): the part of the rest that no other depth
        explains, cells, its length, and the logarithm of how far a cell moves with its depth.
    """
    height, width = depth.shape[-2:]
    cells = cell_grid(height, width, depth.device)
    size = torch.tensor([width, height], device=depth.device, dtype=depth.dtype)
    middle = ((size - 1) / 2).view(2, 1, 1)
    half, target_half = (
        (torch.tan(p[:, [8, 7]].clamp(0.05, 3.0) / 2) / (size / 2))[:, :, None, None]
        for p in (pose, target)
    )  # normalised units a cell
    rays = (cells - middle) * half
    points = (torch.cat([rays, torch.ones_like(rays[:, :1])], dim=1) * depth[:, None]).flatten(2)
    at = ((cells + flow - middle) * target_half).flatten(2)
    weight = weight.flatten(1)
    if camera is None:
        start = torch.eye(3, device=depth.device, dtype=depth.dtype).expand(len(flow), 3, 3)
        camera = fit_motion(points.transpose(1, 2), at.transpose(1, 2), weight, start)
    seen = compare(points, at, weight, camera.rotation, camera.shift, POINT_WIDTHS[-1])
    place, off, slope = (
        x.unflatten(2, (height, width)) / target_half for x in (seen.place, seen.error, seen.slope)
    )
    off = -off.nan_to_num(0.0, LIMIT, -LIMIT).clamp(-LIMIT, LIMIT)
    moves = slope.nan_to_num(0.0).square().sum(1, keepdim=True).clamp(1e-4, 1e4).log() / 4
    rest = torch.cat([off, _length(off), moves], dim=1)
    return place + middle - cells, rest


def rigid_flow(depth: Tensor, pose: Tensor, target_pose: Tensor) -> Tensor:
    """Flow (N, 2, h, w) in cells that static points have because the camera moves.

    Args:
        depth: (N, h, w) of the source frame.
        pose: (N, 9) pose encodings of the source frame.
        target_pose: (N, 9) of the target frame.
    """
    height, width = depth.shape[-2:]
    cells = cell_grid(height, width, depth.device)
    size = torch.tensor([width, height], device=depth.device, dtype=depth.dtype)
    middle = (size - 1) / 2
    focal, target_focal = (
        size / 2 / torch.tan(p[:, [8, 7]].clamp(0.05, 3.0) / 2) for p in (pose, target_pose)
    )  # (N, 2)
    rays = (cells - middle.view(2, 1, 1)) / focal[:, :, None, None]
    points = torch.cat([rays, torch.ones_like(rays[:, :1])], dim=1) * depth[:, None]
    rotation, target_rotation = (
        quaternion_to_matrix(functional.normalize(p[:, 3:7], dim=1, eps=1e-3))
        for p in (pose, target_pose)
    )
    turn = target_rotation @ rotation.transpose(1, 2)
    shift = target_pose[:, :3] - (turn @ pose[:, :3, None])[..., 0]
    moved = (turn @ points.flatten(2) + shift[..., None]).unflatten(2, (height, width))
    ahead = moved[:, 2:].clamp(min=1e-3)
    at = moved[:, :2] / ahead * target_focal[:, :, None, None] + middle.view(2, 1, 1)
    return at - cells


class DynamicMaskHead(nn.Module):
    """Logits from appearance, spatiotemporal tokens and motion that is not the camera's own."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        assert config.motion is not None
        width, hidden = config.motion.feature_dim, config.motion.hidden_dim
        self.norm = LayerNorm(2 * config.embed_dim)
        self.project = nn.Linear(2 * config.embed_dim, width)
        self.conv1 = nn.Conv2d(2 * width + 2 * CUES, hidden, 3, padding=1)
        self.conv2 = nn.Conv2d(hidden, hidden, 3, padding=1)
        self.out = nn.Conv2d(hidden, 16, 1)

    def forward(self, tokens: Tensor, quarter: Tensor, cues: list[Tensor]) -> Tensor:
        """Logits (N, 16h, 16w).

        Args:
            tokens: (N, h*w, 2C) fused patch tokens.
            quarter: (N, F, 4h, 4w) motion features of the same frames.
            cues: forward and backward (N, CUES, 4h, 4w), zeros where there is no neighbour.
        """
        height, width = (n // 4 for n in quarter.shape[-2:])
        coarse = self.project(self.norm(tokens)).transpose(1, 2).unflatten(2, (height, width))
        x = torch.cat([enlarge(coarse, 4), quarter, *cues], dim=1)
        x = functional.relu(self.conv2(functional.relu(self.conv1(x))))
        return functional.pixel_shuffle(self.out(x), 4)[:, 0]

    def start(self) -> None:
        """Untrained, every pixel is about equally likely to move."""
        nn.init.normal_(self.out.weight, std=1e-3)


def motion_cues(
    flow: Tensor,
    logits: Tensor,
    depth: Tensor,
    pose: Tensor,
    target_pose: Tensor,
    fitted: bool = False,
    wide: bool = False,
    camera: Motion | None = None,
) -> Tensor:
    """What one direction of flow says about motion, (N, CUES, h, w); MORE_CUES more if wide.

    Args:
        flow: (N, 2, h, w) cells.
        logits: (N, 1, h, w) of the flow being right.
        depth: (N, h, w) of the source frame.
        pose: (N, 9) of the source frame.
        target_pose: (N, 9) of the target frame.
        fitted: the camera's motion is what most of the flow agrees on, not that of the poses.
        wide: of a fitted motion, also what no other depth explains.
        camera: the fitted motion if it is known already.
    """
    more = []
    if fitted:
        own, rest = fitted_flow(
            flow.detach(), logits[:, 0].detach().sigmoid(), depth, pose, target_pose, camera
        )
        more = [rest] if wide else []
    else:
        own = rigid_flow(depth, pose, target_pose)
    residual = (flow - own).nan_to_num(0.0, LIMIT, -LIMIT)
    residual = residual.clamp(-LIMIT, LIMIT)
    cues = [flow.clamp(-LIMIT, LIMIT), residual, _length(residual), logits, *more]
    return torch.cat(cues, dim=1).detach()


def _length(vectors: Tensor) -> Tensor:
    """Length (N, 1, h, w) of (N, 2, h, w)."""
    return vectors.square().sum(1, keepdim=True).add(1e-6).sqrt()
