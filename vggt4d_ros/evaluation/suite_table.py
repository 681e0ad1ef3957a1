# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Goals of the compact suite, and its report as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

# metric of the main set, "<=" or ">=", and a number or (factor, baseline) whose same metric it is
HELD_OUT_GOALS: tuple[tuple[str, str, float | tuple[float, str]], ...] = (
    ("depth.median.abs_rel", "<=", 0.12),
    ("depth.median.delta1", ">=", 0.88),
    ("flow.all.epe", "<=", (0.5, "zero_flow")),
    ("flow.all.epe", "<=", (1.0, "dis")),
    ("mask.head.iou", ">=", 0.5),
    ("poses.all.rotation_deg_median", "<=", 1.0),
)
# of every real sample that has the truth for it
REAL_GOALS: tuple[tuple[str, str, tuple[float, str]], ...] = (
    ("depth.median.abs_rel", "<=", (1.0, "constant_depth")),
    ("flow.all.epe", "<=", (1.0, "zero_flow")),
)
# what the table shows of each set, in this order
SHOWN = (
    ("depth.median.abs_rel", "depth AbsRel, median-scaled"),
    ("depth.median.delta1", "depth delta < 1.25, median-scaled"),
    ("depth.metric.abs_rel", "depth AbsRel, metres by the rig"),
    ("depth.metric.delta1", "depth delta < 1.25, metres by the rig"),
    ("calibration.depth.aurg", "depth confidence, AURG (0: none)"),
    ("flow.all.epe", "flow EPE, px"),
    ("flow.all.fl_all", "flow Fl"),
    ("flow.visible.epe", "flow EPE where seen, px"),
    ("mask.head.iou", "mask IoU"),
    ("mask.head.f", "mask boundary F"),
    ("poses.all.rotation_deg_median", "rotation error, deg, median"),
    ("poses.time.rotation_deg_median", "  same camera over time"),
    ("poses.views.rotation_deg_median", "  other cameras"),
    ("poses.all.translation_deg_median", "direction of translation, deg, median"),
    ("poses.all.fov_deg_median", "field of view, deg, median"),
)
BASELINES = {
    "constant_depth": "constant",
    "sgbm": "SGBM",
    "zero_flow": "zero",
    "dis": "DIS",
    "static_camera": "static",
    "all_moves": "all",
}


def look_up(metrics: Mapping[str, Any], name: str) -> float | None:
    """The number with a dotted name, None where there is none."""
    value: Any = metrics
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def goals_of(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each goal with what was found; ``reached`` is None where there is nothing to judge."""
    goals: list[dict[str, Any]] = []
    main = document["source"]["main"]
    for name, part in document["sets"].items():
        if name == main:
            wanted: tuple[Any, ...] = HELD_OUT_GOALS
        elif part["kind"] == "real":
            wanted = REAL_GOALS
        else:
            continue
        for metric, relation, bound in wanted:
            value = look_up(part["metrics"], metric)
            limit, words = _limit(part, metric, relation, bound)
            if name != main and (value is None or limit is None):
                continue
            reached = None
            if value is not None and limit is not None:
                reached = value <= limit if relation == "<=" else value >= limit
            goals.append(
                {"set": name, "metric": metric, "value": value, "goal": words, "bound": limit}
                | {"reached": reached}
            )
    return goals


def _limit(
    part: Mapping[str, Any], metric: str, relation: str, bound: float | tuple[float, str]
) -> tuple[float | None, str]:
    """The number to reach and how to write it."""
    if not isinstance(bound, tuple):
        return bound, f"{relation} {bound:g}"
    factor, baseline = bound
    beside = look_up(part["baselines"].get(baseline, {}), metric)
    words = f"{relation} {'' if factor == 1 else f'{factor:g} x '}{BASELINES[baseline]}"
    return None if beside is None else factor * beside, words


def report_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """The report, line by line."""
    model = document["model"]
    about = [f"{model['parameters'] / 1e6:.2f} M parameters", model["checkpoint"]]
    about.append(f"{model['device']} {model['precision']}")
    yield f"{model['name']} ({', '.join(filter(None, about))})"
    for name, part in document["sets"].items():
        yield ""
        yield f"{name}: {part['windows']} windows, {part['kind']}{_scale_words(part)}"
        yield from _set_lines(part, [goal for goal in document["goals"] if goal["set"] == name])
    for note in document["faults"]:
        yield ""
        yield note
    judged = [goal for goal in document["goals"] if goal["reached"] is not None]
    yield ""
    yield f"goals reached: {sum(goal['reached'] for goal in judged)} of {len(judged)}"


def _scale_words(part: Mapping[str, Any]) -> str:
    scale = part.get("rig_scale")
    return f", scale by the rig in {scale['known']} of {scale['of']}" if scale else ""


def _set_lines(part: Mapping[str, Any], goals: list[dict[str, Any]]) -> Iterator[str]:
    for metric, words in SHOWN:
        value = look_up(part["metrics"], metric)
        beside = [
            f"{short} {_number(found)}"
            for name, short in BASELINES.items()
            if (found := look_up(part["baselines"].get(name, {}), metric)) is not None
        ]
        if value is None and not beside:
            continue
        verdicts = [
            f"{goal['goal']}: {_verdict(goal['reached'])}"
            for goal in goals
            if goal["metric"] == metric
        ]
        line = f"  {words:<38}{_number(value):>9}  {', '.join(beside):<34}  {'; '.join(verdicts)}"
        yield line.rstrip()


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if value == int(value) and abs(value) >= 1 else f"{value:.3f}"


def _verdict(reached: bool | None) -> str:
    return {True: "reached", False: "NOT reached", None: "not measured"}[reached]


def print_report(document: Mapping[str, Any]) -> None:
    """Prints the report."""
    print("\n".join(report_lines(document)))
