# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The benchmark of approximations compares each with the exact network on the same windows."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

from vggt4d_ros import benchmark_accuracy
from vggt4d_ros.cli import CommandError
from vggt4d_ros.model.speed import Speed


def arguments(*options: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    benchmark_accuracy.configure(parser)
    return parser.parse_args(options)


def test_every_approximation_is_measured_or_said_to_be_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torchao", None)
    monkeypatch.setitem(sys.modules, "torchao.quantization", None)
    names = ("exact", "weights: int8", "frame_wise_layers: 2")
    variants = {name: benchmark_accuracy.VARIANTS[name] for name in names}
    monkeypatch.setattr(benchmark_accuracy, "VARIANTS", variants)
    file = tmp_path / "sub" / "accuracy.json"

    options = ("--windows", "1", "--device", "cpu", "--threads", "1", "--json", str(file))
    code = benchmark_accuracy.run(arguments(*options))

    report = json.loads(file.read_text())
    assert code == 0
    exact, coarse = report["rows"]["exact"], report["rows"]["frame_wise_layers: 2"]
    assert set(exact) == {*benchmark_accuracy.COLUMNS, "cpu_ms_p50", "weight_bytes"}
    assert all(value > 0 for row in (exact, coarse) for value in row.values() if value is not None)
    assert coarse["AbsRel"] != exact["AbsRel"]
    assert coarse["flow EPE"] == pytest.approx(exact["flow EPE"], rel=0.05)
    assert "needs the Python package torchao" in report["left_out"]["weights: int8"]
    out = capsys.readouterr().out
    assert "weights: int8 was left out" in out
    assert "AbsRel" in out


def test_each_approximation_is_one_choice() -> None:
    for precision, options in benchmark_accuracy.VARIANTS.values():
        assert len(options) + (precision != "fp32") <= 1
        Speed(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--windows", "0"), "--windows must be at least 1"),
        (("--model", "nothing.pt"), "neither a file nor one of"),
        (("--device", "tpu"), "device must be auto, cpu"),
    ],
)
def test_impossible_wishes_are_one_clear_line(options: tuple[str, ...], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        benchmark_accuracy.run(arguments(*options))
