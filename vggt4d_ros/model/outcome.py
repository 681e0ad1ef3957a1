# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Raw outputs of the network to a ``Prediction`` of the window that was shown."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from vggt4d_ros.datatypes import FramePrediction, Prediction
from vggt4d_ros.model.fetch import fetch
from vggt4d_ros.model.model_output import ModelOutput
from vggt4d_ros.model.postprocess import (
    camera_matrix,
    dense_maps,
    frame_prediction,
    pose_matrix,
    unusable_pose,
)
from vggt4d_ros.model.window_grid import Slot, WindowGrid


def to_prediction(
    output: ModelOutput | None,
    grid: WindowGrid,
    decoded: tuple[int, ...],
    wanted: tuple[int, ...],
    stages: dict[str, float],
) -> Prediction:
    """The prediction of a window.

    Args:
        output: of one window; None where no frame of it could be shown.
        grid: what was shown.
        decoded: steps of the window, rising, whose dense outputs ``output`` holds.
        wanted: those of them that are to be brought to the cameras' own resolution.
        stages: what each stage took; goes into the prediction as it is.
    """
    steps, views = grid.window_shape
    valid = np.zeros((steps, views), dtype=bool)
    poses = np.full((steps, views, 4, 4), np.nan)
    intrinsics = np.full((steps, views, 3, 3), np.nan)
    reasons = dict(grid.reasons)
    maps: dict[Slot, dict[str, Tensor]] = {}
    if output is not None:
        raw = output.pose_enc[-1][0].double().cpu().numpy()  # (T', V', 9)
        own = raw
        if output.pairs is not None:  # where the pose has a field of view that was given
            fields = output.pairs.field_of_view[0].double().cpu().numpy()
            own = np.concatenate([raw[..., :7], fields.reshape(*raw.shape[:2], 2)], axis=-1)
        for slot, placement in grid.placements.items():
            pose = raw[grid.index(slot)]
            reason = unusable_pose(pose)
            if reason:
                reasons[slot] = reason
                continue
            valid[slot] = True
            poses[slot] = pose_matrix(pose)
            intrinsics[slot] = camera_matrix(own[grid.index(slot)], placement)
            if slot[0] in wanted:
                maps[slot] = _maps(output, grid, decoded, slot)
    frames: dict[Slot, FramePrediction] = {
        slot: frame_prediction(arrays, grid.placements[slot])
        for slot, arrays in zip(maps, fetch(list(maps.values())), strict=True)
    }
    return Prediction(valid, poses, intrinsics, frames, reasons, stages)


def _maps(
    output: ModelOutput, grid: WindowGrid, decoded: tuple[int, ...], slot: Slot
) -> dict[str, Tensor]:
    step, view = grid.index(slot)
    after, before = ((slot[0] + sign, slot[1]) in grid.frames for sign in (1, -1))
    at = (decoded.index(slot[0]), view)
    return dense_maps(output, grid.placements[slot], at, step, (after, before))
