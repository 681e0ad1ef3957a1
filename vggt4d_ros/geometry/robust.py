# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Estimates that a share of wrong values cannot carry away."""

from __future__ import annotations

import numpy as np

from vggt4d_ros.datatypes import Array

_SIGMA_PER_MAD = 1.4826  # of a normal distribution


def weighted_median(values: Array, weights: Array) -> float:
    """Gives the value at which half of the weight (N,) is reached; NaN without weight."""
    usable = np.isfinite(values) & (weights > 0)
    values, weights = values[usable], weights[usable]
    if not len(values):
        return float("nan")
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order[np.searchsorted(total, 0.5 * total[-1])]])


def weighted_spread(values: Array, weights: Array, centre: float) -> float:
    """Gives the standard deviation of the values' bulk about ``centre``, by the median."""
    return _SIGMA_PER_MAD * weighted_median(np.abs(values - centre), weights)


def cauchy_weights(distances: Array, scale: float) -> Array:
    """Gives (N,) in (0, 1] for reweighted least squares with the Cauchy loss.

    The constant 2.385 keeps 95 % efficiency under normal noise of deviation ``scale`` (Holland
    and Welsch, 1977).
    """
    return np.asarray(1.0 / (1.0 + (distances / (2.385 * scale)) ** 2), dtype=np.float64)


def rms(values: Array) -> float:
    """Gives the root mean square; NaN of nothing."""
    return float(np.sqrt(np.mean(values**2))) if values.size else float("nan")
