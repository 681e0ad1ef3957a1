# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Runs side by side: differences, their intervals, and bounds with an exit status."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy")

from vggt4d_ros.evaluation import compare
from vggt4d_ros.evaluation.bounds import parse_bound
from vggt4d_ros.evaluation.directions import direction
from vggt4d_ros.evaluation.options import EvaluationError
from vggt4d_ros.evaluation.paired import mean_interval, paired_differences
from vggt4d_ros.evaluation.results import RunResult
from vggt4d_ros.evaluation.run_folder import write_run

SECOND = 1_000_000_000
WINDOWS = 40


def rows(values: np.ndarray, first: int = 0) -> list[dict[str, float | int | str]]:
    return [
        {
            "index": index,
            "epoch": 0,
            "stamp_ns": (first + index) * SECOND,
            "steps": 2,
            "views": 1,
            "valid_slots": 2,
            "scale": 1.0,
            "scale_sigma": float("nan"),
            "scale_source": "rig",
            "residual_m": float("nan"),
            "residual_rad": float("nan"),
            "abs_rel": float(value),
        }
        for index, value in enumerate(values)
    ]


def result_of(values: np.ndarray, **depth: float) -> RunResult:
    numbers = {"abs_rel": float(np.mean(values)), "delta1": 0.9, "pixels": 1000.0, **depth}
    return RunResult(
        source={"kind": "bag", "name": "walk"},
        model={"name": "compact"},
        config={"window.length": 2},
        topics={"front": "/front/image_raw"},
        counts={"front": {"received": 41, "used": 41, "dropped": {}}},
        windows={"formed": WINDOWS, "done": WINDOWS, "dropped": {}},
        metrics={"depth": {"median": numbers}},
        rows=rows(values),
    )


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.2, 0.05, WINDOWS)


@pytest.fixture
def folders(tmp_path):
    """Gives a function that writes runs and gives their folders."""

    def write(*results: RunResult) -> list[Path]:
        return [write_run(result, tmp_path / f"run{i}") for i, result in enumerate(results)]

    return write


def test_the_same_run_twice_differs_in_nothing(folders, tmp_path, capsys):
    result = result_of(noise(0))

    status = compare.run(
        folders(result, result), ["depth.median.abs_rel~0%"], tmp_path / "out.json"
    )

    assert status == 0
    told = json.loads((tmp_path / "out.json").read_text())
    assert told["runs"][0]["settings"] == []
    assert all(n["difference"] in (0.0, None) for n in told["runs"][0]["numbers"].values())
    (paired,) = told["runs"][0]["paired"]
    assert (paired["mean"], paired["low"], paired["high"]) == (0.0, 0.0, 0.0)
    assert "differs" not in capsys.readouterr().out


def test_interval_covers_a_known_shift_and_excludes_zero(folders, tmp_path, capsys):
    shift = 0.01
    first = noise(0)
    second = first + shift + np.random.default_rng(1).normal(0.0, 0.01, WINDOWS)

    compare.run(folders(result_of(first), result_of(second)), (), tmp_path / "out.json")

    (paired,) = json.loads((tmp_path / "out.json").read_text())["runs"][0]["paired"]
    assert paired["pairs"] == WINDOWS
    assert 0.0 < paired["low"] < shift < paired["high"]
    assert "40 paired  differs" in capsys.readouterr().out


def test_interval_covers_the_true_mean_about_as_often_as_it_says():
    covered = 0
    for seed in range(60):
        low, high = mean_interval(np.random.default_rng(seed).normal(0.3, 1.0, 30))
        covered += low < 0.3 < high

    assert 50 <= covered <= 60  # 57 expected


def test_interval_is_the_same_each_time():
    values = noise(3)

    assert mean_interval(values) == mean_interval(values.copy())


def test_pairing_removes_what_both_runs_share():
    hard = np.random.default_rng(0).normal(0.0, 1.0, WINDOWS)  # windows differ much
    gain = np.random.default_rng(1).normal(-0.02, 0.01, WINDOWS)  # the runs little

    (paired,) = paired_differences(rows(hard), rows(hard + gain))

    assert paired.high < 0.0
    assert paired.high - paired.low < 0.01


def test_only_windows_of_the_same_stamp_are_paired_and_counted():
    values = np.arange(10.0)

    (paired,) = paired_differences(rows(values), rows(values, first=4))

    assert paired.pairs == 6
    assert paired.mean == -4.0  # the second run's value at a stamp is 4 less


def test_windows_without_a_number_in_one_run_are_left_out():
    values = np.arange(10.0)
    broken = values.copy()
    broken[:7] = np.nan

    (paired,) = paired_differences(rows(values), rows(broken))

    assert paired.pairs == 3


def test_stamps_of_a_loop_are_paired_by_their_turn():
    first = [*rows(np.array([1.0, 2.0])), *rows(np.array([10.0, 20.0]))]
    second = [*rows(np.array([2.0, 3.0])), *rows(np.array([13.0, 23.0]))]

    (paired,) = paired_differences(first, second)

    assert paired.pairs == 4
    assert paired.mean == 2.0  # (1 + 1 + 3 + 3) / 4


@pytest.mark.parametrize(
    ("bound", "value", "holds"),
    [
        ("depth.median.abs_rel<=0.2", 0.2, True),
        ("depth.median.abs_rel<=0.2", 0.2001, False),
        ("metrics.depth.median.abs_rel<=+2%", 0.102, True),
        ("depth.median.abs_rel<=+2%", 0.1021, False),
        ("depth.median.abs_rel<=+0.01", 0.11, True),
        ("depth.median.abs_rel<=+0.01", 0.1101, False),
        ("depth.median.abs_rel<=-5%", 0.095, True),  # must have become better
        ("depth.median.abs_rel<=-5%", 0.0951, False),
        ("depth.median.abs_rel~5%", 0.01, True),
        ("depth.median.abs_rel~5%", 0.1051, False),
        ("depth.median.delta1>=0.1", 0.1, True),
        ("depth.median.delta1>=0.1", 0.0999, False),
        ("depth.median.delta1>=-1%", 0.0991, True),
        ("depth.median.delta1>=-1%", 0.0989, False),
        ("depth.median.delta1~1%", 5.0, True),
        ("depth.median.delta1~0.01", 0.0899, False),
        ("depth.median.pixels>=+0", 0.1, True),
        ("depth.median.abs_rel <= 1e-1", 0.1, True),
        ("depth.median.abs_rel<=0.2", float("nan"), False),
    ],
)
def test_bound_holds_up_to_its_limit_and_no_further(bound, value, holds):
    assert parse_bound(bound).judge(0.1, value).holds is holds


def test_metrics_of_one_run_hold_against_a_bound_of_no_change_whatever_their_rounding():
    assert parse_bound("flow.all.epe~0").judge(1.234567891, 1.2345678911).holds


@pytest.mark.parametrize(
    ("bound", "reason"),
    [
        ("depth.median.abs_rel", "is not NAME<=VALUE"),
        ("depth.median.abs_rel<0.1", "is not NAME<=VALUE"),
        ("depth.median.abs_rel<=two", "is not NAME<=VALUE"),
        ("<=0.1", "is not NAME<=VALUE"),
        ("depth.median.abs_rel<=2%", "a change needs a sign, e.g. +2%"),
        ("depth.median.abs_rel>=0.1", "abs_rel is better when lower"),
        ("depth.median.delta1<=0.1", "delta1 is better when higher"),
        ("depth.median.pixels~1%", "does not know which way depth.median.pixels is worse"),
        ("depth.median.abs_rel~+1%", "~ takes no sign"),
    ],
)
def test_bound_that_makes_no_sense_is_refused(bound, reason):
    with pytest.raises(EvaluationError, match=reason.replace("+", r"\+")):
        parse_bound(bound)


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("depth.median.abs_rel", "lower"),
        ("depth.metric.delta3", "higher"),
        ("flow.all.fl_all", "lower"),
        ("flow.all.px3", "higher"),
        ("scene_flow.all.epe3d_moving", "lower"),
        ("scene_flow.all.acc_s", "higher"),
        ("mask.all.j", "higher"),
        ("points.all.completeness_median", "lower"),
        ("points.all.f_score", "higher"),
        ("trajectory.sim3.ate_rmse", "lower"),
        ("trajectory.none.rpe_rot_deg_mean_1f", "lower"),
        ("trajectory.none.matched", None),
        ("calibration.depth.ause", "lower"),
        ("calibration.pose.nees", None),
    ],
)
def test_direction_of_metrics(name, way):
    assert direction(name) == way


def test_worse_metric_is_exit_status_1_and_named(folders, capsys):
    paths = folders(result_of(noise(0)), result_of(noise(0) + 0.02))

    status = compare.run(paths, ["depth.median.abs_rel<=+2%", "depth.median.delta1>=0.8"])

    lines = capsys.readouterr().out.splitlines()
    assert status == 1
    assert [line[:5] for line in lines if "depth.median.abs_rel<=+2%" in line] == ["WORSE"]
    assert [line[:5] for line in lines if "depth.median.delta1>=0.8" in line] == ["ok   "]


def test_every_further_run_is_held_against_the_first(folders, tmp_path):
    paths = folders(*(result_of(noise(0) + shift) for shift in (0.0, -0.05, 0.05)))

    status = compare.run(paths, ["depth.median.abs_rel~1%"], tmp_path / "out.json")

    told = json.loads((tmp_path / "out.json").read_text())
    assert status == 1
    assert told["holds"] is False
    assert [run["bounds"][0]["holds"] for run in told["runs"]] == [True, False]
    assert [run["numbers"]["depth.median.abs_rel"]["better"] for run in told["runs"]] == [
        True,
        False,
    ]


def test_metric_that_only_the_first_run_has_does_not_hold(folders, capsys):
    without = replace(result_of(noise(0)), metrics={})

    status = compare.run(folders(result_of(noise(0)), without), ["depth.median.abs_rel<=0.5"])

    assert status == 1
    assert "depth.median.abs_rel<=0.5: no value" in capsys.readouterr().out


def test_what_is_set_otherwise_is_said(folders, capsys):
    other = replace(result_of(noise(0)), config={"window.length": 3})

    compare.run(folders(result_of(noise(0)), other))

    assert "config.window.length: 2 -> 3" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("bounds", "reason"),
    [
        (["depth.median.abs_rel=0.1"], "is not NAME<=VALUE"),
        (["flow.all.epe<=1"], "no run has flow.all.epe"),
        (["depth.metric.abs_rel<=1"], "there is depth.median.abs_rel"),
    ],
)
def test_bad_bound_is_one_line_and_exit_status_2(folders, capsys, bounds, reason):
    status = compare.run(folders(result_of(noise(0)), result_of(noise(0))), bounds)

    told = capsys.readouterr().err
    assert status == 2
    assert len(told.strip().splitlines()) == 1
    assert reason in told


def test_folder_without_a_run_is_one_line_and_exit_status_2(folders, tmp_path, capsys):
    (good,) = folders(result_of(noise(0)))

    status = compare.run([good, tmp_path / "nowhere"])

    assert status == 2
    assert "nowhere: no run folder" in capsys.readouterr().err
