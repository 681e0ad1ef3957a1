# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Network outputs to the camera's own pixels, and raw pose encodings to usable matrices."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vggt4d_ros.datatypes import FramePrediction
from vggt4d_ros.model.model_output import ModelOutput
from vggt4d_ros.model.motion import FlowField
from vggt4d_ros.model.preprocess import Placement

PROBABILITIES = ("dynamic", "flow_forward_confidence", "flow_backward_confidence")
MIN_QUATERNION = 1e-6  # length
MIN_FOV, MAX_FOV = 1e-3, np.pi - 1e-3  # radians


def to_camera(maps: NDArray[np.float32], placement: Placement) -> NDArray[np.float32]:
    """Resamples a map (H, W) or (H, W, C) of a network image to the camera's height and width.

    Padding is cut off first. Bilinear, corners on corners, so that values stay at their pixel
    centres (``preprocess`` has the formula). What is not finite becomes NaN.
    """
    rows = slice(placement.top, placement.top + placement.height)
    columns = slice(placement.left, placement.left + placement.width)
    inside = maps[rows, columns]
    if not np.isfinite(inside).all():
        inside = np.where(np.isfinite(inside), inside, np.float32(np.nan))
    size = (placement.camera_width, placement.camera_height)
    if inside.shape[1::-1] == size:
        return np.ascontiguousarray(inside)
    # on the CPU even where the network is not: ten times faster than torch's, and fewer bytes
    # to fetch from the device
    resized: NDArray[np.float32] = cv2.resize(
        np.ascontiguousarray(inside), size, interpolation=cv2.INTER_LINEAR
    )
    return resized


def unusable_pose(pose: NDArray[np.float64]) -> str:
    """Why a pose encoding (9,) is of no use; empty if it is."""
    if not np.isfinite(pose).all():
        return "pose is not finite"
    if np.linalg.norm(pose[3:7]) < MIN_QUATERNION:
        return "rotation is degenerate (zero quaternion)"
    if (pose[7:] < MIN_FOV).any():
        return "field of view is zero"
    if (pose[7:] > MAX_FOV).any():
        return "field of view is 180 degrees or more"
    return ""


def pose_matrix(pose: NDArray[np.float64]) -> NDArray[np.float64]:
    """cam_from_world (4, 4) of a usable pose encoding (9,)."""
    x, y, z, w = pose[3:7] / np.linalg.norm(pose[3:7])
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrix[:3, 3] = pose[:3]
    return matrix


def camera_matrix(pose: NDArray[np.float64], placement: Placement) -> NDArray[np.float64]:
    """Intrinsics (3, 3) in the camera's own pixels, integer at the centre.

    The field of view is that of the network image, its principal point the middle of it.
    """
    focal_y = placement.total_height / 2 / np.tan(pose[7] / 2)
    focal_x = placement.total_width / 2 / np.tan(pose[8] / 2)
    centre_x = (placement.total_width / 2 - placement.left) / placement.scale_x - 0.5
    centre_y = (placement.total_height / 2 - placement.top) / placement.scale_y - 0.5
    return np.array(
        [
            [focal_x / placement.scale_x, 0.0, centre_x],
            [0.0, focal_y / placement.scale_y, centre_y],
            [0.0, 0.0, 1.0],
        ]
    )


def dense_maps(
    output: ModelOutput,
    placement: Placement,
    at: tuple[int, int],
    step: int,
    neighbours: tuple[bool, bool],
) -> dict[str, Tensor]:
    """Dense outputs of one frame in the network's image, (K, H, W) each, where they are.

    Args:
        output: of one window.
        placement: where the frame lies in the network image.
        at: the frame's index among the dense steps, and its view, both in the output's grid.
        step: the frame's step in the output's grid.
        neighbours: whether the same camera has a frame at the next and at the previous step.
    """
    where = (0, *at)
    maps: dict[str, Tensor] = {}
    if output.depth is not None and output.depth_conf is not None:
        maps["depth"] = output.depth[where][None]
        maps["depth_confidence"] = output.depth_conf[where][None]
    if output.world_points is not None and output.world_points_conf is not None:
        maps["points"] = output.world_points[where].permute(2, 0, 1)
        maps["points_confidence"] = output.world_points_conf[where][None]
    if output.motion is not None:
        fields = (output.motion.forward, output.motion.backward)
        for name, field, there in zip(("forward", "backward"), fields, neighbours, strict=True):
            if field is not None and there and step in field.steps:
                maps |= _flow_maps(name, field, step, at[1], placement)
        if output.motion.dynamic is not None:
            maps["dynamic"] = output.motion.dynamic[where][None].sigmoid()
    return maps


def frame_prediction(
    fetched: dict[str, NDArray[np.float32]], placement: Placement
) -> FramePrediction:
    """Dense outputs of one frame at the camera's own resolution, of its ``dense_maps``."""
    arrays: dict[str, NDArray[np.float32]] = {}
    for name, own in fetched.items():
        arrays[name] = to_camera(own[0] if len(own) == 1 else own.transpose(1, 2, 0), placement)
        if name in PROBABILITIES:  # a mean of ones may round to more than one
            np.minimum(arrays[name], 1.0, out=arrays[name])
    if "depth" not in arrays:
        size = (placement.camera_height, placement.camera_width)
        arrays["depth"] = arrays["depth_confidence"] = np.full(size, np.nan, dtype=np.float32)
    return FramePrediction(**arrays)


def _flow_maps(
    name: str, field: FlowField, step: int, view: int, placement: Placement
) -> dict[str, Tensor]:
    """Flow in camera pixels and its confidence."""
    where = (0, field.steps.index(step), view)
    u, v = field.flow[where].unbind(-1)
    return {
        f"flow_{name}": torch.stack([u * (1 / placement.scale_x), v * (1 / placement.scale_y)]),
        f"flow_{name}_confidence": field.logits[where][None].sigmoid(),
    }
