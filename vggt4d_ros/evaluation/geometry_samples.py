# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The camera model on real calibrated recordings, against their own truth.

Truth of two images is compared where the images say it: the recording's depth and poses carry one
image onto the other through this package's camera model, and their features must meet. Where there
is no depth the distance of matched features from their epipolar lines is measured.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.data.readers.recording import Recording
from vggt4d_ros.data.readers.samples import OPENERS
from vggt4d_ros.datatypes import Array, CameraModel
from vggt4d_ros.geometry import se3
from vggt4d_ros.geometry.camera_info import camera_model_from_info_values
from vggt4d_ros.geometry.pinhole import pixel_rays, project, unproject_depth

_RATIO = 0.75  # of the best to the second best match (Lowe, IJCV 2004)
_FEATURES = 4000
_PATCH = 21  # px, edge of what is compared around a feature
_RETURN_PX = 0.3  # a feature that is followed there and back must come home
_SAME_DEPTH = 0.05  # relative
_FEWEST = 30  # matches, to fit a pose to
_AGREES_PX = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class _Shot:
    """One image with all that is known of it."""

    grey: NDArray[np.uint8]  # (H, W)
    model: CameraModel
    cam_from_world: Array  # (4, 4)
    depth: NDArray[np.float32] | None = None  # (H, W)


@dataclass(frozen=True, slots=True)
class Reprojection:
    """Truth of one recording seen through the camera model."""

    sample: str
    kind: str  # "reprojection" or "epipolar"
    matches: int
    median_px: float
    fitted_px: float  # the same with the pose that fits the images best; NaN: no depth to fit to

    @property
    def agrees(self) -> bool:
        """Within a pixel: by the recording's own pose or, where that is off, by a better one."""
        return self.median_px <= _AGREES_PX or self.fitted_px <= _AGREES_PX


def reprojections(root: Path) -> Iterator[Reprojection]:
    """Measures every calibrated recording under ``root``; absent ones are left out."""
    for name, what, pairs in _PAIRS:
        if (root / name).is_dir():
            found = [_compare(one, other) for one, other in pairs(root / name)]
            yield _measure(f"{name}, {what}", found)


@dataclass(frozen=True, slots=True, eq=False)
class _Errors:
    """Of one pair of images, in pixels."""

    kind: str
    stated: Array  # (N,) with the recording's own pose
    fitted: Array  # (N,) with the pose that fits best


def _measure(name: str, found: list[_Errors]) -> Reprojection:
    stated = np.concatenate([errors.stated for errors in found])
    fitted = np.concatenate([errors.fitted for errors in found])
    return Reprojection(name, found[0].kind, len(stated), _median(stated), _median(fitted))


def _median(values: Array) -> float:
    return float(np.median(values)) if len(values) else float("nan")


def _compare(one: _Shot, other: _Shot) -> _Errors:
    other_from_one = other.cam_from_world @ se3.inverse(one.cam_from_world)
    if one.depth is None:
        pixels, matched = _match(one.grey, other.grey)
        distance = _epipolar_distance(pixels, matched, other_from_one, one.model, other.model)
        return _Errors("epipolar", distance, np.zeros(0))
    points, matched = _follow(one, one.depth, other, other_from_one)
    stated = np.linalg.norm(_carried(points, other_from_one, other) - matched, axis=-1)
    if len(points) < _FEWEST:
        return _Errors("reprojection", stated, np.zeros(0))
    better = _fit_pose(points, matched, other_from_one, other)
    fitted = np.linalg.norm(_carried(points, better, other) - matched, axis=-1)
    return _Errors("reprojection", stated, fitted)


def _carried(points: Array, other_from_one: Array, other: _Shot) -> Array:
    return project(se3.transform_points(other_from_one, points), other.model)


def _follow(
    one: _Shot, depth: NDArray[np.float32], other: _Shot, other_from_one: Array
) -> tuple[Array, Array]:
    """Gives points (N, 3) of the one camera and the pixels (N, 2) of the other that show them.

    The other image is warped onto the one by depth and pose, which takes the change of view out;
    what is left is found by the method of Lucas and Kanade (IJCAI 1981), forth and back.
    """
    height, width = depth.shape
    points = unproject_depth(depth, one.model).reshape(-1, 3).astype(np.float64)
    moved = se3.transform_points(other_from_one, points)
    pixels = project(moved, other.model).reshape(height, width, 2).astype(np.float32)
    warped = cv2.remap(other.grey, pixels, None, cv2.INTER_LINEAR)
    seen = np.isfinite(pixels).all(axis=-1) & (pixels >= 0).all(axis=-1)
    seen &= (pixels <= [other.model.width - 1, other.model.height - 1]).all(axis=-1)
    if other.depth is not None:
        there = cv2.remap(other.depth, pixels, None, cv2.INTER_NEAREST)
        expected = moved[:, 2].reshape(height, width)
        with np.errstate(invalid="ignore"):  # else the point is hidden there
            seen &= np.abs(there - expected) < _SAME_DEPTH * expected
    mask = cv2.erode(seen.astype(np.uint8), np.ones((_PATCH, _PATCH), np.uint8))
    corners = cv2.goodFeaturesToTrack(one.grey, _FEATURES, 0.01, 5, mask=mask)
    if corners is None:
        return np.zeros((0, 3)), np.zeros((0, 2))
    found, state = _lucas_kanade(one.grey, warped, corners)
    back, state_back = _lucas_kanade(warped, one.grey, found)
    sure = np.linalg.norm(back - corners, axis=-1).ravel() < _RETURN_PX
    sure &= (state.ravel() > 0) & (state_back.ravel() > 0)
    matched = cv2.remap(pixels, found, None, cv2.INTER_LINEAR).reshape(-1, 2)
    sure &= np.isfinite(matched).all(axis=-1)
    u, v = np.rint(corners[sure, 0]).astype(int).T
    return points.reshape(height, width, 3)[v, u], matched[sure].astype(np.float64)


def _lucas_kanade(
    one: NDArray[np.generic], other: NDArray[np.generic], corners: NDArray[np.generic]
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Gives where corners (N, 1, 2) of one image are in the other, and 1 for those found (N, 1)."""
    found, state, _ = cv2.calcOpticalFlowPyrLK(
        one, other, corners, np.empty_like(corners), winSize=(_PATCH, _PATCH), maxLevel=2
    )
    return np.asarray(found, dtype=np.float32), np.asarray(state, dtype=np.uint8)


def _fit_pose(points: Array, matched: Array, other_from_one: Array, other: _Shot) -> Array:
    """Gives other_from_one (4, 4) that brings the points onto their pixels, wrong matches aside."""
    pose, kept = other_from_one, np.ones(len(points), dtype=bool)
    for _ in range(5):
        turn, _ = cv2.Rodrigues(pose[:3, :3])
        turn, shift = cv2.solvePnPRefineLM(
            points[kept], matched[kept], other.model.matrix, None, turn, pose[:3, 3:].copy()
        )
        pose = se3.make_transform(np.asarray(cv2.Rodrigues(turn)[0]), np.asarray(shift)[:, 0])
        error = np.linalg.norm(_carried(points, pose, other) - matched, axis=-1)
        kept = error <= 3.0 * np.nanmedian(error)
    return pose


def _match(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> tuple[Array, Array]:
    """Gives pixels (N, 2) of both images that show the same, mostly."""
    finder = cv2.SIFT.create(_FEATURES)
    (keys, texts), (other_keys, other_texts) = (
        finder.detectAndCompute(image, None) for image in (one, other)
    )
    matcher = cv2.BFMatcher(cv2.NORM_L2)
    forth = _distinct(matcher.knnMatch(texts, other_texts, 2))
    back = _distinct(matcher.knnMatch(other_texts, texts, 2))
    both = [(i, j) for i, j in forth.items() if back.get(j) == i]
    first = np.array([keys[i].pt for i, _ in both], dtype=np.float64).reshape(-1, 2)
    second = np.array([other_keys[j].pt for _, j in both], dtype=np.float64).reshape(-1, 2)
    return first, second


def _distinct(matches: Sequence[Sequence[cv2.DMatch]]) -> dict[int, int]:
    return {
        pair[0].queryIdx: pair[0].trainIdx
        for pair in matches
        if len(pair) == 2 and pair[0].distance < _RATIO * pair[1].distance
    }


def _epipolar_distance(
    pixels: Array, matched: Array, other_from_one: Array, one: CameraModel, other: CameraModel
) -> Array:
    """Gives how far (N,) matches are from their epipolar lines, in pixels without distortion."""
    rays, other_rays = (
        np.concatenate([pixel_rays(found, model), np.ones((len(found), 1))], axis=-1)
        for found, model in ((pixels, one), (matched, other))
    )
    essential = se3.skew_matrix(other_from_one[:3, 3]) @ other_from_one[:3, :3]
    lines = rays @ essential.T
    distance = np.abs((lines * other_rays).sum(-1)) / np.linalg.norm(lines[:, :2], axis=-1)
    focal = float(np.sqrt(other.fx * other.fy))
    return np.asarray(focal * distance[np.isfinite(distance)], dtype=np.float64)


# ---------------------------------------------------------------------- recordings


def _model(
    image: NDArray[np.uint8], intrinsics: Array, distortion: tuple[float, ...] = ()
) -> CameraModel:
    """The model of a camera whose CameraInfo says this."""
    model = camera_model_from_info_values(
        width=image.shape[1],
        height=image.shape[0],
        K=intrinsics.ravel().tolist(),
        D=[*distortion, 0.0] if distortion else [],
        distortion_model="plumb_bob",
    )
    if model is None:
        raise ValueError(f"no intrinsics: {intrinsics.tolist()}")
    return model


def _shot(recording: Recording, step: int, view: int) -> _Shot:
    frame = recording.read(step, view)
    if frame is None or frame.intrinsics is None or frame.cam_from_world is None:
        raise ValueError(f"{recording.name}: step {step} camera {view} is not calibrated")
    grey = cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2GRAY)
    depth = None if frame.sparse else frame.depth
    model = _model(frame.rgb, frame.intrinsics)
    return _Shot(np.asarray(grey, dtype=np.uint8), model, frame.cam_from_world, depth)


def _in_time(folder: Path) -> Iterator[tuple[_Shot, _Shot]]:
    """Neighbouring frames of one camera."""
    recording = OPENERS[folder.name](folder)
    for step in range(recording.steps - 1):
        yield _shot(recording, step, 0), _shot(recording, step + 1, 0)


def _in_stereo(folder: Path) -> Iterator[tuple[_Shot, _Shot]]:
    """Left and right of each instant."""
    recording = OPENERS[folder.name](folder)
    for step in range(recording.steps):
        yield _shot(recording, step, 0), _shot(recording, step, 1)


def _euroc(folder: Path) -> Iterator[tuple[_Shot, _Shot]]:
    """Both images as they come, bent by their lenses."""
    cameras = json.loads((folder / "calib.json").read_text())["cameras"]
    for frame in json.loads((folder / "frames.json").read_text()):
        shots = []
        for name, camera in cameras.items():
            grey = cv2.imread(str(folder / frame["cameras"][name]), cv2.IMREAD_GRAYSCALE)
            image = np.asarray(grey, dtype=np.uint8)
            model = _model(image, np.array(camera["K"]), tuple(camera["dist"]))
            cam_from_imu = se3.inverse(np.array(camera["T_imu_cam"]))
            shots.append(_Shot(image, model, cam_from_imu))
        yield shots[0], shots[1]


_PAIRS: tuple[tuple[str, str, Callable[[Path], Iterator[tuple[_Shot, _Shot]]]], ...] = (
    ("euroc_v101_stereo", "left and right, bent lenses", _euroc),
    ("kitti_stereo_seq1", "left and right", _in_stereo),
    ("kitti_stereo_seq1", "frame and next, GPS", _in_time),
    ("middlebury_motorcycle", "left and right", _in_stereo),
    ("icl_nuim_rgbd", "frame and next", _in_time),
    ("slambook_room_rgbd", "frame and next", _in_time),
)
