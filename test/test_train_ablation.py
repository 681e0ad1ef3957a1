# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The ablation compares like with like and writes down what it found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vggt4d_ros.train.ablation import (
    VARIANTS,
    count_parameters,
    run_ablation,
    summarise,
    table,
    variant_config,
)
from vggt4d_ros.train.config import Phase, TrainConfig


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
