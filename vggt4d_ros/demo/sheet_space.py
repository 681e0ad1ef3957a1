# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The demo's views in space: the merged cloud from two sides, the rig in 3D."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from vggt4d_ros.demo.sheet_style import DPI, HEADING, INK, SOFT

CAMERA_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe-Ito
CLOUD_POINTS = 80_000
FRUSTUM_M = 0.45  # drawn depth of a camera


class SpaceViews:
    """Panels of points and poses.

    Args:
        arrays: of picture.npz.
        unit: of lengths, for the axes.
        has_scale: lengths of the cloud are metres.
    """

    def __init__(self, arrays: dict[str, NDArray[Any]], unit: str, *, has_scale: bool) -> None:
        self._arrays = arrays
        self._cameras = [str(name) for name in arrays["cameras"]]
        self._unit = unit
        self._has_scale = has_scale

    def cloud(self, figure: Figure, place: SubplotSpec, across: int, up: int, title: str) -> None:
        """Draws the cloud in parallel projection, near points over far ones, with the cameras."""
        axis = figure.add_subplot(place)
        points, colours = self._arrays["cloud"], self._arrays["cloud_rgb"]
        if len(points) > CLOUD_POINTS:
            keep = np.random.default_rng(0).choice(len(points), CLOUD_POINTS, replace=False)
            points, colours = points[keep], colours[keep]
        towards = 3 - across - up
        # seen from +z (above), from -y (the side): what is nearer is drawn later
        order = np.argsort(points[:, towards] * (1 if towards == 2 else -1))
        # so large that together they would just fill the panel
        box = axis.get_window_extent()
        area_pt2 = box.width * box.height * (72.0 / DPI) ** 2
        size = np.clip(area_pt2 / max(len(points), 1), 1.0, 12.0)
        axis.scatter(
            points[order, across], points[order, up], c=colours[order] / 255.0, s=size, linewidths=0
        )
        # TF is in metres, which a cloud without a scale is not
        poses = self._camera_poses() if self._has_scale else {}
        for number, (camera, pose) in enumerate(poses.items()):
            colour = CAMERA_COLOURS[number % len(CAMERA_COLOURS)]
            axis.plot(pose[across, 3], pose[up, 3], "o", ms=7, color=colour, mec="white")
            tip = pose[:3, 3] + FRUSTUM_M * pose[:3, 2]
            axis.plot([pose[across, 3], tip[across]], [pose[up, 3], tip[up]], color=colour, lw=2)
            axis.annotate(
                camera, (pose[across, 3], pose[up, 3]), (5, 5), textcoords="offset points", size=9
            )
        marks = np.array([pose[:3, 3] for pose in poses.values()]).reshape(-1, 3)
        self._frame_view(axis, points, marks, (across, up))
        names = "xyz"
        axis.set_xlabel(f"{names[across]} ({self._unit})", color=SOFT)
        axis.set_ylabel(f"{names[up]} ({self._unit})", color=SOFT)
        count, frame = len(self._arrays["cloud"]), self._arrays["frame"]
        axis.set_title(f"{title} ({count} points, frame {frame})", **HEADING)

    def _frame_view(
        self, axis: Axes, points: NDArray[Any], marks: NDArray[Any], axes: Sequence[int]
    ) -> None:
        """Sets limits that hold 98 % of the points and all cameras."""
        limits = []
        for index in axes:
            values = points[:, index]
            low, high = np.percentile(values, (1, 99)) if len(values) else (-1.0, 1.0)
            if len(marks):
                low, high = min(low, marks[:, index].min()), max(high, marks[:, index].max())
            limits.append([low, high])
        # the same scale both ways: the panel's shape decides which direction shows more
        box = axis.get_window_extent()
        metres = 1.2 * max((x[1] - x[0]) / size for x, size in zip(limits, box.size, strict=True))
        half = 0.5 * np.maximum(metres * np.array(box.size), 1e-3)
        middle = np.mean(limits, axis=1)
        axis.set_xlim(middle[0] - half[0], middle[0] + half[0])
        axis.set_ylim(middle[1] - half[1], middle[1] + half[1])
        axis.set_aspect("equal")
        axis.set_facecolor("#f6f7f8")
        axis.grid(color="white", lw=1.2)
        axis.set_axisbelow(True)
        axis.tick_params(color=SOFT, labelcolor=INK, labelsize=9)

    def _camera_poses(self) -> dict[str, NDArray[np.float64]]:
        """Gives fixed_from_cam of each camera whose extrinsics are known, at the last window."""
        base = self._arrays["base"]
        fixed_from_base = base[-1] if len(base) else np.eye(4)
        return {
            camera: fixed_from_base @ self._arrays[f"{camera}/base_from_cam"]
            for camera in self._cameras
            if f"{camera}/base_from_cam" in self._arrays
        }

    def rig(self, figure: Figure, place: SubplotSpec) -> None:
        """Draws the cameras' frusta and the base's trajectory in 3D."""
        axis = figure.add_subplot(place, projection="3d")
        for number, (camera, pose) in enumerate(self._camera_poses().items()):
            colour = CAMERA_COLOURS[number % len(CAMERA_COLOURS)]
            corners = self._frustum(camera)
            world = corners @ pose[:3, :3].T + pose[:3, 3]
            for corner in world[1:]:
                axis.plot(*np.stack([world[0], corner], axis=1), color=colour, lw=1.6)
            axis.plot(*world[[1, 2, 3, 4, 1]].T, color=colour, lw=1.6)
            axis.text(*world[0], f" {camera}", size=10, color=colour)
            axis.plot([world[0, 0]] * 2, [world[0, 1]] * 2, [0, world[0, 2]], ":", color=SOFT, lw=1)
        base = self._arrays["base"]
        if len(base):
            path = base[:, :3, 3]
            axis.plot(*path.T, "-", color=INK, lw=2, label=f"base, {len(path)} windows")
            axis.plot(*path[-1:].T, "o", color=INK, ms=6)
            for column, colour in enumerate(("#d62728", "#2ca02c", "#1f77b4")):  # x y z, as RViz
                tip = base[-1, :3, 3] + 0.5 * base[-1, :3, column]
                axis.plot(*np.stack([base[-1, :3, 3], tip], axis=1), color=colour, lw=3)
            axis.legend(loc="upper left", frameon=False)
        axis.set_aspect("equal")
        for direction in (axis.xaxis, axis.yaxis, axis.zaxis):
            direction.set_major_locator(MaxNLocator(5))
        axis.set_xlabel("x (m)", color=SOFT)
        axis.set_ylabel("y (m)", color=SOFT)
        axis.set_zlabel("z (m)", color=SOFT)
        axis.tick_params(labelsize=8)
        axis.view_init(elev=24, azim=-52)
        axis.set_title("Camera poses and base trajectory", **HEADING)

    def _frustum(self, camera: str) -> NDArray[np.float64]:
        """Gives the apex and the corners of an image at FRUSTUM_M, optical frame."""
        height, width = self._arrays[f"{camera}/input"].shape[:2]
        half = np.array([width, height]) / max(width, height) * FRUSTUM_M * 0.6
        signs = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
        corners = np.column_stack([signs * half, np.full(4, FRUSTUM_M)])
        return np.vstack([np.zeros(3), corners])
