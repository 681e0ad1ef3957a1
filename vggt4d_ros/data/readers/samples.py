# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Short real recordings with ground truth, one folder each, for evaluation.

Every folder holds ``calib.json`` and mostly ``frames.json``; ``T_a_b`` there maps points of b into
a, metres, optical frames. Most may be used for research only: their licences are in their READMEs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from vggt4d_ros.data.readers.recording import (
    Array,
    RawFrame,
    Recording,
    depth_from_uint16,
    rasterise,
    read_raw,
    read_rgb,
    require,
)
from vggt4d_ros.data.readers.sample_folders import LICENCE, open_known, read_json
from vggt4d_ros.geometry.se3 import inverse, transform_points


def open_samples(root: Path | str) -> dict[str, Recording]:
    """The recordings with ground truth under ``root``, by name; absent ones are left out.

    Raises:
        DatasetError: a folder of a known name looks otherwise than it should.
    """
    return open_known(root, OPENERS, FOLDERS)


def open_rgbd(folder: Path) -> Recording:
    """RGB-D frames with poses (``icl_nuim_rgbd``, ``slambook_room_rgbd``).

    Reprojection by depth shows the poses to be off by 10 and by 3 pixels (docs/geometry.md).
    """
    require(folder, ["calib.json", "frames.json", "color/*.png", "depth/*.png"], "RGB-D recording")
    calib, frames = read_json(folder / "calib.json"), read_json(folder / "frames.json")
    k = np.array(calib["K"], dtype=np.float64)
    # ICL-NUIM's y axis points up: turn it round in camera and world, so that frames are optical
    flip = np.diag([1.0, np.sign(k[1, 1]), 1.0, 1.0])
    k[1, 1] = abs(k[1, 1])

    def read(step: int, view: int) -> RawFrame:
        frame = frames[step]
        cam_from_world = flip @ inverse(np.array(frame["T_world_cam"])) @ flip
        depth = depth_from_uint16(read_raw(folder / frame["depth"]), calib["depth_scale_per_metre"])
        return RawFrame(read_rgb(folder / frame["color"]), k, cam_from_world, depth)

    return Recording(folder.name, ("rgb",), len(frames), read, LICENCE, loose_poses=True)


def open_stereo_pair(folder: Path) -> Recording:
    """One rectified pair with disparity of the left image (``middlebury_motorcycle``)."""
    require(folder, ["calib.json", "left.png", "right.png", "disparity.npz"], "stereo pair")
    calib = read_json(folder / "calib.json")
    k = np.array(calib["K"], dtype=np.float64)
    right = k.copy()
    right[0, 2] += calib["doffs_px"]
    right_from_left = np.eye(4)
    right_from_left[0, 3] = -calib["baseline_m"]

    def read(step: int, view: int) -> RawFrame:
        if view:
            return RawFrame(read_rgb(folder / "right.png"), right, right_from_left)
        disparity = np.load(folder / "disparity.npz")["disp"]
        shift = np.where(np.isfinite(disparity), disparity + calib["doffs_px"], np.nan)
        depth = (calib["baseline_m"] * k[0, 0] / shift).astype(np.float32)
        return RawFrame(read_rgb(folder / "left.png"), k, np.eye(4), depth)

    return Recording(folder.name, ("left", "right"), 1, read, LICENCE)


def open_flow_pair(folder: Path, number: str) -> Recording:
    """One of the pairs with flow (``flyingchairs_pairs``), each a recording of its own."""
    require(folder, [f"{number}_img0.png", f"{number}_flow.npz"], "flow pair")

    def read(step: int, view: int) -> RawFrame:
        flow = np.load(folder / f"{number}_flow.npz")["flow"] if step == 0 else None
        return RawFrame(read_rgb(folder / f"{number}_img{step}.png"), flow_forward=flow)

    return Recording(f"{folder.name}_{number}", ("rgb",), 2, read, LICENCE, metric=False)


def open_moving_stereo(folder: Path) -> Recording:
    """Stereo frames with poses (``kitti_stereo_seq1``)."""
    require(folder, ["calib.json", "frames.json", "images/left/*.png"], "stereo recording")
    cameras, frames = read_json(folder / "calib.json")["cameras"], read_json(folder / "frames.json")
    names = tuple(cameras)

    def read(step: int, view: int) -> RawFrame:
        camera, frame = cameras[names[view]], frames[step]
        world_from_cam = np.array(frame["T_world_left"]) @ np.array(camera["T_left_cam"])
        image = read_rgb(folder / frame["cameras"][names[view]])
        return RawFrame(image, np.array(camera["K"]), inverse(world_from_cam))

    return Recording(folder.name, names, len(frames), read, LICENCE)


def _lidar_frame(image: Path, k: Array, cam_from_world: Array, points_world: Array) -> RawFrame:
    rgb = read_rgb(image)
    in_cam = transform_points(cam_from_world, points_world)
    depth = rasterise(in_cam, k, *rgb.shape[:2])
    return RawFrame(rgb, k, cam_from_world, depth, sparse=True)


def open_surround(folder: Path) -> Recording:
    """Six cameras and LiDAR at one instant (``nuscenes_mini_ca9a28``); the world is the vehicle."""
    require(folder, ["calib.json", "lidar.npz", "images/*.jpg"], "surround sample")
    calib = read_json(folder / "calib.json")
    names = tuple(calib["cameras"])
    points = np.load(folder / "lidar.npz")["xyzi_ring"][:, :3].astype(np.float64)

    def read(step: int, view: int) -> RawFrame:
        camera = calib["cameras"][names[view]]
        cam_from_ego = inverse(np.array(camera["T_ego_cam"]))
        # points as this camera saw them, moved back into the vehicle's frame
        cam_from_lidar = np.array(camera["T_cam_lidar_motion_compensated"])
        in_ego = transform_points(inverse(cam_from_ego) @ cam_from_lidar, points)
        return _lidar_frame(folder / camera["file"], np.array(camera["K"]), cam_from_ego, in_ego)

    return Recording(folder.name, names, 1, read, LICENCE)


def open_rig_with_lidar(folder: Path) -> Recording:
    """A standing rig of three cameras with LiDAR (``pcc_scene01_3cam``)."""
    require(folder, ["calib.json", "frames.json", "lidar/*.npz"], "recording of a rig with LiDAR")
    calib, frames = read_json(folder / "calib.json"), read_json(folder / "frames.json")
    names = tuple(calib["cameras"])

    def read(step: int, view: int) -> RawFrame:
        frame = frames[step]
        camera, lidar = frame["cameras"][names[view]], frame["lidar"]
        with np.load(folder / lidar["file"]) as file:
            points = np.asarray(file[file.files[0]])[:, :3].astype(np.float64)
        k = np.array(calib["cameras"][names[view]]["K"])
        in_world = transform_points(np.array(lidar["T_world_lidar"]), points)
        cam_from_world = inverse(np.array(camera["T_world_cam"]))
        return _lidar_frame(folder / camera["file"], k, cam_from_world, in_world)

    return Recording(folder.name, names, len(frames), read, LICENCE)


FOLDERS = {f"flyingchairs_pairs_{number}": "flyingchairs_pairs" for number in ("00", "04")}
OPENERS: dict[str, Callable[[Path], Recording]] = {
    "icl_nuim_rgbd": open_rgbd,
    "slambook_room_rgbd": open_rgbd,
    "middlebury_motorcycle": open_stereo_pair,
    **{name: partial(open_flow_pair, number=name[-2:]) for name in FOLDERS},
    "kitti_stereo_seq1": open_moving_stereo,
    "nuscenes_mini_ca9a28": open_surround,
    "pcc_scene01_3cam": open_rig_with_lidar,
}
