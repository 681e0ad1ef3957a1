# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The demo's picture: one instant of all cameras, the merged cloud from two sides, the rig."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec, SubplotSpec
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from vggt4d_ros.demo.observed import Observed
from vggt4d_ros.demo.report import SCALE_SOURCES, percentiles
from vggt4d_ros.geometry.arrows import flow_image_rgb

FILE = "picture.npz"
DPI = 110
# the sheet's layout in inches: three columns
WIDTH_IN, COLUMN_IN, GUTTER_IN, LEFT_IN = 20.0, 5.9, 0.6, 0.6
TOP_IN, GAP_IN, BOTTOM_IN = 0.95, 0.62, 0.45
SPACE_IN = 5.0  # height of the views in space
LEAST_GROUP_IN = 2.7
LEGEND_IN = 0.35  # width of a group's colour bar
NAME_IN = 0.2  # height of a camera's name
HEADING: dict[str, Any] = {"size": 12.5, "weight": "bold", "loc": "left"}
INK, SOFT = "#1b1f24", "#68707a"
INVALID = "#d9dce0"
MOVING = np.array([255, 90, 0])
CAMERA_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe-Ito
CLOUD_POINTS = 80_000
FULL_MPS = 2.0  # of the node's scene flow images
FRUSTUM_M = 0.45  # drawn depth of a camera


class Sheet:
    """The arrays of picture.npz and the panels made of them."""

    def __init__(self, arrays: dict[str, NDArray[Any]], observed: Observed) -> None:
        self._arrays = arrays
        self._observed = observed
        self._cameras = [str(name) for name in arrays["cameras"]]
        height, width = arrays[f"{self._cameras[0]}/input"].shape[:2]
        self._unit = "m" if observed.scale_source else "network units"
        self._columns, self._rows = mosaic(len(self._cameras), width / height)
        self._cell_in = (COLUMN_IN - LEGEND_IN) / self._columns * height / width
        images_in = self._rows * self._cell_in + (self._rows - 1) * NAME_IN
        self._group_in = max(images_in, LEAST_GROUP_IN)
        self._filled = images_in / self._group_in

    def draw(self, target: Path) -> None:
        """Writes the sheet as PNG: two rows of image groups, below them the views in space."""
        rows = (self._group_in, self._group_in, SPACE_IN)
        height_in = sum(rows) + 2 * GAP_IN + TOP_IN + BOTTOM_IN
        with plt.rc_context({"font.size": 10, "text.color": INK, "axes.edgecolor": SOFT}):
            figure = plt.figure(figsize=(WIDTH_IN, height_in), dpi=DPI, facecolor="white")
            grid = GridSpec(
                3,
                3,
                figure=figure,
                height_ratios=rows,
                hspace=GAP_IN / float(np.mean(rows)),
                wspace=GUTTER_IN / COLUMN_IN,
                left=LEFT_IN / WIDTH_IN,
                right=(LEFT_IN + 3 * COLUMN_IN + 2 * GUTTER_IN) / WIDTH_IN,
                bottom=BOTTOM_IN / height_in,
                top=1 - TOP_IN / height_in,
            )
            self._title(figure)
            self._images(figure, grid[0, 0], "input", "Input images")
            self._maps(figure, grid[0, 1], "depth", f"Depth ({self._unit})", "viridis_r")
            self._maps(figure, grid[0, 2], "confidence", "Depth confidence (1: none)", "cividis")
            self._flow(figure, grid[1, 0])
            self._dynamic(figure, grid[1, 1])
            self._words(figure, grid[1, 2])
            self._cloud(figure, grid[2, 0], 0, 2, "Merged cloud from the side")
            self._cloud(figure, grid[2, 1], 0, 1, "Merged cloud from above")
            self._rig(figure, grid[2, 2])
            figure.savefig(target)
            plt.close(figure)

    def _title(self, figure: Figure) -> None:
        top = 1 - 0.22 / figure.get_figheight()
        left, right = LEFT_IN / WIDTH_IN, (LEFT_IN + 3 * COLUMN_IN + 2 * GUTTER_IN) / WIDTH_IN
        count = len(self._cameras)
        what = (
            f"{count} camera{'s' if count > 1 else ''}, {self._observed.steps} time steps, "
            f"instant {self._observed.picture_stamp_ns * 1e-9:.3f} s"
        )
        figure.text(left, top, "vggt4d_ros demo", size=19, weight="bold", va="top")
        figure.text(right, top, what, size=13, color=SOFT, va="top", ha="right")

    def _panels(self, figure: Figure, place: SubplotSpec, title: str) -> list[Axes]:
        """Gives one axes per camera, close together, and one for a legend at the right."""
        images_in = COLUMN_IN - LEGEND_IN
        outer = place.subgridspec(1, 2, width_ratios=[images_in, LEGEND_IN], wspace=0.01)
        inner = outer[0, 0].subgridspec(
            self._rows, self._columns, wspace=0.02, hspace=NAME_IN / self._cell_in
        )
        axes = [
            figure.add_subplot(inner[divmod(index, self._columns)])
            for index in range(len(self._cameras))
        ]
        for axis, camera in zip(axes, self._cameras, strict=True):
            axis.set_xticks([])
            axis.set_yticks([])
            axis.set_anchor("NW")
            axis.set_title(camera, size=9, color=SOFT, pad=3)
            for spine in axis.spines.values():
                spine.set_visible(False)
        legend = figure.add_subplot(outer[0, 1])
        legend.axis("off")
        box = axes[0].get_position()
        above = 0.26 / figure.get_figheight()
        figure.text(box.x0, box.y1 + above, title, size=12.5, weight="bold")
        return [*axes, legend]

    def _images(self, figure: Figure, place: SubplotSpec, name: str, title: str) -> None:
        for axis, camera in zip(self._panels(figure, place, title), self._cameras, strict=False):
            axis.imshow(self._arrays[f"{camera}/{name}"])

    def _maps(
        self, figure: Figure, place: SubplotSpec, name: str, title: str, colours: str
    ) -> None:
        """Draws scalar images on one colour scale, invalid pixels grey."""
        axes = self._panels(figure, place, title)
        images = [self._arrays[f"{camera}/{name}"].astype(float) for camera in self._cameras]
        if name == "depth" and self._arrays[f"{self._cameras[0]}/depth"].dtype == np.uint16:
            images = [np.where(image > 0, image * 1e-3, np.nan) for image in images]
        finite = np.concatenate([image[np.isfinite(image)] for image in images])
        low, high = np.percentile(finite, (1, 99)) if len(finite) else (0.0, 1.0)
        palette = mpl.colormaps[colours].with_extremes(bad=INVALID)
        for axis, image in zip(axes, images, strict=False):
            drawn = axis.imshow(image, cmap=palette, vmin=low, vmax=high, interpolation="nearest")
        bar = figure.colorbar(
            drawn, cax=axes[-1].inset_axes((0.1, 1 - self._filled, 0.5, self._filled))
        )
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=9, color=SOFT, labelcolor=INK)

    def _flow(self, figure: Figure, place: SubplotSpec) -> None:
        axes = self._panels(figure, place, "Scene flow (white: still, black: unknown)")
        for axis, camera in zip(axes, self._cameras, strict=False):
            axis.imshow(self._arrays[f"{camera}/flow"])
        # the wheel is made by the function that colours the images: it cannot disagree with them
        span = np.linspace(-FULL_MPS, FULL_MPS, 101, dtype=np.float32)
        right, down = np.meshgrid(span, span)
        speed = np.hypot(right, down)
        colours = flow_image_rgb(np.stack([right, down, np.zeros_like(right)], axis=-1), FULL_MPS)
        colours[speed > FULL_MPS] = 255
        legend = axes[-1].inset_axes((0.1, 1 - self._filled, 1.0, LEGEND_IN / self._group_in))
        legend.imshow(colours)
        legend.axis("off")
        legend.set_title(f"{FULL_MPS:g}\n{self._unit.split()[-1]}/s", size=9, color=SOFT, pad=4)

    def _dynamic(self, figure: Figure, place: SubplotSpec) -> None:
        axes = self._panels(figure, place, "Moving points (orange)")
        for axis, camera in zip(axes, self._cameras, strict=False):
            mask = self._arrays[f"{camera}/dynamic"] > 0
            image = cv2.resize(self._arrays[f"{camera}/input"], mask.shape[::-1]).astype(float)
            grey = np.repeat(image.mean(axis=-1, keepdims=True) * 0.55 + 90, 3, axis=-1)
            grey[mask] = 0.35 * grey[mask] + 0.65 * MOVING
            axis.imshow(grey.clip(0, 255).astype(np.uint8))

    def _words(self, figure: Figure, place: SubplotSpec) -> None:
        """Writes what the picture cannot show."""
        seen = self._observed
        axis = figure.add_subplot(place)
        axis.axis("off")
        dropped = {cause: count for cause, count in seen.frames_dropped.items() if count}
        lines = [
            ("network", f"{seen.model} on {seen.device}"),
            ("scale", self._scale_words()),
            ("frames", f"{seen.frames_received} received, {seen.frames_used} used"),
            ("dropped", ", ".join(f"{k} {v}" for k, v in dropped.items()) or "none"),
            ("windows", f"{seen.windows} finished, {seen.windows_superseded} replaced by newer"),
        ]
        for name, key in (("inside the node", "total"), ("image to depth", "")):
            values = seen.stage_ms.get(key, []) if key else seen.image_to_depth_ms
            if values:
                found = percentiles(values)
                lines.append((name, f"{found['p50']:.0f} ms (p95 {found['p95']:.0f} ms)"))
        line = 0.265 / self._group_in
        axis.set_title("This run", pad=19, **HEADING)
        for row, (name, text) in enumerate(lines):
            y = 0.99 - line * row
            axis.text(0.0, y, name, color=SOFT, size=11.5, va="top", transform=axis.transAxes)
            axis.text(0.25, y, text, size=11.5, va="top", transform=axis.transAxes)
        notes = [textwrap.shorten(f"! {warning}", 130) for warning in seen.warnings[:3]]
        axis.text(
            0.0,
            0.99 - line * (len(lines) + 0.3),
            "\n".join(part for note in notes for part in textwrap.wrap(note, 70)),
            size=10,
            color="#b34700",
            va="top",
            transform=axis.transAxes,
        )

    def _scale_words(self) -> str:
        if not self._observed.scale_source:
            return "none: all lengths are in network units"
        source = SCALE_SOURCES[self._observed.scale_source]
        return f"from {source}, {self._observed.scale:.3g} m per network unit"

    def _cloud(self, figure: Figure, place: SubplotSpec, across: int, up: int, title: str) -> None:
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
        poses = self._camera_poses() if self._observed.scale_source else {}
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

    def _rig(self, figure: Figure, place: SubplotSpec) -> None:
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


def mosaic(count: int, aspect: float) -> tuple[int, int]:
    """Gives columns and rows for ``count`` images so that together they are about 2.2 : 1."""
    shapes = [(columns, -(-count // columns)) for columns in range(1, count + 1)]
    return min(shapes, key=lambda shape: abs(np.log(shape[0] / shape[1] * aspect / 2.2)))


def draw(folder: Path, target: Path, observed: Observed) -> None:
    """Draws ``picture.npz`` of a folder into a PNG."""
    with np.load(folder / FILE) as arrays:
        Sheet(dict(arrays), observed).draw(target)
