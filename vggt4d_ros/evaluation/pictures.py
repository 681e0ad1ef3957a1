# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of a few windows: input, depth, confidence, flow, what moves, error, and the cloud."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.evaluation.cloud_view import render_cloud
from vggt4d_ros.evaluation.results import Picture
from vggt4d_ros.evaluation.score_depth import match_size
from vggt4d_ros.evaluation.sources import FrameTruth
from vggt4d_ros.processor import Processed
from vggt4d_ros.products import ViewProducts

Rgb = NDArray[np.uint8]
Map = NDArray[np.floating]

WIDTH = 320
_MOST_CAMERAS = 6
_ERROR_FULL = 0.5  # relative depth error that is drawn in the last colour
_SPLAT = 3  # pixels of a sparse depth point


class PictureBook:
    """Draws windows spread evenly over a run whose length is known only roughly beforehand.

    Args:
        expected: windows there will be at most.
        wanted: windows to draw.
        cameras: names in view order.
    """

    def __init__(self, expected: int, wanted: int, cameras: Sequence[str]) -> None:
        count = max(0, min(wanted, expected))
        spread = np.linspace(0, max(expected - 1, 0), count).round().astype(int)
        self._chosen: list[int] = sorted(set(spread.tolist()))  # still to be drawn, by index
        self._cameras = cameras
        self.pictures: list[Picture] = []

    def window(
        self,
        processed: Processed,
        views: Sequence[ViewProducts],
        truths: Mapping[int, FrameTruth],
    ) -> None:
        """Draws the window if it is one of those chosen, or the first after one that was lost."""
        index = processed.window.index
        if not self._chosen or index < self._chosen[0] or not views:
            return
        self._chosen = [later for later in self._chosen if later > index]
        for view in views[:_MOST_CAMERAS]:
            self._draw_view(processed, view, truths.get(view.view))
        cloud = render_cloud(views, WIDTH)
        if cloud is not None:
            self._add(
                processed, processed.window.sets[-1].stamp_ns, "", "cloud", cloud[1], cloud[0]
            )

    def _add(
        self, processed: Processed, stamp_ns: int, camera: str, kind: str, caption: str, rgb: Rgb
    ) -> None:
        encoded = cv2.imencode(".png", rgb[..., ::-1])[1].tobytes()
        index = processed.window.index
        self.pictures.append(Picture(index, stamp_ns, camera, kind, caption, encoded))

    def _draw_view(
        self, processed: Processed, view: ViewProducts, truth: FrameTruth | None
    ) -> None:
        def add(kind: str, caption: str, rgb: Rgb) -> None:
            name = self._cameras[view.view]
            self._add(processed, view.frame.stamp_ns, name, kind, caption, rgb)

        unit = "m" if processed.tracked.scale.known else "units"
        add("input", "input", small(view.frame.image.rgb()))
        near, far = depth_range(view.depth)
        caption = f"depth {near:.2f} (red) to {far:.2f} {unit} (blue)"
        add("depth", caption, depth_rgb(view.depth, near, far))
        # 1 + exp(what the network says): drawn as that, else a few sure pixels hide the rest
        excess = np.log(np.maximum(view.prediction.depth_confidence - 1.0, 1e-9))
        low, high = value_range(excess)
        caption = (
            f"confidence less 1: {np.exp(low):.2g} (dark) to {np.exp(high):.2g} (bright), "
            "logarithmic"
        )
        add("confidence", caption, gray_rgb(excess, low, high))
        flow = view.prediction.flow_backward
        if flow is not None:
            longest = flow_full_px(flow)
            caption = f"flow to the step before, full colour {longest:.1f} px"
            add("flow", caption, flow_rgb(flow, longest))
        mask = view.dynamic_mask
        if mask is not None:
            share = float((mask > 0).mean())
            caption = f"moving: {100 * share:.1f} % of the pixels"
            add("dynamic", caption, overlay(view.frame.image.rgb(), mask > 0))
        if truth is None or truth.depth is None:
            return
        true = match_size(truth.depth, view.depth.shape, sparse=truth.sparse)
        if true is None:
            return
        near, far = depth_range(true)
        drawn = _splat(true) if truth.sparse else true
        caption = f"true depth {near:.2f} (red) to {far:.2f} m (blue)"
        add("depth_truth", caption, depth_rgb(drawn, near, far))
        error = relative_error(view.depth, true)
        typical = float(np.nanmean(error)) if np.isfinite(error).any() else float("nan")
        caption = (
            f"|error| / true depth after the median is aligned: mean {typical:.3f}, "
            f"full colour {_ERROR_FULL}"
        )
        add("error", caption, gray_rgb(_splat(error) if truth.sparse else error, 0.0, _ERROR_FULL))


def small(rgb: Rgb, interpolation: int = cv2.INTER_AREA) -> Rgb:
    """The image at most ``WIDTH`` pixels wide."""
    height, width = rgb.shape[:2]
    if width <= WIDTH:
        return rgb
    size = (WIDTH, max(1, round(height * WIDTH / width)))
    return np.asarray(cv2.resize(rgb, size, interpolation=interpolation), dtype=np.uint8)


def _small_map(values: Map) -> Map:
    height, width = values.shape[:2]
    if width <= WIDTH:
        return values
    size = (WIDTH, max(1, round(height * WIDTH / width)))
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_NEAREST))


def value_range(values: Map) -> tuple[float, float]:
    """2 % and 98 % of what is finite; 0, 1 where nothing is."""
    known = values[np.isfinite(values)]
    if not known.size:
        return 0.0, 1.0
    low, high = np.percentile(known, [2, 98]).tolist()
    return low, max(high, low + 1e-6)


def depth_range(depth: Map) -> tuple[float, float]:
    """Nearest and farthest depth to be told apart."""
    with np.errstate(invalid="ignore"):
        return value_range(np.where(depth > 0, depth, np.nan))


def depth_rgb(depth: Map, near: float, far: float) -> Rgb:
    """Inverse depth from blue (far) to red (near), black where unknown."""
    values = _small_map(depth)
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = 1.0 / np.where(values > 0, values, np.nan)
    low, high = 1.0 / max(far, 1e-9), 1.0 / max(near, 1e-9)
    return _mapped(inverse, low, high, cv2.COLORMAP_TURBO)


def gray_rgb(values: Map, low: float, high: float) -> Rgb:
    """From dark to bright, black where unknown."""
    return _mapped(_small_map(values), low, high, cv2.COLORMAP_INFERNO)


def _mapped(values: Map, low: float, high: float, colours: int) -> Rgb:
    known = np.isfinite(values)
    share = (np.where(known, values, low).astype(np.float64) - low) / max(high - low, 1e-12)
    bytes_ = np.round(np.clip(share, 0, 1) * 255).astype(np.uint8)
    rgb = np.asarray(cv2.applyColorMap(bytes_, colours), dtype=np.uint8)[..., ::-1]
    return np.where(known[..., None], rgb, np.uint8(0))


def flow_full_px(flow: Map) -> float:
    """Length that gets the full colour."""
    length = np.linalg.norm(flow, axis=-1)
    known = length[np.isfinite(length)]
    return max(float(np.percentile(known, 98)), 1.0) if known.size else 1.0


def flow_rgb(flow: Map, full_px: float) -> Rgb:
    """Direction as hue (right is red, down is green-yellow), length as saturation; white: none."""
    values = _small_map(flow)
    known = np.isfinite(values).all(-1)
    values = np.where(known[..., None], values, 0.0)
    hue = np.rad2deg(np.arctan2(values[..., 1], values[..., 0])) % 360 / 2
    length = np.clip(np.linalg.norm(values, axis=-1) / full_px, 0, 1)
    hsv = np.stack([hue, 255 * length, np.full_like(hue, 255)], axis=-1).round()
    hsv[..., 0] %= 180
    rgb = np.asarray(cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB), dtype=np.uint8)
    return np.where(known[..., None], rgb, np.uint8(0))


def overlay(rgb: Rgb, mask: NDArray[np.bool_]) -> Rgb:
    """The darkened image, red where the mask is."""
    dimmed = (rgb * 0.5).astype(np.uint8)
    if mask.shape != rgb.shape[:2]:
        size = (rgb.shape[1], rgb.shape[0])
        mask = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    red = np.array([255, 40, 40], np.uint8)
    return small(np.where(mask[..., None], red, dimmed))


def relative_error(found: Map, true: Map) -> Map:
    """|found - true| / true (H, W) once the medians agree; NaN where either is unknown."""
    with np.errstate(invalid="ignore", divide="ignore"):
        both = np.isfinite(found) & (found > 0) & np.isfinite(true) & (true > 0)
        if not both.any():
            return np.full(found.shape, np.nan)
        factor = np.median(true[both]) / np.median(found[both])
        return np.where(both, np.abs(found * factor - true) / true, np.nan)


def _splat(values: Map) -> Map:
    """Scattered values made large enough to be seen: the smallest around wins."""
    filled = np.where(np.isfinite(values), values, np.inf).astype(np.float32)
    side = max(_SPLAT, int(round(_SPLAT * values.shape[1] / WIDTH)))
    kernel = np.ones((side, side), np.uint8)
    eroded = np.asarray(cv2.erode(filled, kernel, borderType=cv2.BORDER_REPLICATE))
    return np.where(np.isfinite(eroded), eroded, np.nan)
