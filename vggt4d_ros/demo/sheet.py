# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The demo's picture: one instant of all cameras, the merged cloud from two sides, the rig."""

from __future__ import annotations

import textwrap
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
from numpy.typing import NDArray

from vggt4d_ros.demo.observed import Observed
from vggt4d_ros.demo.report import SCALE_SOURCES, percentiles
from vggt4d_ros.demo.sheet_space import SpaceViews
from vggt4d_ros.demo.sheet_style import DPI, HEADING, INK, SOFT
from vggt4d_ros.geometry.arrows import flow_image_rgb

FILE = "picture.npz"
# the sheet's layout in inches: three columns
WIDTH_IN, COLUMN_IN, GUTTER_IN, LEFT_IN = 20.0, 5.9, 0.6, 0.6
TOP_IN, GAP_IN, BOTTOM_IN = 0.95, 0.62, 0.45
SPACE_IN = 5.0  # height of the views in space
LEAST_GROUP_IN = 2.7
LEGEND_IN = 0.35  # width of a group's colour bar
NAME_IN = 0.2  # height of a camera's name
INVALID = "#d9dce0"
MOVING = np.array([255, 90, 0])
FULL_MPS = 2.0  # of the node's scene flow images


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
            space = SpaceViews(
                self._arrays, self._unit, has_scale=bool(self._observed.scale_source)
            )
            space.cloud(figure, grid[2, 0], 0, 2, "Merged cloud from the side")
            space.cloud(figure, grid[2, 1], 0, 1, "Merged cloud from above")
            space.rig(figure, grid[2, 2])
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


def mosaic(count: int, aspect: float) -> tuple[int, int]:
    """Gives columns and rows for ``count`` images so that together they are about 2.2 : 1."""
    shapes = [(columns, -(-count // columns)) for columns in range(1, count + 1)]
    return min(shapes, key=lambda shape: abs(np.log(shape[0] / shape[1] * aspect / 2.2)))


def draw(folder: Path, target: Path, observed: Observed) -> None:
    """Draws ``picture.npz`` of a folder into a PNG."""
    with np.load(folder / FILE) as arrays:
        Sheet(dict(arrays), observed).draw(target)
