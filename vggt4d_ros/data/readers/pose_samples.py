# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Short real recordings whose only ground truth is where the cameras were, one folder each.

As those of ``samples``: ``calib.json`` and mostly ``frames.json``, ``T_a_b`` maps points of b to a.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from vggt4d_ros.data.readers.recording import RawFrame, Recording, read_rgb, require
from vggt4d_ros.data.readers.sample_folders import LICENCE, open_known, read_json
from vggt4d_ros.geometry.se3 import inverse


def open_pose_samples(root: Path | str) -> dict[str, Recording]:
    """The recordings with poses alone under ``root``, by name; absent ones are left out.

    Raises:
        DatasetError: a folder of a known name looks otherwise than it should.
    """
    return open_known(root, OPENERS)


def open_unrectified_stereo(folder: Path) -> Recording:
    """Stereo frames with lens distortion on a platform with poses (``euroc_v101_stereo``)."""
    require(folder, ["calib.json", "frames.json", "images/*/*.png"], "stereo recording")
    cameras, frames = read_json(folder / "calib.json")["cameras"], read_json(folder / "frames.json")
    names = tuple(cameras)

    def read(step: int, view: int) -> RawFrame:
        camera, frame = cameras[names[view]], frames[step]
        k = np.array(camera["K"], dtype=np.float64)
        bent = read_rgb(folder / frame["cameras"][names[view]])
        flat = np.asarray(cv2.undistort(bent, k, np.array(camera["dist"])), dtype=np.uint8)
        world_from_cam = np.array(frame["T_world_imu"]) @ np.array(camera["T_imu_cam"])
        return RawFrame(flat, k, inverse(world_from_cam))

    return Recording(folder.name, names, len(frames), read, LICENCE)


def open_one_camera(folder: Path) -> Recording:
    """One camera of a vehicle with poses (``argoverse1_ring_pair``)."""
    require(folder, ["calib.json", "frames.json", "images/*.jpg"], "recording of one camera")
    camera, frames = read_json(folder / "calib.json")["camera"], read_json(folder / "frames.json")

    def read(step: int, view: int) -> RawFrame:
        world_from_cam = np.array(frames[step]["T_city_ego"]) @ np.array(camera["T_ego_cam"])
        image = read_rgb(folder / frames[step]["file"])
        return RawFrame(image, np.array(camera["K"], dtype=np.float64), inverse(world_from_cam))

    return Recording(folder.name, (camera["name"],), len(frames), read, LICENCE)


def open_standing_cameras(folder: Path) -> Recording:
    """Calibrated cameras that stand around what moves (``pose2sim_walk_4cam``)."""
    require(folder, ["calib.json", "images/*/00.jpg"], "recording of standing cameras")
    cameras = read_json(folder / "calib.json")["cameras"]
    names = tuple(cameras)
    steps = len(list((folder / "images" / names[0]).glob("*.jpg")))

    def read(step: int, view: int) -> RawFrame:
        camera = cameras[names[view]]
        image = read_rgb(folder / "images" / names[view] / f"{step:02d}.jpg")
        cam_from_world = np.array(camera["T_cam_world"], dtype=np.float64)
        return RawFrame(image, np.array(camera["K"], dtype=np.float64), cam_from_world)

    return Recording(folder.name, names, steps, read, LICENCE)


OPENERS: dict[str, Callable[[Path], Recording]] = {
    "argoverse1_ring_pair": open_one_camera,
    "euroc_v101_stereo": open_unrectified_stereo,
    "pose2sim_walk_4cam": open_standing_cameras,
}
