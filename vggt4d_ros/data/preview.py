# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Picture sheets of windows with their ground truth, to be looked at by a person."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vggt4d_ros.data.windows import WindowBatch

Image = NDArray[np.uint8]
PANELS = ("image", "depth", "flow forward", "dynamic", "hidden at t+1")


def color_depth(depth: Tensor, valid: Tensor) -> Image:
    """Inverse depth from blue (far) to red (near), black where not valid, (H, W, 3)."""
    inverse = torch.where(valid, 1 / depth.clamp(min=1e-6), 0.0)
    if valid.any():
        low, high = torch.quantile(inverse[valid].float(), torch.tensor([0.02, 0.98])).tolist()
    else:
        low, high = 0.0, 1.0
    x = ((inverse - low) / max(high - low, 1e-9)).clamp(0, 1)
    rgb = torch.stack([1.5 - (4 * x - k).abs() for k in (3, 2, 1)], -1).clamp(0, 1)
    return _bytes(torch.where(valid[..., None], rgb, 0.0))


def color_flow(flow: Tensor, valid: Tensor, scale: float) -> Image:
    """Direction as hue, length as saturation (full at ``scale`` pixels), (H, W, 3)."""
    angle = torch.atan2(flow[..., 1], flow[..., 0])
    length = (flow.norm(dim=-1) / max(scale, 1e-6)).clamp(0, 1)[..., None]
    hue = torch.stack([0.5 + 0.5 * torch.cos(angle - k * 2 * math.pi / 3) for k in range(3)], -1)
    rgb = 1 - length * (1 - hue)
    return _bytes(torch.where(valid[..., None], rgb, 0.0))


def _bytes(rgb: Tensor) -> Image:
    array: Image = (rgb * 255).round().to(torch.uint8).cpu().numpy()
    return array


def _gray(mask: Tensor) -> Image:
    return _bytes(mask[..., None].expand(*mask.shape, 3).float())


def window_sheet(batch: WindowBatch, row: int) -> Image:
    """All frames of one window: a line per frame (time-major), a column per panel."""
    _, steps, views, height, width = batch.shape
    flow = batch.flow_forward[row]
    known = batch.flow_forward_valid[row]
    lengths = flow.norm(dim=-1)[known]
    scale = float(lengths.float().quantile(0.95)) if len(lengths) else 1.0
    lines = []
    for step in range(steps):
        for view in range(views):
            at = (row, step, view)
            panels = [
                _bytes(batch.images[at].permute(1, 2, 0)),
                color_depth(batch.depth[at], batch.depth_valid[at]),
                color_flow(batch.flow_forward[at], batch.flow_forward_valid[at], scale),
                _gray(batch.dynamic[at] & batch.dynamic_valid[at]),
                _gray(batch.occluded_forward[at] & batch.flow_forward_valid[at]),
            ]
            lines.append(np.concatenate([np.pad(p, ((1, 1), (1, 1), (0, 0))) for p in panels], 1))
    return np.concatenate(lines, 0)


def sheet(batch: WindowBatch, columns: int = 2) -> Image:
    """Sheets of all windows of a batch, side by side."""
    sheets = [window_sheet(batch, row) for row in range(batch.shape[0])]
    while len(sheets) % columns:
        sheets.append(np.zeros_like(sheets[0]))
    rows = [np.concatenate(sheets[i : i + columns], 1) for i in range(0, len(sheets), columns)]
    return np.concatenate([np.pad(r, ((0, 4), (0, 0), (0, 0)), constant_values=255) for r in rows])


def image_sheet(batch: WindowBatch, columns: int = 4) -> Image:
    """Only the images, a block of T x V for each window."""
    blocks = []
    for row in range(batch.shape[0]):
        frames = batch.images[row].permute(0, 1, 3, 4, 2)  # (T, V, H, W, 3)
        block = torch.cat([torch.cat(list(step), 1) for step in frames], 0)
        blocks.append(np.pad(_bytes(block), ((2, 2), (2, 2), (0, 0)), constant_values=255))
    while len(blocks) % columns:
        blocks.append(np.zeros_like(blocks[0]))
    rows = [np.concatenate(blocks[i : i + columns], 1) for i in range(0, len(blocks), columns)]
    return np.concatenate(rows)
