# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What all readers give, and windows cut from it at the network's size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from vggt4d_ros.data.windows import WindowBatch

Array = NDArray[np.float64]
Image = NDArray[np.uint8]
Map = NDArray[np.float32]


class DatasetError(ValueError):
    """A folder that is not what it should be; one line that names what was expected."""


@dataclass(frozen=True, slots=True, eq=False)
class RawFrame:
    """One image at its own resolution and what is known of it; None: not known."""

    rgb: Image  # (H, W, 3)
    intrinsics: Array | None = None  # (3, 3) pixels, integer at the pixel centre
    cam_from_world: Array | None = None  # (4, 4)
    depth: Map | None = None  # (H, W) along z, NaN invalid
    flow_forward: Map | None = None  # (H, W, 2) pixels, NaN invalid; to the next step
    flow_backward: Map | None = None  # (H, W, 2)
    occluded_forward: NDArray[np.bool_] | None = None  # (H, W)
    dynamic: NDArray[np.bool_] | None = None  # (H, W)
    sparse: bool = False  # depth and flow are known at scattered pixels only (LiDAR)


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """A sequence of a rig; frames are read when they are asked for."""

    name: str
    cameras: tuple[str, ...]
    steps: int
    read: Callable[[int, int], RawFrame | None]  # (step, view)
    licence: str
    metric: bool = True  # lengths are metres
    loose_poses: bool = False  # its images show the stored poses to be off by several pixels


def require(folder: Path | str, expected: Sequence[str], what: str) -> Path:
    """Checks that a folder looks as its authors publish it.

    Raises:
        DatasetError: names the first path that is missing.
    """
    folder = Path(folder)
    for name in expected:
        if not any(folder.glob(name)):
            raise DatasetError(f"{folder}: no {what}: expected {name} in it")
    return folder


def read_rgb(path: Path) -> Image:
    """An image file as (H, W, 3) RGB.

    Raises:
        DatasetError: missing or no image.
    """
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise DatasetError(f"{path}: missing or no image")
    return np.ascontiguousarray(bgr[..., ::-1]).astype(np.uint8, copy=False)


def read_raw(path: Path) -> NDArray[np.uint16]:
    """A 16-bit PNG as it is.

    Raises:
        DatasetError: missing, or not of 16 bits.
    """
    raw = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if raw is None or raw.dtype != np.uint16:
        raise DatasetError(f"{path}: missing or no 16-bit image")
    return raw.astype(np.uint16, copy=False)


def depth_from_uint16(raw: NDArray[np.uint16], units_per_metre: float) -> Map:
    """Metres, NaN where the raw value is 0."""
    depth = raw.astype(np.float32) / units_per_metre
    return np.where(raw == 0, np.float32(np.nan), depth)


def make_window(
    recording: Recording, steps: Sequence[int], views: Sequence[int], size: tuple[int, int]
) -> WindowBatch:
    """A batch of one window of these steps and cameras, resized to ``size`` (height, width).

    Flow is kept where the step it leads to is the next one of the window.
    """
    rows = []
    for number, step in enumerate(steps):
        ahead = number + 1 < len(steps) and steps[number + 1] == step + 1
        behind = number > 0 and steps[number - 1] == step - 1
        frames = [recording.read(step, view) for view in views]
        rows.append([_resized(frame, size, ahead, behind) for frame in frames])
    fields = {
        name: torch.from_numpy(np.stack([np.stack([f[name] for f in row]) for row in rows]))[None]
        for name in rows[0][0]
    }
    there = fields["valid"]
    for direction, shift in (("forward", 1), ("backward", -1)):
        partner = torch.zeros_like(there)
        if shift > 0:
            partner[:, :-1] = there[:, 1:]
        else:
            partner[:, 1:] = there[:, :-1]
        fields[f"flow_{direction}_valid"] &= partner[..., None, None]
    return WindowBatch(**fields, metric=recording.metric)


def _resized(
    frame: RawFrame | None, size: tuple[int, int], ahead: bool, behind: bool
) -> dict[str, np.ndarray]:
    height, width = size
    out: dict[str, np.ndarray] = {
        "images": np.zeros((3, height, width), np.float32),
        "valid": np.array(frame is not None),
        "cam_from_world": np.eye(4, dtype=np.float32),
        "intrinsics": np.eye(3, dtype=np.float32),
        "pose_valid": np.array(False),
        "scene_flow": np.zeros((height, width, 3), np.float32),
        "scene_flow_valid": np.zeros(size, bool),
        "instance": np.full(size, -1, np.int16),
        "depth": np.ones(size, np.float32),
        "depth_valid": np.zeros(size, bool),
        "dynamic": np.zeros(size, bool),
        "dynamic_valid": np.zeros(size, bool),
    }
    for direction in ("forward", "backward"):
        out[f"flow_{direction}"] = np.zeros((height, width, 2), np.float32)
        out[f"flow_{direction}_valid"] = np.zeros(size, bool)
        out[f"occluded_{direction}"] = np.zeros(size, bool)
    if frame is None:
        return out
    own = frame.rgb.shape[:2]
    shrinks = height <= own[0] and width <= own[1]
    rgb = cv2.resize(frame.rgb, (width, height), interpolation=_AREA if shrinks else _LINEAR)
    out["images"] = rgb.astype(np.float32).transpose(2, 0, 1) / 255
    scale = np.array([width / own[1], height / own[0]])
    if frame.intrinsics is not None:
        out["intrinsics"] = scale_intrinsics(frame.intrinsics, scale).astype(np.float32)
    if frame.cam_from_world is not None and frame.intrinsics is not None:
        out["cam_from_world"] = frame.cam_from_world.astype(np.float32)
        out["pose_valid"] = np.array(True)
    if frame.depth is not None:
        depth = _pick(frame.depth, size, frame.sparse)
        known = np.isfinite(depth) & (depth > 0)
        out["depth"], out["depth_valid"] = np.where(known, depth, 1).astype(np.float32), known
    for direction, use in (("forward", ahead), ("backward", behind)):
        flow = getattr(frame, f"flow_{direction}")
        if flow is not None and use:
            flow = _pick(flow, size, False)
            known = np.isfinite(flow).all(-1)
            scaled = np.where(known[..., None], flow * scale, 0).astype(np.float32)
            out[f"flow_{direction}"], out[f"flow_{direction}_valid"] = scaled, known
    if frame.occluded_forward is not None:
        out["occluded_forward"] = _pick(frame.occluded_forward, size, False)
    if frame.dynamic is not None:
        out["dynamic"] = _pick(frame.dynamic, size, False)
        out["dynamic_valid"] = np.ones(size, bool)
    return out


_AREA, _LINEAR = cv2.INTER_AREA, cv2.INTER_LINEAR


def scale_intrinsics(intrinsics: Array, scale: Array) -> Array:
    """Intrinsics of an image resized by (sx, sy); pixel centres are at integers."""
    scaled = intrinsics.astype(np.float64).copy()
    scaled[:2] *= scale[:, None]
    scaled[:2, 2] += 0.5 * scale - 0.5
    return scaled


def _pick(values: np.ndarray, size: tuple[int, int], sparse: bool) -> np.ndarray:
    """The value at the middle of each new pixel; of a sparse map the nearest depth within it."""
    height, width = size
    own = values.shape[:2]
    if not sparse:
        rows = ((np.arange(height) + 0.5) * own[0] / height).astype(int).clip(0, own[0] - 1)
        columns = ((np.arange(width) + 0.5) * own[1] / width).astype(int).clip(0, own[1] - 1)
        return np.asarray(values[rows[:, None], columns])
    v, u = np.nonzero(np.isfinite(values))
    small = np.full(size, np.inf, np.float32)
    at = ((v + 0.5) * height / own[0]).astype(int), ((u + 0.5) * width / own[1]).astype(int)
    np.minimum.at(small, at, values[v, u])
    return np.where(np.isfinite(small), small, np.float32(np.nan))


def rasterise(points_cam: Array, intrinsics: Array, height: int, width: int) -> Map:
    """Sparse depth (H, W) of points (N, 3) in the camera; the nearest wins, NaN elsewhere."""
    z = points_cam[:, 2]
    front = points_cam[z > 0.1]
    pixels = front @ intrinsics.T
    u = np.round(pixels[:, 0] / pixels[:, 2]).astype(int)
    v = np.round(pixels[:, 1] / pixels[:, 2]).astype(int)
    inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
    depth = np.full((height, width), np.inf, np.float32)
    np.minimum.at(depth, (v[inside], u[inside]), front[inside, 2].astype(np.float32))
    return np.where(np.isfinite(depth), depth, np.float32(np.nan))
