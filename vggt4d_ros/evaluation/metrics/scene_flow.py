# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Errors of scene flow."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.evaluation.metrics.inputs import (
    Array,
    Mask,
    require_same_shape,
    require_some,
    require_vectors,
)

BUCKET_MPS = 0.4  # width of a bucket of speed; the first is what the challenge calls static
BUCKETS = 50  # up to 20 m/s; what is faster shares one more


def scene_flow_metrics(
    found: NDArray[np.floating],
    truth: NDArray[np.floating],
    moving: Mask | None = None,
    interval_s: float = 0.1,
) -> dict[str, float]:
    """Errors of displacements between two instants, metres.

    With e = |f - f*|, as Liu et al. (FlowNet3D, CVPR 2019) and Gu et al. (HPLFlowNet, CVPR 2019,
    section 4; relative errors are e / (|f*| + 1e-4), as their code has it):
    ``epe3d`` = mean e; ``acc_s`` = share with e < 0.05 m or relative error < 5 %; ``acc_r`` = share
    with e < 0.1 m or < 10 %; ``outliers`` = share with e > 0.3 m or > 10 %.
    ``epe3d_moving``, ``epe3d_static``: means over the points that move and that do not.

    Bucketed normalised EPE (Khatri et al., ECCV 2024; Argoverse 2 scene flow challenge of 2024),
    without its classes: points fall into buckets of true speed, 0.4 m/s wide up to 20 m/s;
    ``bucketed`` = mean over the moving buckets that hold points of (mean e / mean |f*|), so 1 is
    what no motion at all scores; ``bucketed_static`` = mean e of the first bucket, metres.
    Of each pair the key is absent where there is no such point. ``points``: how many.

    Args:
        found: (..., 3), in a frame that is fixed in the world; not finite is invalid.
        truth: the same shape and frame.
        moving: (...) which points move; None: those beyond the first bucket.
        interval_s: time between the instants, which makes speeds of the displacements.

    Raises:
        ValueError: shapes do not fit, the interval is not positive, no point can be compared.
    """
    if not interval_s > 0:
        raise ValueError(f"the interval must be positive, got {interval_s} s")
    flow, true = require_vectors("found", found, 3), require_vectors("truth", truth, 3)
    require_same_shape(found=flow, truth=true)
    is_found, is_known = np.isfinite(flow).all(-1), np.isfinite(true).all(-1)
    use = is_found & is_known
    require_some("scene flow", int(use.sum()), int(is_found.sum()), int(is_known.sum()))
    error = np.linalg.norm(flow[use] - true[use], axis=-1)
    length = np.linalg.norm(true[use], axis=-1)
    relative = error / (length + 1e-4)
    edges = interval_s * BUCKET_MPS * np.arange(1, BUCKETS + 1)
    bucket = np.searchsorted(edges, length, side="right")
    if moving is None:
        moves = bucket > 0
    else:
        require_same_shape(found=is_found, moving=moving)
        moves = np.asarray(moving, dtype=bool)[use]
    result = {
        "epe3d": float(error.mean()),
        "acc_s": float(np.mean((error < 0.05) | (relative < 0.05))),
        "acc_r": float(np.mean((error < 0.1) | (relative < 0.1))),
        "outliers": float(np.mean((error > 0.3) | (relative > 0.1))),
        "points": float(len(error)),
    }
    for name, part in (("epe3d_moving", moves), ("epe3d_static", ~moves)):
        if part.any():
            result[name] = float(error[part].mean())
    return result | _bucketed(error, length, bucket)


def _bucketed(error: Array, length: Array, bucket: NDArray[np.intp]) -> dict[str, float]:
    counts = np.bincount(bucket, minlength=BUCKETS + 1)
    errors = np.bincount(bucket, weights=error, minlength=BUCKETS + 1)
    lengths = np.bincount(bucket, weights=length, minlength=BUCKETS + 1)
    result = {}
    filled = counts > 0
    if filled[0]:
        result["bucketed_static"] = float(errors[0] / counts[0])
    filled[0] = False
    if filled.any():
        result["bucketed"] = float(np.mean(errors[filled] / lengths[filled]))
    return result
