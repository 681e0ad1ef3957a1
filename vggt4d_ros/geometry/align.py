# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Lays one window over another by what both say of the frames they share.

Points of a shared frame are the same instant seen twice, so moving objects do no harm. Points
alone leave a planar or distant scene loose and camera centres alone a robot that stands still;
together with the cameras' rotations every case is determined, which ``align`` relies on.

Closed form: Umeyama, PAMI 1991, and Horn, JOSA 1987, with the rotations' Frobenius distance added
to the correlation matrix; outliers are weighed down by iteration (Cauchy).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vggt4d_ros.datatypes import Array
from vggt4d_ros.geometry import se3
from vggt4d_ros.geometry.robust import cauchy_weights, rms
from vggt4d_ros.geometry.scale import FRAME_DEPTH_SIGMA, SAMPLES_PER_FRAME

_ITERATIONS = 8
_STEADY_RAD = 1e-6
_MIN_SIGMA_RAD = 2e-4
_MIN_SIGMA_PER_DISTANCE = 2e-4  # of the points' median distance from their centre


@dataclass(frozen=True, slots=True, eq=False)
class Similarity:
    """target = scale * rotation @ source + translation."""

    scale: float
    rotation: Array  # (3, 3)
    translation: Array  # (3,)

    def points(self, source: Array) -> Array:
        """Maps points (..., 3)."""
        moved: Array = self.scale * source @ self.rotation.T + self.translation
        return moved

    def poses(self, source_from_cam: Array) -> Array:
        """Maps camera poses (..., 4, 4); they stay rigid, only their centres are scaled."""
        return se3.make_transform(
            self.rotation @ source_from_cam[..., :3, :3],
            self.points(source_from_cam[..., :3, 3]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Overlap:
    """What two windows say of the frames they share."""

    source_from_cam: Array  # (M, 4, 4)
    target_from_cam: Array  # (M, 4, 4) of the same frames
    source_points: Array  # (N, 3), N may be 0
    target_points: Array  # (N, 3) the same pixels
    weights: Array  # (N,) from confidence and distance, positive
    dense_frames: int = 0  # frames the points come from


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """One window laid over another, and how well it fits."""

    target_from_source: Similarity
    residual_m: float  # RMS of points (or, without any, of camera centres), target units
    residual_rad: float  # RMS of the shared cameras' rotations
    scale_ratio: float  # what a free scale would add; 1: none
    points: int  # that the alignment rests on, without outliers
    frames: int  # shared
    centre: Array  # (3,) target: where the covariance holds
    covariance: Array  # (6, 6) of a small motion about ``centre``: m, rad, axes of the target
    centre_sigma_m: float  # of one camera centre in one window, from the shared frames
    rotation_sigma_rad: float  # of one camera rotation in one window


def align(overlap: Overlap, scale: float | None = 1.0) -> Alignment:
    """Finds the motion, and where ``scale`` is None also the scale, that takes source to target.

    Raises:
        ValueError: no frame is shared.
    """
    count = len(overlap.source_from_cam)
    if count == 0:
        raise ValueError("an alignment needs a shared frame")
    terms = _Terms.start(overlap, scale)
    fit = terms.first
    for _ in range(_ITERATIONS):
        terms.weigh(fit)
        last, fit = fit, terms.solve(scale)
        if float(np.abs(fit.rotation - last.rotation).max()) < _STEADY_RAD:
            break
    terms.weigh(fit)
    ratio = terms.solve(None).scale / fit.scale
    inliers = terms.point_weights > 0.3 * np.maximum(overlap.weights, 1e-12)
    distance = terms.point_distance[inliers] if inliers.any() else terms.centre_distance
    centre, covariance = terms.covariance(fit)
    return Alignment(
        target_from_source=fit,
        residual_m=rms(distance),
        residual_rad=rms(terms.rotation_error),
        scale_ratio=ratio,
        points=int(inliers.sum()),
        frames=count,
        centre=centre,
        covariance=covariance,
        # the difference of two windows has the noise of both
        centre_sigma_m=terms.sigma_centre / math.sqrt(2),
        rotation_sigma_rad=terms.sigma_rotation / math.sqrt(2),
    )


class _Terms:
    """The weights of points, camera centres and rotations against each other.

    The deviation of each kind is estimated from its own residual under the last fit. Dense depth
    of one frame counts as SAMPLES_PER_FRAME points of independent error, however many pixels were
    taken, on top of the error they share.
    """

    def __init__(self, overlap: Overlap, first: Similarity) -> None:
        self.overlap = overlap
        self.first = first
        self.point_weights = overlap.weights
        self.point_distance: Array = np.zeros(0)
        self.centre_distance: Array = np.zeros(0)
        self.rotation_error: Array = np.zeros(0)
        self.sigma_point = self.sigma_centre = self.sigma_rotation = 1.0
        targets = overlap.target_points
        self._distance = 0.0  # typical, of points from their camera
        if len(targets):
            middle = overlap.target_from_cam[:, :3, 3].mean(axis=0)
            self._distance = float(np.median(np.linalg.norm(targets - middle, axis=1)))
            spread = np.linalg.norm(targets - np.median(targets, axis=0), axis=1)
            self._floor_m = _MIN_SIGMA_PER_DISTANCE * float(np.median(spread)) + 1e-9
        else:
            centres = overlap.target_from_cam[:, :3, 3]
            extent = float(np.max(np.linalg.norm(centres - centres.mean(axis=0), axis=1)))
            self._floor_m = _MIN_SIGMA_PER_DISTANCE * extent + 1e-9

    @classmethod
    def start(cls, overlap: Overlap, scale: float | None) -> _Terms:
        """First fit: mean rotation of the cameras, medians for scale and translation."""
        source, target = overlap.source_from_cam, overlap.target_from_cam
        turns = target[:, :3, :3] @ np.swapaxes(source[:, :3, :3], -1, -2)
        rotation = se3.mean_rotation(turns)
        xs = _stack(overlap.source_points, source[:, :3, 3])
        ys = _stack(overlap.target_points, target[:, :3, 3])
        if scale is None:
            x_spread = np.linalg.norm(xs - np.median(xs, axis=0), axis=1)
            y_spread = np.linalg.norm(ys - np.median(ys, axis=0), axis=1)
            spread = float(np.median(x_spread))
            scale = float(np.median(y_spread)) / spread if spread > 0 else 1.0
            scale = scale if scale > 0 else 1.0
        shift = np.median(ys - scale * xs @ rotation.T, axis=0)
        return cls(overlap, Similarity(scale, rotation, shift))

    def weigh(self, fit: Similarity) -> None:
        """Sets weights and deviations from the residuals of a fit."""
        overlap = self.overlap
        error = overlap.target_points - fit.points(overlap.source_points)
        self.point_distance = np.linalg.norm(error, axis=1)
        moved = fit.poses(overlap.source_from_cam)
        target = overlap.target_from_cam
        self.centre_distance = np.linalg.norm(target[:, :3, 3] - moved[:, :3, 3], axis=1)
        turn = np.swapaxes(moved[:, :3, :3], -1, -2) @ target[:, :3, :3]
        self.rotation_error = se3.rotation_angle(turn)
        count = len(target)
        # the fit took the freedom of one frame away
        bias = math.sqrt(count / max(count - 1.0, 1.0))
        self.sigma_rotation = max(bias * rms(self.rotation_error) / math.sqrt(3), _MIN_SIGMA_RAD)
        self.sigma_centre = max(bias * rms(self.centre_distance) / math.sqrt(3), self._floor_m)
        if len(error):
            # weights stand for precision, so distances are compared after division by it
            typical = np.sqrt(np.median(overlap.weights))
            normed = self.point_distance * np.sqrt(overlap.weights) / typical
            self.sigma_point = max(float(np.median(normed)) / 1.54, self._floor_m)
            self.point_weights = overlap.weights * cauchy_weights(normed, 1.7 * self.sigma_point)

    def _precision(self) -> tuple[Array, float, float]:
        """Gives the precision of each point (N,), of a centre, and of a rotation.

        A frame's points are no surer than its pose and its depth as a whole, which they share:
        however well they agree with each other, they are one more opinion of one frame.
        """
        points = self.point_weights
        if len(points):
            shared = (
                self.sigma_centre**2
                + (self.sigma_rotation * self._distance) ** 2
                + (FRAME_DEPTH_SIGMA * self._distance) ** 2
            )
            of_frame = 1 / (self.sigma_point**2 / SAMPLES_PER_FRAME + shared)
            points = points * (max(self.overlap.dense_frames, 1) * of_frame / points.sum())
        return points, 1 / self.sigma_centre**2, 1 / self.sigma_rotation**2

    def solve(self, scale: float | None) -> Similarity:
        """Gives the least-squares fit under the present weights, in closed form."""
        overlap = self.overlap
        points, centre, turn = self._precision()
        source, target = overlap.source_from_cam, overlap.target_from_cam
        weights = np.concatenate([points, np.full(len(source), centre)])
        xs = _stack(overlap.source_points, source[:, :3, 3])
        ys = _stack(overlap.target_points, target[:, :3, 3])
        total = weights.sum()
        x_mean, y_mean = weights @ xs / total, weights @ ys / total
        x, y = xs - x_mean, ys - y_mean
        correlation = (weights[:, None] * y).T @ x
        # |A - B|^2 of rotations is twice the squared angle
        rotations = 0.5 * turn * np.einsum("nij,nkj->ik", target[:, :3, :3], source[:, :3, :3])
        x_spread = float((weights[:, None] * x**2).sum())
        y_spread = float((weights[:, None] * y**2).sum())
        found = scale
        if found is None:  # Horn's symmetric scale: neither window is the truth
            found = np.sqrt(y_spread / x_spread) if x_spread > 0 and y_spread > 0 else 1.0
        rotation = se3.nearest_rotation(float(found) * correlation + rotations)
        return Similarity(float(found), rotation, y_mean - found * rotation @ x_mean)

    def covariance(self, fit: Similarity) -> tuple[Array, Array]:
        """Gives the weighted centre (3,) in the target and the fit's covariance (6, 6) about it.

        A frame's points are wrong together with its pose, so points and poses are not counted
        twice: the kind that says more stands alone.
        """
        overlap = self.overlap
        points, centre, turn = self._precision()
        count = len(overlap.source_from_cam)
        places = fit.points(_stack(overlap.source_points, overlap.source_from_cam[:, :3, 3]))
        weights = np.concatenate([points, np.full(count, centre)])
        middle = weights @ places / weights.sum()
        arms = places - middle
        by_points = _inertia(points, arms[: len(points)])
        by_poses = _inertia(np.full(count, centre), arms[len(points) :]) + count * turn * np.eye(3)
        more = by_points if np.trace(by_points) > np.trace(by_poses) else by_poses
        covariance = np.zeros((6, 6))
        covariance[:3, :3] = np.eye(3) / max(points.sum(), count * centre)
        covariance[3:, 3:] = np.linalg.inv(more)
        return middle, covariance


def _inertia(weights: Array, arms: Array) -> Array:
    """Gives what displacements at arms (N, 3) of precision (N,) say of a turn, (3, 3)."""
    squares = float((weights * (arms**2).sum(axis=1)).sum())
    return np.asarray(squares * np.eye(3) - (weights[:, None] * arms).T @ arms, dtype=np.float64)


def _stack(points: Array, centres: Array) -> Array:
    return np.concatenate([points, centres])


def covariance_at(covariance: Array, centre: Array, position: Array) -> Array:
    """Moves the covariance (6, 6) of a small motion about ``centre`` to another position (3,).

    What turns about the centre shifts a position by the angle times the lever arm.
    """
    carry = np.eye(6)
    carry[:3, 3:] = -se3.skew_matrix(position - centre)
    moved: Array = carry @ covariance @ carry.T
    return moved
