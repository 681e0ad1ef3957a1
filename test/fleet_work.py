# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the tests of the fleet do with a "bag", a text file, in other processes."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from vggt4d_ros.evaluation.bag import BagError
from vggt4d_ros.evaluation.options import EvalOptions
from vggt4d_ros.evaluation.results import RunResult
from vggt4d_ros.evaluation.run_folder import write_run


def work(bag: Path, options: EvalOptions, folder: Path) -> None:
    """Does what the file says; notes beside it that it was asked."""
    with bag.with_suffix(".asked").open("a") as file:
        file.write(f"{os.getpid()}\n")
    what = bag.read_text().split()
    if what[0] == "refuse":
        raise BagError(f"{bag}: damaged after 3 messages")
    if what[0] == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if what[0] == "bug":
        raise ZeroDivisionError("two\nlines")
    write_run(result_of(bag.name, float(what[1])), folder)
    if what[0] == "stop":  # after the numbers are written, before the run is over
        raise KeyboardInterrupt


def result_of(name: str, abs_rel: float) -> RunResult:
    """A run of two windows."""
    return RunResult(
        source={"kind": "bag", "name": name},
        model={"name": "none"},
        config={},
        topics={},
        counts={},
        windows={"formed": 2, "done": 2, "dropped": {}},
        metrics={"depth": {"median": {"abs_rel": abs_rel}}},
        timing={"windows_per_s": 3.0},
    )
