# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Metres per network unit: from the rig, the platform's motion, or a length that is given.

Where camera centres are compared, the network's are regressed on the metric ones, never the
other way round: noise of the regressor would shorten the slope (errors in variables).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.datatypes import Array
from vggt4d_ros.geometry import se3
from vggt4d_ros.geometry.robust import (
    cauchy_weights,
    median,
    weighted_median,
    weighted_spread,
)

# Shorter baselines say less of the scale than the network's own noise of camera centres does,
# which is some tenths of a percent of the scene's depth for well trained networks.
MIN_BASELINE_PER_DEPTH = 0.01
MAX_SIGMA = 0.2  # relative; an estimate less sure than that is refused
MAX_ROTATION_RESIDUAL = 0.35  # rad; network and TF do not speak of the same cameras
# Errors of neighbouring pixels are alike: a frame's dense depth counts as this many samples
SAMPLES_PER_FRAME = 20
MAX_DEPTH_SPREAD = 0.3  # relative; depth that disagrees more from pixel to pixel has no one ratio
FRAME_DEPTH_SIGMA = 0.01  # relative, at least: error that all pixels of a frame share
MIN_SIGMA = 1e-3  # relative; no source is better than that


class ScaleSource(IntEnum):
    """Where a scale comes from; numbers of vggt4d_ros/WindowStatus."""

    NONE = 0
    RIG = 1
    MOTION = 2
    GIVEN = 3


@dataclass(frozen=True, slots=True)
class ScaleEstimate:
    """Metres per network unit."""

    value: float  # 1 without a source
    sigma: float  # relative standard deviation; NaN without a source
    source: ScaleSource
    reason: str  # in words: what it rests on, or why there is none
    jumped: bool = False  # the source contradicted the windows before; it was followed at once

    @property
    def known(self) -> bool:
        """Whether lengths are metres."""
        return self.source is not ScaleSource.NONE


@dataclass(frozen=True, slots=True, eq=False)
class GivenScale:
    """Lengths that somebody knows."""

    camera_height_m: dict[int, float] = field(default_factory=dict)  # view -> above flat ground
    # (step, view) -> (H, W) metres along z, NaN where unknown, e.g. of a depth camera or LiDAR
    depth_m: dict[tuple[int, int], NDArray[np.float32]] = field(default_factory=dict)


def no_scale(reason: str) -> ScaleEstimate:
    """Says that there is none, and why."""
    return ScaleEstimate(1.0, float("nan"), ScaleSource.NONE, reason)


def rig_scale(
    net_from_cam: Array, valid: NDArray[np.bool_], base_from_cam: Array, median_depth: float
) -> ScaleEstimate:
    """Gives the scale at which the network's cameras are as far apart as the rig's.

    Args:
        net_from_cam: (T, V, 4, 4) network units, all cameras of a step at the same instant.
        valid: (T, V) pose is usable.
        base_from_cam: (V, 4, 4) metres; NaN where the extrinsics are not known.
        median_depth: of the scene, network units; NaN: not known, then not tested.
    """
    known = valid & np.isfinite(base_from_cam).all(axis=(1, 2))
    known &= known.sum(axis=1, keepdims=True) >= 2  # steps that show a baseline
    if not known.any():
        return no_scale("no step has two cameras with known extrinsics")
    step, view = np.nonzero(known)
    metric = base_from_cam[view]
    poses = net_from_cam[step, view]
    return compare_centres(poses, metric, step, median_depth, ScaleSource.RIG, "rig baseline")


def motion_scale(
    net_from_cam: Array, valid: NDArray[np.bool_], odom_from_cam: Array, median_depth: float
) -> ScaleEstimate:
    """Gives the scale at which the network's cameras move as far as the platform does.

    Args:
        net_from_cam: (T, V, 4, 4) network units, at each frame's own stamp.
        valid: (T, V) pose is usable.
        odom_from_cam: (T, V, 4, 4) metres, at the same stamps; NaN where not known.
        median_depth: of the scene, network units; NaN: not known, then not tested.
    """
    known = valid & np.isfinite(odom_from_cam).all(axis=(2, 3))
    known &= known.sum(axis=0, keepdims=True) >= 2
    if not known.any():
        return no_scale("no camera has two stamps with known platform motion")
    step, view = np.nonzero(known)
    poses, metric = net_from_cam[step, view], odom_from_cam[step, view]
    return compare_centres(poses, metric, view, median_depth, ScaleSource.MOTION, "platform motion")


def compare_centres(
    poses: Array,
    metric: Array,
    group: NDArray[np.intp],
    median_depth: float,
    source: ScaleSource,
    name: str,
) -> ScaleEstimate:
    """Compares camera centres within groups, after turning the network's into metric axes.

    The turn is the mean of the cameras' own rotations: of each group for a rig, whose groups are
    steps with the platform turned anew, else of all.

    The network's centres b and the metric ones a, both less their group's weighted mean, obey
    b = k a: k = sum w a.b / sum w a.a, scale = 1 / k.

    Args:
        poses: (N, 4, 4) network units.
        metric: (N, 4, 4) metres, in one frame per group.
        group: (N,)
        median_depth: network units; NaN: not tested.
        source: what to call it.
        name: what to call it in words.
    """
    turns = metric[:, :3, :3] @ poses[:, :3, :3].swapaxes(-1, -2)  # metric_from_net
    groups = _Groups(group)
    if source is ScaleSource.RIG:
        means = groups.means(turns.reshape(len(turns), 9), np.ones(len(group)))
        rotation = se3.nearest_rotation(means.reshape(-1, 3, 3))[groups.of]
    else:
        rotation = se3.nearest_rotation(turns.mean(axis=0))
    rotation_error = median(se3.rotation_angle_between(rotation, turns))
    if rotation_error > MAX_ROTATION_RESIDUAL:
        return no_scale(
            f"{name}: the network's camera rotations contradict TF by "
            f"{np.degrees(rotation_error):.0f} degrees"
        )
    centres = (rotation @ poses[:, :3, 3:])[..., 0]
    places = metric[:, :3, 3]
    extent = groups.centred(places, np.ones(len(group)))
    length = float(np.sqrt(np.einsum("ni,ni->n", extent, extent).max()))
    if length < 1e-6:
        return no_scale(f"{name}: the cameras are all at one place")
    slope, sigma = _robust_slope(centres, places, groups)
    if not slope > 0:
        return no_scale(f"{name}: the network's camera centres contradict TF")
    ratio = 2 * length * slope / median_depth  # the centres' extent is twice their distance
    if ratio < MIN_BASELINE_PER_DEPTH:
        return no_scale(
            f"{name} of {2 * length:.2g} m is {100 * ratio:.2g} % of the scene's median depth; "
            f"below {100 * MIN_BASELINE_PER_DEPTH:g} % it says nothing of the scale"
        )
    if not sigma / slope <= MAX_SIGMA:
        return no_scale(
            f"{name} of {2 * length:.2g} m gives the scale only to {100 * sigma / slope:.0f} %; "
            f"{100 * MAX_SIGMA:g} % is the limit"
        )
    reason = f"{name} of {2 * length:.2g} m in {len(poses)} frames"
    return ScaleEstimate(1 / slope, max(sigma / slope, MIN_SIGMA), source, reason)


class _Groups:
    """Rows of a table by the group they belong to."""

    def __init__(self, group: NDArray[np.intp]) -> None:
        numbers, self.of = np.unique(group, return_inverse=True)
        self.count = len(numbers)
        self._members = (np.arange(self.count)[:, None] == self.of).astype(np.float64)  # (G, N)

    def means(self, values: Array, weights: Array) -> Array:
        """Gives the weighted mean (G, F) of each group's rows (N, F)."""
        shares = self._members * weights
        shares /= shares.sum(axis=1, keepdims=True)
        return np.asarray(shares @ values, dtype=np.float64)

    def centred(self, values: Array, weights: Array) -> Array:
        """Gives rows (N, F) less the weighted mean of their group."""
        return np.asarray(values - self.means(values, weights)[self.of], dtype=np.float64)


def _robust_slope(net: Array, true: Array, groups: _Groups) -> tuple[float, float]:
    """Gives k and its standard deviation in net = k true + one offset per group.

    Least squares with Cauchy weights, on (N, 3).
    """
    weights = np.ones(len(net))
    both = np.concatenate([true, net], axis=1)
    for _ in range(10):
        centred = groups.centred(both, weights)
        a, b = centred[:, :3], centred[:, 3:]
        norm = float(weights @ np.einsum("ni,ni->n", a, a))
        slope = float(weights @ np.einsum("ni,ni->n", a, b)) / norm
        residual = b - slope * a
        squares = np.einsum("ni,ni->n", residual, residual)
        distance = np.sqrt(squares)
        spread = median(distance) / 1.54  # median of a normal vector's length, 3 axes
        if spread <= 1e-9 * np.abs(b).max():
            break
        last, weights = weights, cauchy_weights(distance, 1.7 * spread)
        if float(np.abs(weights - last).max()) < 0.01:
            break
    # each group's mean took 3 numbers, the slope one
    freedom = max(1.0, 3.0 * float(weights.sum()) - 3.0 * groups.count - 1.0)
    return slope, math.sqrt(float(weights @ squares) / freedom / norm)


def depth_scale(
    net_depth: Array, metric_depth: Array, weights: Array, frame: NDArray[np.int64]
) -> ScaleEstimate:
    """Gives the scale from pixels (N,) whose depth is known both ways.

    The median of the logarithm of the ratio: as good whichever of the two is the noisier.

    Args:
        net_depth: (N,) network units.
        metric_depth: (N,) metres.
        weights: (N,)
        frame: (N,) number of the frame each pixel is of; a frame's depth is wrong as a whole.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        logs = np.log(metric_depth) - np.log(net_depth)
    usable = np.isfinite(logs) & (weights > 0)
    count = int(np.count_nonzero(usable))
    if count < SAMPLES_PER_FRAME:
        return no_scale(f"only {count} pixels have both depths")
    if count < len(usable):
        logs, weights, frame = logs[usable], weights[usable], frame[usable]
    centre = weighted_median(logs, weights)
    spread = weighted_spread(logs, weights, centre)
    ids = np.bincount(frame).nonzero()[0]
    between = 0.0
    if len(ids) > 1:
        medians = [weighted_median(logs[frame == i], weights[frame == i]) for i in ids]
        between = float(np.std(medians, ddof=1))
    sigma = math.sqrt(
        (spread**2 / SAMPLES_PER_FRAME + max(between, FRAME_DEPTH_SIGMA) ** 2) / len(ids)
    )
    if not (sigma <= MAX_SIGMA and spread <= MAX_DEPTH_SPREAD):
        worst = max(spread, between)
        return no_scale(
            f"known and predicted depth are apart by {100 * worst:.0f} % here and there"
        )
    reason = f"known depth of {len(logs)} pixels"
    value = float(np.exp(centre))
    return ScaleEstimate(value, max(float(sigma), MIN_SIGMA), ScaleSource.GIVEN, reason)


def height_scale(points: Array, weights: Array, height_m: float) -> ScaleEstimate:
    """Gives the scale at which the ground lies ``height_m`` below the camera.

    The ground is taken for the densest horizontal layer below the camera, so it must be flat and
    in view; below means along -z of the axes in which the points are given.

    Args:
        points: (N, 3) network units, from the camera's centre, axes with z up.
        weights: (N,)
        height_m: of the camera above the ground.

    Raises:
        ValueError: the height is not positive.
    """
    if not 0 < height_m < np.inf:
        raise ValueError(f"camera height must be positive, got {height_m}")
    drop = -points[:, 2]
    radius = np.hypot(points[:, 0], points[:, 1])
    usable = (drop > 0.05 * radius) & (weights > 0) & np.isfinite(drop)  # 3 degrees below level
    if usable.sum() < SAMPLES_PER_FRAME:
        return no_scale("given height: nothing is seen below the camera")
    logs, share = np.log(drop[usable]), weights[usable]
    width = 0.05  # layers of 5 %
    layer = np.floor((logs - logs.min()) / width).astype(np.int64)
    mass = np.bincount(layer, weights=share)
    pair = mass[:-1] + mass[1:] if len(mass) > 1 else mass
    best = int(np.argmax(pair))
    inside = (layer == best) | (layer == best + 1)
    if pair[best] < 0.25 * mass.sum():
        return no_scale("given height: no flat ground stands out below the camera")
    centre = weighted_median(logs[inside], share[inside])
    spread = weighted_spread(logs[inside], share[inside], centre)
    sigma = max(spread / np.sqrt(SAMPLES_PER_FRAME), 0.01)  # ground is never flatter than that
    reason = f"camera height of {height_m:g} m above the ground"
    return ScaleEstimate(float(height_m / np.exp(centre)), sigma, ScaleSource.GIVEN, reason)
