# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``vggt4d eval --suite compact``: a checkpoint on fixed rendered windows and on real samples.

Every number stands beside what simple methods reach on the same windows, and beside its goal.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from vggt4d_ros.config import EngineConfig
from vggt4d_ros.evaluation.estimates import baseline_estimates, network_estimate
from vggt4d_ros.evaluation.known_window import KnownWindow, window_of_batch, window_of_recording
from vggt4d_ros.evaluation.model_card import describe_engine
from vggt4d_ros.evaluation.options import EvaluationError
from vggt4d_ros.evaluation.results import FORMAT, Metrics
from vggt4d_ros.evaluation.suite_table import goals_of, print_report
from vggt4d_ros.evaluation.window_scores import WindowScores
from vggt4d_ros.model.engine import Engine, load_engine

GRIDS = ((2, 2), (1, 1), (4, 1), (2, 3))  # (T, V); the first is the one that goals are set for
OTHERS_SHARE = 5  # the other grids get so many times fewer windows
SIZE = (112, 160)  # (height, width)
REAL_STEPS = 4  # of a window of a real recording
LARGER = 2  # real recordings also have their images in so many times the size made for ...
LARGEST = 512  # ... if the longer side is at most this, pixels
DIGITS = 6


@dataclass(slots=True)
class SetResult:
    """One set of windows, and how the network and the baselines did on it."""

    name: str
    kind: str  # rendered | real
    windows: int = 0
    licence: str = ""
    rigs: int = 0  # windows in metres of at least two cameras, whose scale could be known
    scaled: int = 0  # those where it was
    network: WindowScores = field(default_factory=WindowScores)
    baselines: dict[str, WindowScores] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)  # stage -> s

    def add(self, known: KnownWindow, engine: Engine) -> None:
        """Runs and scores one window."""
        started = time.perf_counter()
        found, scale = network_estimate(known, engine)
        predicted = time.perf_counter()
        self.network.add(known, found)
        for name, estimate in baseline_estimates(known).items():
            self.baselines.setdefault(name, WindowScores()).add(known, estimate)
        self.windows += 1
        if known.metric and sum(place is not None for place in known.rig.base_from_cam) > 1:
            self.rigs += 1
            self.scaled += scale.known
        self._took("network", predicted - started)
        self._took("scores and baselines", time.perf_counter() - predicted)

    def _took(self, stage: str, seconds: float) -> None:
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds

    def document(self) -> dict[str, Any]:
        """Plain values: everything but the times."""
        about: dict[str, Any] = {"kind": self.kind, "windows": self.windows}
        if self.rigs:
            about["rig_scale"] = {"known": self.scaled, "of": self.rigs}
        if self.licence:
            about["licence"] = self.licence
        return about | {"metrics": self.network.summary(), "baselines": self.simple()}

    def simple(self) -> dict[str, Metrics]:
        """The baselines' numbers."""
        return {name: tally.summary() for name, tally in self.baselines.items()}


def run(
    json_path: Path | str | None,
    checkpoint: str = "",
    windows: int = 200,
    progress: bool = True,
    *,
    samples: Path | str | None = None,
    engine: Engine | None = None,
) -> dict[str, Any]:
    """Evaluates a checkpoint, prints the table and gives (and writes) all numbers.

    Args:
        json_path: where to write; None: nowhere.
        checkpoint: file or name; empty: the packaged one.
        windows: rendered ones of the main grid; of the others a fifth of it each.
        progress: whether to show a bar.
        samples: folder of real samples (``data.readers.samples``); None or absent: without them.
        engine: instead of loading the checkpoint.

    Raises:
        ValueError: no windows are asked for.
        CheckpointError, EngineError: the checkpoint cannot be used.
        EvaluationError: a sample's folder is not what it should be, or nothing can be written.
    """
    if windows < 1:
        raise ValueError(f"windows must be positive, got {windows}")
    if json_path is not None and not Path(json_path).parent.is_dir():
        raise EvaluationError(f"{json_path}: cannot be written: there is no such folder")
    recordings, notes = _real(samples)
    network = engine or load_engine(EngineConfig(checkpoint=checkpoint))
    document = _document(
        _run_sets(windows, recordings, network, progress), describe_engine(network), notes
    )
    if engine is None:
        network.close()
    print_report(document)
    if json_path is not None:
        _write(Path(json_path), document)
    return document


def _run_sets(
    windows: int, recordings: list[_Real], engine: Engine, progress: bool
) -> list[SetResult]:
    counts = [windows if grid == GRIDS[0] else -(-windows // OTHERS_SHARE) for grid in GRIDS]
    own = engine.image_size  # rendered windows have it themselves, real images far more
    sizes = [own, LARGER * own] if 0 < LARGER * own <= LARGEST else [own]
    total = sum(counts) + len(sizes) * sum(recording.count for recording in recordings)
    sets = []
    with tqdm(total=total, unit="window", disable=not progress) as bar:
        for grid, count in zip(GRIDS, counts, strict=True):
            sets.append(_run_set(_name(grid), "rendered", rendered(grid, count), engine, bar))
        for recording, image_size in itertools.product(recordings, sizes):
            engine.image_size = image_size
            name = recording.name if image_size == own else f"{recording.name}@{image_size}"
            part = _run_set(name, "real", recording.windows(), engine, bar)
            part.licence = recording.licence
            sets.append(part)
    engine.image_size = own
    return sets


@dataclass(frozen=True, slots=True)
class _Real:
    """A real recording, cut into windows that share no step."""

    name: str
    licence: str
    recording: Any  # data.readers.recording.Recording, whose module needs torch

    @property
    def count(self) -> int:
        return -(-self.recording.steps // REAL_STEPS)

    def windows(self) -> Iterator[KnownWindow]:
        steps = self.recording.steps
        for first in range(0, steps, REAL_STEPS):
            yield window_of_recording(self.recording, range(first, min(first + REAL_STEPS, steps)))


def _real(folder: Path | str | None) -> tuple[list[_Real], list[str]]:
    """The real recordings, and what to say where there are none."""
    if folder is None:
        return [], ["no folder of real samples was given: rendered windows only"]
    if not Path(folder).is_dir():
        return [], [f"{folder}: no such folder of real samples: rendered windows only"]
    from vggt4d_ros.data.readers.recording import DatasetError
    from vggt4d_ros.data.readers.samples import open_samples

    try:
        found = [_Real(name, r.licence, r) for name, r in open_samples(folder).items()]
    except DatasetError as error:
        raise EvaluationError(str(error)) from error
    if not found:
        return [], [f"{folder}: none of the known real samples is in it: rendered windows only"]
    return found, []


def _name(grid: tuple[int, int]) -> str:
    return f"held_out_{grid[0]}x{grid[1]}"


def rendered(grid: tuple[int, int], count: int) -> Iterator[KnownWindow]:
    """Held-out windows of the generator: those of training come from another seed."""
    from vggt4d_ros.train.config import TrainConfig
    from vggt4d_ros.train.sampler import held_out

    for batch in held_out(TrainConfig(), count, grid, SIZE):
        for row in range(batch.shape[0]):
            yield window_of_batch(batch, row)


def _run_set(
    name: str, kind: str, windows: Iterator[KnownWindow], engine: Engine, bar: Any
) -> SetResult:
    result = SetResult(name, kind)
    bar.set_description(name)
    started = time.perf_counter()
    for known in windows:
        result.add(known, engine)
        bar.update()
    result.seconds["total"] = time.perf_counter() - started
    return result


def _write(path: Path, document: dict[str, Any]) -> None:
    try:
        path.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")
    except OSError as error:
        raise EvaluationError(f"{path}: cannot be written: {error.strerror or error}") from error


def _document(sets: list[SetResult], about: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    main = sets[0].document()
    document = {
        "format": FORMAT,
        "source": {"kind": "suite", "name": "compact", "main": sets[0].name, "size": list(SIZE)},
        "model": about,
        "windows": {"done": sum(part.windows for part in sets)},
        "faults": notes,
        "metrics": main["metrics"],
        "baselines": main["baselines"],
        "sets": {part.name: part.document() for part in sets},
        "timing": {part.name: {k: round(v, 3) for k, v in part.seconds.items()} for part in sets},
    }
    document = _rounded(document)
    document["goals"] = goals_of(document)
    return document


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, DIGITS)
    if isinstance(value, dict):
        return {str(key): _rounded(inner) for key, inner in value.items()}
    return value
