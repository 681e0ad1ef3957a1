# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``report.html`` of a run folder: one file that people can read, mail and print."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vggt4d_ros.evaluation.options import EvaluationError
from vggt4d_ros.evaluation.report_charts import (
    calibration_charts,
    error_charts,
    start_ns,
    timing_charts,
    trajectory_charts,
)
from vggt4d_ros.evaluation.report_counts import (
    config_table,
    count_table,
    parts_line,
    timing_table,
)
from vggt4d_ros.evaluation.report_html import Child, element
from vggt4d_ros.evaluation.report_page import page
from vggt4d_ros.evaluation.report_pictures import pictures
from vggt4d_ros.evaluation.report_tables import (
    cameras,
    faults,
    headlines,
    metric_tables,
    truth_table,
)
from vggt4d_ros.evaluation.results import RunResult
from vggt4d_ros.evaluation.run_folder import read_run

_KINDS = {
    "bag": "recording",
    "dataset": "data set",
    "outputs": "recorded outputs",
    "suite": "suite",
}


def write_report(folder: Path | str) -> Path:
    """Writes ``report.html`` into a run folder, from what is in it; gives the file.

    Raises:
        EvaluationError: the folder holds no run, or cannot be written.
    """
    folder = Path(folder)
    path = folder / "report.html"
    text = report_html(read_run(folder))
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise EvaluationError(f"{path}: cannot be written: {error.strerror or error}") from error
    return path


def report_html(run: RunResult) -> str:
    """The report as a document of its own."""
    sections: list[tuple[str, str, Child]] = [
        ("summary", "", [headlines(run), faults(run)]),
        ("metrics", "Metrics", [truth_table(run), metric_tables(run)]),
        ("pictures", "Pictures", pictures(run, start_ns(run))),
    ]
    places, remark = trajectory_charts(run)
    if places:
        words = element("p", remark) if remark else None
        sections.append(("trajectory", "Trajectory", [words, _grid(places)]))
    over_time = error_charts(run)
    if over_time:
        sections.append(("errors", "Over time", _grid(over_time)))
    calibration = calibration_charts(run)
    if calibration:
        sections.append(("calibration", "Confidence", _grid(calibration)))
    sections += [
        ("frames", "Every image", count_table(run)),
        ("time", "Time", [_grid(timing_charts(run)), timing_table(run), parts_line(run)]),
        ("config", "Parameters", _folded("All parameters of the run", config_table(run.config))),
    ]
    name = str(run.source.get("name") or "a run")
    return page(f"Evaluation of {name}", _head(run), _named(sections), _foot())


def _named(sections: list[tuple[str, str, Child]]) -> list[tuple[str, str, Child]]:
    return [(name, heading or "Summary", content) for name, heading, content in sections]


def _grid(charts: list[Any]) -> Child:
    return element("div", charts, class_="grid") if charts else None


def _folded(words: str, content: Child) -> Child:
    return element("details", element("summary", words), content)


def _head(run: RunResult) -> Child:
    source, model = run.source, run.model
    kind = str(source.get("kind", ""))
    facts = [_KINDS.get(kind, kind)]
    if source.get("duration_s"):
        facts.append(f"{source['duration_s']:g} s")
    facts.append(cameras(run))
    if source.get("policy"):
        facts.append(str(source["policy"]))
    network = str(model.get("name") or "no network")
    about = [network]
    if model.get("parameters"):
        about.append(f"{model['parameters'] / 1e6:.1f} M parameters")
    about += [str(model[key]) for key in ("precision", "device") if model.get(key)]
    if model.get("checkpoint"):
        about.append(str(model["checkpoint"]))
    digest = str(model.get("sha256") or "")
    return [
        element("p", ", ".join(fact for fact in facts if fact)),
        element(
            "p",
            f"Network: {', '.join(about)}",
            [", sha256 ", element("code", digest[:16], "…")] if digest else None,
            class_="soft",
        ),
    ]


def _foot() -> Child:
    return element(
        "p",
        "All of it is made from the files beside this one: ",
        element("code", "metrics.json"),
        ", ",
        element("code", "windows.csv"),
        ", ",
        element("code", "timing.csv"),
        ", the trajectories and the pictures. Numbers but those of time are the same in every run "
        "of the same recording on a CPU. What each metric is: see docs/evaluation.md.",
    )
