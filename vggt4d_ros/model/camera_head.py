# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Camera head: pose and field of view of every frame from its camera token."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from vggt4d_ros.model.config import ModelConfig
from vggt4d_ros.model.layers import Block, LayerNorm, Mlp

POSE_DIM = 9  # tx ty tz, qx qy qz qw, vertical and horizontal field of view


class CameraHead(nn.Module):
    """Refines a pose encoding in a few iterations.

    Each iteration shows the estimate so far to the trunk by adaptive layer norm (DiT, Peebles and
    Xie 2022) and adds the trunk's answer to it. Gradients do not pass from one iteration to the
    next through the estimate.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        dim, options = 2 * config.embed_dim, config.camera
        self.iterations = options.iterations
        self.empty_pose_tokens = nn.Parameter(torch.zeros(1, 1, POSE_DIM))
        self.trunk = nn.ModuleList(
            Block(
                dim,
                options.num_heads,
                mlp_ratio=options.mlp_ratio,
                init_values=config.init_values,
            )
            for _ in range(options.trunk_depth)
        )
        self.token_norm = LayerNorm(dim)
        self.trunk_norm = LayerNorm(dim)
        self.embed_pose = nn.Linear(POSE_DIM, dim)
        self.poseLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(dim, 3 * dim))
        self.pose_branch = Mlp(dim, dim // 2, POSE_DIM)

    def forward(self, tokens: Tensor, bias: Tensor | None) -> list[Tensor]:
        """Gives the pose encoding after each iteration, (B, S, 9).

        Args:
            tokens: (B, S, 2C) camera tokens.
            bias: (B, S) logit bias that removes missing frames, None where all are there.
        """
        tokens = self.token_norm(tokens)
        plain = functional.layer_norm(tokens, tokens.shape[-1:], eps=1e-6)
        estimate = None
        poses = []
        for _ in range(self.iterations):
            known = (
                self.empty_pose_tokens.expand(*tokens.shape[:2], -1)
                if estimate is None
                else estimate.detach()
            )
            modulation = self.poseLN_modulation(self.embed_pose(known))
            shift, scale, gate = modulation.chunk(3, dim=-1)
            x = tokens + gate * (plain * (1 + scale) + shift)
            for block in self.trunk:
                x = block(x, None, bias)
            delta = self.pose_branch(self.trunk_norm(x))
            estimate = delta if estimate is None else estimate + delta
            poses.append(_activate(estimate))
        return poses


def _activate(estimate: Tensor) -> Tensor:
    translation_and_rotation, field_of_view = estimate.split([7, 2], dim=-1)
    return torch.cat([translation_and_rotation, functional.relu(field_of_view)], dim=-1)


def quaternion_to_matrix(quat_xyzw: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) of quaternions (..., 4) of any length but zero."""
    x, y, z, w = quat_xyzw.unbind(-1)
    s = 2.0 / (quat_xyzw * quat_xyzw).sum(-1)
    rows = (
        (1 - s * (y * y + z * z), s * (x * y - z * w), s * (x * z + y * w)),
        (s * (x * y + z * w), 1 - s * (x * x + z * z), s * (y * z - x * w)),
        (s * (x * z - y * w), s * (y * z + x * w), 1 - s * (x * x + y * y)),
    )
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def matrix_to_quaternion(rotation: Tensor) -> Tensor:
    """Unit quaternions xyzw with w >= 0 of rotation matrices (..., 3, 3).

    Of the four equivalent forms the one with the largest divisor is taken (Shepperd 1978).
    """
    m = rotation
    trace = m[..., 0, 0] + m[..., 1, 1] + m[..., 2, 2]
    d0, d1, d2 = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    # four times (component^2), for x, y, z, w
    squares = torch.stack(
        [1 + 2 * d0 - trace, 1 + 2 * d1 - trace, 1 + 2 * d2 - trace, 1 + trace], -1
    )
    xy, xz, yz = (
        m[..., 0, 1] + m[..., 1, 0],
        m[..., 0, 2] + m[..., 2, 0],
        m[..., 1, 2] + m[..., 2, 1],
    )
    xw, yw, zw = (
        m[..., 2, 1] - m[..., 1, 2],
        m[..., 0, 2] - m[..., 2, 0],
        m[..., 1, 0] - m[..., 0, 1],
    )
    sx, sy, sz, sw = squares.unbind(-1)
    # row i is the quaternion times four times its component i
    forms = torch.stack(
        [
            torch.stack([sx, xy, xz, xw], -1),
            torch.stack([xy, sy, yz, yw], -1),
            torch.stack([xz, yz, sz, zw], -1),
            torch.stack([xw, yw, zw, sw], -1),
        ],
        dim=-2,
    )
    best = squares.argmax(-1)[..., None, None].expand(*squares.shape[:-1], 1, 4)
    quat = functional.normalize(forms.gather(-2, best).squeeze(-2), dim=-1)
    return torch.where(quat[..., 3:] < 0, -quat, quat)


def encode_pose(cam_from_world: Tensor, intrinsics: Tensor, height: int, width: int) -> Tensor:
    """Pose encoding (..., 9) of (..., 3 or 4, 4) poses and (..., 3, 3) intrinsics, pixels."""
    quat = matrix_to_quaternion(cam_from_world[..., :3, :3])
    vertical = 2 * torch.atan(height / 2 / intrinsics[..., 1, 1])
    horizontal = 2 * torch.atan(width / 2 / intrinsics[..., 0, 0])
    return torch.cat(
        [cam_from_world[..., :3, 3], quat, vertical[..., None], horizontal[..., None]], dim=-1
    )


def decode_pose(pose: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Poses cam_from_world (..., 3, 4) and intrinsics (..., 3, 3) of pose encodings (..., 9).

    The principal point is the image centre measured from the image's corner, (W/2, H/2), as in
    the release; with integer pixel centres that is half a pixel less.
    """
    rotation = quaternion_to_matrix(pose[..., 3:7])
    cam_from_world = torch.cat([rotation, pose[..., :3, None]], dim=-1)
    fy = height / 2 / torch.tan(pose[..., 7] / 2)
    fx = width / 2 / torch.tan(pose[..., 8] / 2)
    zero, one = torch.zeros_like(fx), torch.ones_like(fx)
    rows = (
        torch.stack([fx, zero, one * (width / 2)], -1),
        torch.stack([zero, fy, one * (height / 2)], -1),
        torch.stack([zero, zero, one], -1),
    )
    return cam_from_world, torch.stack(rows, dim=-2)
