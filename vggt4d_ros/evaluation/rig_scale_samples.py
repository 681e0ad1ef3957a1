# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The scale from the extrinsics of real rigs, over draws of a network's noise."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vggt4d_ros.data.readers.samples import OPENERS
from vggt4d_ros.datatypes import Array
from vggt4d_ros.geometry import se3
from vggt4d_ros.geometry.scale import rig_scale

_DRAWS, _STEPS = 200, 4  # draws of the network's noise, and steps of a window


@dataclass(frozen=True, slots=True)
class RigNoise:
    """Of a network's cameras, each axis."""

    centre_per_depth: float = 0.003
    rotation_rad: float = 0.002


RIG_NOISE = RigNoise()


@dataclass(frozen=True, slots=True)
class RigScale:
    """The scale from one recording's extrinsics, over draws of the network's noise."""

    sample: str
    cameras: int
    baseline_m: float  # largest
    depth_m: float  # median of the scene
    found: float  # share of the draws in which the rig gave a scale
    error: float  # median of |found / true - 1|; NaN where none was found
    reason: str  # why none was found, of the last draw without


def rig_scales(root: Path) -> Iterator[RigScale]:
    """Asks the rig for the scale with the extrinsics of each recording that has several cameras."""
    for name, median_depth_m in _RIG_DEPTHS.items():
        if (root / name).is_dir():
            yield _rig_scale(name, _extrinsics(root / name), median_depth_m)


def _extrinsics(folder: Path) -> Array:
    """Gives base_from_cam (V, 4, 4), with the first camera as base."""
    if folder.name in OPENERS:
        recording = OPENERS[folder.name](folder)
        frames = [recording.read(0, view) for view in range(len(recording.cameras))]
        world = [f.cam_from_world for f in frames if f is not None and f.cam_from_world is not None]
        cam_from_any = np.stack(world)
    else:
        cameras = json.loads((folder / "calib.json").read_text())["cameras"].values()
        cam_from_any = np.stack(
            [np.array(c["T_cam_world"]) if "T_cam_world" in c
             else se3.inverse(np.array(c["T_imu_cam"])) for c in cameras]
        )  # fmt: skip
    return np.asarray(cam_from_any[0] @ se3.inverse(cam_from_any), dtype=np.float64)


# m, typical of what the cameras see: LiDAR medians, triangulated features, where they look at
_RIG_DEPTHS = {
    "euroc_v101_stereo": 3.5,
    "kitti_stereo_seq1": 15.0,
    "nuscenes_mini_ca9a28": 12.0,
    "pcc_scene01_3cam": 15.0,
    "pose2sim_walk_4cam": 4.0,
}


def _rig_scale(name: str, base_from_cam: Array, depth_m: float) -> RigScale:
    """Draws noisy predictions of one window in units and axes of their own."""
    rng = np.random.default_rng(0)
    errors, reason, views = [], "", len(base_from_cam)
    for _ in range(_DRAWS):
        metres_per_unit = float(np.exp(rng.uniform(-1.5, 1.5)))
        turns = np.zeros((_STEPS, views, 6))
        turns[..., 3:] = rng.normal(0, RIG_NOISE.rotation_rad, (_STEPS, views, 3))
        poses = base_from_cam @ se3.exp(turns)
        poses[..., :3, 3] += rng.normal(0, RIG_NOISE.centre_per_depth * depth_m, (_STEPS, views, 3))
        poses = se3.exp(rng.uniform(-1.7, 1.7, 6)) @ poses
        poses[..., :3, 3] /= metres_per_unit
        valid = np.ones((_STEPS, views), dtype=bool)
        found = rig_scale(poses, valid, base_from_cam, depth_m / metres_per_unit)
        if found.known:
            errors.append(abs(found.value / metres_per_unit - 1))
        else:
            reason = found.reason
    centres = base_from_cam[:, :3, 3]
    apart = np.linalg.norm(centres[:, None] - centres, axis=-1)
    baseline = float(np.max(apart))
    error = float(np.median(errors)) if errors else float("nan")
    return RigScale(name, views, baseline, depth_m, len(errors) / _DRAWS, error, reason)
