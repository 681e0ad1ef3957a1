# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Velocity of every pixel's point in the fixed frame, m/s, and whether it moves for sure.

With X(p) the world point of pixel p and f the optical flow from one frame to another of the same
camera, v(p) = (X_one(p) - X_other(p + f(p))) / (t_one - t_other) (Vedula et al., Three-Dimensional
Scene Flow, ICCV 1999). The camera's own motion is in the world points, so it is not in v. The
other frame may be the earlier one (backward flow) or the later one (forward flow).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.datatypes import Array
from vggt4d_ros.geometry.depth import forget
from vggt4d_ros.geometry.flow_noise import FlowOptions, judge, mahalanobis_threshold, noise_factors
from vggt4d_ros.geometry.flow_pair import DenseView, FramePair, Plane
from vggt4d_ros.geometry.flow_residual import ego_correction

_SAMPLE_PIXELS = 10_000  # of a frame, in whole rows, tell of its noise and of the own motion
_BAND_PIXELS = 2**15  # at once: a float plane of them is 128 KiB


@dataclass(frozen=True, slots=True, eq=False)
class SceneFlow:
    """Velocities of the points that the pixels of one frame show."""

    velocity_cam: Plane  # (3, H, W) m/s against the fixed frame, in the camera's axes; NaN invalid
    sigma: Plane  # (H, W) m/s, standard deviation of the speed; NaN as velocity
    dynamic: NDArray[np.bool_]  # (H, W) moves, by dynamic_sigma of its own uncertainty
    valid: NDArray[np.bool_]  # (H, W) seen in both frames
    dt_s: float  # between the frames, positive
    world_from_cam: Array  # (3, 3) rotation of the frame
    ego_correction: Array  # (7,) m, rad, relative depth: what the still scene corrected

    @property
    def velocity(self) -> Plane:
        """(H, W, 3) m/s in the axes of the fixed frame, NaN invalid."""
        return self.velocity_in(np.eye(3))

    def velocity_in(self, axes_from_world: Array) -> Plane:
        """Gives (H, W, 3) m/s in other axes.

        Args:
            axes_from_world: rotation (3, 3) from the fixed frame, e.g. cam_from_world for a cloud
                in the optical frame. The identity gives the fixed frame's own axes.
        """
        turn = axes_from_world @ self.world_from_cam
        rows = np.asarray(cv2.merge(list(self.velocity_cam)), dtype=np.float32)
        if np.allclose(turn, np.eye(3), atol=1e-9):
            return rows
        return np.asarray(cv2.transform(rows, turn), dtype=np.float32)

    @property
    def speed(self) -> Plane:
        """(H, W) m/s, NaN invalid."""
        x, y, z = self.velocity_cam
        return np.asarray(np.sqrt(x * x + y * y + z * z), dtype=np.float32)


def compute_scene_flow(
    one: DenseView,
    other: DenseView,
    flow_to_other: Plane,
    *,
    flow_back: Plane | None = None,
    options: FlowOptions | None = None,
) -> SceneFlow:
    """Gives the velocity of each point that ``one`` shows.

    A pixel moves where its displacement is no noise; lonely pixels are outvoted by their 5 x 5
    neighbours.

    Args:
        one: the frame whose pixels are asked for.
        other: an earlier or a later frame of the same camera.
        flow_to_other: (H, W, 2) pixels, where each pixel of ``one`` is in ``other``; NaN unknown.
        flow_back: (H, W, 2) the way back, on the pixels of ``other``; with it occluded pixels are
            found and the flow's own error is known pixel by pixel.
        options: noise and threshold.

    Raises:
        ValueError: sizes that do not fit, frames of one stamp, or poses that are not finite.
    """
    options = options or FlowOptions()
    pair = FramePair(one, other, flow_to_other, flow_back, options)
    dt = (one.stamp_ns - other.stamp_ns) * 1e-9
    height, width = one.depth.shape
    stride = max(1, one.depth.size // _SAMPLE_PIXELS)
    sample = pair.displacement(slice(stride // 2, None, stride))
    correction = np.zeros(7)
    if options.correct_ego_motion:
        correction = ego_correction(sample, options)
        sample.take_out(correction)
    factors = noise_factors(sample.moved, sample.points, sample.noise)
    threshold = mahalanobis_threshold(options.dynamic_sigma)
    velocity = np.empty((3, height, width), dtype=np.float32)
    sigma = np.empty((height, width), dtype=np.float32)
    above = np.empty((height, width), dtype=np.bool_)
    valid = np.empty((height, width), dtype=np.bool_)

    step = max(1, _BAND_PIXELS // width)
    for rows in (slice(row, row + step) for row in range(0, height, step)):
        part = pair.displacement(rows)
        part.take_out(correction)
        part_sigma, above[rows] = judge(
            part.moved, part.points, part.noise.scaled(factors), threshold
        )
        np.multiply(part_sigma, np.float32(1 / abs(dt)), out=sigma[rows])
        np.isfinite(sigma[rows], out=valid[rows])
        invalid = np.logical_not(valid[rows])
        for axis, plane in enumerate(part.moved):
            np.multiply(plane, np.float32(1 / dt), out=velocity[axis, rows])
            forget(velocity[axis, rows], invalid)
    dynamic = np.asarray(cv2.medianBlur(above.view(np.uint8), 5)).view(np.bool_) & valid
    return SceneFlow(
        velocity_cam=velocity,
        sigma=sigma,
        dynamic=dynamic,
        valid=valid,
        dt_s=abs(dt),
        world_from_cam=one.world_from_cam[:3, :3],
        ego_correction=correction,
    )
