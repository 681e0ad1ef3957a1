# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which charts a run gets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.evaluation.charts import Series, bars, histogram, line_chart
from vggt4d_ros.evaluation.charts_axes import Values
from vggt4d_ros.evaluation.metrics.trajectory import Trajectory, umeyama
from vggt4d_ros.evaluation.report_html import Markup
from vggt4d_ros.evaluation.results import WINDOW_COLUMNS, Row, RunResult
from vggt4d_ros.geometry import se3

# columns of windows.csv -> title and unit; others are drawn under their own name
_COLUMNS = {
    "abs_rel": ("Depth error, medians aligned", "|error| / depth"),
    "metric_abs_rel": ("Depth error, metric", "|error| / depth"),
    "delta1": ("Depth within 25 %, medians aligned", "share of pixels"),
    "rmse": ("Depth RMSE, medians aligned", "m"),
    "epe": ("Optical flow error", "px"),
    "fl_all": ("Optical flow outliers", "share of pixels"),
    "epe3d": ("Scene flow error", "m"),
    "j": ("Moving mask", "IoU"),
    "f": ("Boundary of the moving mask", "F"),
    "head_j": ("Moving mask of the network's own head", "IoU"),
    "chamfer": ("Distance of clouds, aligned", "m"),
    "metric_chamfer": ("Distance of clouds, metric", "m"),
    "rotation_deg": ("Rotation between cameras", "degrees off"),
    "change": ("Change of depth from window to window", "of the depth"),
    "scale": ("Scale", "m per network unit"),
    "residual_m": ("Alignment residual", "m"),
    "residual_rad": ("Alignment residual, rotation", "rad"),
}
_ALWAYS = ("scale", "residual_m")
_DRAWN = 14  # metric columns: more do not help


def column(rows: Sequence[Row], name: str) -> Values:
    """A column of a CSV table; NaN where it is empty."""
    return np.array([float(row.get(name, np.nan)) for row in rows], dtype=np.float64)


def _seconds(stamps_ns: NDArray[np.int64], start_ns: int) -> Values:
    return np.asarray((stamps_ns - start_ns) * 1e-9, dtype=np.float64)


def start_ns(run: RunResult) -> int:
    """What the time axes count from."""
    stamps = [int(row["stamp_ns"]) for row in run.rows]
    if run.trajectory is not None and len(run.trajectory):
        stamps.append(int(run.trajectory.stamps_ns[0]))
    return min(stamps, default=0)


def trajectory_charts(run: RunResult) -> tuple[list[Markup], str]:
    """Top view, height and error over time, and a remark on how the truth was laid."""
    found, truth = run.trajectory, run.truth_trajectory
    if found is None or not len(found):
        return [], ""
    unit, remark = "m", ""
    drawn = found
    if not _is_metric(run):
        unit = "network units"
        if truth is not None and len(truth) >= 3:
            scaled = _scaled(found, truth)
            if scaled is not None:
                drawn, factor = scaled
                unit = "m"
                remark = (
                    "The estimate has no metric scale: for these drawings it is turned, moved and "
                    f"made {factor:.3g} times as large, as fits the truth best."
                )
    start = start_ns(run)
    lines = [("estimate", drawn, "found")]
    if truth is not None and len(truth):
        lines.append(("truth", truth, "truth"))  # above: it is dashed
    top = [Series(name, t.positions[:, 0], t.positions[:, 1], style) for name, t, style in lines]
    height = [
        Series(name, _seconds(t.stamps_ns, start), t.positions[:, 2], style)
        for name, t, style in lines
    ]
    charts = [
        line_chart(
            "Seen from above: ring start, square end",
            top,
            x_label=f"x, {unit}",
            y_label=f"y, {unit}",
            id="trajectory-top",
            square=True,
        ),
        line_chart("Height", height, x_label="time, s", y_label=f"z, {unit}", id="trajectory-z"),
    ]
    if truth is not None and len(truth):
        charts += _error_charts(drawn, truth, start)
    return charts, remark


def _is_metric(run: RunResult) -> bool:
    """Whether poses are metres: the last window knows where its scale is from."""
    return bool(run.rows) and run.rows[-1].get("scale_source") not in ("none", "", None)


def _scaled(found: Trajectory, truth: Trajectory) -> tuple[Trajectory, float] | None:
    _, mine, theirs = np.intersect1d(found.stamps_ns, truth.stamps_ns, return_indices=True)
    if len(mine) < 3:
        return None
    try:
        rotation, translation, scale = umeyama(
            found.positions[mine], truth.positions[theirs], with_scale=True
        )
    except ValueError:
        return None
    if not np.isfinite(scale) or scale <= 0:
        return None
    align = se3.make_transform(rotation, np.zeros(3))
    poses = align @ found.poses
    poses[:, :3, 3] = scale * poses[:, :3, 3] + translation
    return Trajectory(found.stamps_ns, poses), float(scale)


def _error_charts(found: Trajectory, truth: Trajectory, start: int) -> Iterator[Markup]:
    stamps, mine, theirs = np.intersect1d(found.stamps_ns, truth.stamps_ns, return_indices=True)
    if not len(stamps):
        return
    true_from_found = se3.inverse(truth.poses[theirs]) @ found.poses[mine]
    away = np.linalg.norm(true_from_found[:, :3, 3], axis=1)
    turned = np.degrees(se3.rotation_angle(true_from_found[:, :3, :3]))
    seconds = _seconds(stamps, start)
    yield line_chart(
        "Position error",
        [Series("error", seconds, away)],
        x_label="time, s",
        y_label="m",
        id="trajectory-error",
    )
    yield line_chart(
        "Heading and tilt error",
        [Series("error", seconds, turned)],
        x_label="time, s",
        y_label="degrees",
        id="rotation-error",
    )


def error_charts(run: RunResult) -> list[Markup]:
    """Each metric of windows.csv over time."""
    if not run.rows:
        return []
    stamps = np.array([int(row["stamp_ns"]) for row in run.rows], dtype=np.int64)
    seconds = _seconds(stamps, start_ns(run))
    names = dict.fromkeys(name for row in run.rows for name in row)
    own = [name for name in names if name not in WINDOW_COLUMNS]
    ordered = sorted(own, key=lambda name: (_rank(name), name))[:_DRAWN]
    charts, is_metric = [], _is_metric(run)
    for name in [*ordered, *_ALWAYS]:
        values = column(run.rows, name)
        if np.isfinite(values).sum() < 2:
            continue
        title, unit = _COLUMNS.get(name, (name, name))
        if not is_metric:
            if name == "scale":
                continue
            unit = "network units" if name == "residual_m" else unit
        charts.append(
            line_chart(
                title,
                [Series(name, seconds, values)],
                x_label="time, s",
                y_label=unit,
                id=f"over-time-{name}",
            )
        )
    return charts


def _rank(name: str) -> int:
    known = list(_COLUMNS)
    return known.index(name) if name in known else len(known)


def timing_charts(run: RunResult) -> list[Markup]:
    """Latency histogram and stage split."""
    if not run.timings:
        return []
    totals = column(run.timings, "total_ms")
    if not np.isfinite(totals).any():
        return []
    p50, p95 = np.nanpercentile(totals, [50, 95]).tolist()
    charts = [
        histogram(
            "Time per window",
            totals,
            x_label="ms",
            id="latency",
            marks=[("p50", p50), ("p95", p95)],
        )
    ]
    names = [n for n in run.timings[0] if n.endswith("_ms") and n != "total_ms"]
    medians = [
        (name[:-3].replace("_", " "), float(np.nanmedian(column(run.timings, name))))
        for name in names
    ]
    if medians:
        medians.sort(key=lambda part: -part[1])
        charts.append(bars("Median time by stage", medians, unit="ms", id="stages"))
    return charts


def calibration_charts(run: RunResult) -> list[Markup]:
    """How the error falls when the least sure pixels are left out."""
    curves = run.curves.get("sparsification")
    if not curves:
        return []
    share = np.array(curves["share"], dtype=np.float64)
    series = [
        Series("by confidence", share, np.array(curves["found"], dtype=np.float64), "found"),
        Series("by the error itself", share, np.array(curves["oracle"], dtype=np.float64), "truth"),
    ]
    return [
        line_chart(
            "Depth error of the pixels that are kept",
            series,
            x_label="share of pixels left out",
            y_label="error, that of all pixels being 1",
            id="sparsification",
        )
    ]
