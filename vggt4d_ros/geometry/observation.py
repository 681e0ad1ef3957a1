# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a window and its prediction say, checked: poses, intrinsics, and a grid of depth samples."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.datatypes import Array, CameraModel, Frame, FramePrediction, Prediction, Window
from vggt4d_ros.geometry import se3
from vggt4d_ros.geometry.camera_info import fit_to_image
from vggt4d_ros.geometry.pinhole import model_from_matrix, pixel_rays
from vggt4d_ros.geometry.robust import median, quantile

_SAMPLES = 400  # depth samples per frame, e.g. every 27th pixel of 640 x 480
_MAX_LENGTH = 1e6  # network units; trained networks stay below 1e3
Slot = tuple[int, int]  # (step, view)


@dataclass(frozen=True, slots=True, eq=False)
class DepthSamples:
    """An even grid of a frame's pixels."""

    rays: Array  # (N, 3), z = 1; NaN where the lens has none
    depth: Array  # (N,) along z; NaN invalid
    confidence: Array  # (N,)

    def points(self, scale: float) -> Array:
        """Points (N, 3) in the camera frame."""
        return np.asarray(self.rays * (scale * self.depth)[:, None], dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """One window, checked. Lengths in network units; poses at each frame's own stamp."""

    valid: NDArray[np.bool_]  # (T, V)
    invalid_reasons: dict[Slot, str]
    net_from_cam: Array  # (T, V, 4, 4), NaN where not valid
    stamps_ns: NDArray[np.int64]  # (T, V), 0 where no frame is
    set_stamps_ns: NDArray[np.int64]  # (T,), newest of each set
    models: dict[Slot, CameraModel]  # of dense frames whose intrinsics are known or predicted
    predicted_intrinsics: frozenset[Slot]
    focal_ratio: float  # predicted over known focal length, median; NaN where none is known
    samples: dict[Slot, DepthSamples]  # of dense frames with a valid pose
    median_depth: float  # NaN without dense frames
    names: tuple[str, ...]  # of the views, for messages
    keys: dict[Slot, tuple[int, int]]  # of valid slots: see ``key``

    def key(self, slot: Slot) -> tuple[int, int]:
        """What tells a frame from all others, in every window: (view, stamp_ns)."""
        return slot[1], int(self.stamps_ns[slot])


def observe(window: Window, prediction: Prediction) -> Observation:
    """Checks a window's prediction.

    Raises:
        ValueError: window and prediction are of different shapes.
    """
    if prediction.valid.shape != window.shape:
        raise ValueError(
            f"prediction of {prediction.valid.shape} does not fit a window of {window.shape}"
        )
    steps, views = window.shape
    reasons = dict(prediction.invalid_reasons)
    valid = prediction.valid & window.valid
    poses, sane = _inverse_where(prediction.cam_from_world, valid)
    for step, view in zip(*(valid & ~sane).nonzero(), strict=True):
        reasons[int(step), int(view)] = "the network's pose is not a rigid motion"
    valid &= sane
    frames = [[window.frame(step, view) for view in range(views)] for step in range(steps)]
    models: dict[Slot, CameraModel] = {}
    predicted: set[Slot] = set()
    sampled: list[Slot] = []
    for slot, dense in prediction.frames.items():
        frame = frames[slot[0]][slot[1]]
        if frame is None:
            continue
        try:
            models[slot] = _model_of(frame, dense, prediction.intrinsics[slot])
        except ValueError as error:
            reasons.setdefault(slot, f"no usable intrinsics: {error}")
            valid[slot] = False
            continue
        if frame.model is None:
            predicted.add(slot)
        if valid[slot]:
            sampled.append(slot)
    poses[~valid] = np.nan
    stamps = [[0 if frame is None else frame.stamp_ns for frame in row] for row in frames]
    samples, median_depth = _sample(prediction, models, sampled)
    return Observation(
        valid=valid,
        invalid_reasons=reasons,
        net_from_cam=poses,
        stamps_ns=np.array(stamps, dtype=np.int64),
        set_stamps_ns=np.array([max(row) for row in stamps], dtype=np.int64),
        models=models,
        predicted_intrinsics=frozenset(predicted),
        focal_ratio=_focal_ratio(frames, prediction),
        samples=samples,
        median_depth=median_depth,
        names=tuple(_name(frames, view) for view in range(views)),
        keys={
            (step, view): (view, stamps[step][view])
            for step, row in enumerate(valid.tolist())
            for view, usable in enumerate(row)
            if usable
        },
    )


def _inverse_where(transforms: Array, valid: NDArray[np.bool_]) -> tuple[Array, NDArray[np.bool_]]:
    """Gives the inverses (T, V, 4, 4) of rigid transforms, NaN where not valid, and which are."""
    with np.errstate(invalid="ignore", over="ignore"):
        known = transforms if valid.all() else np.where(valid[..., None, None], transforms, np.nan)
        poses = se3.inverse(known)
        near = (np.abs(poses[..., :3, 3]) < _MAX_LENGTH).all(axis=-1)
        return poses, near & se3.is_rotation(poses[..., :3, :3])


def _model_of(frame: Frame, dense: FramePrediction, predicted: Array) -> CameraModel:
    height, width = dense.depth.shape
    if frame.model is not None:
        return fit_to_image(frame.model, width, height)
    return model_from_matrix(predicted, width, height)


def _sample(
    prediction: Prediction, models: dict[Slot, CameraModel], slots: Sequence[Slot]
) -> tuple[dict[Slot, DepthSamples], float]:
    """Gives the samples of these dense frames and the median of their depth, NaN without any."""
    if not slots:
        return {}, float("nan")
    rays, depths, confidences = [], [], []
    for slot in slots:
        dense, model = prediction.frames[slot], models[slot]
        grid = _grid(*dense.depth.shape)
        rays.append(_grid_rays(model))
        depths.append(dense.depth[grid].ravel())
        confidences.append(dense.depth_confidence[grid].ravel())
    # numpy's price is per call: all frames at once
    depth = np.concatenate(depths, dtype=np.float64)
    confidence = np.concatenate(confidences, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        good = (depth > 0) & (depth < _MAX_LENGTH) & (confidence > 0) & (confidence < np.inf)
    if good.all():
        median_depth = median(depth)
    else:
        median_depth = median(depth[good])
        depth[~good] = np.nan
        confidence[~np.isfinite(confidence)] = 0.0
    samples: dict[Slot, DepthSamples] = {}
    end = 0
    for slot, ray in zip(slots, rays, strict=True):
        start, end = end, end + len(ray)
        samples[slot] = DepthSamples(ray, depth[start:end], confidence[start:end])
    return samples, median_depth


def _grid(height: int, width: int) -> tuple[slice, slice]:
    stride = max(1, int(math.sqrt(height * width / _SAMPLES)))
    return slice(stride // 2, None, stride), slice(stride // 2, None, stride)


@lru_cache(maxsize=64)
def _grid_rays(model: CameraModel) -> Array:
    """Gives the rays (N, 3) of a camera's samples; cached, not to be written to."""
    down, across = _grid(model.height, model.width)
    columns, rows = np.meshgrid(np.arange(model.width)[across], np.arange(model.height)[down])
    pixels = np.stack([columns.ravel(), rows.ravel()], axis=-1).astype(np.float64)
    rays = np.ones((len(pixels), 3))
    rays[:, :2] = pixel_rays(pixels, model).astype(np.float32)  # as ``ray_planes`` has them
    rays.flags.writeable = False
    return rays


def _focal_ratio(frames: list[list[Frame | None]], prediction: Prediction) -> float:
    """Compares the predicted horizontal focal length with the known one."""
    ratios = []
    for row, focals in zip(frames, prediction.intrinsics[..., 0, 0].tolist(), strict=True):
        for frame, focal in zip(row, focals, strict=True):
            if frame is not None and frame.model is not None and frame.image.width:
                # both in widths of their image
                ratio = focal / frame.image.width / (frame.model.fx / frame.model.width)
                if math.isfinite(ratio) and ratio > 0:
                    ratios.append(ratio)
    return statistics.median(ratios) if ratios else float("nan")


def _name(frames: list[list[Frame | None]], view: int) -> str:
    for row in reversed(frames):
        frame = row[view]
        if frame is not None and frame.frame_id:
            return frame.frame_id
    return f"camera {view}"


def sample_weights(now: DepthSamples, scale: float, old: DepthSamples, unit: float) -> Array:
    """Gives the weight (N,) of each pixel that two windows saw; 0 where either has no depth.

    Confidence of a network trained with the usual loss falls as its error grows, so its square is
    a precision; the product of both windows' stands for it, cut off against a few pixels that
    would rule all others. Errors grow with depth.
    """
    depth = now.depth * (0.5 * scale) + old.depth * (0.5 * unit)
    trust = now.confidence * old.confidence
    usable = np.isfinite(depth) & (trust > 0)
    if not usable.any():
        return np.zeros(len(depth))
    if usable.all():
        cut = quantile(trust, 0.9)
        return np.asarray(np.minimum(trust * (1 / cut), 1.0) / depth**2)
    cut = quantile(trust[usable], 0.9)
    weight = np.zeros(len(depth))
    weight[usable] = np.minimum(trust[usable] * (1 / cut), 1.0) / depth[usable] ** 2
    return weight
