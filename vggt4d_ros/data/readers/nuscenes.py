# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""nuScenes (Caesar et al. 2020): the six cameras of a scene with LiDAR depth.

Layout: tables ``VERSION/{scene,sample,sample_data,calibrated_sensor,sensor,ego_pose}.json``, files
under ``samples/``. LiDAR: float32 (x, y, z, intensity, ring) per point, sensor frame. Rotations
are wxyz; ego: x ahead, y left, z up; cameras optical; metres. One step is one keyframe (2 Hz).
Licence CC BY-NC-SA 4.0: evaluation only.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from vggt4d_ros.data.readers.recording import (
    Array,
    DatasetError,
    RawFrame,
    Recording,
    rasterise,
    read_rgb,
    require,
)
from vggt4d_ros.geometry.se3 import inverse, make_transform, matrix_from_quat_xyzw, transform_points

CAMERAS = ("FRONT", "FRONT_RIGHT", "BACK_RIGHT", "BACK", "BACK_LEFT", "FRONT_LEFT")
TABLES = ("scene", "sample", "sample_data", "calibrated_sensor", "sensor", "ego_pose")
Row = dict[str, Any]


def open_nuscenes(root: Path | str, scene: str, version: str = "v1.0-mini") -> Recording:
    """Opens a scene by its name (``scene-0061``).

    Raises:
        DatasetError: another layout, or no such scene.
    """
    root = require(root, [f"{version}/{name}.json" for name in TABLES], "nuScenes data set")
    tables = {name: _table(root / version / f"{name}.json") for name in TABLES}
    scenes = {row["name"]: row for row in tables["scene"].values()}
    if scene not in scenes:
        raise DatasetError(f"{root}: no scene {scene}; there are: {', '.join(sorted(scenes))}")
    channel = {
        token: tables["sensor"][row["sensor_token"]]["channel"]
        for token, row in tables["calibrated_sensor"].items()
    }
    data: dict[str, dict[str, Row]] = {}
    for row in tables["sample_data"].values():
        if row["is_key_frame"]:
            name = channel[row["calibrated_sensor_token"]]
            data.setdefault(row["sample_token"], {})[name] = row
    samples = []
    token = scenes[scene]["first_sample_token"]
    while token:
        samples.append(token)
        token = tables["sample"][token]["next"]

    def world_from_sensor(row: Row) -> Array:
        ego = _transform(tables["ego_pose"][row["ego_pose_token"]])
        return ego @ _transform(tables["calibrated_sensor"][row["calibrated_sensor_token"]])

    def read(step: int, view: int) -> RawFrame | None:
        there = data.get(samples[step], {})
        row = there.get(f"CAM_{CAMERAS[view]}")
        if row is None:
            return None
        rgb = read_rgb(root / row["filename"])
        sensor = tables["calibrated_sensor"][row["calibrated_sensor_token"]]
        intrinsics = np.array(sensor["camera_intrinsic"], dtype=np.float64)
        cam_from_world = inverse(world_from_sensor(row))
        depth = None
        lidar = there.get("LIDAR_TOP")
        if lidar is not None:
            points = np.fromfile(root / lidar["filename"], np.float32).reshape(-1, 5)[:, :3]
            cam_from_lidar = cam_from_world @ world_from_sensor(lidar)
            in_cam = transform_points(cam_from_lidar, points.astype(np.float64))
            depth = rasterise(in_cam, intrinsics, *rgb.shape[:2])
        return RawFrame(rgb, intrinsics, cam_from_world, depth, sparse=True)

    return Recording(f"nuscenes {scene}", CAMERAS, len(samples), read, "CC BY-NC-SA 4.0")


def _table(path: Path) -> dict[str, Row]:
    return {row["token"]: row for row in json.loads(path.read_text())}


def _transform(row: Row) -> Array:
    w, x, y, z = row["rotation"]
    return make_transform(
        matrix_from_quat_xyzw(np.array([x, y, z, w])), np.array(row["translation"])
    )
