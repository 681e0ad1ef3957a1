# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How well two masks agree."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from vggt4d_ros.evaluation.metrics.inputs import Mask, require_same_shape

BOUNDARY_SHARE = 0.008  # of the image's diagonal: how far a boundary may be off


def mask_metrics(
    found: NDArray[np.bool_], truth: NDArray[np.bool_], known: Mask | None = None
) -> dict[str, float]:
    """Region and boundary agreement of DAVIS (Perazzi et al., CVPR 2016, section 5.1).

    ``j``: intersection over union of the regions, 1 where both are empty. ``f``: F measure
    2 P R / (P + R) of the boundaries, each matched within 0.8 % of the image's diagonal (rounded
    up to whole pixels); 1 where neither has one. ``pixels``: how many are known; ``true_pixels``:
    how many of them the true mask holds, for j = 1 is easily had where there is nothing to find.

    Args:
        found: (H, W) bool.
        truth: (H, W) bool.
        known: (H, W) bool; what is not known is outside of both masks.

    Raises:
        ValueError: not boolean images of one shape, or no pixel is known.
    """
    for name, value in (("found", found), ("truth", truth)):
        if value.ndim != 2 or value.dtype != np.bool_:
            raise ValueError(f"{name} must be (H, W) bool, got {value.shape} {value.dtype}")
    require_same_shape(found=found, truth=truth, known=known)
    pixels = found.size if known is None else int(known.sum())
    if not pixels:
        raise ValueError(f"no pixel to compare: none of {found.size} is known")
    if known is not None:
        found, truth = found & known, truth & known
    union = int((found | truth).sum())
    return {
        "j": int((found & truth).sum()) / union if union else 1.0,
        "f": _boundary_f(found, truth),
        "pixels": float(pixels),
        "true_pixels": float(truth.sum()),
    }


def boundary(mask: Mask) -> Mask:
    """Pixels (H, W) that differ from the one to the right, below, or both ways (as DAVIS)."""
    # beyond the border the image goes on as it ends
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    right, below, across = padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    differs: Mask = (mask != right) | (mask != below) | (mask != across)
    return differs


def _boundary_f(found: Mask, truth: Mask) -> float:
    reach = np.ceil(BOUNDARY_SHARE * np.hypot(*found.shape))
    edges = boundary(found), boundary(truth)
    if not edges[0].any() or not edges[1].any():
        # one that is missing has all its pixels wrong, two that are missing agree
        return float(not edges[0].any() and not edges[1].any())
    precision, recall = (
        float(np.mean(distance_transform_edt(~other)[own] <= reach))
        for own, other in (edges, edges[::-1])
    )
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
