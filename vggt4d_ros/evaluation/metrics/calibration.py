# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whether confidences and covariances say how large errors are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

from vggt4d_ros.evaluation.metrics.inputs import Array, require_same_shape, require_some

STEPS = 100


class Sparsification(NamedTuple):
    """How the mean error falls as the least confident pixels are taken away."""

    ause: float  # area between the curve and that of the oracle; 0 is perfect
    aurg: float  # area between the curve and no order at all; <= 0: the confidence says nothing
    curves: Array  # (3, S): share taken away; mean error of the rest, of all = 1; the oracle's


def sparsification(error: NDArray[np.floating], confidence: NDArray[np.floating]) -> Sparsification:
    """Sparsification of errors by confidence (Ilg et al., ECCV 2018, section 5.1).

    Shares from 0 to 99 % of the pixels are taken away, the least confident first; errors are
    divided by that of all pixels. The oracle takes the largest errors first. ``ause`` is the area
    between both curves (trapezoids), ``aurg`` that below the random one, which stays at 1 (Poggi et
    al., CVPR 2020). Pixels of equal confidence are taken away in no order: each stands for their
    mean.

    Args:
        error: any shape, >= 0; NaN is invalid.
        confidence: the same shape, larger is surer; NaN is invalid.

    Raises:
        ValueError: shapes differ, no pixel is valid, an error is negative, all errors are 0.
    """
    require_same_shape(error=error, confidence=confidence)
    has_error, has_confidence = np.isfinite(error), ~np.isnan(confidence)
    use = has_error & has_confidence
    require_some("confidence", int(use.sum()), int(has_confidence.sum()), int(has_error.sum()))
    errors = error[use].astype(np.float64)
    least, most = float(np.min(errors)), float(np.max(errors))
    if least < 0 or most == 0:
        raise ValueError(f"errors must be >= 0 and not all 0, got {least} to {most}")
    _, group, counts = np.unique(confidence[use], return_inverse=True, return_counts=True)
    by_group = np.bincount(group.ravel(), weights=errors) / counts
    surest_first = np.repeat(by_group[::-1], counts[::-1])
    shares = np.arange(STEPS) / STEPS
    kept = np.maximum(np.round((1 - shares) * len(errors)).astype(np.int64), 1)
    found, oracle = (
        np.cumsum(order)[kept - 1] / kept / errors.mean()
        for order in (surest_first, np.sort(errors))
    )
    return Sparsification(
        _area(found - oracle, shares), _area(1.0 - found, shares), np.stack([shares, found, oracle])
    )


def depth_sparsification(
    depth: NDArray[np.floating], truth: NDArray[np.floating], confidence: NDArray[np.floating]
) -> Sparsification | None:
    """``sparsification`` of |depth / truth - 1|, medians aligned; None: nothing, or nothing wrong.

    Args:
        depth: any shape, any unit; NaN, inf and values <= 0 are invalid.
        truth: the same shape; the same values are invalid.
        confidence: the same shape; NaN is invalid.

    Raises:
        ValueError: shapes differ.
    """
    require_same_shape(depth=depth, truth=truth, confidence=confidence)
    use = np.isfinite(depth) & (depth > 0) & np.isfinite(truth) & (truth > 0)
    use &= ~np.isnan(confidence)
    if not use.any():
        return None
    found, true = depth[use].astype(np.float64), truth[use].astype(np.float64)
    error = np.abs(found * (np.median(true) / np.median(found)) - true) / true
    return sparsification(error, confidence[use]) if error.any() else None


def _area(heights: Array, at: Array) -> float:
    return float(np.sum((heights[1:] + heights[:-1]) / 2 * np.diff(at)))


def nees(
    errors: NDArray[np.floating], covariances: NDArray[np.floating], confidence: float = 0.95
) -> dict[str, float]:
    """Normalised estimation error squared (Bar-Shalom et al. 2001, section 5.4).

    e' P^-1 e follows chi-square with D degrees of freedom where the covariances are right.
    ``nees``: its mean, D wanted; ``nees_per_dof``: the same divided by D (> 1: too sure of itself,
    < 1: too careful); ``lower``, ``upper``: where the mean of N independent ones lies with 95 %;
    ``inside``: share of the N within the 95 % ellipsoid; ``count``: N.

    Args:
        errors: (N, D); rows with NaN are left out, with their covariance.
        covariances: (N, D, D), in the same units.
        confidence: of the bounds and the ellipsoid.

    Raises:
        ValueError: shapes do not fit, no row is valid, a covariance is not positive definite.
    """
    if errors.ndim != 2 or covariances.shape != (*errors.shape, errors.shape[1]):
        raise ValueError(
            f"errors must be (N, D) and covariances (N, D, D), got {errors.shape} and "
            f"{covariances.shape}"
        )
    has_error, has_spread = np.isfinite(errors).all(-1), np.isfinite(covariances).all((-2, -1))
    use = has_error & has_spread
    require_some("covariance", int(use.sum()), int(has_spread.sum()), int(has_error.sum()))
    wrong, spread = errors[use].astype(np.float64), covariances[use].astype(np.float64)
    if np.min(np.linalg.eigvalsh(spread)) <= 0:
        raise ValueError("a covariance is not positive definite")
    squares = np.einsum("nd,nd->n", wrong, np.linalg.solve(spread, wrong[..., None])[..., 0])
    count, size = wrong.shape
    tail = (1 - confidence) / 2
    return {
        "nees": float(squares.mean()),
        "nees_per_dof": float(squares.mean() / size),
        "lower": _chi_square(tail, count * size) / count,
        "upper": _chi_square(1 - tail, count * size) / count,
        "inside": float(np.mean(squares <= _chi_square(confidence, size))),
        "count": float(count),
    }


def _chi_square(share: float, degrees: int) -> float:
    """Quantile of the chi-square distribution."""
    # scipy.stats has it too, but takes half a second to load
    return float(2 * gammaincinv(degrees / 2, share))
