# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How steady depth is from one image to the next."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from vggt4d_ros.evaluation.metrics.inputs import Array, Mask, require_same_shape, require_some

STEADY_SHARE = 0.05


def temporal_metrics(
    depth_previous: NDArray[np.floating],
    depth: NDArray[np.floating],
    *,
    intrinsics: Array,
    previous_from_current: Array,
    flow_backward: NDArray[np.floating] | None = None,
    static: Mask | None = None,
) -> dict[str, float]:
    """Change of depth between two images of one camera that its motion does not explain.

    Each pixel of the current image is lifted by its depth and moved into the previous camera, where
    it lies at depth z. The previous depth d is read where the flow leads (where the moved point
    projects to without flow), between pixels bilinearly; the change is |d - z| / z.
    ``change``, ``change_median``: of all pixels that can be compared; ``steady``: share with a
    change below 5 %; ``pixels``. Pixels hidden in the previous image count unless ``static`` leaves
    them out; ``change_median`` hardly feels them.

    It tells of flicker alone: depth that is wrong in the same way every time is steady. With true
    poses and flow it judges depth only, with estimated ones all of them together.

    Args:
        depth_previous: (H, W) at t-1; NaN and values <= 0 are invalid.
        depth: (H, W) at t, in the same unit.
        intrinsics: (3, 3) pixels, or (2, 3, 3): those at t-1 and those at t.
        previous_from_current: (4, 4) moves points of the camera at t into the camera at t-1.
        flow_backward: (H, W, 2) pixels (du, dv), t -> t-1.
        static: (H, W): the pixel's point does not move in the world.

    Raises:
        ValueError: shapes do not fit, or no pixel can be compared.
    """
    require_same_shape(depth_previous=depth_previous, depth=depth, static=static)
    if depth.ndim != 2 or intrinsics.shape not in ((3, 3), (2, 3, 3)):
        raise ValueError(
            "depth must be (H, W) and intrinsics (3, 3) or (2, 3, 3), "
            f"got {depth.shape} and {intrinsics.shape}"
        )
    if flow_backward is not None and flow_backward.shape != (*depth.shape, 2):
        raise ValueError(f"flow_backward must be {(*depth.shape, 2)}, got {flow_backward.shape}")
    k_previous, k_current = np.broadcast_to(intrinsics, (2, 3, 3))
    height, width = depth.shape
    current = np.where(depth > 0, depth, np.nan).astype(np.float64)
    v, u = np.mgrid[:height, :width].astype(np.float64)
    rays = np.stack([u, v, np.ones_like(u)], axis=-1) @ np.linalg.inv(k_current).T
    points = rays * current[..., None]  # (H, W, 3)
    moved = points @ previous_from_current[:3, :3].T + previous_from_current[:3, 3]
    expected = moved[..., 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        if flow_backward is None:
            projected = moved @ k_previous.T
            target = projected[..., :2] / projected[..., 2:]
        else:
            target = np.stack([u, v], axis=-1) + flow_backward
        previous = np.where(depth_previous > 0, depth_previous, np.nan)
        read = _between_pixels(previous.astype(np.float64), target)
        change = np.abs(read - expected) / np.where(expected > 0, expected, np.nan)
    known = np.isfinite(expected) if static is None else np.isfinite(expected) & static
    use = known & np.isfinite(change)
    require_some("depth over time", int(use.sum()), int(np.isfinite(read).sum()), int(known.sum()))
    used = change[use]
    return {
        "change": float(used.mean()),
        "change_median": float(np.median(used)),
        "steady": float(np.mean(used < STEADY_SHARE)),
        "pixels": float(len(used)),
    }


def _between_pixels(image: Array, pixels: Array) -> Array:
    """Values (H, W) of an image at (u, v), (H, W, 2); NaN beside invalid pixels and outside."""
    last = np.array(image.shape[::-1]) - 1
    # a pixel reaches half its width beyond its centre
    inside = ((pixels >= -0.5) & (pixels <= last + 0.5)).all(-1)
    column_row = np.where(inside[..., None], np.clip(pixels, 0, last), -9.0)
    rows_columns = column_row[..., ::-1].reshape(-1, 2).T
    values = map_coordinates(image, rows_columns, order=1, cval=np.nan)
    return values.reshape(pixels.shape[:-1])
