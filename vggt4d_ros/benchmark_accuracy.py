# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``vggt4d bench accuracy``: what each approximation of the network costs and saves.

Each runs on the same held-out windows, rendered anew and always alike, in turns. Windows are two
steps of two cameras of 160x112, of a scene each, so nothing is known of one from the one before: of
approximations that keep more from window to window only the cost shows here.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vggt4d_ros.benchmark_machine import machine, machine_line
from vggt4d_ros.benchmark_times import Times, percentile
from vggt4d_ros.cli import CommandError

if TYPE_CHECKING:
    from vggt4d_ros.model.predictor import Predictor

# name -> precision, options of ``Speed``
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "exact": ("fp32", {}),
    "precision: bf16": ("bf16", {}),
    "head_precision: bf16": ("fp32", {"head_precision": "bf16"}),
    "weights: int8": ("fp32", {"weights": "int8"}),
    "cross_view: step": ("fp32", {"cross_view": "step"}),
    "frame_wise_layers: 1": ("fp32", {"frame_wise_layers": 1}),
    "frame_wise_layers: 2": ("fp32", {"frame_wise_layers": 2}),
}
# title -> number of ``WindowScores.summary``
COLUMNS = {
    "AbsRel": "depth.median.abs_rel",
    "<1.25": "depth.median.delta1",
    "rotation": "poses.all.rotation_deg_median",
    "direction": "poses.all.translation_deg_median",
    "mask IoU": "mask.head.iou",
    "flow EPE": "flow.all.epe",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument("--model", default="", help="a checkpoint; default: the packaged one")
    parser.add_argument("--windows", type=int, default=24)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=0, help="of torch on a CPU")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there")


def run(arguments: argparse.Namespace) -> int:
    """Prints and writes errors, CPU time of a window and bytes of the weights, by approximation."""
    if arguments.windows < 1:
        raise CommandError("--windows must be at least 1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as load_engine does
    from vggt4d_ros.model.errors import CheckpointError, EngineError, OutOfMemory

    try:
        report = _report(arguments)
    except (CheckpointError, EngineError, OutOfMemory) as error:
        raise CommandError(str(error)) from error
    print("\n".join(_lines(report)))
    if arguments.json is not None:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


def _report(arguments: argparse.Namespace) -> dict[str, Any]:
    from vggt4d_ros.evaluation.estimates import network_estimate
    from vggt4d_ros.evaluation.suite_compact import GRIDS, rendered
    from vggt4d_ros.evaluation.suite_table import look_up
    from vggt4d_ros.evaluation.window_scores import WindowScores
    from vggt4d_ros.model.errors import EngineError
    from vggt4d_ros.model.memory import weight_bytes

    predictors, left_out = {}, {}
    for name in VARIANTS:
        try:
            predictors[name] = _predictor(arguments, *VARIANTS[name])
        except EngineError as error:
            if name == "exact":
                raise
            left_out[name] = str(error)
    scores = {name: WindowScores() for name in predictors}
    times = {name: Times() for name in predictors}
    for known in rendered(GRIDS[0], arguments.windows):
        steps = range(known.window.shape[0])
        for name, predictor in predictors.items():
            found, _ = network_estimate(known, predictor)
            scores[name].add(known, found)
            # once more, now that everything is warm
            predictor.trunk.clear()
            again = functools.partial(predictor.predict, known.window, steps)
            times[name].measure(again, keep=True)
    rows = {}
    for name, predictor in predictors.items():
        summary = scores[name].summary()
        rows[name] = {title: look_up(summary, key) for title, key in COLUMNS.items()} | {
            "cpu_ms_p50": percentile(times[name].busy, 50),
            "weight_bytes": weight_bytes(predictor.model),
        }
    about = predictors["exact"].description
    return {
        "machine": machine(),
        "model": about.name,
        "checkpoint": about.checkpoint,
        "device": about.device,
        "windows": arguments.windows,
        "rows": rows,
        "left_out": left_out,
    }


def _predictor(arguments: argparse.Namespace, precision: str, options: dict[str, Any]) -> Predictor:
    from vggt4d_ros.config import EngineConfig
    from vggt4d_ros.model.predictor import Predictor

    return Predictor.from_config(
        EngineConfig(
            checkpoint=arguments.model,
            device=arguments.device,
            precision=precision,
            threads=arguments.threads,
            **options,
        )
    )


def _lines(report: dict[str, Any]) -> Iterator[str]:
    yield machine_line(report["machine"])
    yield (
        f"{report['model']} ({report['checkpoint']}) on {report['device']}, "
        f"{report['windows']} held-out windows; angles are medians, degrees; flow in pixels"
    )
    titles = "".join(f" {title:>9}" for title in (*COLUMNS, "ms CPU", "MiB"))
    yield f"{'':22}{titles}"
    for name, row in report["rows"].items():
        numbers = [row[title] for title in COLUMNS]
        cells = "".join(" " * 10 if x is None else f" {x:9.4f}" for x in numbers)
        yield f"{name:22}{cells} {row['cpu_ms_p50']:9.1f} {row['weight_bytes'] / 2**20:9.1f}"
    for name, reason in report["left_out"].items():
        yield f"{name} was left out: {reason}"
