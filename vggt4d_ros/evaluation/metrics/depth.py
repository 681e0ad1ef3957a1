# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Errors of depth maps."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.evaluation.metrics.inputs import Array, Mask, require_same_shape, require_some

DepthAlignment = Literal["none", "median", "scale_shift", "metric"]

LEAST_DEPTH = 1e-3  # metres: a fitted shift may carry depth below 0, where there is no logarithm


def depth_metrics(
    found: NDArray[np.floating],
    truth: NDArray[np.floating],
    alignment: DepthAlignment,
    mask: Mask | None = None,
) -> dict[str, float]:
    """Errors of a depth map, or of all maps of a sequence that share one alignment.

    With d found, d* true and n pixels, as Eigen et al. (NeurIPS 2014, section 4.2):
    ``abs_rel`` = 1/n sum |d - d*| / d*, ``sq_rel`` = 1/n sum (d - d*)^2 / d*,
    ``rmse`` = sqrt(1/n sum (d - d*)^2), ``rmse_log`` the same of natural logarithms,
    ``delta<k>`` = share of pixels with max(d / d*, d* / d) < 1.25^k, k = 1, 2, 3.
    ``pixels`` is n; ``coverage`` its share of the pixels with truth, for a method that keeps
    silent on the hard ones looks better than it is.

    Alignments: ``median`` scales by median(d*) / median(d) (Zhou et al., CVPR 2017, section 4.1);
    ``scale_shift`` fits a d + b by least squares on depth (Ke et al., CVPR 2024, section 4.2) and
    cuts the result off at 1 mm; ``none`` takes the network's own units and ``metric`` metres after
    the scale of the rig: both change nothing here and differ by what the caller hands over.

    Args:
        found: any shape, along z; NaN, inf and values <= 0 are invalid.
        truth: the same shape, metres; the same values are invalid.
        mask: the same shape; only where it is True.

    Raises:
        ValueError: shapes differ, the alignment is not known, no pixel can be compared.
    """
    if alignment not in get_args(DepthAlignment):
        raise ValueError(f"alignment {alignment!r} is none of {get_args(DepthAlignment)}")
    require_same_shape(found=found, truth=truth, mask=mask)
    is_found = np.isfinite(found) & (found > 0)
    is_known = np.isfinite(truth) & (truth > 0)
    if mask is not None:
        is_known &= mask
    use = is_found & is_known
    known = int(is_known.sum())
    require_some("depth", int(use.sum()), int(is_found.sum()), known)
    true = truth[use].astype(np.float64)
    depth = _align(found[use].astype(np.float64), true, alignment)
    error = depth - true
    log_error = np.log(depth) - np.log(true)
    ratio = np.maximum(depth / true, true / depth)
    return {
        "abs_rel": float(np.mean(np.abs(error) / true)),
        "sq_rel": float(np.mean(error**2 / true)),
        "rmse": float(np.sqrt(np.mean(error**2))),
        "rmse_log": float(np.sqrt(np.mean(log_error**2))),
        "delta1": float(np.mean(ratio < 1.25)),
        "delta2": float(np.mean(ratio < 1.25**2)),
        "delta3": float(np.mean(ratio < 1.25**3)),
        "pixels": float(len(true)),
        "coverage": len(true) / known,
    }


def _align(depth: Array, true: Array, alignment: DepthAlignment) -> Array:
    """Depth (n,) brought to the truth (n,)."""
    if alignment == "median":
        return depth * (np.median(true) / np.median(depth))
    if alignment == "scale_shift":
        design = np.stack([depth, np.ones_like(depth)], axis=-1)
        # flat depth leaves one of the two undetermined: lstsq takes the smallest, either fits
        (scale, shift), *_ = np.linalg.lstsq(design, true, rcond=None)
        return np.maximum(scale * depth + shift, LEAST_DEPTH)
    return depth
