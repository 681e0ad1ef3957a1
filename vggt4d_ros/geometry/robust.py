# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Estimates that a share of wrong values cannot carry away."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.datatypes import Array

_SIGMA_PER_MAD = 1.4826  # of a normal distribution


def median(values: Array) -> float:
    """Gives the median of finite values (N,); NaN of nothing.

    As numpy's, without what that does for other shapes: a third of the time for a frame's samples.
    """
    middle, odd = divmod(len(values), 2)
    if not len(values):
        return float("nan")
    if odd:
        return float(_parted(values, middle)[middle])
    there = _parted(values, (middle - 1, middle))
    return 0.5 * float(there[middle - 1] + there[middle])


def _parted(values: NDArray[np.floating], places: int | tuple[int, int]) -> NDArray[np.floating]:
    """``np.partition`` along the last axis, without what that does for other classes."""
    there: NDArray[np.floating] = values.copy()
    there.partition(places)
    return there


def medians(rows: Array) -> Array:
    """Gives the median (R,) of each row of finite values (R, N), N > 0."""
    middle, odd = divmod(rows.shape[1], 2)
    if odd:
        return np.asarray(_parted(rows, middle)[:, middle], dtype=np.float64)
    there = _parted(rows, (middle - 1, middle))
    return np.asarray(0.5 * (there[:, middle - 1] + there[:, middle]))


def quantile(values: NDArray[np.floating], share: float) -> float:
    """Gives the value below which a share in [0, 1] of finite values (N,), N > 0, lies.

    Linear between neighbours, as numpy's.
    """
    place = share * (len(values) - 1)
    index = int(place)
    there = _parted(values, index)
    low = float(there[index])
    if place == index:
        return low
    return low + (place - index) * (float(np.min(there[index + 1 :])) - low)


def weighted_median(values: Array, weights: Array) -> float:
    """Gives the value at which half of the weight (N,) is reached; NaN without weight."""
    usable = np.isfinite(values) & (weights > 0)
    if not usable.all():
        values, weights = values[usable], weights[usable]
    if not len(values):
        return float("nan")
    order = values.argsort()
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
    weights = distances * (1.0 / (2.385 * scale))
    weights *= weights
    weights += 1.0
    return np.asarray(np.reciprocal(weights, out=weights), dtype=np.float64)


def rms(values: Array) -> float:
    """Gives the root mean square; NaN of nothing."""
    flat = values.ravel()
    return math.sqrt(float(flat @ flat) / flat.size) if flat.size else math.nan
