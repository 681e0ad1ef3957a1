# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Scene flow for the eye: a limited number of arrows, and colours."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.datatypes import Array, CameraModel
from vggt4d_ros.geometry.pinhole import check_size, ray_planes
from vggt4d_ros.geometry.scene_flow import SceneFlow

Plane = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Arrows:
    """Lines from where points are to where they will be."""

    points: Array  # (2 N, 3) fixed frame, m: start, end, start, end, ... as LINE_LIST wants it
    speed_mps: Array  # (N,)


def flow_arrows(
    depth: Plane,
    model: CameraModel,
    world_from_cam: Array,
    flow: SceneFlow,
    max_count: int,
    seconds: float,
) -> Arrows:
    """Gives at most ``max_count`` arrows of moving points, even over the image.

    The image is cut into as many square cells as there may be arrows; each cell's fastest moving
    point gets one. Points that do not move for sure get none.

    Args:
        depth: (H, W) metres of the frame the flow is of.
        model: of the depth image.
        world_from_cam: (4, 4) of the frame.
        flow: its scene flow.
        max_count: 0: none.
        seconds: an arrow is as long as its point moves in this time.

    Raises:
        ValueError: negative count, or depth of another size than the flow.
    """
    check_size(depth, model)
    if max_count < 0 or flow.dynamic.shape != depth.shape:
        raise ValueError(
            f"arrows: max_count {max_count}, depth {depth.shape}, flow {flow.dynamic.shape}"
        )
    rows, columns = _fastest_of_cells(flow, max_count)
    depths = depth[rows, columns].astype(np.float64)
    rays = ray_planes(model)[:, rows, columns].astype(np.float64)
    local = np.stack([rays[0] * depths, rays[1] * depths, depths], axis=-1)
    start = local @ world_from_cam[:3, :3].T + world_from_cam[:3, 3]
    velocity = flow.velocity_cam[:, rows, columns].T.astype(np.float64) @ flow.world_from_cam.T
    ends = start + seconds * velocity
    return Arrows(
        points=np.stack([start, ends], axis=1).reshape(-1, 3),
        speed_mps=np.asarray(np.linalg.norm(velocity, axis=1), dtype=np.float64),
    )


def _fastest_of_cells(
    flow: SceneFlow, max_count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Gives row and column of the fastest moving pixel of each cell that has one."""
    none = np.zeros(0, dtype=np.int64)
    if max_count == 0 or not flow.dynamic.any():
        return none, none
    height, width = flow.dynamic.shape
    side = max(1, int(np.ceil(np.sqrt(height * width / max_count))))
    while -(-height // side) * -(-width // side) > max_count:
        side += 1
    tall, wide = -(-height // side), -(-width // side)
    speed = np.zeros((tall * side, wide * side), dtype=np.float32)
    speed[:height, :width] = np.where(flow.dynamic, flow.speed, np.float32(0))
    cells = speed.reshape(tall, side, wide, side).swapaxes(1, 2).reshape(tall * wide, side * side)
    best = cells.argmax(axis=1)
    cell = np.flatnonzero(cells[np.arange(len(cells)), best] > 0)
    rows = cell // wide * side + best[cell] // side
    columns = cell % wide * side + best[cell] % side
    return rows.astype(np.int64), columns.astype(np.int64)


def arrow_colours(speed_mps: Array, full_mps: float = 2.0) -> Array:
    """Gives RGB (N, 3) in [0, 1]: green for slow, over yellow to red at ``full_mps`` and above."""
    share = np.clip(speed_mps / full_mps, 0.0, 1.0)
    red, green = np.minimum(2 * share, 1.0), np.minimum(2 - 2 * share, 1.0)
    return np.stack([red, green, np.zeros_like(share)], axis=-1)


def flow_image_rgb(velocity: Plane, full_mps: float = 2.0) -> NDArray[np.uint8]:
    """Gives a picture (H, W, 3) of velocities (H, W, 3) m/s; black where unknown.

    Hue is the direction in the plane of the first two axes, brightness the speed, white is still.
    """
    x, y, z = (np.nan_to_num(velocity[..., i]) for i in range(3))
    speed = np.sqrt(x * x + y * y + z * z)
    hue = (np.degrees(np.arctan2(y, x)) % 360.0) / 2.0  # OpenCV keeps hue in half degrees
    hsv = np.empty(velocity.shape, dtype=np.uint8)
    hsv[..., 0] = np.minimum(hue, 179)
    hsv[..., 1] = np.clip(255.0 * speed / full_mps, 0, 255)
    hsv[..., 2] = np.where(np.isfinite(velocity).all(axis=-1), 255, 0)
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), dtype=np.uint8)
