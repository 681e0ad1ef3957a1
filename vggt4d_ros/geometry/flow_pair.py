# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Displacement of points between two frames of a camera, for any part of the pixels.

Planes instead of vectors, and OpenCV where a pixel is looked up: this is most of the work of a
window after the network. A part of the pixels at a time keeps the planes in the cache.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.datatypes import Array, CameraModel
from vggt4d_ros.geometry import se3
from vggt4d_ros.geometry.depth import forget
from vggt4d_ros.geometry.flow_noise import FlowOptions, NoisePlanes
from vggt4d_ros.geometry.pinhole import check_size, is_distorted, ray_factors, ray_planes

Plane = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class DenseView:
    """Depth of one frame and where it was taken."""

    depth: Plane  # (H, W) metres along z, NaN invalid
    model: CameraModel
    world_from_cam: Array  # (4, 4) metres
    stamp_ns: int


@dataclass(frozen=True, slots=True, eq=False)
class Displacement:
    """Displacements of some pixels' points from the other frame to the one, in its camera axes."""

    moved: list[Plane]  # x, y, z, m; NaN where unknown or occluded
    points: list[Plane]  # x, y, z, m, where the points are
    noise: NoisePlanes

    def take_out(self, correction: Array) -> None:
        """Takes translation, rotation and growth (7,) of the whole scene out, in place."""
        x, y, z = self.points
        tx, ty, tz, rx, ry, rz, share = (float(value) for value in correction)
        for plane, own, first, second, a, b, c in (
            (self.moved[0], x, z, y, ry, -rz, tx),
            (self.moved[1], y, x, z, rz, -rx, ty),
            (self.moved[2], z, y, x, rx, -ry, tz),
        ):
            plane -= np.asarray(cv2.addWeighted(first, a, second, b, c), dtype=np.float32)
            plane -= np.float32(share) * own


class FramePair:
    """Two frames of a camera and the optical flow between them.

    Args:
        one: the frame whose pixels are asked for.
        other: an earlier or a later frame.
        flow_to_other: (H, W, 2) pixels.
        flow_back: (H, W, 2) pixels of ``other``; None: not known.
        options: assumed noise.

    Raises:
        ValueError: sizes that do not fit, frames of one stamp, or poses that are not finite.
    """

    def __init__(
        self,
        one: DenseView,
        other: DenseView,
        flow_to_other: Plane,
        flow_back: Plane | None,
        options: FlowOptions,
    ) -> None:
        _check(one, other, flow_to_other, flow_back)
        self._one, self._other, self._options = one, other, options
        self._flow = np.ascontiguousarray(flow_to_other)
        # one lookup for all that is sampled between pixels: depth and, where known, the way back
        self._sampled = other.depth
        if flow_back is not None:
            planes = [other.depth, *_planes(np.ascontiguousarray(flow_back), 2)]
            self._sampled = np.asarray(cv2.merge(planes), dtype=np.float32)
        x, y = ray_factors(one.model)
        self._rays = np.broadcast_to(x, one.depth.shape), np.broadcast_to(y, one.depth.shape)
        self._columns = np.arange(one.model.width, dtype=np.float32)[None, :]
        self._rows = np.arange(one.model.height, dtype=np.float32)[:, None]
        self._one_from_other = se3.inverse(one.world_from_cam) @ other.world_from_cam
        self._turn = self._one_from_other[:3, :3]
        if not is_distorted(other.model):
            self._turn = self._turn @ np.linalg.inv(other.model.matrix)

    def displacement(self, rows: slice) -> Displacement:
        """Gives the displacement of the pixels in some rows of ``one``."""
        u, v = _planes(self._flow[rows], 2)
        u += self._columns
        v += self._rows[rows]
        depth = np.ascontiguousarray(self._one.depth[rows])
        sampled = _remap(self._sampled, u, v, cv2.INTER_LINEAR)
        other_depth, *back = _planes(sampled, 3) if sampled.ndim == 3 else [sampled]
        # across an edge the mean is the depth of nothing; how far it is from the nearest pixel's
        # depth says so. Outside of the image it is NaN
        doubt = _remap(self._other.depth, u, v, cv2.INTER_NEAREST)
        np.subtract(other_depth, doubt, out=doubt)
        points = [self._rays[0][rows] * depth, self._rays[1][rows] * depth, depth]
        moved = self._points(u, v, other_depth)
        for plane, point in zip(moved, points, strict=True):
            np.subtract(point, plane, out=plane)
        noise = NoisePlanes.build(
            depth,
            other_depth,
            doubt,
            _slope(depth),
            self._flow_error(rows, (u, v), back) if back else None,
            focal=float(np.sqrt(self._one.model.fx * self._one.model.fy)),
            options=self._options,
        )
        return Displacement(moved, points, noise)

    def _flow_error(self, rows: slice, there: tuple[Plane, Plane], back: list[Plane]) -> Plane:
        """Gives the squared error of forth and back, px^2; NaN where a pixel is occluded.

        Occluded: |forth + back|^2 > 0.01 (|forth|^2 + |back|^2) + 0.5 (Sundaram et al., ECCV
        2010), with |back| = |forth|, which holds where there is a doubt to be decided.

        Args:
            rows: of the pixels.
            there: where they are in the other frame, columns and rows.
            back: the other frame's flow at these places; overwritten.
        """
        total: Plane = np.zeros_like(there[0])
        limit: Plane = np.full_like(total, 0.5)
        for error, place, here in zip(back, there, (self._columns, self._rows[rows]), strict=True):
            forth = place - here
            error += forth
            error *= error
            total += error
            forth *= forth
            forth *= np.float32(0.02)
            limit += forth
        with np.errstate(invalid="ignore"):
            seen = total <= limit
        forget(total, np.logical_not(seen, out=seen))
        return total

    def _points(self, u: Plane, v: Plane, depth: Plane) -> list[Plane]:
        """Gives the points of the other frame at its pixels (u, v), in the axes of the one."""
        x, y = u, v
        if is_distorted(self._other.model):
            rays = ray_planes(self._other.model)
            x, y = (_remap(plane, u, v, cv2.INTER_LINEAR) for plane in rays)
        planes = []
        for row, shift in zip(self._turn, self._one_from_other[:3, 3], strict=True):
            ray = cv2.addWeighted(x, float(row[0]), y, float(row[1]), float(row[2]))
            plane = np.asarray(cv2.multiply(ray, depth, dst=ray), dtype=np.float32)
            plane += np.float32(shift)
            planes.append(plane)
        return planes


def _slope(depth: Plane) -> Plane:
    """Gives how much depth changes per pixel along its row, m: the lesser side of each pixel.

    At the edge of a thing one side is the thing itself, so edges do not pass for slopes. NaN where
    neither side is known.
    """
    steps = depth[:, 1:] - depth[:, :-1]
    np.abs(steps, out=steps)
    result: Plane = np.empty_like(depth)
    result[:, 0], result[:, -1] = steps[:, 0], steps[:, -1]
    np.fmin(steps[:, 1:], steps[:, :-1], out=result[:, 1:-1])
    return result


def _check(one: DenseView, other: DenseView, flow: Plane, back: Plane | None) -> None:
    check_size(one.depth, one.model)
    check_size(other.depth, other.model)
    for name, plane, view in (("flow_to_other", flow, one), ("flow_back", back, other)):
        if plane is not None and plane.shape != (*view.depth.shape, 2):
            raise ValueError(f"{name} must be {(*view.depth.shape, 2)}, got {plane.shape}")
    if one.stamp_ns == other.stamp_ns:
        raise ValueError(f"both frames have the stamp {one.stamp_ns}")
    for view in (one, other):
        if not np.isfinite(view.world_from_cam).all():
            raise ValueError(f"pose is not finite: {view.world_from_cam.tolist()}")


def _planes(vectors: Plane, count: int) -> list[Plane]:
    """Gives the planes of (H, W, count); cv2.split takes up to six times as long."""
    return [np.asarray(cv2.extractChannel(vectors, i), dtype=np.float32) for i in range(count)]


def _remap(planes: Plane, u: Plane, v: Plane, how: int) -> Plane:
    """Samples planes (H, W) or (H, W, C) at pixels; NaN beside a NaN, and outside if nearest.

    Outside, linear sampling repeats the border: NaN there would spread to the last row and column
    of a camera that stands still, whose neighbours outside have no weight.
    """
    nearest = how == cv2.INTER_NEAREST
    border = cv2.BORDER_CONSTANT if nearest else cv2.BORDER_REPLICATE
    sampled = cv2.remap(planes, u, v, how, borderMode=border, borderValue=float("nan"))
    return np.asarray(sampled, dtype=np.float32)
