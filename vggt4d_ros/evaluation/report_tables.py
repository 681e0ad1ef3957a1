# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The report's numbers: first what matters most, then metrics beside baselines, every image."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vggt4d_ros.evaluation.directions import direction
from vggt4d_ros.evaluation.report_html import Child, Markup, element, number, table
from vggt4d_ros.evaluation.results import RunResult
from vggt4d_ros.stream.causes import CAUSES

# (group, variants in order of preference, metric, label, unit): the first variant there is shown
_HEADLINES = (
    ("depth", ("metric", "none"), "abs_rel", "Depth error, metric", "%"),
    ("depth", ("median", "scale_shift"), "abs_rel", "Depth error, aligned", "%"),
    ("depth", ("median", "scale_shift"), "delta1", "Depth within 25 %", "% of pixels"),
    ("flow", ("all",), "epe", "Flow error", "px"),
    ("scene_flow", ("all",), "epe3d", "Scene flow error", "m"),
    ("mask", ("all",), "j", "Moving mask IoU", "%"),
    ("points", ("all",), "f_score", "Point cloud F-score", "%"),
    ("trajectory", ("none",), "ate_rmse", "Trajectory error, unaligned", "m"),
    ("trajectory", ("se3", "sim3", "scale"), "ate_rmse", "Trajectory error, aligned", "m"),
    ("temporal", ("all",), "change", "Change of depth per step", "%"),
)
_GROUPS = {
    "depth": "Depth",
    "flow": "Optical flow",
    "scene_flow": "Scene flow",
    "mask": "Moving mask",
    "points": "Point maps",
    "trajectory": "Trajectory",
    "poses": "Camera poses",
    "temporal": "Consistency over time",
    "calibration": "Calibration of confidence and covariance",
}
_ALIGNMENTS = {
    "none": "as it is, no alignment",
    "metric": "metric, no alignment",
    "median": "medians aligned",
    "scale_shift": "scale and shift aligned",
    "se3": "rotation and translation aligned",
    "sim3": "rotation, translation and scale aligned",
    "scale": "scale aligned",
    "all": "",
}
BASELINES = {
    "constant_depth": "constant depth",
    "zero_flow": "zero flow",
    "dis": "DIS flow",
    "static_camera": "static camera",
    "sgbm": "stereo SGBM",
}


def headlines(run: RunResult) -> Markup:
    """Tiles with the few numbers to look at first."""
    tiles = [*_metric_tiles(run), *_count_tiles(run), *_speed_tiles(run)]
    return element("dl", tiles, class_="tiles")


def _tile(label: str, value: str, unit: str = "", note: str = "") -> Markup:
    return element(
        "div",
        element("dt", label),
        element("dd", value, element("small", f" {unit}") if unit else None, class_="value"),
        element("dd", note, class_="note") if note else None,
    )


def _metric_tiles(run: RunResult) -> Iterator[Markup]:
    for group, variants, name, label, unit in _HEADLINES:
        for variant in variants:
            value = run.metrics.get(group, {}).get(variant, {}).get(name)
            if value is not None and math.isfinite(value):
                factor = 100.0 if unit.startswith("%") else 1.0
                notes = [_ALIGNMENTS.get(variant, variant)]
                notes += [
                    f"{BASELINES.get(baseline, baseline)} {number(factor * other, 3)}"
                    for baseline, other in _others(run, group, variant, name)
                ]
                words = "; ".join(note for note in notes if note)
                yield _tile(label, number(factor * value, 3), unit, words)
                break


def _others(run: RunResult, group: str, variant: str, name: str) -> Iterator[tuple[str, float]]:
    for baseline, metrics in sorted(run.baselines.items()):
        value = metrics.get(group, {}).get(variant, {}).get(name)
        if value is not None:
            yield baseline, value


def _count_tiles(run: RunResult) -> Iterator[Markup]:
    received = sum(counts["received"] for counts in run.counts.values())
    used = sum(counts["used"] for counts in run.counts.values())
    yield _tile("Images used", f"{used} of {received}", note=f"{len(run.counts)} cameras")
    windows = run.windows
    steps = run.config.get("window.length")
    note = f"of {steps} steps" if steps else ""
    yield _tile("Windows done", f"{windows.get('done', 0)} of {windows.get('formed', 0)}", "", note)


def _speed_tiles(run: RunResult) -> Iterator[Markup]:
    timing = run.timing
    total = timing.get("stages_ms", {}).get("total")
    if total:
        note = f"p95 {number(total['p95'], 3)} ms"
        yield _tile("Time per window, median", number(total["p50"], 3), "ms", note)
    if timing.get("windows_per_s"):
        words = number(timing["windows_per_s"], 3)
        yield _tile(
            "Windows per second", words, "", f"{number(timing['images_per_s'], 3)} images/s"
        )
    if timing.get("rss_most_bytes"):
        yield _tile("Memory, most", number(round(timing["rss_most_bytes"] / 2**20)), "MiB")


def faults(run: RunResult) -> Markup:
    """All that went wrong or that a reader has to know, in words."""
    warnings = [str(line) for line in run.model.get("warnings", ())]
    left_out = [f"left out: {line}" for line in run.source.get("left_out", ())]
    lines = [*run.faults, *left_out, *warnings]
    heading = element("h3", "Faults and warnings")
    if not lines:
        return Markup(heading + element("p", "None."))
    return Markup(heading + element("ul", [element("li", line) for line in lines], class_="faults"))


def truth_table(run: RunResult) -> Child:
    """What the run was compared with and how much of it matched."""
    if not run.truth:
        return element(
            "p",
            "There is no ground truth in this recording: what is below needs none.",
            class_="soft",
        )
    rows = [
        (
            kind,
            _text(str(truth.get("source", ""))),
            f"{truth['matched']} of {truth['of']}",
            f"{number(truth.get('tolerance_s'))} s",
            _text(str(truth.get("why", ""))),
        )
        for kind, truth in sorted(run.truth.items())
    ]
    head = ("truth", _text_head("from"), "matched", "tolerance", _text_head("remark"))
    return table(head, rows, caption="Ground truth, associated by stamp")


def _text(value: str) -> Markup:
    return element("td", value, class_="text")


def _text_head(value: str) -> Markup:
    return Markup(value)  # a plain word of ours


def metric_tables(run: RunResult) -> list[Markup]:
    """A table for each group and alignment, beside the baselines that have it too."""
    parts = []
    for group in [*_GROUPS, *sorted(set(run.metrics) - set(_GROUPS))]:
        variants = run.metrics.get(group)
        if not variants:
            continue
        parts.append(element("h3", _GROUPS.get(group, group)))
        for variant in sorted(variants, key=_order):
            parts.append(_metric_table(run, group, variant, variants[variant]))
    if run.baselines and parts:
        parts.append(
            element(
                "p",
                "A baseline's number is marked with how the run compares with it: ",
                _mark("better"),
                " or ",
                _mark("worse"),
                ".",
                class_="soft",
            )
        )
    return parts


def _order(variant: str) -> tuple[int, str]:
    known = list(_ALIGNMENTS)
    return (known.index(variant) if variant in known else len(known), variant)


def _metric_table(run: RunResult, group: str, variant: str, numbers: Mapping[str, float]) -> Markup:
    beside = [
        name
        for name, metrics in sorted(run.baselines.items())
        if metrics.get(group, {}).get(variant)
    ]
    rows: list[list[Child]] = []
    for name, value in _sorted(numbers):
        row: list[Child] = [f"{name}{_arrow(name)}", number(value)]
        for baseline in beside:
            other = run.baselines[baseline][group][variant].get(name)
            row.append(_compared(name, value, other))
        rows.append(row)
    words = _ALIGNMENTS.get(variant, variant)
    label = f"{_GROUPS.get(group, group)}{f', {words}' if words else ''}"
    caption = words[:1].upper() + words[1:] or None
    head = ["metric", "this run", *(BASELINES.get(name, name) for name in beside)]
    found = table(
        head, rows, caption=caption, label=label, id=f"metrics-{group}-{variant}".replace(" ", "-")
    )
    if group == "trajectory" and len(rows) > 12:
        return element("details", element("summary", label), found, open=_order(variant)[0] == 0)
    return found


def _sorted(numbers: Mapping[str, float]) -> list[tuple[str, float]]:
    """Metrics first, counts last."""
    return sorted(numbers.items(), key=lambda item: (direction(item[0]) is None, item[0]))


def _arrow(name: str) -> str:
    return {"lower": " ↓", "higher": " ↑", None: ""}[direction(name)]


def _compared(name: str, value: float, other: float | None) -> Markup:
    if other is None:
        return element("td", number(None))
    way = direction(name)
    if way is None or not (math.isfinite(value) and math.isfinite(other)) or value == other:
        return element("td", number(other))
    is_better = (value < other) == (way == "lower")
    return element("td", number(other), _mark("better" if is_better else "worse"))


def _mark(word: str) -> Markup:
    sign, tone = ("▲", "good") if word == "better" else ("▼", "bad")
    return element("span", f"{sign} {word}", class_=f"mark {tone}")


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
        missing += counts["received"] - counts["used"] - sum(dropped)
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
    rows = [[name, _text(_value(value))] for name, value in sorted(config.items())]
    return table(["parameter", _text_head("value")], rows, caption="Parameters")


def _value(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(str(item) for item in value) or "[]"
    return str(value) if value != "" else "''"


def about(facts: Sequence[tuple[str, str]]) -> Markup:
    """Names and values as one line of words."""
    return element("p", "; ".join(f"{name}: {value}" for name, value in facts if value))
