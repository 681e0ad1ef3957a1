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

import cv2
import numpy as np

from vggt4d_ros.datatypes import Array
from vggt4d_ros.geometry import se3
from vggt4d_ros.geometry.robust import cauchy_weights, median, medians, rms
from vggt4d_ros.geometry.scale import FRAME_DEPTH_SIGMA, SAMPLES_PER_FRAME

_ITERATIONS = 8
_STEADY_RAD = 1e-6
_MIN_SIGMA_RAD = 2e-4
_MIN_SIGMA_PER_DISTANCE = 2e-4  # of the points' median distance from their centre
_UNIT_3: Array = np.eye(3)
_UNIT_6: Array = np.eye(6)
_UNIT_3.flags.writeable = _UNIT_6.flags.writeable = False


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
    terms = _Terms(overlap)
    fit = terms.first(scale)
    for _ in range(_ITERATIONS):
        terms.weigh(fit)
        last, fit = fit, terms.solve(scale)
        if float(np.abs(fit.rotation - last.rotation).max()) < _STEADY_RAD:
            break
    terms.weigh(fit)
    ratio = terms.free_scale() / fit.scale
    inliers = terms.point_weights > 0.3 * np.maximum(overlap.weights, 1e-12)
    distance = terms.point_distance[inliers] if inliers.any() else terms.centre_distance
    centre, covariance = terms.covariance()
    return Alignment(
        target_from_source=fit,
        residual_m=rms(distance),
        residual_rad=rms(terms.rotation_error),
        scale_ratio=ratio,
        points=int(np.count_nonzero(inliers)),
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

    Points and behind them camera centres are columns of one matrix, which numpy goes through at
    several times the speed of rows, and are taken from their cameras' mean, so that sums of
    products keep their digits far from the origin.
    """

    def __init__(self, overlap: Overlap) -> None:
        self._overlap = overlap
        self._points = len(overlap.source_points)
        self._count = len(overlap.source_from_cam)
        source, target = overlap.source_from_cam, overlap.target_from_cam
        self._source_turns, self._target_turns = source[:, :3, :3], target[:, :3, :3]
        self._origins = (
            source[:, :3, 3].sum(axis=0) / self._count,
            target[:, :3, 3].sum(axis=0) / self._count,
        )
        self._xs = _columns(overlap.source_points, source[:, :3, 3], self._origins[0])
        self._ys = _columns(overlap.target_points, target[:, :3, 3], self._origins[1])
        # target_turn @ source_turn^T, summed: what the rotations alone say
        self._turns: Array = (self._target_turns @ self._source_turns.swapaxes(-1, -2)).sum(axis=0)
        self._places: Array = self._xs[:3]  # the source under the last fit
        self._weights: Array = np.empty(self._points + self._count)  # set by ``weigh``
        self.point_weights = overlap.weights
        self.point_distance: Array = np.zeros(0)
        self.centre_distance: Array = np.zeros(0)
        self.rotation_error: Array = np.zeros(0)
        self.sigma_point = self.sigma_centre = self.sigma_rotation = 1.0
        self._distance = 0.0  # typical, of points from their camera
        if self._points:
            seen = self._ys[:3, : self._points]
            self._distance = median(_lengths(seen))
            self._floor_m = median(_lengths(seen - medians(seen)[:, None]))
            self._root_weights = np.sqrt(overlap.weights / median(overlap.weights))
        else:
            self._floor_m = float(np.max(_lengths(self._ys[:3])))
        self._floor_m = _MIN_SIGMA_PER_DISTANCE * self._floor_m + 1e-9

    def first(self, scale: float | None) -> Similarity:
        """First fit: mean rotation of the cameras, medians for scale and translation."""
        rotation = se3.nearest_rotation(self._turns)
        xs, ys = self._xs[:3], self._ys[:3]
        if scale is None:
            x_spread = median(_lengths(xs - medians(xs)[:, None]))
            y_spread = median(_lengths(ys - medians(ys)[:, None]))
            scale = y_spread / x_spread if x_spread > 0 and y_spread > 0 else 1.0
        shift = medians(ys - (scale * rotation) @ xs)
        return self._similarity(scale, rotation, np.zeros(3), shift)

    def _similarity(self, scale: float, rotation: Array, x: Array, y: Array) -> Similarity:
        """The motion that turns by ``rotation`` and takes x to y, both less their origins."""
        x_origin, y_origin = self._origins
        return Similarity(scale, rotation, y + y_origin - scale * rotation @ (x + x_origin))

    def weigh(self, fit: Similarity) -> None:
        """Sets weights and deviations from the residuals of a fit."""
        x_origin, y_origin = self._origins
        matrix = np.empty((3, 4))
        matrix[:, :3] = fit.scale * fit.rotation
        matrix[:, 3] = fit.translation - y_origin + matrix[:, :3] @ x_origin
        self._places = matrix @ self._xs
        distance = _lengths(self._ys[:3] - self._places)
        self.point_distance = distance[: self._points]
        self.centre_distance = distance[self._points :]
        turned = fit.rotation @ self._source_turns
        self.rotation_error = se3.rotation_angle_between(turned, self._target_turns)
        # the fit took the freedom of one frame away
        bias = math.sqrt(self._count / max(self._count - 1.0, 1.0) / 3)
        self.sigma_rotation = max(bias * rms(self.rotation_error), _MIN_SIGMA_RAD)
        self.sigma_centre = max(bias * rms(self.centre_distance), self._floor_m)
        if self._points:
            # weights stand for precision, so distances are compared after division by it
            normed = self.point_distance * self._root_weights
            self.sigma_point = max(median(normed) / 1.54, self._floor_m)
            self.point_weights = cauchy_weights(normed, 1.7 * self.sigma_point)
            self.point_weights *= self._overlap.weights
        self._set_precision()

    def _set_precision(self) -> None:
        """Gives each point and each centre its precision.

        A frame's points are no surer than its pose and its depth as a whole, which they share:
        however well they agree with each other, they are one more opinion of one frame.
        """
        if self._points:
            shared = (
                self.sigma_centre**2
                + (self.sigma_rotation * self._distance) ** 2
                + (FRAME_DEPTH_SIGMA * self._distance) ** 2
            )
            of_frame = 1 / (self.sigma_point**2 / SAMPLES_PER_FRAME + shared)
            share = max(self._overlap.dense_frames, 1) * of_frame / float(self.point_weights.sum())
            np.multiply(self.point_weights, share, out=self._weights[: self._points])
        self._weights[self._points :] = 1 / self.sigma_centre**2

    def solve(self, scale: float | None) -> Similarity:
        """Gives the least-squares fit under the present weights, in closed form."""
        # weighted sums of y x^T, of y, of x and of 1, all in one product
        sums = (self._ys * self._weights) @ self._xs.T
        x_mean, y_mean = sums[3, :3] / sums[3, 3], sums[:3, 3] / sums[3, 3]
        correlation = sums[:3, :3] - sums[:3, 3:] * x_mean
        # |A - B|^2 of rotations is twice the squared angle
        rotations = (0.5 / self.sigma_rotation**2) * self._turns
        found = self.free_scale() if scale is None else scale
        rotation = se3.nearest_rotation(found * correlation + rotations)
        return self._similarity(found, rotation, x_mean, y_mean)

    def free_scale(self) -> float:
        """Gives Horn's symmetric scale under the present weights: neither window is the truth."""
        x_spread, y_spread = (_spread(p, self._weights) for p in (self._xs[:3], self._ys[:3]))
        return math.sqrt(y_spread / x_spread) if x_spread > 0 and y_spread > 0 else 1.0

    def covariance(self) -> tuple[Array, Array]:
        """Gives the weighted centre (3,) in the target and the last fit's covariance (6, 6) there.

        A frame's points are wrong together with its pose, so points and poses are not counted
        twice: the kind that says more stands alone.
        """
        centre, turn = 1 / self.sigma_centre**2, 1 / self.sigma_rotation**2
        middle = self._places @ self._weights / self._weights.sum()
        arms = self._places - middle[:, None]
        points, weights = slice(None, self._points), self._weights
        by_points = _inertia(weights[points], arms[:, points])
        by_poses = _inertia(weights[self._points :], arms[:, self._points :])
        by_poses += self._count * turn * _UNIT_3
        more = by_points if by_points.trace() > by_poses.trace() else by_poses
        covariance = np.zeros((6, 6))
        covariance[:3, :3] = _UNIT_3 / max(float(weights[points].sum()), self._count * centre)
        covariance[3:, 3:] = cv2.invert(more)[1]
        return middle + self._origins[1], covariance


def _columns(points: Array, centres: Array, origin: Array) -> Array:
    """Points and centres less their origin, one per column, above a row of ones; (4, N)."""
    columns = np.empty((4, len(points) + len(centres)))
    columns[3] = 1.0
    columns[:3, : len(points)] = points.T
    columns[:3, len(points) :] = centres.T
    columns[:3] -= origin[:, None]
    return columns


def _lengths(columns: Array) -> Array:
    """Lengths (N,) of vectors (3, N)."""
    squares = columns * columns
    lengths: Array = squares[0] + squares[1]
    lengths += squares[2]
    return np.asarray(np.sqrt(lengths, out=lengths))


def _spread(columns: Array, weights: Array) -> float:
    """Weighted sum of the squared distances of points (3, N) from their weighted mean."""
    arms = columns - (columns @ weights / weights.sum())[:, None]
    return float(((arms * weights) * arms).sum())


def _inertia(weights: Array, arms: Array) -> Array:
    """Gives what displacements at arms (3, N) of precision (N,) say of a turn, (3, 3)."""
    moments = (arms * weights) @ arms.T
    return np.asarray(moments.trace() * _UNIT_3 - moments, dtype=np.float64)


def covariance_at(covariance: Array, centre: Array, position: Array) -> Array:
    """Moves the covariance (6, 6) of a small motion about ``centre`` to positions (..., 3).

    What turns about the centre shifts a position by the angle times the lever arm.
    """
    carry = np.zeros((*position.shape[:-1], 6, 6))
    carry[...] = _UNIT_6
    carry[..., :3, 3:] = -se3.skew_matrix(position - centre)
    moved: Array = carry @ covariance @ carry.swapaxes(-1, -2)
    return moved
