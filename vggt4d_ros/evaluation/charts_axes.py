# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From values to pixels: axes with round numbers, and no more points than can be told apart."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

MOST_POINTS = 400  # of a line


@dataclass(frozen=True, slots=True)
class Axis:
    """Maps values to pixels."""

    low: float
    high: float
    start: float  # pixel of low
    end: float  # pixel of high

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, *, whole: bool = False) -> list[float]:
        """Round values from low to high; only whole numbers if asked."""
        found = ticks(self.low, self.high)
        return [value for value in found if value == int(value)] if whole else found


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten within [low, high]."""
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def span(values: Iterable[Values], *, zero: bool = False) -> tuple[float, float]:
    """Least and largest finite value with a little room; never empty."""
    kept = [v[np.isfinite(v)] for v in values]
    known = np.concatenate([*kept, np.zeros(1 if zero else 0)])
    if not known.size:
        return 0.0, 1.0
    low, high = float(known.min()), float(known.max())
    if high - low < 1e-9 * max(1.0, abs(high)):
        room = 0.5 * abs(high) or 0.5
        return (0.0 if zero and low >= 0 else low - room), high + room
    room = 0.05 * (high - low)
    return (low if zero and low == 0 else low - room), high + room


def thin(x: Values, y: Values, most: int = MOST_POINTS) -> tuple[Values, Values]:
    """At most about ``most`` points that keep each stretch's extremes."""
    if len(x) <= most:
        return x, y
    kept: list[int] = []
    for part in np.array_split(np.arange(len(x)), most // 2):
        known = part[np.isfinite(y[part])]
        if len(known):
            kept += sorted({int(known[np.argmin(y[known])]), int(known[np.argmax(y[known])])})
    return x[kept], y[kept]


def along(x: Values, y: Values, most: int = 2000) -> tuple[Values, Values]:
    """About every so manieth point of a way, and the last."""
    step = -(-len(x) // most) or 1
    kept = sorted({*range(0, len(x), step), *([len(x) - 1] if len(x) else [])})
    return x[kept], y[kept]
