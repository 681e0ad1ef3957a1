# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A run as a folder of files: metrics.json, CSV, TUM trajectories, pictures.

Numbers are rounded to nine digits and keys are sorted, so that two runs that found the same write
the same bytes; what depends on the clock is only under ``timing`` and in ``timing.csv``.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vggt4d_ros.evaluation.metrics.trajectory import Trajectory
from vggt4d_ros.evaluation.options import EvaluationError
from vggt4d_ros.evaluation.results import FORMAT, WINDOW_COLUMNS, Picture, Row, RunResult
from vggt4d_ros.geometry import se3

_PLAIN = (
    "source",
    "model",
    "config",
    "topics",
    "counts",
    "windows",
    "faults",
    "truth",
    "metrics",
    "baselines",
    "curves",
    "timing",
)
_INTEGERS = {"index", "epoch", "stamp_ns", "steps", "views", "valid_slots"}
_WORDS = {"scale_source"}


def write_run(result: RunResult, folder: Path | str) -> Path:
    """Writes a run; gives the folder.

    Raises:
        EvaluationError: the folder cannot be written.
    """
    folder = Path(folder)
    try:
        (folder / "pictures").mkdir(parents=True, exist_ok=True)
        _write_json(folder / "metrics.json", metrics_document(result))
        _write_rows(folder / "windows.csv", result.rows, WINDOW_COLUMNS)
        _write_rows(folder / "timing.csv", result.timings, ("index",))
        for name, poses in _trajectories(result):
            (folder / name).unlink(missing_ok=True)
            if poses is not None:
                (folder / name).write_text(tum_text(poses))
        _write_pictures(folder / "pictures", result.pictures)
    except OSError as error:
        raise EvaluationError(f"{folder}: cannot be written: {error.strerror or error}") from error
    return folder


def metrics_document(result: RunResult) -> dict[str, Any]:
    """The content of metrics.json."""
    document = {name: getattr(result, name) for name in _PLAIN}
    plain: dict[str, Any] = _rounded({"format": FORMAT, **document})
    return plain


def _trajectories(result: RunResult) -> Iterable[tuple[str, Trajectory | None]]:
    return (("trajectory.tum", result.trajectory), ("truth.tum", result.truth_trajectory))


def read_run(folder: Path | str) -> RunResult:
    """Reads what ``write_run`` wrote.

    Raises:
        EvaluationError: the folder holds no run, or one of another format.
    """
    folder = Path(folder)
    path = folder / "metrics.json"
    if not path.is_file():
        raise EvaluationError(f"{folder}: no run folder, there is no metrics.json in it")
    try:
        document = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise EvaluationError(f"{path}: no JSON: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise EvaluationError(f"{path}: not of format {FORMAT}")
    try:
        values = {name: _numbers(document[name]) for name in _PLAIN}
        return RunResult(
            **values,
            rows=_read_rows(folder / "windows.csv"),
            timings=_read_rows(folder / "timing.csv"),
            trajectory=_read_tum(folder / "trajectory.tum"),
            truth_trajectory=_read_tum(folder / "truth.tum"),
            pictures=_read_pictures(folder / "pictures"),
        )
    except (KeyError, ValueError, OSError) as error:
        raise EvaluationError(f"{folder}: a damaged run folder: {error!r}") from error


def _rounded(value: Any) -> Any:
    """Plain values with nine digits; what is not finite is None (JSON has no NaN)."""
    if isinstance(value, Mapping):
        return {str(key): _rounded(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return _rounded(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    if isinstance(value, np.generic):
        return _rounded(value.item())
    if isinstance(value, float):
        return float(f"{value:.9g}") + 0.0 if math.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    return value


def _numbers(value: Any) -> Any:
    """The inverse for numbers: None below a metric is NaN."""
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    return math.nan if value is None else value


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n")


def _write_rows(path: Path, rows: Sequence[Row], first: Sequence[str]) -> None:
    others: dict[str, None] = {}
    for row in rows:
        others.update(dict.fromkeys(row))
    columns = [*first, *sorted(set(others) - set(first))]
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            writer.writerow([_cell(row.get(column, math.nan)) for column in columns])


def _cell(value: float | int | str) -> str:
    if isinstance(value, float):
        return "" if not math.isfinite(value) else f"{value:.9g}"
    return str(value)


def _read_rows(path: Path) -> list[Row]:
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return [{k: _value(k, text) for k, text in row.items()} for row in csv.DictReader(file)]


def _value(column: str, text: str) -> float | int | str:
    if column in _WORDS:
        return text
    if column in _INTEGERS:
        return int(text)
    return float(text) if text else math.nan


def tum_text(trajectory: Trajectory) -> str:
    """Lines ``stamp_s x y z qx qy qz qw``; the stamp has all its nanoseconds."""
    lines = []
    quats = se3.quat_xyzw_from_matrix(trajectory.poses[:, :3, :3])
    for stamp_ns, pose, quat in zip(trajectory.stamps_ns, trajectory.poses, quats, strict=True):
        seconds, nanoseconds = divmod(int(stamp_ns), 1_000_000_000)
        numbers = " ".join(f"{value + 0.0:.9f}" for value in (*pose[:3, 3], *quat))
        lines.append(f"{seconds}.{nanoseconds:09d} {numbers}\n")
    return "".join(lines)


def parse_tum(text: str) -> Trajectory:
    """The inverse of ``tum_text``; lines that begin with # or repeat a stamp are left out.

    Raises:
        ValueError: a line has not eight numbers.
    """
    stamps, values = [], []
    for line in text.splitlines():
        words = line.replace(",", " ").split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 8:
            raise ValueError(f"{line.strip()!r} is not stamp tx ty tz qx qy qz qw")
        stamps.append(_nanoseconds(words[0]))
        values.append([float(word) for word in words[1:]])
    numbers = np.array(values, dtype=np.float64).reshape(-1, 7)
    if not np.isfinite(numbers).all():
        raise ValueError("a pose is not finite")
    order = np.unique(np.array(stamps, dtype=np.int64), return_index=True)[1]
    rotations = se3.matrix_from_quat_xyzw(numbers[:, 3:]) if len(numbers) else np.zeros((0, 3, 3))
    poses = se3.make_transform(rotations, numbers[:, :3])
    return Trajectory(np.array(stamps, dtype=np.int64)[order], poses[order])


def _nanoseconds(text: str) -> int:
    """Decimal seconds to nanoseconds, exactly where the text is plain."""
    if not abs(float(text)) * 1e9 < 2**63:
        raise ValueError(f"{text} s is no stamp")
    whole, _, fraction = text.partition(".")
    if whole.isdigit() and (fraction.isdigit() or not fraction):
        return int(whole) * 1_000_000_000 + int((fraction + "0" * 9)[:9])
    return round(float(text) * 1e9)


def _read_tum(path: Path) -> Trajectory | None:
    return parse_tum(path.read_text()) if path.is_file() else None


def _write_pictures(folder: Path, pictures: Sequence[Picture]) -> None:
    for path in folder.glob("*.png"):  # of an earlier run into the same folder
        path.unlink()
    index = []
    for picture in pictures:
        (folder / picture.file).write_bytes(picture.png)
        keys = ("window", "stamp_ns", "camera", "kind", "file", "caption")
        index.append({key: getattr(picture, key) for key in keys})
    _write_json(folder / "index.json", index)


def _read_pictures(folder: Path) -> list[Picture]:
    index = folder / "index.json"
    if not index.is_file():
        return []
    pictures = []
    for entry in json.loads(index.read_text()):
        png = (folder / entry.pop("file")).read_bytes()
        pictures.append(Picture(**entry, png=png))
    return pictures
