# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bounds on metrics, as teams write them into their CI.

    NAME<=0.2        at most 0.2 in every further run
    NAME<=+0.01      at most 0.01 above the first run
    NAME<=+2%        at most 2 % above the first run
    NAME>=0.8        at least; NAME>=-0.01 and NAME>=-1% likewise by the first run
    NAME~0.01        not worse than the first run by more than 0.01, whichever way is worse
    NAME~2%          the same, by 2 % of the first run's value

A sign or a percentage makes a number a change. NAME is as in metrics.json, ``metrics.`` left out
or not: ``depth.median.abs_rel``, ``timing.windows_per_s``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from vggt4d_ros.evaluation.directions import direction
from vggt4d_ros.evaluation.options import EvaluationError

_FORM = re.compile(
    r"\s*(?P<name>[\w.\-/]+?)\s*(?P<relation><=|>=|~)\s*"
    r"(?P<sign>[+-]?)(?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)(?P<percent>%?)\s*"
)
_ROUNDING = 1e-9  # metrics.json has nine digits: equal numbers hold any bound on their change


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a bound holds for one run."""

    holds: bool
    limit: float  # what the value was held against
    words: str


@dataclass(frozen=True, slots=True)
class Bound:
    """One bound. ``number`` is in the metric's unit, or a share where ``relative``."""

    text: str
    name: str
    upper: bool  # the value must not be above the limit; else not below
    number: float
    change: bool  # the limit is the first run's value and ``number``
    relative: bool

    def limit(self, reference: float) -> float:
        """The largest or smallest value that holds, given the first run's."""
        if not self.change:
            return self.number
        if self.relative:
            return reference + abs(reference) * self.number
        return reference + self.number

    def judge(self, reference: float, value: float) -> Verdict:
        """Holds a run's value against the bound; a value that is not there does not hold."""
        if not math.isfinite(value):
            return Verdict(False, math.nan, f"{self.text}: no value")
        limit = self.limit(reference)
        slack = _ROUNDING * max(abs(limit), abs(value)) if self.change else 0.0
        holds = value <= limit + slack if self.upper else value >= limit - slack
        relation = "<=" if holds == self.upper else ">"
        if not self.upper:
            relation = ">=" if holds else "<"
        return Verdict(holds, limit, f"{self.text}: {value:.6g} {relation} {limit:.6g}")


def parse_bound(text: str) -> Bound:
    """Reads one bound.

    Raises:
        EvaluationError: it is of none of the forms, or bounds a metric on its better side.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise EvaluationError(
            f"bound {text!r} is not NAME<=VALUE, NAME>=VALUE or NAME~VALUE, e.g. "
            "depth.median.abs_rel<=+2%"
        )
    name, relation = match["name"].removeprefix("metrics."), match["relation"]
    relative = bool(match["percent"])
    number = float(match["number"]) / (100.0 if relative else 1.0)
    better = direction(name)
    if relation == "~":
        if match["sign"] or better is None:
            reason = (
                "takes no sign" if match["sign"] else f"does not know which way {name} is worse"
            )
            raise EvaluationError(f"bound {text!r}: ~ {reason}; use <= or >=")
        upper = better == "lower"
        return Bound(text, name, upper, number if upper else -number, True, relative)
    upper = relation == "<="
    if better == ("higher" if upper else "lower"):
        raise EvaluationError(f"bound {text!r}: {name} is better when {better}")
    if relative and not match["sign"]:
        raise EvaluationError(f"bound {text!r}: a change needs a sign, e.g. +{match['number']}%")
    signed = -number if match["sign"] == "-" else number
    return Bound(text, name, upper, signed, bool(match["sign"]), relative)


def require_known(
    bound: Bound, reference: Mapping[str, float], runs: list[Mapping[str, float]]
) -> None:
    """Refuses a bound of which nobody can say whether it holds.

    Raises:
        EvaluationError: no run has the metric, or the first has no value to compare with.
    """
    if not any(bound.name in run for run in (reference, *runs)):
        near = sorted(n for n in reference if n.rsplit(".", 1)[-1] == bound.name.rsplit(".", 1)[-1])
        hint = f"; there is {', '.join(near)}" if near else ""
        raise EvaluationError(f"bound {bound.text!r}: no run has {bound.name}{hint}")
    if bound.change and not math.isfinite(reference.get(bound.name, math.nan)):
        raise EvaluationError(f"bound {bound.text!r}: the first run has no {bound.name}")
