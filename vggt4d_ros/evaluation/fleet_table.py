# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Many runs in one table: CSV, JSON and text."""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vggt4d_ros.evaluation.compare import flat_numbers
from vggt4d_ros.evaluation.fleet_jobs import Outcome
from vggt4d_ros.evaluation.options import EvaluationError
from vggt4d_ros.evaluation.run_folder import read_run

FORMAT = 1
# printed, as far as a bag has them; fleet.csv has all
_SHOWN = (
    "windows.done",
    "depth.median.abs_rel",
    "depth.metric.abs_rel",
    "flow.all.epe",
    "trajectory.none.ate_rmse",
    "trajectory.sim3.ate_rmse",
    "temporal.all.change",
)
_KEPT = ("windows.done", "windows.formed")  # besides metrics: all that does not depend on the clock


def merge(outcomes: Sequence[Outcome], out: Path) -> list[dict[str, Any]]:
    """Writes fleet.csv and fleet.json from all runs; gives their rows.

    Raises:
        EvaluationError: the files cannot be written.
    """
    rows = [_row(outcome, out / outcome.name) for outcome in outcomes]
    try:
        out.mkdir(parents=True, exist_ok=True)
        _write_csv(out / "fleet.csv", rows)
        text = json.dumps(_document(rows), indent=1, sort_keys=True, allow_nan=False)
        (out / "fleet.json").write_text(text + "\n")
    except OSError as error:
        raise EvaluationError(f"{out}: cannot be written: {error.strerror or error}") from error
    return rows


def _row(outcome: Outcome, folder: Path) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": outcome.name,
        "bag": outcome.bag,
        "status": outcome.status,
        "reason": outcome.reason,
        "numbers": {},
    }
    if outcome.status != "failed":
        try:
            numbers = flat_numbers(read_run(folder))
        except EvaluationError as error:
            return {**row, "status": "failed", "reason": str(error)}
        outside = ("baselines.", "windows.", "timing.")
        row["numbers"] = {
            name: value
            for name, value in sorted(numbers.items())
            if math.isfinite(value) and (name in _KEPT or not name.startswith(outside))
        }
    return row


def counts(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many bags there are and how many ended which way."""
    found = Counter(row["status"] for row in rows)
    return {"bags": len(rows), **{key: found[key] for key in ("done", "skipped", "failed")}}


def _document(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    names = sorted({name for row in rows for name in row["numbers"]})
    means = {}
    for name in names:
        values = [row["numbers"][name] for row in rows if name in row["numbers"]]
        means[name] = {"mean": math.fsum(values) / len(values), "bags": len(values)}
    return {"format": FORMAT, "counts": counts(rows), "mean": means, "bags": list(rows)}


def _write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    names = sorted({name for row in rows for name in row["numbers"]})
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["name", "status", "reason", *names])
        for row in rows:
            numbers = (f"{row['numbers'][n]:.9g}" if n in row["numbers"] else "" for n in names)
            writer.writerow([row["name"], row["status"], row["reason"], *numbers])


def table(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The rows in words, a line for each bag; failures with their reason."""
    shown = [name for name in _SHOWN if any(name in row["numbers"] for row in rows)]
    width = max(len("bag"), *(len(row["name"]) for row in rows))
    yield "  ".join([f"{'bag':<{width}}", *shown])
    for row in rows:
        if row["status"] == "failed":
            yield f"{row['name']:<{width}}  FAILED: {row['reason']}"
            continue
        cells = (_cell(row["numbers"].get(name), len(name)) for name in shown)
        yield "  ".join([f"{row['name']:<{width}}", *cells])
    found = counts(rows)
    yield (
        f"{found['bags']} bags: {found['done']} done, {found['skipped']} done before, "
        f"{found['failed']} failed"
    )


def _cell(value: float | None, width: int) -> str:
    return f"{'-' if value is None else format(value, '.4g'):>{width}}"
