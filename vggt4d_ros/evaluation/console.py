# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What ``vggt4d eval`` prints: a progress bar, then what was read, matched, found and how fast."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from vggt4d_ros.evaluation.complete_run import EmptyRun
from vggt4d_ros.evaluation.replay import Progress
from vggt4d_ros.evaluation.results import Metrics, Numbers, RunResult

# the numbers that are printed of each group; all are in metrics.json
_SHOWN = {
    "depth": ("abs_rel", "rmse", "delta1", "frames"),
    "flow": ("epe", "fl_all", "px3", "frames"),
    "scene_flow": ("epe3d", "acc_s", "epe3d_moving", "frames"),
    "mask": ("j", "f", "frames"),
    "points": ("accuracy", "completeness", "f_score", "frames"),
    "trajectory": (
        "ate_rmse",
        "rpe_trans_rmse_1f",
        "rpe_rot_deg_rmse_1f",
        "scale",
        "matched",
        "length_m",
    ),
    "poses": ("rotation_deg_median", "translation_deg_median", "pairs"),
    "temporal": ("change", "steady", "frames"),
    "calibration": ("ause", "aurg", "nees_per_dof", "inside"),
}


@contextmanager
def progress_bar(unit: str, *, hidden: bool = False) -> Iterator[Progress]:
    """A bar with rate and remaining time on stderr; nothing where that is no terminal."""
    with tqdm(unit=f" {unit}", disable=True if hidden else None, file=sys.stderr) as bar:

        def update(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield update


@contextmanager
def telling_empty_runs() -> Iterator[None]:
    """Prints what was read also of a run that says nothing."""
    try:
        yield
    except EmptyRun as error:
        for line in result_lines(error.result):
            print(line)
        raise


def print_result(result: RunResult, folder: Path) -> None:
    """Prints the run."""
    for line in result_lines(result):
        print(line)
    print(f"written: {folder / 'report.html'}, metrics.json, windows.csv, trajectories, pictures")


def result_lines(result: RunResult) -> Iterator[str]:
    """The run in words."""
    yield f"{result.source.get('name', '')}: {result.source.get('policy', '')}"
    for camera, counts in result.counts.items():
        topic = result.topics.get(camera, "")
        dropped = ", ".join(f"{cause} {n}" for cause, n in counts["dropped"].items())
        lost = sum(counts["dropped"].values())
        yield (
            f"  camera {camera} {topic}: {counts['received']} images = {counts['used']} used + "
            f"{lost} dropped" + (f" ({dropped})" if dropped else "")
        )
    for reason in result.source.get("left_out", ()):
        yield f"  left out: {reason}"
    windows = result.windows
    lost = ", ".join(f"{cause} {n}" for cause, n in windows.get("dropped", {}).items())
    yield f"  windows: {windows['formed']} formed, {windows['done']} done" + (
        f", dropped: {lost}" if lost else ""
    )
    for kind, truth in result.truth.items():
        yield (
            f"  true {kind} from {truth['source']}: {truth['matched']} of {truth['of']} matched "
            f"within {truth['tolerance_s']:g} s"
        )
    yield from _table(result)
    yield from (f"  ! {fault}" for fault in result.faults)
    yield from (f"  ! {warning}" for warning in result.model.get("warnings", ()))
    timing = result.timing
    if timing:
        yield (
            f"  {timing['windows_per_s']:.2f} windows/s, {timing['images_per_s']:.1f} images/s; "
            f"reading and decoding {100 * timing['read_decode_share']:.1f} % of the run, most "
            f"memory {timing['rss_most_bytes'] / 2**20:.0f} MiB"
        )


def _table(result: RunResult) -> Iterator[str]:
    yield from _lines("", result.metrics)
    for name, metrics in sorted(result.baselines.items()):
        yield from _lines(f" [{name}]", metrics)


def _lines(label: str, metrics: Metrics) -> Iterator[str]:
    for group in sorted(metrics):
        variants: Mapping[str, Numbers] = metrics[group]
        for variant in sorted(variants):
            numbers = variants[variant]
            shown = "  ".join(
                f"{name} {numbers[name]:.4g}" for name in _SHOWN.get(group, ()) if name in numbers
            )
            yield f"  {group + '.' + variant + label:<34} {shown}"
