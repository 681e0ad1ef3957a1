# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Differences of two runs window by window, with a bootstrap interval of their mean."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

from vggt4d_ros.evaluation.results import WINDOW_COLUMNS, Row

LEVEL = 0.95
SEED = 0
RESAMPLES = 4999
ROUNDING = 1e-12  # differences of sums in another order; no measure has a meaning so small
# columns that are no numbers of quality
_NOT_COMPARED = frozenset(WINDOW_COLUMNS) - {"scale_sigma", "residual_m", "residual_rad"}


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """Mean of (second - first) over the windows that both runs have a number for."""

    column: str  # of windows.csv
    pairs: int
    mean: float
    low: float  # interval of the mean; NaN with fewer than two pairs
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval leaves zero out, by more than rounding does."""
        return self.low > ROUNDING or self.high < -ROUNDING


def paired_differences(first: Sequence[Row], second: Sequence[Row]) -> list[PairedDifference]:
    """Compares every numeric column that both runs have, over rows of the same stamp.

    A stamp that comes again (a bag played in a loop) is paired by its turn. Windows are resampled
    one by one: they overlap, so that the true interval is somewhat wider.
    """
    there = dict(_by_stamp(second))
    pairs = [(row, there[key]) for key, row in _by_stamp(first) if key in there]
    columns = sorted({name for row in first for name in row} & {n for row in second for n in row})
    found = []
    for column in columns:
        if column in _NOT_COMPARED:
            continue
        differences = np.array([_number(b, column) - _number(a, column) for a, b in pairs])
        known = differences[np.isfinite(differences)]
        if known.size:
            low, high = mean_interval(known)
            found.append(PairedDifference(column, known.size, float(known.mean()), low, high))
    return found


def mean_interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Bootstrap interval of the mean of (n,), bias-corrected and accelerated.

    Efron, Better Bootstrap Confidence Intervals, JASA 1987, as in ``scipy.stats.bootstrap``; the
    seed is fixed. All equal: that value. Fewer than two: NaN.
    """
    if values.size < 2:
        return math.nan, math.nan
    if np.ptp(values) == 0.0:
        return float(values[0]), float(values[0])
    interval = bootstrap(
        (values,),
        np.mean,
        confidence_level=LEVEL,
        n_resamples=RESAMPLES,
        batch=max(1, 2_000_000 // values.size),
        method="BCa",
        random_state=np.random.default_rng(SEED),
    ).confidence_interval
    return float(interval.low), float(interval.high)


def _by_stamp(rows: Sequence[Row]) -> Iterator[tuple[tuple[int, int], Row]]:
    turns: Counter[int] = Counter()
    for row in rows:
        stamp = int(row["stamp_ns"])
        yield (stamp, turns[stamp]), row
        turns[stamp] += 1


def _number(row: Row, column: str) -> float:
    value = row.get(column, math.nan)
    return math.nan if isinstance(value, str) else float(value)
