# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Many bags: processes, a local Ray cluster, failures, restarts, the merged table."""

from __future__ import annotations

import csv
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("rosbags")

from fleet_work import work

from vggt4d_ros.evaluation import fleet
from vggt4d_ros.evaluation.fleet_jobs import (
    MARK,
    TRACE,
    Job,
    evaluate,
    find_bags,
    is_done,
    make_job,
)
from vggt4d_ros.evaluation.options import EvalOptions, EvaluationError


@pytest.fixture
def bags(tmp_path):
    """Gives a function that writes bags by name and content, and gives their folder."""

    def write(**contents: str) -> Path:
        folder = tmp_path / "bags"
        folder.mkdir(exist_ok=True)
        for name, content in contents.items():
            (folder / f"{name}.mcap").write_text(content)
        return folder

    return write


def job_of(bag: Path, out: Path, options: EvalOptions | None = None) -> Job:
    return make_job(bag.stem, bag, options or EvalOptions(), out, kind="work", threads=0)


@pytest.fixture
def in_process(monkeypatch):
    """Does the jobs here, one after the other: starting processes takes long."""
    monkeypatch.setattr(
        fleet, "over_processes", lambda jobs, work, count: (evaluate(job, work) for job in jobs)
    )


def asked(folder: Path) -> dict[str, int]:
    return {p.stem: len(p.read_text().splitlines()) for p in sorted(folder.glob("*.asked"))}


def status_of(out: Path) -> dict[str, str]:
    told = json.loads((out / "fleet.json").read_text())
    return {row["name"]: row["status"] for row in told["bags"]}


# ---------------------------------------------------------------------- which bags


def test_folders_are_searched_for_bags_in_order(tmp_path):
    for name in ("b/2.mcap", "b/10.db3", "a/drive/metadata.yaml", "a/drive/drive_0.mcap", "c.bag"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    (tmp_path / "notes.txt").write_text("")

    found = find_bags([tmp_path], tmp_path / "out")

    assert [name for name, _ in found] == ["a/drive", "b/10", "b/2", "c"]
    assert found[0][1] == tmp_path / "a/drive"


def test_recordings_among_the_results_are_not_taken_for_bags(tmp_path):
    for name in ("in.mcap", "out/in/outputs.mcap"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")

    assert [name for name, _ in find_bags([tmp_path], tmp_path / "out")] == ["in"]


def test_bag_named_twice_is_evaluated_once_and_equal_names_stay_apart(tmp_path):
    for name in ("x/run.mcap", "y/run.mcap"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("")

    found = find_bags([tmp_path / "x/run.mcap", tmp_path / "y", tmp_path / "x"], tmp_path / "out")

    assert found == [("run", tmp_path / "x/run.mcap"), ("run-2", tmp_path / "y/run.mcap")]


def test_dot_in_the_name_of_a_rosbag2_folder_is_no_suffix(tmp_path):
    for name in ("run.1", "run.2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metadata.yaml").write_text("")

    assert [name for name, _ in find_bags([tmp_path], tmp_path / "out")] == ["run.1", "run.2"]


def test_folder_without_a_bag_is_an_error(tmp_path):
    with pytest.raises(EvaluationError, match="no bag in this folder"):
        find_bags([tmp_path], tmp_path / "out")


def test_recorded_outputs_of_each_bag_go_into_its_own_folder(tmp_path):
    options = EvalOptions(record=tmp_path / "outputs.mcap", rerun=tmp_path / "view.rrd")

    job = job_of(tmp_path / "run.mcap", tmp_path / "out", options)

    assert job.options.record == tmp_path / "out/run/outputs.mcap"
    assert job.options.rerun == tmp_path / "out/run/view.rrd"


# ---------------------------------------------------------------------- one bag


@pytest.mark.parametrize(
    ("content", "status", "reason"),
    [
        ("good 0.1", "done", ""),
        ("refuse", "failed", "damaged after 3 messages"),
        ("bug", "failed", "ZeroDivisionError: two lines (see "),
    ],
)
def test_outcome_of_a_bag_is_one_line(bags, tmp_path, content, status, reason):
    bag = bags(one=content) / "one.mcap"
    job = job_of(bag, tmp_path / "out")

    outcome = evaluate(job, work)

    assert outcome.status == status
    assert reason in outcome.reason
    assert "\n" not in outcome.reason
    assert is_done(job) is (status == "done")
    assert (job.folder / TRACE).exists() is (content == "bug")


def test_run_that_was_interrupted_is_not_done(bags, tmp_path):
    job = job_of(bags(one="stop 0.1") / "one.mcap", tmp_path / "out")

    with pytest.raises(KeyboardInterrupt):
        evaluate(job, work)

    assert (job.folder / "metrics.json").exists()
    assert not is_done(job)


def test_second_try_that_is_interrupted_takes_the_mark_of_the_first_away(bags, tmp_path):
    bag = bags(one="good 0.1") / "one.mcap"
    evaluate(job_of(bag, tmp_path / "out"), work)
    os.utime(bag, ns=(1, 1))
    bag.write_text("stop 0.1")
    job = job_of(bag, tmp_path / "out")

    with pytest.raises(KeyboardInterrupt):
        evaluate(job, work)

    assert not (job.folder / MARK).exists()


@pytest.mark.parametrize("what", ["options", "bag", "kind", "metrics"])
def test_run_is_done_only_for_the_same_bag_and_options(bags, tmp_path, what):
    bag = bags(one="good 0.1") / "one.mcap"
    job = job_of(bag, tmp_path / "out")
    evaluate(job, work)
    assert is_done(job)

    if what == "options":
        job = job_of(bag, tmp_path / "out", EvalOptions(truth_tolerance_s=0.5))
    elif what == "bag":
        bag.write_text("good 0.2 longer")
    elif what == "kind":
        job = replace(job, kind="score_outputs")
    else:
        (job.folder / "metrics.json").unlink()

    assert not is_done(job)


# ---------------------------------------------------------------------- many


def test_bag_that_fails_or_kills_its_process_is_told_and_stops_no_other(bags, tmp_path, capsys):
    folder = bags(a="good 0.1", b="crash", c="refuse", d="good 0.3")

    status = fleet.run([folder], EvalOptions(), tmp_path / "out", jobs=2, work=work)

    told = json.loads((tmp_path / "out/fleet.json").read_text())
    printed = capsys.readouterr().out
    assert status == 1
    assert status_of(tmp_path / "out") == {"a": "done", "b": "failed", "c": "failed", "d": "done"}
    assert told["counts"] == {"bags": 4, "done": 2, "skipped": 0, "failed": 2}
    assert told["mean"]["depth.median.abs_rel"] == {"mean": 0.2, "bags": 2}
    assert "its process was killed" in told["bags"][1]["reason"]
    assert "damaged after 3 messages" in told["bags"][2]["reason"]
    assert "4 bags: 2 done, 0 done before, 2 failed" in printed
    assert not any("timing" in name for name in told["mean"])
    with (tmp_path / "out/fleet.csv").open() as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    assert rows["d"]["depth.median.abs_rel"] == "0.3"
    assert rows["c"]["depth.median.abs_rel"] == ""
    processes = {p.read_text() for p in folder.glob("*.asked")}
    assert len(processes) == 4  # one for each bag
    assert f"{os.getpid()}\n" not in processes


def test_second_run_does_only_what_is_not_done(bags, tmp_path, capsys, in_process):
    folder = bags(a="good 0.1", b="refuse")
    out = tmp_path / "out"
    assert fleet.run([folder], EvalOptions(), out, work=work) == 1
    first = (out / "a/metrics.json").stat().st_mtime_ns
    (folder / "b.mcap").write_text("good 0.5")

    status = fleet.run([folder], EvalOptions(), out, work=work)

    assert status == 0
    assert "1 of 2 bags are done already" in capsys.readouterr().out
    assert asked(folder) == {"a": 1, "b": 2}
    assert status_of(out) == {"a": "skipped", "b": "done"}
    assert (out / "a/metrics.json").stat().st_mtime_ns == first
    told = json.loads((out / "fleet.json").read_text())
    assert told["mean"]["depth.median.abs_rel"] == {"mean": 0.3, "bags": 2}


def test_path_that_is_not_there_is_a_bag_that_failed(tmp_path, bags, in_process):
    folder = bags(a="good 0.1")

    status = fleet.run(
        [folder, tmp_path / "nowhere.mcap"], EvalOptions(), tmp_path / "out", work=work
    )

    assert status == 1
    assert status_of(tmp_path / "out") == {"a": "done", "nowhere": "failed"}


def test_jobs_below_one_are_refused(tmp_path):
    with pytest.raises(EvaluationError, match="--jobs must be 1 or more, got 0"):
        fleet.run([tmp_path], EvalOptions(), tmp_path / "out", jobs=0)


# ---------------------------------------------------------------------- Ray


def test_ray_gives_what_processes_give(bags, tmp_path, capsys):
    pytest.importorskip("ray")
    folder = bags(a="good 0.1", b="crash", c="refuse", d="good 0.3")

    status = fleet.run([folder], EvalOptions(), tmp_path / "out", jobs=2, ray="local", work=work)

    told = json.loads((tmp_path / "out/fleet.json").read_text())
    assert status == 1
    assert status_of(tmp_path / "out") == {"a": "done", "b": "failed", "c": "failed", "d": "done"}
    assert "its process ended" in told["bags"][1]["reason"]
    assert "damaged after 3 messages" in told["bags"][2]["reason"]
    assert told["mean"]["depth.median.abs_rel"] == {"mean": 0.2, "bags": 2}
    assert f"{os.getpid()}\n" not in {p.read_text() for p in folder.glob("*.asked")}


def test_without_ray_the_user_is_told_what_to_install(bags, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)

    with pytest.raises(EvaluationError, match=r"pip install 'vggt4d_ros\[fleet\]'"):
        fleet.run([bags(a="good 0.1")], EvalOptions(), tmp_path / "out", ray="local", work=work)


def test_cluster_that_is_not_there_is_one_line(bags, tmp_path):
    pytest.importorskip("ray")

    with pytest.raises(EvaluationError, match="--ray nonsense://: no cluster there") as caught:
        fleet.run(
            [bags(a="good 0.1")], EvalOptions(), tmp_path / "out", ray="nonsense://", work=work
        )

    assert "\n" not in str(caught.value)
