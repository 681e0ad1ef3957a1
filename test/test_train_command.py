# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The commands a user types: training, evaluation, export, pictures."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest

from vggt4d_ros.cli import main
from vggt4d_ros.model import checkpoint

CONFIG = """
model: tiny_motion
threads: 1
evaluate_windows: 1
evaluate_grid: [2, 1]
evaluate_size: [56, 56]
phases:
  - {until: 3, batch: 1, grids: [[2, 1]], sizes: [[112, 112]], drop_share: 0.0}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "train.yaml"
    path.write_text(CONFIG)
    return path


def test_run_is_trained_taken_up_evaluated_and_exported(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["train", "--config", str(config), "--out", str(tmp_path / "run")]

    assert main([*common, "--until", "1", "--no-progress"]) == 0
    assert main([*common, "--until", "2", "--no-progress"]) == 0
    exported = tmp_path / "out.safetensors"
    capsys.readouterr()
    report = ["--evaluate", "2", "--export", str(exported), "--samples", str(tmp_path)]
    assert main([*common, *report]) == 0
    printed = json.loads(capsys.readouterr().out)
    extra = checkpoint.read(exported).extra

    assert {"abs_rel", "epe", "epe_zero", "epe_dis"} <= set(printed["held_out"])
    assert printed["real"] == {}
    assert extra["step"] == 2
    assert extra["held_out"]["windows"] == 2
    assert extra["train_config"]["model"] == "tiny_motion"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modle: tiny", "unknown key 'modle'"),
        ("model: huge", "model must be one of"),
        ("phases: [", "not YAML"),
    ],
)
def test_wrong_configuration_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    path = tmp_path / "train.yaml"
    path.write_text(text)

    status = main(["train", "--config", str(path), "--out", str(tmp_path / "run")])
    error = capsys.readouterr().err

    assert status == 1
    assert message in error
    assert error.count("\n") == 1


def test_export_without_metrics_is_refused(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["train", "--config", str(config), "--out", str(tmp_path / "run")]

    assert main([*common, "--export", str(tmp_path / "x.safetensors")]) == 1
    assert "needs --evaluate" in capsys.readouterr().err


def test_preview_is_a_picture_of_the_size_of_its_panels(tmp_path: Path) -> None:
    path = tmp_path / "sheet.png"
    size = ["--windows", "1", "--steps", "2", "--views", "1", "--height", "48", "--width", "64"]

    assert main(["data", "preview", "--out", str(path), *size]) == 0

    picture = cv2.imread(str(path))
    assert picture is not None
    assert picture.shape[0] == 2 * (48 + 2) + 4  # a line per frame, a gap below
    assert picture.shape[1] == 2 * 5 * (64 + 2)  # five panels, two windows side by side
    assert picture[:100, :330].std() > 20


@pytest.mark.parametrize("size", [["--height", "50"], ["--windows", "0"]])
def test_sizes_that_cannot_be_rendered_are_named(
    size: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "bench", *size]) == 1
    assert "must be" in capsys.readouterr().err


def test_bench_prints_a_rate(capsys: pytest.CaptureFixture[str]) -> None:
    size = ["--windows", "1", "--steps", "1", "--views", "1", "--height", "48", "--width", "64"]

    assert main(["data", "bench", *size]) == 0
    assert "frames/s (1 frames of 48 x 64)" in capsys.readouterr().out
