# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``--suite samples``: every small real recording in a folder, one table."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from vggt4d_ros.data.readers.recording import DatasetError
from vggt4d_ros.evaluation.bag import BAG_SUFFIXES, BagError, open_bag
from vggt4d_ros.evaluation.complete_run import finish_run
from vggt4d_ros.evaluation.datasets import open_recordings
from vggt4d_ros.evaluation.metrics.pool import pool
from vggt4d_ros.evaluation.offline import evaluate_bag, evaluate_dataset
from vggt4d_ros.evaluation.options import EvalOptions, EvaluationError
from vggt4d_ros.evaluation.results import RunResult
from vggt4d_ros.evaluation.run_folder import metrics_document
from vggt4d_ros.model.engine import Engine, load_engine

_LOG = logging.getLogger(__name__)

# group, variant, number, and the baselines it stands beside
_COLUMNS = (
    ("depth", "median", "abs_rel", ("constant_depth", "sgbm")),
    ("depth", "median", "delta1", ("constant_depth", "sgbm")),
    ("depth", "metric", "abs_rel", ("sgbm",)),
    ("flow", "all", "epe", ("zero_flow", "dis")),
    ("points", "all", "f_score", ()),
    ("poses", "views", "rotation_deg_median", ()),
    ("poses", "time", "rotation_deg_median", ()),
    ("trajectory", "sim3", "ate_rmse", ()),
    ("trajectory", "none", "ate_rmse", ("static_camera",)),
    ("temporal", "all", "change", ()),
    ("calibration", "depth", "ause", ()),
)


def run(
    json_path: Path | None, folder: Path, options: EvalOptions, out: str | None = None
) -> dict[str, Any]:
    """Evaluates the recordings, prints a table and writes it; gives what was written.

    Args:
        json_path: to write to; None: nowhere.
        folder: with the recordings, one folder each; bags among them count too.
        options: of every run.
        out: folder for a run folder of each; None: none are written.

    Raises:
        EvaluationError: there is no recording, or the network does not load.
    """
    engine = load_engine(options.config.model)
    found: dict[str, Any] = {}
    failed: dict[str, str] = {}
    for name, result in _results(folder, options, engine, failed):
        document = metrics_document(result)
        keys = ("metrics", "baselines", "truth", "windows", "faults")
        found[name] = {key: document[key] for key in keys}
        model = document["model"]
        if out is not None:
            finish_run(result, Path(out) / name)
    engine.close()
    if not found:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in failed.items())
        raise EvaluationError(f"{folder}: no recording could be evaluated: {reasons}")
    report = {"model": model, "recordings": found, "failed": failed, "mean": _mean(found)}
    print("\n".join(table(report)))
    if json_path is not None:
        json_path.write_text(json.dumps(report, indent=1, sort_keys=True) + "\n")
    return report


def _results(
    folder: Path, options: EvalOptions, engine: Engine, failed: dict[str, str]
) -> Iterator[tuple[str, RunResult]]:
    for recording in open_recordings("samples", folder):
        try:
            result = evaluate_dataset(recording, options, engine)
            if recording.loose_poses:
                _leave_out_poses(result)
            yield recording.name, result
        except (DatasetError, EvaluationError) as error:
            failed[recording.name] = str(error)
    files = (path for path in folder.rglob("*") if path.suffix in BAG_SUFFIXES)
    bags = {p.parent if (p.parent / "metadata.yaml").is_file() else p for p in files}
    for path in sorted(bags):
        name = str(path.relative_to(folder))
        try:
            yield name.replace("/", "-"), evaluate_bag(path, _fitting(options, path), engine)
        except (BagError, EvaluationError) as error:
            failed[name] = str(error).replace(str(path), path.name)


def _leave_out_poses(result: RunResult) -> None:
    for group in ("trajectory", "poses"):
        result.metrics.pop(group, None)
    result.baselines.pop("static_camera", None)
    result.faults.append("trajectory and poses left out: the recording's are known to be loose")


def _fitting(options: EvalOptions, path: Path) -> EvalOptions:
    """The options with a window no longer than a very short recording."""
    with open_bag(path) as bag:
        fewest = min((topic.count for topic in bag.image_topics), default=0)
    window = options.config.window
    if not 0 < fewest < window.length:
        return options
    window = replace(window, length=fewest, stride=min(window.stride, fewest))
    return replace(options, config=replace(options.config, window=window))


def _mean(found: dict[str, Any]) -> dict[str, Any]:
    """The mean over recordings, each counting the same, and how many there are of each number."""
    gathered: dict[str, dict[str, list[dict[str, float]]]] = {}
    for one in found.values():
        for group, variants in one["metrics"].items():
            for variant, numbers in variants.items():
                gathered.setdefault(group, {}).setdefault(variant, []).append(numbers)
    return {
        group: {
            variant: {**pool(numbers), "recordings": len(numbers)}
            for variant, numbers in variants.items()
        }
        for group, variants in gathered.items()
    }


def table(report: dict[str, Any]) -> Iterator[str]:
    """The table in Markdown; a column for each number, its baselines in brackets."""
    titles = [f"{group}.{variant}.{name}" for group, variant, name, _ in _COLUMNS]
    yield f"model {report['model']['name']}, {report['model']['checkpoint']}"
    yield "| recording | " + " | ".join(titles) + " |"
    yield "|---" * (len(titles) + 1) + "|"
    for recording, one in sorted(report["recordings"].items()):
        cells = [_cell(one, *column) for column in _COLUMNS]
        yield f"| {recording} | " + " | ".join(cells) + " |"
    for recording, reason in sorted(report["failed"].items()):
        yield f"not evaluated: {recording}: {reason}"
    yield "In brackets: " + "; ".join(
        f"{group}.{variant}.{name}: {', '.join(names)}"
        for group, variant, name, names in _COLUMNS
        if names
    )


def _cell(one: dict[str, Any], group: str, variant: str, name: str, beside: tuple[str, ...]) -> str:
    own = one["metrics"].get(group, {}).get(variant, {}).get(name)
    others = [one["baselines"].get(b, {}).get(group, {}).get(variant, {}).get(name) for b in beside]
    if own is None and not any(other is not None for other in others):
        return ""
    text = "-" if own is None else f"{own:.3f}"
    known = ["-" if other is None else f"{other:.3f}" for other in others]
    return f"{text} ({', '.join(known)})" if any(o is not None for o in others) else text
