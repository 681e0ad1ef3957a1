# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Checks that all measures share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


def require_vectors(name: str, value: NDArray[np.generic], size: int) -> Array:
    """Gives (..., ``size``) as float64.

    Raises:
        ValueError: its last axis is another.
    """
    vectors = np.asarray(value, dtype=np.float64)
    if vectors.ndim < 2 or vectors.shape[-1] != size:
        raise ValueError(f"{name} must be (..., {size}), got {vectors.shape}")
    return vectors


def require_same_shape(**arrays: NDArray[np.generic] | None) -> None:
    """Raises ValueError where the shapes of those that are given differ."""
    shapes = {name: np.shape(value) for name, value in arrays.items() if value is not None}
    if len(set(shapes.values())) > 1:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"shapes differ: {listed}")


def require_some(what: str, compared: int, found: int, truth: int) -> None:
    """Raises ValueError where nothing is left to compare, with what there was."""
    if compared == 0:
        raise ValueError(
            f"no {what} to compare: {found} are found, {truth} are known, none is both"
        )
