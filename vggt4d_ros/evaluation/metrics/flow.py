# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Errors of optical flow."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.evaluation.metrics.inputs import (
    Mask,
    require_same_shape,
    require_some,
    require_vectors,
)

BAD_PX = 3.0
BAD_SHARE = 0.05


def flow_metrics(
    found: NDArray[np.floating], truth: NDArray[np.floating], valid: Mask | None = None
) -> dict[str, float]:
    """Errors of flow (..., 2) in pixels.

    ``epe``: mean end-point error |f - f*|, px. ``fl_all``: share of outliers of KITTI 2015 (Menze
    and Geiger, CVPR 2015, section 5): error > 3 px and > 5 % of |f*|. ``px1``, ``px3``, ``px5``:
    share of pixels with an error below that. ``pixels``: how many were compared; ``coverage``
    their share of those with truth (KITTI's devkit fills holes in the flow before it compares;
    here they are left out and counted).

    Args:
        found: (..., 2); not finite is invalid.
        truth: the same shape; likewise.
        valid: (...); only where it is True.

    Raises:
        ValueError: shapes do not fit, or no pixel can be compared.
    """
    flow, true = require_vectors("found", found, 2), require_vectors("truth", truth, 2)
    require_same_shape(found=flow, truth=true)
    is_found, is_known = np.isfinite(flow).all(-1), np.isfinite(true).all(-1)
    if valid is not None:
        require_same_shape(found=is_found, valid=valid)
        is_known &= valid
    use = is_found & is_known
    known = int(is_known.sum())
    require_some("flow", int(use.sum()), int(is_found.sum()), known)
    error = np.linalg.norm(flow[use] - true[use], axis=-1)
    length = np.linalg.norm(true[use], axis=-1)
    bad = (error > BAD_PX) & (error > BAD_SHARE * length)
    return {
        "epe": float(error.mean()),
        "fl_all": float(bad.mean()),
        "px1": float(np.mean(error < 1.0)),
        "px3": float(np.mean(error < 3.0)),
        "px5": float(np.mean(error < 5.0)),
        "pixels": float(len(error)),
        "coverage": len(error) / known,
    }
