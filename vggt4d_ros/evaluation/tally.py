# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Averages that grow frame by frame, so that memory does not grow with the recording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vggt4d_ros.evaluation.metrics.pool import COUNTS, ROOTS
from vggt4d_ros.evaluation.results import Metrics, Numbers


def mean_columns(columns: Sequence[Mapping[str, float]]) -> Numbers:
    """The mean of each number over the dicts that have it, as for a row of windows.csv."""
    found = {}
    for name in dict.fromkeys(name for column in columns for name in column):
        values = [column[name] for column in columns if name in column]
        found[name] = sum(values) / len(values)
    return found


class RunningPool:
    """``metrics.pool.pool`` of dicts that come one after the other.

    Args:
        weight: key each dict counts by, as there; "": all count the same.
    """

    def __init__(self, weight: str = "") -> None:
        self._weight = weight
        self._sums: dict[str, float] = {}
        self._weights: dict[str, float] = {}
        self.count = 0

    def add(self, metrics: Mapping[str, float]) -> None:
        """Takes the numbers of one frame."""
        self.count += 1
        weight = metrics[self._weight] if self._weight else 1.0
        for name, value in metrics.items():
            if name in COUNTS:
                self._sums[name] = self._sums.get(name, 0.0) + value
                continue
            power = 2 if self._weight and name in ROOTS else 1
            self._sums[name] = self._sums.get(name, 0.0) + weight * value**power
            self._weights[name] = self._weights.get(name, 0.0) + weight

    def result(self) -> Numbers:
        """The averages so far, and the sums of what counts something."""
        found = {}
        for name, total in self._sums.items():
            if name in COUNTS:
                found[name] = total
                continue
            power = 2 if self._weight and name in ROOTS else 1
            found[name] = (total / self._weights[name]) ** (1 / power)
        return found


# flow and scene flow are of all pixels together, as their benchmarks have it; depth is of images
WEIGHTS = {"flow": "pixels", "scene_flow": "points"}


class Tally:
    """Running averages by group and variant."""

    def __init__(self) -> None:
        self._pools: dict[str, dict[str, RunningPool]] = {}

    def add(self, group: str, variant: str, metrics: Mapping[str, float]) -> None:
        """Takes the numbers of one frame."""
        variants = self._pools.setdefault(group, {})
        if variant not in variants:
            variants[variant] = RunningPool(WEIGHTS.get(group, ""))
        variants[variant].add(metrics)

    def result(self) -> Metrics:
        """All averages, each with the number of ``frames`` it is of."""
        return {
            group: {
                variant: {**pool.result(), "frames": float(pool.count)}
                for variant, pool in variants.items()
            }
            for group, variants in self._pools.items()
        }
