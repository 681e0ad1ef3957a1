# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``vggt4d eval --suite geometry``: what the geometry promises, measured, beside the promise.

On an analytic room where everything is known, with stated noise in place of the network's; and,
where the folder of real recordings is at hand, the camera model and the rig scale on those.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from vggt4d_ros import __version__
from vggt4d_ros.evaluation.geometry_accuracy import (
    FLOW_NOISE,
    TRACKING_NOISE,
    FlowAccuracy,
    TrackingAccuracy,
    flow_accuracy,
    track_drive,
)
from vggt4d_ros.geometry.scale import ScaleSource

SAMPLES_VARIABLE = "VGGT4D_SAMPLES"  # environment: folder of the real recordings
FLOW_WINDOWS = 6
_SEEDS = (1, 2, 3)  # one drive each


@dataclass(frozen=True, slots=True)
class Figure:
    """One number and what it must be."""

    name: str
    value: float
    low: float  # goal, inclusive
    high: float
    unit: str  # "" for a plain number
    note: str  # what it is

    @property
    def reached(self) -> bool:
        """Whether the goal is; never by NaN."""
        return self.low <= self.value <= self.high

    def goal(self) -> str:
        """The goal in words."""
        if self.low == -math.inf:
            return f"<= {self._text(self.high)}"
        if self.high == math.inf:
            return f">= {self._text(self.low)}"
        return f"{self._text(self.low)} to {self._text(self.high)}"

    def _text(self, value: float) -> str:
        if self.unit == "%":
            return f"{100 * value:.3g} %"
        return f"{value:.3g} {self.unit}".rstrip()

    def row(self) -> str:
        """One line of the table."""
        verdict = "yes" if self.reached else "NO"
        return f"{self.name:24s} {self._text(self.value):>11s} {self.goal():>12s} {verdict:>7s}"


def run(
    json_path: Path | str | None,
    windows: int = 200,
    samples: Path | str | None = None,
    *,
    flow_windows: int = FLOW_WINDOWS,
    seeds: Sequence[int] = _SEEDS,
) -> dict[str, object]:
    """Measures, prints the table, and gives what it wrote to ``json_path``.

    Args:
        json_path: file to write; None: none.
        windows: of each drive.
        samples: folder of the real recordings; None: the environment's VGGT4D_SAMPLES, and
            without that, or where a recording is absent, that part is left out and says so.
        flow_windows: of the scene flow's drive.
        seeds: of the noise; one drive each.
    """
    started = time.perf_counter()
    found = [
        *_tracking_figures(ScaleSource.RIG, windows, seeds),
        *_tracking_figures(ScaleSource.MOTION, windows, seeds),
        *_flow_figures(flow_accuracy(flow_windows, seeds[0])),
    ]
    lines = [f"{'figure':24s} {'measured':>11s} {'goal':>12s} {'reached':>7s}"]
    lines += [f"{figure.row()}  {figure.note}" for figure in found]
    real, real_lines = _on_samples(samples)
    result: dict[str, object] = {
        "format": 1,
        "source": {"kind": "suite", "name": "geometry", "version": __version__},
        "windows": windows,
        "drives": len(seeds),
        "noise": {"tracking": asdict(TRACKING_NOISE), "scene_flow": asdict(FLOW_NOISE)},
        "figures": [
            {"name": f.name, "value": _plain(f.value), "unit": f.unit, "goal": f.goal(),
             "reached": f.reached, "note": f.note}
            for f in found
        ],
        "metrics": {"geometry": {"all": {f.name: _plain(f.value) for f in found}}},
        "reached": all(figure.reached for figure in found),
        "samples": real,
        "timing": {"seconds": time.perf_counter() - started},
    }  # fmt: skip
    print("\n".join([*lines, *real_lines]))
    if json_path is not None:
        file = Path(json_path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(result, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return result


def _plain(value: float) -> float | None:
    """JSON knows no NaN."""
    return value if math.isfinite(value) else None


def _tracking_figures(source: ScaleSource, windows: int, seeds: Sequence[int]) -> list[Figure]:
    drives: list[TrackingAccuracy] = [track_drive(source, windows, seed) for seed in seeds]

    def mean(name: str) -> float:
        return float(np.mean([getattr(drive, name) for drive in drives]))

    name = source.name.lower()
    limit = 0.01 if source is ScaleSource.RIG else 0.02
    path_m = drives[0].path_m
    worst = max(drive.drift for drive in drives)
    what = "rig baselines" if source is ScaleSource.RIG else "one camera, platform motion"
    return [
        Figure(f"scale_error_{name}", mean("scale_error"), -math.inf, limit, "%",
               f"mean over windows; {what}, 2 % depth noise"),
        Figure(f"drift_{name}", mean("drift"), -math.inf, 0.005, "%",
               f"of {path_m:.1f} m in {windows} windows; worst drive {100 * worst:.2f} %"),
        Figure(f"nees_{name}", mean("nees"), 0.1, 4.0, "",
               "normalised error squared of the pose per degree of freedom; 1 is honest"),
    ]  # fmt: skip


def _flow_figures(found: FlowAccuracy) -> list[Figure]:
    return [
        Figure("static_speed", found.static_speed_mps, -math.inf, 0.05, "m/s",
               "median of still points, robot at 1 m/s and 0.5 rad/s"),
        Figure("moving_speed_error", found.moving_speed_error, -math.inf, 0.05, "%",
               "median over points that move"),
        Figure("dynamic_mask_iou", found.mask_iou, 0.9, math.inf, "",
               f"over the {100 * found.valid_share:.0f} % of pixels that have a velocity"),
    ]  # fmt: skip


def _on_samples(folder: Path | str | None) -> tuple[dict[str, object], list[str]]:
    """Measures the real recordings; gives their part of the result and of the print."""
    folder = folder or os.environ.get(SAMPLES_VARIABLE)
    if folder is None:
        return {}, [f"real recordings: left out (set {SAMPLES_VARIABLE} to their folder)"]
    root = Path(folder)
    if not root.is_dir():
        return {}, [f"real recordings: left out: {root} is no folder"]
    # with torch, which the rest does not need
    from vggt4d_ros.evaluation.geometry_samples import reprojections
    from vggt4d_ros.evaluation.rig_scale_samples import RIG_NOISE, rig_scales

    seen = list(reprojections(root))
    scales = list(rig_scales(root))
    if not seen and not scales:
        return {}, [f"real recordings: none that is known in {root}"]
    lines = ["", f"{'real recording':58s} {'error, px':>9s} {'best pose':>9s} {'<= 1 px':>7s}"]
    for one in seen:
        best = f"{one.fitted_px:9.2f}" if math.isfinite(one.fitted_px) else f"{'':9s}"
        lines.append(
            f"{one.sample:58s} {one.median_px:9.2f} {best} {'yes' if one.agrees else 'NO':>7s}"
            f"  {one.kind}, {one.matches} features"
        )
    lines += ["", f"{'scale from the extrinsics of':30s} {'cameras':>7s} {'baseline':>9s} "
              f"{'depth':>7s} {'found':>6s} {'error':>7s}"]  # fmt: skip
    lines += [
        f"{one.sample:30s} {one.cameras:7d} {one.baseline_m:7.2f} m {one.depth_m:5.1f} m "
        f"{100 * one.found:4.0f} % {100 * one.error:5.2f} %"
        for one in scales
    ]
    part: dict[str, object] = {
        "reprojection": [
            {**asdict(one), "fitted_px": _plain(one.fitted_px), "agrees": one.agrees}
            for one in seen
        ],
        "rig_scale": [{**asdict(one), "error": _plain(one.error)} for one in scales],
        "rig_scale_noise": asdict(RIG_NOISE),
    }
    return part, lines
