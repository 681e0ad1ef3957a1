# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""MPI Sintel (Butler et al. 2012) with depth and cameras: one scene of ``training``.

Layout: ``final/SCENE/frame_0001.png``, ``flow/SCENE/frame_0001.flo``, ``occlusions/SCENE/*.png``
(white: hidden), ``invalid/SCENE/*.png``, ``depth/SCENE/*.dpt``, ``camdata_left/SCENE/*.cam``
(K, then cam_from_world 3 x 4, float64). Binary files are little-endian and begin with the float
202021.25. Lengths are in the film's own unit. Licence: the film CC BY 3.0; evaluation only here.
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
    read_rgb,
    require,
)

TAG = 202021.25


def open_sintel(root: Path | str, scene: str, render_pass: str = "final") -> Recording:
    """Opens a scene; ``root`` is the folder ``training``.

    Raises:
        DatasetError: another layout.
    """
    root = require(root, [f"{render_pass}/{scene}/frame_0001.png"], "MPI Sintel training folder")
    count = len(list((root / render_pass / scene).glob("frame_*.png")))

    def read(step: int, view: int) -> RawFrame:
        name = f"{scene}/frame_{step + 1:04d}"
        camera, depth = root / f"camdata_left/{name}.cam", root / f"depth/{name}.dpt"
        flow = root / f"flow/{name}.flo"
        intrinsics = cam_from_world = None
        if camera.is_file():
            intrinsics, cam_from_world = read_cam(camera)
        return RawFrame(
            read_rgb(root / render_pass / f"{name}.png"),
            intrinsics,
            cam_from_world,
            read_dpt(depth) if depth.is_file() else None,
            flow_forward=_known(flow, root / f"invalid/{name}.png"),
            occluded_forward=_mask(root / f"occlusions/{name}.png"),
        )

    return Recording(f"sintel {scene}", ("left",), count, read, "CC BY 3.0", metric=False)


def _known(path: Path, invalid: Path) -> Map | None:
    if not path.is_file():
        return None
    flow, wrong = read_flo(path), _mask(invalid)
    return flow if wrong is None else np.where(wrong[..., None], np.float32(np.nan), flow)


def _mask(path: Path) -> np.ndarray | None:
    if not path.is_file():
        return None
    raw = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if raw is None:
        raise DatasetError(f"{path}: no image")
    return np.asarray(raw > 127)


def _open_tagged(path: Path) -> bytes:
    data = path.read_bytes()
    if len(data) < 12 or np.frombuffer(data, "<f4", 1)[0] != np.float32(TAG):
        raise DatasetError(f"{path}: does not begin with the tag {TAG}")
    return data


def _grid(path: Path, channels: int) -> Map:
    data = _open_tagged(path)
    width, height = np.frombuffer(data, "<i4", 2, 4).tolist()
    values = np.frombuffer(data, "<f4", offset=12)
    if values.size != width * height * channels:
        raise DatasetError(f"{path}: {values.size} values for {width} x {height} x {channels}")
    return values.reshape(height, width, channels).copy()


def read_flo(path: Path) -> Map:
    """Flow (H, W, 2) of a .flo file; values above 1e9 are NaN.

    Raises:
        DatasetError: damaged.
    """
    flow = _grid(path, 2)
    return np.where(np.abs(flow) > 1e9, np.float32(np.nan), flow)


def read_dpt(path: Path) -> Map:
    """Depth (H, W) of a .dpt file.

    Raises:
        DatasetError: damaged.
    """
    return _grid(path, 1)[..., 0]


def read_cam(path: Path) -> tuple[Array, Array]:
    """Intrinsics (3, 3) and cam_from_world (4, 4) of a .cam file.

    Raises:
        DatasetError: damaged.
    """
    values = np.frombuffer(_open_tagged(path)[4:], "<f8")
    if values.size != 21:
        raise DatasetError(f"{path}: {values.size} numbers, must be 9 + 12")
    pose = np.vstack([values[9:].reshape(3, 4), [0.0, 0.0, 0.0, 1.0]])
    return values[:9].reshape(3, 3).copy(), pose
