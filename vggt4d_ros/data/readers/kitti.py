# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""KITTI (Geiger et al. 2012; Menze and Geiger 2015): odometry sequences and scene flow 2015.

All images are rectified; depth is disparity's, metres; camera frames are optical; the world of the
odometry is the first left grey camera. Licence CC BY-NC-SA 3.0: evaluation only.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from vggt4d_ros.data.readers.recording import (
    Array,
    DatasetError,
    Map,
    RawFrame,
    Recording,
    depth_from_uint16,
    read_raw,
    read_rgb,
    require,
)
from vggt4d_ros.geometry.se3 import inverse

LICENCE = "CC BY-NC-SA 3.0"


def open_kitti_odometry(
    root: Path | str, sequence: str, cameras: tuple[str, ...] = ("image_2", "image_3")
) -> Recording:
    """Opens ``root/sequences/NN`` with ``calib.txt`` and, where given, ``root/poses/NN.txt``.

    Raises:
        DatasetError: another layout.
    """
    root = require(root, [f"sequences/{sequence}/calib.txt"], "KITTI odometry data set")
    folder = root / "sequences" / sequence
    require(folder, [f"{camera}/*.png" for camera in cameras], "KITTI odometry sequence")
    calibration = read_calibration(folder / "calib.txt")
    names = sorted(path.name for path in (folder / cameras[0]).glob("*.png"))
    path = root / "poses" / f"{sequence}.txt"
    poses = np.loadtxt(path, ndmin=2).reshape(-1, 3, 4) if path.is_file() else None

    def read(step: int, view: int) -> RawFrame | None:
        image = folder / cameras[view] / names[step]
        if not image.is_file():
            return None
        intrinsics, cam_from_rect = split_projection(calibration[f"P{cameras[view][-1]}"])
        cam_from_world = None
        if poses is not None:
            cam_from_world = cam_from_rect @ inverse(_square(poses[step]))
        return RawFrame(read_rgb(image), intrinsics, cam_from_world)

    return Recording(f"kitti odometry {sequence}", cameras, len(names), read, LICENCE)


def open_kitti_flow(root: Path | str, number: int) -> Recording:
    """Opens pair ``number`` of scene flow 2015 in ``root``, the folder ``training``.

    Two steps, left and right. Step 0 has disparity and flow of the left camera (``disp_occ_0``,
    ``flow_occ``); those of ``*_noc`` tell which pixels are hidden at the next step;
    ``obj_map`` tells what moves.

    Raises:
        DatasetError: another layout.
    """
    name = f"{number:06d}"
    needed = [f"image_2/{name}_1[01].png", f"disp_occ_0/{name}_10.png", f"flow_occ/{name}_10.png"]
    needed.append(f"calib_cam_to_cam/{name}.txt")
    root = require(root, needed, "KITTI scene flow 2015 training folder")
    calibration = read_calibration(root / "calib_cam_to_cam" / f"{name}.txt")
    left, left_from_rect = split_projection(calibration["P_rect_02"])
    right, right_from_rect = split_projection(calibration["P_rect_03"])
    baseline = float(left_from_rect[0, 3] - right_from_rect[0, 3])

    def read(step: int, view: int) -> RawFrame | None:
        image = root / f"image_{2 + view}" / f"{name}_{10 + step}.png"
        if not image.is_file():
            return None
        rgb = read_rgb(image)
        if step or view:  # the motion of the car is not given
            return RawFrame(rgb, right if view else left, right_from_rect if not step else None)
        disparity = depth_from_uint16(read_raw(root / "disp_occ_0" / f"{name}_10.png"), 256.0)
        flow = read_kitti_flow(root / "flow_occ" / f"{name}_10.png")
        seen = root / "flow_noc" / f"{name}_10.png"
        hidden = None
        if seen.is_file():
            hidden = np.isnan(read_kitti_flow(seen)[..., 0]) & np.isfinite(flow[..., 0])
        return RawFrame(
            rgb,
            left,
            left_from_rect,
            (float(left[0, 0]) * baseline / disparity).astype(np.float32),
            flow_forward=flow,
            occluded_forward=hidden,
            dynamic=_moving(root / "obj_map" / f"{name}_10.png"),
        )

    return Recording(f"kitti flow {name}", ("left", "right"), 2, read, LICENCE)


def read_kitti_flow(path: Path) -> Map:
    """Flow (H, W, 2) of a 16-bit PNG: (value - 2^15) / 64 pixels, third channel 0 where invalid."""
    raw = read_raw(path)
    if raw.ndim != 3:
        raise DatasetError(f"{path}: a flow image has three channels")
    valid, v, u = (raw[..., channel].astype(np.float32) for channel in range(3))  # as BGR
    flow = np.stack([(u - 2**15) / 64, (v - 2**15) / 64], -1)
    return np.where(valid[..., None] > 0, flow, np.float32(np.nan)).astype(np.float32)


def _moving(path: Path) -> np.ndarray | None:
    """Pixels of moving objects; None where there is no object map."""
    if not path.is_file():
        return None
    raw = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if raw is None:
        raise DatasetError(f"{path}: no image")
    return np.asarray(raw > 0)


def read_calibration(path: Path) -> dict[str, Array]:
    """Projection matrices (3, 4) of a calibration file by name, as P2 or P_rect_02.

    Raises:
        DatasetError: there is none in it.
    """
    found = {}
    for line in path.read_text().splitlines():
        name, _, numbers = line.partition(":")
        words = numbers.split()
        if name.startswith("P") and len(words) == 12:
            found[name.strip()] = np.array(words, dtype=np.float64).reshape(3, 4)
    if not found:
        raise DatasetError(f"{path}: no projection matrix (P0: 12 numbers) in it")
    return found


def split_projection(projection: Array) -> tuple[Array, Array]:
    """Intrinsics (3, 3) and cam_from_rectified (4, 4) of P = K [I | t]."""
    intrinsics = projection[:, :3].copy()
    shift = np.eye(4)
    shift[:3, 3] = np.linalg.solve(intrinsics, projection[:, 3])
    return intrinsics, shift


def _square(pose: Array) -> Array:
    return np.vstack([pose, [0.0, 0.0, 0.0, 1.0]])
