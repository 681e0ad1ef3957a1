# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The ablation compares like with like and writes down what it found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vggt4d_ros.model.checkpoint import untrained
from vggt4d_ros.model.config import tiny_motion
from vggt4d_ros.train.ablation import (
    VARIANTS,
    count_parameters,
    run_ablation,
    summarise,
    table,
    variant_config,
)
from vggt4d_ros.train.config import Phase, TrainConfig
from vggt4d_ros.train.sweep import sweep


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_have_the_same_number_of_parameters(name: str) -> None:
    config = TrainConfig()

    own = count_parameters(variant_config(config, VARIANTS[name], 0))
    ours = count_parameters(variant_config(config, VARIANTS["parallel"], 0))

    assert abs(own / ours - 1) < 0.02


def test_variants_differ() -> None:
    configs = {str(variant_config(TrainConfig(), variant, 0)) for variant in VARIANTS.values()}

    assert len(configs) == len(VARIANTS)


def test_mean_and_spread_over_seeds() -> None:
    runs = [
        {"variant": "serial", "metrics": {"epe": 1.0, "abs_rel": 0.5}},
        {"variant": "serial", "metrics": {"epe": 3.0, "abs_rel": 0.5}},
    ]

    summary = summarise(runs)

    assert summary["serial"]["epe"] == pytest.approx([2.0, 2**0.5])
    assert summary["serial"]["abs_rel"] == [0.5, 0.0]
    assert "| serial | 0.500 ± 0.000 | - | 2.000 ± 1.414 |" in table(summary)


def test_small_ablation_writes_raw_numbers(tmp_path: Path) -> None:
    phase = Phase(until=1, batch=1, grids=((2, 1),), sizes=((56, 56),), drop_share=0.0)
    config = TrainConfig(
        model="tiny_motion",
        phases=(phase,),
        threads=1,
        evaluate_windows=1,
        evaluate_grid=(2, 1),
        evaluate_size=(56, 56),
    )
    report = tmp_path / "ablation.json"

    run_ablation(config, tmp_path, report, (0,), ("parallel", "unified"), grids=((1, 2),))
    written = json.loads(report.read_text())

    assert [run["variant"] for run in written["runs"]] == ["parallel", "unified"]
    assert written["runs"][0]["steps"] == 1
    assert "epe" in written["runs"][0]["metrics"]
    assert "epe" not in written["runs"][0]["grids"]["1x2"]
    assert set(written["summary"]) == {"parallel", "unified"}


def test_sweep_covers_every_grid_with_and_without_missing_frames() -> None:
    model = untrained(tiny_motion()).eval()

    rows = sweep(model, TrainConfig(), steps=(1, 2), views=(1, 2), windows=1, size=(56, 56))

    assert [(row["steps"], row["views"], row["missing"]) for row in rows] == [
        (1, 1, False),
        (1, 2, False),
        (2, 1, False),
        (2, 2, False),
        (2, 2, True),
    ]
    assert "epe" not in rows[0]["metrics"]  # one step has no flow
    assert rows[3]["metrics"]["windows"] == 1


def test_ablated_network_is_within_two_percent_for_every_variant_too() -> None:
    config = TrainConfig(model="ablation")
    counts = [count_parameters(variant_config(config, v, 0)) for v in VARIANTS.values()]

    assert max(counts) / min(counts) < 1.02
