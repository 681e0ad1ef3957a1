# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One bag of many: which there are, what is asked of each, and how it ended."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from vggt4d_ros import __version__
from vggt4d_ros.evaluation.bag import BAG_SUFFIXES, BagError
from vggt4d_ros.evaluation.options import EvalOptions, EvaluationError
from vggt4d_ros.model.errors import CheckpointError, EngineError
from vggt4d_ros.options import ConfigError

MARK = "done.json"  # in a run folder whose run is complete
TRACE = "traceback.txt"  # in the folder of a run that ended by a fault of ours

Work = Callable[[Path, EvalOptions, Path], object]  # bag, options, run folder


@dataclass(frozen=True, slots=True)
class Job:
    """One bag to evaluate. Only plain values: it goes to other processes as it is."""

    name: str  # of the folder below the fleet's, e.g. monday/run3
    bag: Path
    options: EvalOptions
    folder: Path
    kind: str = "run"  # what is done with it: results of another kind are not its own
    threads: int = 0  # of torch; 0: as it comes


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended."""

    name: str
    bag: str
    status: str  # done | skipped (was done before) | failed
    reason: str = ""  # of a failure, one line


def find_bags(paths: Sequence[Path], beside: Path) -> list[tuple[str, Path]]:
    """(name, bag) of all bags named or in folders named, sorted within each; each bag once.

    A folder with a metadata.yaml is a bag; of other folders each .mcap, .db3 and .bag file is one.
    A path that is not there counts as a bag: it will be told as one that failed.

    Args:
        paths: as the user gave them.
        beside: folder that is not searched: results are written to it.

    Raises:
        EvaluationError: a folder has no bag in it.
    """
    found: dict[Path, str] = {}
    for path in paths:
        bags = list(_search(path, beside.resolve())) if path.is_dir() else [path]
        if not bags:
            raise EvaluationError(f"{path}: no bag in this folder")
        for bag in bags:
            inner = bag.relative_to(path) if bag != path else Path(bag.resolve().name)
            plain = inner.with_suffix("") if inner.suffix in BAG_SUFFIXES else inner
            found.setdefault(bag.resolve(), str(plain))
    names: dict[str, Path] = {}
    for bag, name in found.items():
        unique, count = name, 1
        while unique in names:
            count += 1
            unique = f"{name}-{count}"
        names[unique] = bag
    return list(names.items())


def _search(folder: Path, left_out: Path) -> Iterator[Path]:
    if (folder / "metadata.yaml").is_file():
        yield folder
        return
    if folder.resolve() == left_out:
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            yield from _search(path, left_out)
        elif path.suffix in BAG_SUFFIXES:
            yield path


def make_job(
    name: str, bag: Path, options: EvalOptions, out: Path, *, kind: str, threads: int
) -> Job:
    """The job of one bag; recordings of outputs go into its own folder."""
    folder = out / name
    if options.record is not None:
        options = replace(options, record=folder / options.record.name)
    if options.rerun is not None:
        options = replace(options, rerun=folder / options.rerun.name)
    return Job(name, bag, options, folder, kind, threads)


def digest(job: Job) -> str:
    """What the result depends on: options, package, and the files of bag, truth and weights.

    Files count by size and time of change; their content would take as long to read as to replay.
    """
    checkpoint = job.options.config.model.checkpoint
    files = [job.bag, *([job.options.truth_file] if job.options.truth_file else [])]
    if checkpoint and Path(checkpoint).exists():
        files.append(Path(checkpoint))
    parts = {
        "kind": job.kind,
        "options": asdict(job.options),
        "version": __version__,
        "files": [list(_stats(path)) for path in files],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def _stats(path: Path) -> Iterator[tuple[str, int, int]]:
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        if file.is_file():
            info = file.stat()
            yield file.name, info.st_size, info.st_mtime_ns


def is_done(job: Job) -> bool:
    """Whether the folder holds the complete run of just this job."""
    try:
        mark = json.loads((job.folder / MARK).read_text())
    except (OSError, ValueError):
        return False
    complete = (job.folder / "metrics.json").is_file()
    return complete and isinstance(mark, dict) and mark.get("digest") == digest(job)


def evaluate(job: Job, work: Work) -> Outcome:
    """Does one job; whatever happens to it is told, not raised.

    The mark is written last and at once: a run that was interrupted is not taken for done.
    """
    try:
        job.folder.mkdir(parents=True, exist_ok=True)
        for name in (MARK, TRACE):
            (job.folder / name).unlink(missing_ok=True)
        if job.threads:
            _limit_threads(job.threads)
        work(job.bag, job.options, job.folder)
        part = job.folder / f".{MARK}.part"
        part.write_text(json.dumps({"digest": digest(job)}) + "\n")
        os.replace(part, job.folder / MARK)
    except (BagError, ConfigError, CheckpointError, EngineError, EvaluationError) as error:
        return Outcome(job.name, str(job.bag), "failed", str(error))
    except OSError as error:
        return Outcome(job.name, str(job.bag), "failed", f"{job.folder}: {error}")
    # one bag must not end the fleet, whatever it does to the code
    except Exception as error:
        (job.folder / TRACE).write_text(traceback.format_exc())
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return Outcome(job.name, str(job.bag), "failed", f"{reason} (see {job.folder / TRACE})")
    return Outcome(job.name, str(job.bag), "done")


def _limit_threads(count: int) -> None:
    """For libraries that are not imported yet, which in a fresh process are all."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):
        os.environ[name] = str(count)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(count)


def run_bag(bag: Path, options: EvalOptions, folder: Path) -> object:
    """Evaluates one bag through the network into its run folder."""
    from vggt4d_ros.evaluation.complete_run import run_to_folder

    return run_to_folder(bag, options, folder)


def score_outputs(bag: Path, options: EvalOptions, folder: Path) -> object:
    """Scores the node's outputs in one bag into its run folder."""
    from vggt4d_ros.evaluation.complete_run import run_to_folder

    return run_to_folder(bag, options, folder, outputs=True)
