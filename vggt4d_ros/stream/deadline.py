# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Keeps a target latency or rate: picks grid, resolution and stride from what windows cost.

The choices form a ladder from the configured window down: fewer time steps first, then a smaller
network image, then a single step. The most expensive rung that meets the target is taken. Costs
are measured as windows pass; a rung that was never tried is expected to cost its share of the
arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from vggt4d_ros.datatypes import Window

SMOOTHING = 0.25  # weight of a new measurement
SETTLING = 3  # windows after a change that tell what the rung costs, not how busy the machine is
COLD = 1  # of these, so many are not counted: after a change nothing is known of the last window
HEADROOM = 0.8  # a better rung must fit into this share of the target before it is tried
PATIENCE = 8  # windows that it must fit for; doubled each time it turns out too expensive
MAX_PATIENCE = 512
OVERRUNS = 2  # windows in a row that miss the target before a cheaper rung is taken
PAUSE = 4.0  # so many times the usual time between windows is no slower camera, if it is but once
PER_WINDOW = 1.0  # cost that does not grow with the window (encoder, heads), in time steps
OUT_OF_REACH = "the target is out of reach"  # how a plan that misses it ends


@dataclass(frozen=True, slots=True)
class Rung:
    """One way to run windows."""

    steps: int  # time steps T, the newest of the window
    image_size: int  # longer side of the network's image, pixels; 0: the engine has only one

    @property
    def share(self) -> float:
        """Expected cost, in arbitrary units."""
        return (self.steps + PER_WINDOW) * max(self.image_size, 1) ** 2


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done now."""

    rung: Rung
    stride: int  # every so many windows one is taken
    meets_target: bool


def ladder(length: int, sizes: Sequence[int]) -> tuple[Rung, ...]:
    """All rungs, best first: steps down to 2 at full size, then smaller images, then one step.

    Args:
        length: time steps of a whole window.
        sizes: image sizes, largest first; at least one.
    """
    if length < 1 or not sizes:
        raise ValueError(f"length must be at least 1 and sizes not empty, got {length}, {sizes}")
    fewest = min(2, length)
    rungs = [Rung(steps, sizes[0]) for steps in range(length, fewest - 1, -1)]
    rungs += [Rung(fewest, size) for size in sizes[1:]]
    if fewest > 1:
        rungs.append(Rung(1, sizes[-1]))
    return tuple(rungs)


class DeadlineControl:
    """Chooses for each window whether and how it is run. Not thread-safe.

    Args:
        length: time steps of a whole window.
        sizes: image sizes that the engine can run, largest first.
    """

    def __init__(self, length: int, sizes: Sequence[int]) -> None:
        self.rungs = ladder(length, sizes)
        self._latency_s = self._rate_hz = 0.0
        self._forget()

    def _forget(self) -> None:
        self._level = 0
        self._costs: list[float] | None = None  # seconds by rung, once one was measured
        self._measured: set[int] = set()
        self._since_change = 0
        self._over = 0  # windows in a row that missed the target
        self._fits_for = 0  # windows in a row that a better rung would have met it
        self._patience = PATIENCE
        self._tried_at: int | None = None  # rung from which a better one was last tried
        self._waited_s = 0.0  # of a window for what no rung makes come sooner
        self._period_s = 0.0  # between windows as they come
        self._paused = False  # before the newest window
        self._last: tuple[int, float] | None = None  # index and arrival of the window before
        self._taken: int | None = None  # index of the newest window taken

    def aim(self, latency_s: float, rate_hz: float) -> None:
        """Sets the targets; 0: none. Without any, every window runs whole."""
        if min(latency_s, rate_hz) < 0:
            raise ValueError(f"targets must not be negative, got {latency_s} s, {rate_hz} Hz")
        if (latency_s, rate_hz) != (self._latency_s, self._rate_hz):
            self._latency_s, self._rate_hz = latency_s, rate_hz
            self._level = min(self._level, len(self.rungs) - 1) if self.active else 0
            self._over = self._fits_for = self._since_change = 0
            self._patience, self._tried_at = PATIENCE, None

    @property
    def active(self) -> bool:
        """Whether there is a target."""
        return bool(self._latency_s or self._rate_hz)

    @property
    def plan(self) -> Plan:
        """What is done with the next window."""
        return self._plan(self._level)

    def admits(self, index: int, arrival_s: float) -> bool:
        """Whether a window is to be run.

        Args:
            index: of the window; counts all that are formed.
            arrival_s: when its newest frame came, any clock that never jumps back.
        """
        if self._last is not None and index > self._last[0]:
            period = (arrival_s - self._last[1]) / (index - self._last[0])
            known = self._period_s
            # one pause of the stream says nothing of how fast it goes on
            self._paused = 0 < known < period / PAUSE and not self._paused
            if not self._paused:
                self._period_s = period if not known else known + SMOOTHING * (period - known)
        self._last = index, arrival_s
        since = self.plan.stride if self._taken is None else index - self._taken
        if self.active and 0 < since < self.plan.stride:
            return False
        self._taken = index
        return True

    def cut(self, window: Window) -> Window:
        """The newest steps of a window, as many as are to be run."""
        steps = self.plan.rung.steps
        return window if window.shape[0] <= steps else replace(window, sets=window.sets[-steps:])

    def observe(self, cost_s: float, waited_s: float = 0.0) -> None:
        """Learns what the window took, and picks the next rung.

        Args:
            cost_s: of work, from start to published.
            waited_s: for others in between. It keeps the thread, so it counts for the stride; that
                a cheaper rung would not have waited as long is not to be expected, so it counts
                for nothing else.
        """
        if not self.active:
            return
        self._waited_s += SMOOTHING * (waited_s - self._waited_s)
        self._since_change += 1
        if self._since_change <= COLD:
            return
        self._learn(cost_s)
        if self._plan(self._level).meets_target:
            self._over = 0
            self._climb()
        else:
            self._fits_for = 0
            self._over += 1
            if self._over >= OVERRUNS and self._level + 1 < len(self.rungs):
                self._descend()

    def describe(self) -> str:
        """What is done now, in words; empty where that is all that was configured."""
        if not self.active:
            return ""
        plan = self.plan
        if plan.meets_target and self._level == 0 and plan.stride == 1:
            return ""
        targets = []
        if self._latency_s:
            targets.append(f"{self._latency_s:g} s")
        if self._rate_hz:
            targets.append(f"{self._rate_hz:g} Hz")
        size = f" of {plan.rung.image_size} px" if plan.rung.image_size else ""
        every = "every window" if plan.stride == 1 else f"one window in {plan.stride}"
        cost = "" if self._costs is None else f", {self._costs[self._level]:.3f} s each"
        missed = "" if plan.meets_target else f"; {OUT_OF_REACH}"
        return (
            f"deadline {' and '.join(targets)}: {plan.rung.steps} time steps{size}, {every}{cost}"
            f"{missed}"
        )

    def _plan(self, level: int, room: float = 1.0) -> Plan:
        """What a rung would do for the target, of which only the share ``room`` may be used."""
        rung = self.rungs[level]
        if not self.active:
            return Plan(rung, 1, True)
        cost = self._costs[level] if self._costs is not None else 0.0
        period = self._period_s
        # a window that starts late is as bad as one that takes long: take only those that find
        # the network free
        stride = self._windows_in(cost + self._waited_s) if self._latency_s else 1
        meets = not self._latency_s or cost <= room * self._latency_s
        if self._rate_hz:
            wanted = 1 / self._rate_hz
            if period:
                slack = max(1, math.floor(wanted / period + 0.1))
                wanted = max(wanted, slack * period)
                meets = meets and (not self._latency_s or self._windows_in(cost) <= slack)
                stride = max(stride, slack)
            meets = meets and cost <= room * wanted
        return Plan(rung, stride, meets)

    def _windows_in(self, seconds: float) -> int:
        """How many windows come in that time, at least one."""
        return max(1, math.ceil(seconds / self._period_s - 0.05)) if self._period_s else 1

    def _learn(self, cost_s: float) -> None:
        level = self._level
        if self._costs is None:
            share = self.rungs[level].share
            self._costs = [cost_s * rung.share / share for rung in self.rungs]
            self._measured.add(level)
            return
        before = self._costs[level]
        fresh = self._since_change <= COLD + SETTLING
        weight = 0.5 if fresh else SMOOTHING
        after = before + weight * (cost_s - before)
        if fresh and level not in self._measured and self._since_change == COLD + 1:
            after = cost_s
        self._measured.add(level)
        self._costs[level] = after
        if not fresh:  # the machine has become busier or idler, for all rungs alike
            for other in range(len(self._costs)):
                if other != level:
                    self._costs[other] *= after / before
        # a rung that does less never costs more
        for better in range(level - 1, -1, -1):
            self._costs[better] = max(self._costs[better], self._costs[better + 1])
        for worse in range(level + 1, len(self._costs)):
            self._costs[worse] = min(self._costs[worse], self._costs[worse - 1])

    def _climb(self) -> None:
        if self._level == 0:
            return
        fits = self._plan(self._level - 1, HEADROOM).meets_target
        self._fits_for = self._fits_for + 1 if fits else 0
        if self._fits_for >= self._patience:
            self._tried_at = self._level
            self._move(self._level - 1)

    def _descend(self) -> None:
        best = next(
            (n for n in range(self._level + 1, len(self.rungs)) if self._plan(n).meets_target),
            len(self.rungs) - 1,
        )
        if self._tried_at is not None and best >= self._tried_at:
            self._patience = min(2 * self._patience, MAX_PATIENCE)  # it was tried in vain
        self._move(best)

    def _move(self, level: int) -> None:
        self._level = level
        self._since_change = self._over = self._fits_for = 0
