# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The report's numbers: first what matters most, then metrics beside baselines, every image."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from vggt4d_ros.evaluation.directions import direction
from vggt4d_ros.evaluation.report_html import Child, Markup, element, number, table, text_cell
from vggt4d_ros.evaluation.results import RunResult

# (group, variants in order of preference, metric, label, unit): the first variant there is shown
_HEADLINES = (
    ("depth", ("metric",), "abs_rel", "Depth error, metric", "%"),
    ("depth", ("median", "scale_shift"), "abs_rel", "Depth error, aligned", "%"),
    ("depth", ("median", "scale_shift"), "delta1", "Depth within 25 %", "% of pixels"),
    ("flow", ("all",), "epe", "Flow error", "px"),
    ("poses", ("views", "time"), "rotation_deg_median", "Rotation error, median", "°"),
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
    "none": "no alignment",
    "metric": "metric, no alignment",
    "median": "medians aligned",
    "scale_shift": "scale and shift aligned",
    "median_sequence": "medians of the whole sequence aligned",
    "scale_shift_sequence": "scale and shift of the whole sequence aligned",
    "se3": "rotation and translation aligned",
    "sim3": "rotation, translation and scale aligned",
    "scale": "scale aligned",
    "all": "",
    "visible": "to what is not hidden in the other image",
    "time": "the same camera at other times",
    "views": "other cameras at the same time",
    "depth": "confidence of depth",
    "pose": "covariance of poses",
}
_FOLDED = (
    ("depth", "none"),
    ("depth", "median_sequence"),
    ("depth", "scale_shift_sequence"),
    ("trajectory", "scale"),
)
_LONG = 16  # rows: more are folded
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


def cameras(run: RunResult) -> str:
    """The number of cameras in words; recorded outputs count all of them together."""
    names = run.config.get("cameras.names") or ()
    count = max(len(run.counts), len(run.topics), len(names))
    return f"{count} camera" if count == 1 else f"{count} cameras"


def _count_tiles(run: RunResult) -> Iterator[Markup]:
    received = sum(counts["received"] for counts in run.counts.values())
    used = sum(counts["used"] for counts in run.counts.values())
    yield _tile("Images used", f"{used} of {received}", note=cameras(run))
    windows = run.windows
    steps = run.config.get("window.length")
    note = f"of {steps} steps" if steps else ""
    yield _tile("Windows done", f"{windows.get('done', 0)} of {windows.get('formed', 0)}", "", note)
    sources = Counter(str(row.get("scale_source") or "none") for row in run.rows)
    if sources:
        metric = sum(count for source, count in sources.items() if source != "none")
        where = ", ".join(f"{source} {count}" for source, count in sorted(sources.items()))
        words = "yes" if metric == len(run.rows) else "in part" if metric else "no"
        note = f"by window: {where}" if metric else "lengths are in the network's own unit"
        yield _tile("Metric scale", words, "", note)


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
            "No ground truth was given or found: what is below measures the results against "
            "each other and the recording's own TF.",
            class_="soft",
        )
    rows: list[list[Child]] = [
        [
            kind,
            text_cell("td", str(truth.get("source", ""))),
            f"{truth['matched']} of {truth['of']}",
            f"{number(truth.get('tolerance_s'))} s",
        ]
        for kind, truth in sorted(run.truth.items())
    ]
    head: list[Child] = ["truth", text_cell("th", "from"), "matched", "tolerance"]
    remarks = [str(truth.get("why", "")) for _, truth in sorted(run.truth.items())]
    if any(remarks):
        head.append(text_cell("th", "remark"))
        for row, remark in zip(rows, remarks, strict=True):
            row.append(text_cell("td", remark))
    return table(head, rows, caption="Ground truth, associated by stamp")


def metric_tables(run: RunResult) -> list[Markup]:
    """A table for each group and alignment, beside the baselines that have it too."""
    parts = []
    for group in [*_GROUPS, *sorted(set(run.metrics) - set(_GROUPS))]:
        own = run.metrics.get(group, {})
        others = [metrics.get(group, {}) for metrics in run.baselines.values()]
        variants = {variant for found in (own, *others) for variant in found}
        if not variants:
            continue
        parts.append(element("h3", _GROUPS.get(group, group)))
        tables = {
            variant: _metric_table(run, group, variant, own.get(variant, {}))
            for variant in sorted(variants, key=_order)
        }
        more = [tables.pop(name) for of, name in _FOLDED if of == group and name in tables]
        parts.append(element("div", list(tables.values()), class_="tables"))
        if more:
            inner = element("div", more, class_="tables")
            words = f"{_GROUPS.get(group, group)}, other alignments"
            parts.append(element("details", element("summary", words), inner))
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
    found = [run.baselines[baseline][group][variant] for baseline in beside]
    rows: list[list[Child]] = []
    for name in _sorted({name for numbers_ in (numbers, *found) for name in numbers_}):
        value = numbers.get(name, math.nan)
        compared = [_compared(name, value, other.get(name)) for other in found]
        rows.append([f"{name}{_arrow(name)}", number(value), *compared])
    words = _ALIGNMENTS.get(variant, variant)
    if (group, variant) == ("depth", "none"):
        words = "in the network's own unit, no alignment"
    label = f"{_GROUPS.get(group, group)}{f', {words}' if words else ''}"
    caption = words[:1].upper() + words[1:] or None
    head = ["metric", "this run", *(BASELINES.get(name, name) for name in beside)]
    name = f"metrics-{group}-{variant}".replace(" ", "-")
    shown = table(head, rows, caption=caption, label=label, id=name)
    if len(rows) <= _LONG:
        return shown
    return element("details", element("summary", label), shown)


def _sorted(names: Iterable[str]) -> list[str]:
    """Metrics first, counts last."""
    return sorted(names, key=lambda name: (direction(name) is None, name))


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
