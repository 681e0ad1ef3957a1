# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Weights of a network that has seen nothing: bounded, plausible outputs to train from."""

from __future__ import annotations

from torch import nn

from vggt4d_ros.model.camera_head import CameraHead
from vggt4d_ros.model.encoder import DinoEncoder

START_FOV = 1.0  # radians


def initialise(model: nn.Module) -> None:
    """Sets start values; the random ones come from torch's generator.

    Poses start at the identity with a field of view of 1 rad, depth near 1, flow near 0.
    """
    if next(model.parameters()).is_meta:
        return
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, (nn.Conv2d, nn.Conv1d)):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in model.modules():
        if isinstance(module, CameraHead):
            _init_camera(module)
        elif isinstance(module, DinoEncoder):
            for parameter in (module.cls_token, module.pos_embed, module.register_tokens):
                nn.init.trunc_normal_(parameter, std=0.02)
        elif callable(start := getattr(module, "start", None)):
            start()


def _init_camera(head: CameraHead) -> None:
    """The iterations' deltas add up to the identity pose with START_FOV."""
    last = head.pose_branch.fc2
    nn.init.normal_(last.weight, std=1e-3)
    start = last.bias.new_tensor([0, 0, 0, 0, 0, 0, 1, START_FOV, START_FOV])
    last.bias.data.copy_(start / head.iterations)
