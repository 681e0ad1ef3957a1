# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What became of every image and window, where the time went, and with which parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vggt4d_ros.evaluation.report_html import Child, Markup, element, number, table, text_cell
from vggt4d_ros.evaluation.results import RunResult
from vggt4d_ros.stream.causes import CAUSES


def count_table(run: RunResult) -> list[Child]:
    """Every image received: used, or dropped by exactly one cause; and whether that adds up."""
    causes = sorted({cause for counts in run.counts.values() for cause in counts["dropped"]})
    rows: list[list[Child]] = []
    sums = [0] * (3 + len(causes))
    missing = 0
    for camera, counts in sorted(run.counts.items()):
        dropped = [counts["dropped"].get(cause, 0) for cause in causes]
        cells = [counts["received"], counts["used"], *dropped, sum(dropped)]
        sums = [total + cell for total, cell in zip(sums, cells, strict=True)]
        missing += abs(counts["received"] - counts["used"] - sum(dropped))
        topic = run.topics.get(camera, "")
        name = element("span", camera, element("br") if topic else None, element("code", topic))
        rows.append([name, *cells])
    head = ["camera", "received", "used", *(cause.replace("_", " ") for cause in causes), "dropped"]
    parts: list[Child] = [
        table(head, rows, caption="Images by camera", foot=["all", *sums], id="counts"),
        element(
            "p",
            _verdict("received", sums[0], "used", sums[1], sums[-1], missing),
            id="counts-verdict",
        ),
    ]
    if causes:
        meanings = [
            (element("dt", cause), element("dd", CAUSES.get(cause, ""))) for cause in causes
        ]
        parts.append(element("dl", meanings, class_="soft"))
    return [*parts, *_window_counts(run.windows)]


def _verdict(whole: str, all_: int, name: str, used: int, dropped: int, missing: int) -> Child:
    sum_ = f"{all_} {whole} = {used} {name} + {dropped} dropped"
    if missing:
        words = f"✗ does not add up: {sum_}, {missing} unaccounted for"
        return element("strong", words, class_="bad")
    return element("span", f"✓ adds up: {sum_}", class_="good")


def _window_counts(windows: Mapping[str, Any]) -> list[Child]:
    dropped: Mapping[str, int] = windows.get("dropped", {})
    formed, done = windows.get("formed", 0), windows.get("done", 0)
    lost = sum(dropped.values())
    causes = ", ".join(f"{cause} {count}" for cause, count in sorted(dropped.items()))
    more = [
        f"{words}: {windows[key]}"
        for key, words in (
            ("sets", "instants with images"),
            ("partial_sets", "of them without some camera"),
            ("gaps", "gaps"),
            ("time_jumps", "jumps back in time"),
            ("trajectories", "trajectories"),
        )
        if windows.get(key)
    ]
    words = _verdict("windows formed", formed, "done", done, lost, formed - done - lost)
    return [
        element("p", words, f" ({causes})" if causes else None, id="windows-verdict"),
        element("p", "; ".join(more) + ".", class_="soft") if more else None,
    ]


def timing_table(run: RunResult) -> Child:
    """Milliseconds of each stage."""
    stages: Mapping[str, Mapping[str, float]] = run.timing.get("stages_ms", {})
    if not stages:
        return None
    keys = ("min", "p50", "p95", "mean")
    ordered = sorted(stages, key=lambda name: (name == "total", -stages[name]["p50"]))
    rows = [
        [name.replace("_", " "), *(number(stages[name][key]) for key in keys)] for name in ordered
    ]
    return table(["stage, ms", *keys], rows, caption="Time per window by stage")


def parts_line(run: RunResult) -> Child:
    """Where the time of the whole run went."""
    parts: Mapping[str, float] = run.timing.get("parts_s", {})
    if not parts:
        return None
    words = ", ".join(f"{name} {number(round(value, 2))} s" for name, value in parts.items())
    share = run.timing.get("read_decode_share")
    reading = "" if share is None else f" Reading and decoding: {100 * share:.1f} % of the run."
    return element("p", f"The run: {words}.{reading}", class_="soft")


def config_table(config: Mapping[str, Any]) -> Markup:
    """All parameters of the node that the run used."""
    rows = [[name, text_cell("td", _value(value))] for name, value in sorted(config.items())]
    return table(["parameter", text_cell("th", "value")], rows, caption="Parameters")


def _value(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(str(item) for item in value) or "[]"
    return str(value) if value != "" else "''"
