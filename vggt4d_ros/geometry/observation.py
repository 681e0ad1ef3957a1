# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a window and its prediction say, checked: poses, intrinsics, and a grid of depth samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.datatypes import Array, CameraModel, Frame, FramePrediction, Prediction, Window
from vggt4d_ros.geometry import se3
from vggt4d_ros.geometry.camera_info import fit_to_image
from vggt4d_ros.geometry.pinhole import model_from_matrix, ray_planes

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
    poses = _inverse_where(prediction.cam_from_world, valid)
    sane = se3.is_rigid(poses) & (np.abs(poses[..., :3, 3]) < _MAX_LENGTH).all(axis=-1)
    for step, view in zip(*np.nonzero(valid & ~sane), strict=True):
        reasons[int(step), int(view)] = "the network's pose is not a rigid motion"
    valid = valid & sane
    models: dict[Slot, CameraModel] = {}
    predicted: set[Slot] = set()
    samples: dict[Slot, DepthSamples] = {}
    for slot, dense in prediction.frames.items():
        frame = window.frame(*slot)
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
            samples[slot] = _sample(dense, models[slot])
    poses[~valid] = np.nan
    depths = [s.depth[np.isfinite(s.depth)] for s in samples.values()]
    every = np.concatenate(depths) if depths else np.zeros(0)
    frames = [[window.frame(step, view) for view in range(views)] for step in range(steps)]
    return Observation(
        valid=valid,
        invalid_reasons=reasons,
        net_from_cam=poses,
        stamps_ns=np.array([[0 if f is None else f.stamp_ns for f in row] for row in frames]),
        set_stamps_ns=np.array([max((s.stamps_ns), default=0) for s in window.sets]),
        models=models,
        predicted_intrinsics=frozenset(predicted),
        focal_ratio=_focal_ratio(window, prediction),
        samples=samples,
        median_depth=float(np.median(every)) if len(every) else float("nan"),
        names=tuple(_name(window, view) for view in range(views)),
    )


def _inverse_where(transforms: Array, valid: NDArray[np.bool_]) -> Array:
    """Gives the inverses (T, V, 4, 4) of rigid transforms; NaN where not valid."""
    with np.errstate(invalid="ignore", over="ignore"):
        return se3.inverse(np.where(valid[..., None, None], transforms, np.nan))


def _model_of(frame: Frame, dense: FramePrediction, predicted: Array) -> CameraModel:
    height, width = dense.depth.shape
    if frame.model is not None:
        return fit_to_image(frame.model, width, height)
    return model_from_matrix(predicted, width, height)


def _sample(dense: FramePrediction, model: CameraModel) -> DepthSamples:
    height, width = dense.depth.shape
    stride = max(1, int(np.sqrt(height * width / _SAMPLES)))
    grid = (slice(stride // 2, None, stride), slice(stride // 2, None, stride))
    depth = dense.depth[grid].astype(np.float64).ravel()
    confidence = dense.depth_confidence[grid].astype(np.float64).ravel()
    planes = ray_planes(model)
    rays = np.stack([planes[0][grid].ravel(), planes[1][grid].ravel(), np.ones(len(depth))], -1)
    with np.errstate(invalid="ignore"):
        bad = ~((depth > 0) & (depth < _MAX_LENGTH) & (confidence > 0))
    depth[bad] = np.nan
    confidence[~np.isfinite(confidence)] = 0.0
    return DepthSamples(rays.astype(np.float64), depth, confidence)


def _focal_ratio(window: Window, prediction: Prediction) -> float:
    """Compares the predicted horizontal focal length with the known one."""
    ratios = []
    steps, views = window.shape
    for step in range(steps):
        for view in range(views):
            frame = window.frame(step, view)
            if frame is not None and frame.model is not None and frame.image.width:
                # both in widths of their image
                predicted = float(prediction.intrinsics[step, view, 0, 0]) / frame.image.width
                ratios.append(predicted / (frame.model.fx / frame.model.width))
    usable = [ratio for ratio in ratios if np.isfinite(ratio) and ratio > 0]
    return float(np.median(usable)) if usable else float("nan")


def _name(window: Window, view: int) -> str:
    for step in reversed(range(window.shape[0])):
        frame = window.frame(step, view)
        if frame is not None and frame.frame_id:
            return frame.frame_id
    return f"camera {view}"


def sample_weights(now: DepthSamples, scale: float, old: DepthSamples, unit: float) -> Array:
    """Gives the weight (N,) of each pixel that two windows saw; 0 where either has no depth.

    Confidence of a network trained with the usual loss falls as its error grows, so its square is
    a precision; the product of both windows' stands for it, cut off against a few pixels that
    would rule all others. Errors grow with depth.
    """
    depth = 0.5 * (now.depth * scale + old.depth * unit)
    trust = now.confidence * old.confidence
    usable = np.isfinite(depth) & (trust > 0)
    weight = np.zeros(len(depth))
    if usable.any():
        cut = np.percentile(trust[usable], 90)
        weight[usable] = np.minimum(trust[usable], cut) / cut / depth[usable] ** 2
    return weight
