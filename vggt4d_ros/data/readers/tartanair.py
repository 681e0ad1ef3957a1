# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""TartanAir (Wang et al. 2020): rendered flights, one trajectory folder (``P000``) each.

Layout: ``image_left/000000_left.png``, ``image_right``, ``depth_left/000000_left_depth.npy``
(float32 metres), ``flow/000000_000001_flow.npy`` and ``..._mask.npy`` (0 seen, 1 hidden,
10 out of the image, 100 sky or invalid), ``pose_left.txt`` (tx ty tz qx qy qz qw, world from
body in NED: x ahead, y right, z down). K: f 320, c (320, 240) at 640 x 480. Licence CC BY 4.0.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vggt4d_ros.data.readers.recording import DatasetError, RawFrame, Recording, read_rgb, require
from vggt4d_ros.geometry.se3 import inverse, make_transform, matrix_from_quat_xyzw

INTRINSICS = np.array([[320.0, 0, 320], [0, 320, 240], [0, 0, 1]])
# optical z, x, y are the body's x, y, z
BODY_FROM_CAM = np.array([[0.0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
FARTHEST = 1000.0  # metres; the sky is farther


def open_tartanair(folder: Path | str) -> Recording:
    """Opens a trajectory, left and right where both are there.

    Raises:
        DatasetError: another layout.
    """
    needed = ["image_left/*_left.png", "depth_left/*_left_depth.npy", "pose_left.txt"]
    folder = require(folder, needed, "TartanAir trajectory")
    sides = tuple(side for side in ("left", "right") if (folder / f"image_{side}").is_dir())
    count = len(list((folder / "image_left").glob("*_left.png")))
    poses = {}
    for side in sides:
        path = folder / f"pose_{side}.txt"
        if not path.is_file():
            raise DatasetError(f"{folder}: no TartanAir trajectory: expected {path.name} in it")
        poses[side] = np.loadtxt(path, ndmin=2)
        if poses[side].shape != (count, 7):
            raise DatasetError(f"{path}: {poses[side].shape[0]} lines of 7 for {count} images")

    def read(step: int, view: int) -> RawFrame | None:
        side = sides[view]
        image = folder / f"image_{side}" / f"{step:06d}_{side}.png"
        if not image.is_file():
            return None
        pose = poses[side][step]
        world_from_body = make_transform(matrix_from_quat_xyzw(pose[3:]), pose[:3])
        path = folder / f"depth_{side}" / f"{step:06d}_{side}_depth.npy"
        depth = np.load(path).astype(np.float32) if path.is_file() else None
        if depth is not None:
            depth = np.where(depth < FARTHEST, depth, np.float32(np.nan))
        flow, hidden = _flow(folder, step) if side == "left" else (None, None)
        return RawFrame(
            read_rgb(image),
            INTRINSICS,
            inverse(world_from_body @ BODY_FROM_CAM),
            depth,
            flow_forward=flow,
            occluded_forward=hidden,
        )

    return Recording(f"{folder.parent.name}/{folder.name}", sides, count, read, "CC BY 4.0")


def _flow(folder: Path, step: int) -> tuple[np.ndarray | None, np.ndarray | None]:
    stem = folder / "flow" / f"{step:06d}_{step + 1:06d}"
    path, mask = (Path(f"{stem}_{kind}.npy") for kind in ("flow", "mask"))
    if not path.is_file():
        return None, None
    flow = np.load(path).astype(np.float32)
    if not mask.is_file():
        return flow, None
    state = np.load(mask)
    return np.where((state < 100)[..., None], flow, np.float32(np.nan)), (state > 0) & (state < 100)
