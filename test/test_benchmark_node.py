# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``bench node``: subjects take turns, ratios are medians, wrong options are one line."""

from __future__ import annotations

import argparse
import json

import pytest

from vggt4d_ros import benchmark_node
from vggt4d_ros.cli import CommandError


def arguments(*options: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    benchmark_node.configure(parser)
    return parser.parse_args(options)


def figures(subject: str, turn: int) -> dict[str, object]:
    """Made-up figures; the node gets slower from turn to turn."""
    cpu = {"subscriber": 10.0, "echo": 20.0, "node": 20.0 + 10.0 * turn}[subject]
    p95 = {"subscriber": float("nan"), "echo": 10.0, "node": 12.0 + turn}[subject]
    found: dict[str, object] = {
        "sent": 100,
        "received": 99,
        "depth_images": 90,
        "cpu_percent": cpu,
        "memory_mib": 100.0,
        "memory_growth_after_first_minute_mib": None,
        "latency_ms": {"p50": p95 - 5.0, "p95": p95, "p99": p95 + 5.0},
        "frames_dropped": {"superseded": turn},
    }
    if subject == "node":
        found["frames_received"] = 100 - turn
    return found


@pytest.fixture
def order(monkeypatch):
    """Replaces the measurement; gives the order of the subjects and what they were given."""
    seen: list[tuple[str, str, dict[str, object]]] = []

    def measure(subject: str, rmw: str, options: dict[str, object]) -> dict[str, object]:
        seen.append((subject, rmw, options))
        turn = sum(name == subject for name, _, _ in seen)
        return figures(subject, turn)

    monkeypatch.setattr(benchmark_node, "measure", measure)
    return seen


def test_subjects_take_turns_and_ratios_are_medians(order, tmp_path, capsys):
    file = tmp_path / "sub" / "node.json"

    code = benchmark_node.run(arguments("--rounds", "3", "--json", str(file)))

    report = json.loads(file.read_text())
    assert code == 0
    assert [name for name, _, _ in order] == ["subscriber", "echo", "node"] * 3
    ratio = report["fastdds"]["ratio"]
    assert ratio["cpu_node_to_echo"] == 2.0  # of 1.5, 2 and 2.5
    assert ratio["cpu_node_to_subscriber"] == 4.0
    assert ratio["p95_added_ms"] == 4.0  # of 3, 4 and 5
    assert ratio["lost_by_node"] == 2
    assert ratio["lost_by_echo"] == 1
    assert report["machine"]["processor"]
    printed = capsys.readouterr().out
    assert "superseded" in printed
    assert "cpu_node_to_echo" in printed


def test_node_alone_is_compared_with_nothing(order):
    benchmark_node.run(arguments("--only-node", "--rmw", "both"))

    assert [(name, rmw) for name, rmw, _ in order] == [("node", "fastdds"), ("node", "cyclonedds")]


def test_release_runs_on_a_checkpoint_of_random_weights(order, monkeypatch):
    from vggt4d_ros.model import config

    tiny = config.CONFIGS["tiny"]
    monkeypatch.setitem(config.CONFIGS, "release", tiny)

    benchmark_node.run(arguments("--engine", "release", "--only-node"))

    options = order[0][2]
    assert options["engine"] == "release"
    assert str(options["checkpoint"]).endswith("release.safetensors")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--size", "640"), "--size must be WIDTHxHEIGHT"),
        (("--cameras", "0"), "must be positive"),
        (("--rounds", "0"), "must be positive"),
        (("--rate", "0"), "must be positive"),
    ],
)
def test_wrong_options_are_one_line(options, message):
    with pytest.raises(CommandError, match=message):
        benchmark_node.run(arguments(*options))
