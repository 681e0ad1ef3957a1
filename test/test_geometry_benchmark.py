# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The benchmark of the geometry runs and writes what it measured."""

from __future__ import annotations

import argparse
import json

import pytest

from vggt4d_ros import benchmark_geometry
from vggt4d_ros.cli import CommandError


def arguments(*options: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    benchmark_geometry.configure(parser)
    return parser.parse_args(options)


def test_benchmark_prints_and_writes_every_stage(tmp_path, capsys):
    file = tmp_path / "sub" / "geometry.json"

    code = benchmark_geometry.run(
        arguments("--grid", "2x2", "--size", "48x64", "--windows", "2", "--json", str(file))
    )

    report = json.loads(file.read_text())
    assert code == 0
    assert set(report["ms"]) >= {"tracking", "depth", "clouds", "scene flow", "merged cloud"}
    assert all(0 < ms["p50"] <= ms["p95"] for ms in report["ms"].values())
    core = sum(report["ms"][name]["p50"] for name in ("tracking", "depth", "clouds"))
    assert report["ms"]["tracking + depth + clouds"]["p50"] == pytest.approx(core, rel=0.8)
    assert "ms per window" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--grid", "2"), "--grid must be two numbers"),
        (("--grid", "1x2"), "at least 2 time steps"),
        (("--windows", "0"), "--windows must be at least 1"),
    ],
)
def test_wrong_options_are_one_line(options, message):
    with pytest.raises(CommandError, match=message):
        benchmark_geometry.run(arguments(*options))
