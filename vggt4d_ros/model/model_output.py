# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the network gives."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from vggt4d_ros.model.motion import MotionOutput
from vggt4d_ros.model.pair_output import PairOutput


class ModelOutput(NamedTuple):
    """Raw, differentiable outputs. D counts the dense steps asked for, (H, W) is the input's size.

    Values in slots of missing frames are finite and mean nothing.
    """

    pose_enc: list[Tensor]  # per iteration (B, T, V, 9): t, quaternion xyzw, fov_h, fov_w
    depth: Tensor | None  # (B, D, V, H, W), > 0
    depth_conf: Tensor | None  # (B, D, V, H, W), >= 1
    world_points: Tensor | None  # (B, D, V, H, W, 3)
    world_points_conf: Tensor | None  # (B, D, V, H, W), > 1
    motion: MotionOutput | None  # flow, dynamic mask, tracks
    pairs: PairOutput | None = None  # matches with the reference frame; its pose is the last above
