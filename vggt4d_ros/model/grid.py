# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The adaptive visual grid: B windows of T time steps of V views, some of them missing.

Frames flatten time-major, S = T*V. A missing frame keeps its slot: its pixels are replaced by
zeros before the encoder and its keys get a bias that removes them from every attention, so that
nothing of it reaches another frame. All shapes stay static; nothing branches on the mask.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from vggt4d_ros.model.layers import MASKED


class GridShape(NamedTuple):
    """Sizes of a grid of images in patches."""

    batch: int
    steps: int
    views: int
    height: int  # patches
    width: int  # patches

    @property
    def frames(self) -> int:
        """S, frames of one window."""
        return self.steps * self.views


def check_grid(images: Tensor, valid: Tensor | None, patch: int) -> GridShape:
    """Gives the shape of a grid of images.

    Raises:
        ValueError: images are not (B, T, V, 3, H, W) float with H and W multiples of the patch
            size, or the mask does not fit.
    """
    if images.ndim != 6 or images.shape[3] != 3 or 0 in images.shape:
        raise ValueError(f"images must be (B, T, V, 3, H, W), got {tuple(images.shape)}")
    if not images.is_floating_point():
        raise ValueError(f"images must be float in [0, 1], got {images.dtype}")
    batch, steps, views, _, height, width = images.shape
    if height % patch or width % patch:
        raise ValueError(f"H and W must be multiples of {patch}, got {height} x {width}")
    if valid is not None and (valid.dtype != torch.bool or valid.shape != images.shape[:3]):
        raise ValueError(
            f"valid must be bool {tuple(images.shape[:3])}, got {valid.dtype} {tuple(valid.shape)}"
        )
    return GridShape(batch, steps, views, height // patch, width // patch)


def blank_missing(images: Tensor, valid: Tensor | None) -> Tensor:
    """Puts zeros where a frame is missing, even over NaN; (B, T, V, 3, H, W)."""
    if valid is None:
        return images
    return torch.where(valid[..., None, None, None], images, images.new_zeros(()))


def is_reference(valid: Tensor) -> Tensor:
    """Marks the first valid frame of each window in time-major order; (B, S) bool of (B, S)."""
    return valid & (valid.cumsum(dim=1) == 1)


def token_bias(valid: Tensor | None, tokens: int) -> Tensor | None:
    """Logit bias of each key, (N, F*tokens) float32, of frames (N, F) bool; None: all are there."""
    if valid is None:
        return None
    bias = torch.where(valid, 0.0, MASKED)
    return bias.repeat_interleave(tokens, dim=1)


def by_view(x: Tensor, shape: GridShape) -> Tensor:
    """Regroups (B*T*V, ...) time-major frames to one sequence per camera, (B*V, T, ...)."""
    rest = x.shape[1:]
    x = x.reshape(shape.batch, shape.steps, shape.views, *rest).transpose(1, 2)
    return x.reshape(shape.batch * shape.views, shape.steps, *rest)


def by_frame(x: Tensor, shape: GridShape) -> Tensor:
    """The inverse of ``by_view``: (B*V, T, ...) to (B*T*V, ...)."""
    rest = x.shape[2:]
    x = x.reshape(shape.batch, shape.views, shape.steps, *rest).transpose(1, 2)
    return x.reshape(shape.batch * shape.frames, *rest)


def select_steps(x: Tensor, shape: GridShape, steps: tuple[int, ...]) -> Tensor:
    """Frames of the given time steps: (B*T*V, ...) to (B*len(steps)*V, ...)."""
    if steps == tuple(range(shape.steps)):
        return x
    rest = x.shape[1:]
    picked = x.reshape(shape.batch, shape.steps, shape.views, *rest)[:, list(steps)]
    return picked.reshape(-1, *rest)


def check_steps(steps: tuple[int, ...] | None, count: int) -> tuple[int, ...]:
    """Gives the dense steps, all where None.

    Raises:
        ValueError: they do not rise or are out of range.
    """
    if steps is None:
        return tuple(range(count))
    if list(steps) != sorted(set(steps)) or not steps or steps[0] < 0 or steps[-1] >= count:
        raise ValueError(f"dense_steps must rise within 0..{count - 1}, got {steps}")
    return steps
