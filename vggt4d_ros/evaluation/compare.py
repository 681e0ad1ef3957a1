# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``vggt4d eval compare``: runs side by side, their differences, and bounds that fail a CI job."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vggt4d_ros.evaluation.bounds import Bound, Verdict, parse_bound, require_known
from vggt4d_ros.evaluation.directions import direction
from vggt4d_ros.evaluation.options import EvaluationError
from vggt4d_ros.evaluation.paired import LEVEL, ROUNDING, PairedDifference, paired_differences
from vggt4d_ros.evaluation.results import RunResult
from vggt4d_ros.evaluation.run_folder import read_run

HOLDS, WORSE, BAD_INPUT = 0, 1, 2  # exit status

_GROUPS = ("baselines", "windows", "timing")  # of metrics.json, besides metrics
_SETTINGS_SHOWN = 12
_IDENTITY = ("kind", "name", "policy", "checkpoint", "sha256", "precision")


@dataclass(frozen=True, slots=True)
class Run:
    """One run folder."""

    name: str
    result: RunResult
    numbers: dict[str, float]  # dotted name -> value


@dataclass(frozen=True, slots=True)
class Comparison:
    """A run against the first one."""

    run: Run
    settings: list[str]  # what is set otherwise, one line each
    paired: list[PairedDifference]
    verdicts: list[Verdict]


def run(
    folders: Sequence[Path | str], bounds: Sequence[str] = (), json_path: Path | None = None
) -> int:
    """Compares every further run with the first; prints a table and writes ``json_path``.

    Gives 0; 1 where a bound does not hold; 2 where a folder or a bound cannot be read, with one
    line on stderr.
    """
    try:
        wanted = [parse_bound(text) for text in bounds]
        if len(folders) < 2:
            raise EvaluationError("name two run folders or more")
        reference, *others = _read(folders)
        for bound in wanted:
            require_known(bound, reference.numbers, [other.numbers for other in others])
        compared = [_compare(reference, other, wanted) for other in others]
        for line in _report(reference, compared):
            print(line)
        if json_path is not None:
            _write_json(json_path, reference, compared, wanted)
    except EvaluationError as error:
        print(f"vggt4d eval compare: {error}", file=sys.stderr)
        return BAD_INPUT
    return HOLDS if all(v.holds for c in compared for v in c.verdicts) else WORSE


def _read(folders: Sequence[Path | str]) -> list[Run]:
    results = [read_run(folder) for folder in folders]
    return [
        Run(str(folder), result, flat_numbers(result))
        for folder, result in zip(folders, results, strict=True)
    ]


def flat_numbers(result: RunResult) -> dict[str, float]:
    """All numbers of a run by their dotted names; those of ``metrics`` without that word."""
    numbers = dict(_flat("", result.metrics))
    for group in _GROUPS:
        numbers.update(_flat(group, getattr(result, group)))
    return numbers


def _flat(prefix: str, tree: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for key, value in tree.items():
        name = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(value, Mapping):
            yield from _flat(name, value)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield name, float(value)


def _compare(reference: Run, other: Run, bounds: Sequence[Bound]) -> Comparison:
    def number(run: Run, name: str) -> float:
        return run.numbers.get(name, math.nan)

    return Comparison(
        other,
        list(_settings(reference.result, other.result)),
        paired_differences(reference.result.rows, other.result.rows),
        [b.judge(number(reference, b.name), number(other, b.name)) for b in bounds],
    )


def _settings(first: RunResult, second: RunResult) -> Iterator[str]:
    """What differs besides the numbers: a comparison of two things at once tells little."""
    for title, a, b in (
        ("source", first.source, second.source),
        ("model", first.model, second.model),
        ("config", first.config, second.config),
    ):
        if title == "config" and not (a and b):  # recorded outputs do not tell
            continue
        for key in sorted(set(a) | set(b)):
            said = a.get(key, ""), b.get(key, "")
            if said[0] != said[1] and (title == "config" or key in _IDENTITY):
                yield f"{title}.{key}: {said[0]!r} -> {said[1]!r}"


# ---------------------------------------------------------------------- text


def _report(reference: Run, compared: Sequence[Comparison]) -> Iterator[str]:
    for other in compared:
        yield f"A  {reference.name}"
        yield f"B  {other.run.name}"
        yield from (f"   {line}" for line in other.settings[:_SETTINGS_SHOWN])
        if len(other.settings) > _SETTINGS_SHOWN:
            yield f"   and {len(other.settings) - _SETTINGS_SHOWN} more differences of settings"
        yield from _metrics_table(reference, other.run)
        yield from _paired_table(reference, other)
        for verdict in other.verdicts:
            yield f"{'ok   ' if verdict.holds else 'WORSE'}  {verdict.words}"
        yield ""


def _metrics_table(reference: Run, other: Run) -> Iterator[str]:
    scored = [n for n in _names(reference, other) if n.split(".")[0] not in _GROUPS]
    names = [name for name in scored if direction(name)]
    if not names:
        yield "   no metrics: neither run had a truth to be scored against"
        return
    width = max(map(len, names))
    yield f"{'metric':<{width}}  {'A':>11}  {'B':>11}  {'B - A':>11}  {'':>8}"
    for name in names:
        change = _change(name, reference.numbers, other.numbers)
        share = "" if change["relative"] is None else f"{100 * change['relative']:+.2f} %"
        cells = (_cell(change["reference"]), _cell(change["value"]), _cell(change["difference"]))
        verdict = {True: "better", False: "worse", None: ""}[change["better"]]
        columns = "  ".join(f"{cell:>11}" for cell in cells)
        yield f"{name:<{width}}  {columns}  {share:>10}  {verdict}".rstrip()
    yield f"and {len(scored) - len(names)} that are neither better nor worse, in --json alone"


def _paired_table(reference: Run, other: Comparison) -> Iterator[str]:
    windows = len(reference.result.rows), len(other.run.result.rows)
    if not other.paired:
        yield f"no window of the same stamp has numbers in both ({windows[0]} and {windows[1]})"
        return
    yield (
        f"by window, those of the same stamp ({windows[0]} and {windows[1]} windows); mean of "
        f"B - A with its {100 * LEVEL:.0f} % bootstrap interval:"
    )
    width = max(len(item.column) for item in other.paired)
    for item in other.paired:
        interval = f"[{item.low:+.4g}, {item.high:+.4g}]" if item.pairs > 1 else "[too few]"
        sure = "  differs" if item.excludes_zero else ""
        yield f"  {item.column:<{width}}  {item.mean:+.4g}  {interval}  {item.pairs} paired{sure}"


def _names(reference: Run, other: Run) -> list[str]:
    return sorted(set(reference.numbers) | set(other.numbers))


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.5g}"


def _change(name: str, first: Mapping[str, float], second: Mapping[str, float]) -> dict[str, Any]:
    """Values and differences of one number; None: not known. ``better`` is None where equal."""
    a, b = first.get(name, math.nan), second.get(name, math.nan)
    difference = b - a
    known = math.isfinite(difference)
    way = direction(name)
    better = None
    if known and way is not None and abs(difference) > ROUNDING:
        better = (difference < 0.0) == (way == "lower")
    return {
        "reference": a if math.isfinite(a) else None,
        "value": b if math.isfinite(b) else None,
        "difference": difference if known else None,
        "relative": difference / abs(a) if known and a else None,
        "better": better,
    }


# ---------------------------------------------------------------------- JSON


def _write_json(
    path: Path, reference: Run, compared: Sequence[Comparison], bounds: Sequence[Bound]
) -> None:
    document = {
        "format": 1,
        "reference": reference.name,
        "level": LEVEL,
        "runs": [_as_json(reference, other, bounds) for other in compared],
        "holds": all(v.holds for c in compared for v in c.verdicts),
    }
    try:
        path.write_text(json.dumps(document, indent=1, sort_keys=True, allow_nan=False) + "\n")
    except OSError as error:
        raise EvaluationError(f"{path}: cannot be written: {error.strerror or error}") from error


def _as_json(reference: Run, other: Comparison, bounds: Sequence[Bound]) -> dict[str, Any]:
    return {
        "run": other.run.name,
        "settings": other.settings,
        "numbers": {
            name: _change(name, reference.numbers, other.run.numbers)
            for name in _names(reference, other.run)
        },
        "paired": [
            {key: _finite(value) for key, value in asdict(item).items()} for item in other.paired
        ],
        "bounds": [
            {"bound": b.text, "name": b.name, "holds": v.holds, "limit": _finite(v.limit)}
            for b, v in zip(bounds, other.verdicts, strict=True)
        ],
    }


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
