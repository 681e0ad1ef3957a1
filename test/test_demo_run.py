# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The demo itself, over real DDS: its end, its figures, its picture, and its refusals."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("rosbags")
pytest.importorskip("matplotlib")
pytest.importorskip("torch")
pytest.importorskip("vggt4d_ros.msg", reason="the package is not built")

pytestmark = [pytest.mark.ros, pytest.mark.timeout(300)]

DEADLINE_S = 240.0  # the demo ends within 60 s on two idle cores
CAMERAS = ("cam01", "cam02", "cam03", "cam04")


def run_demo(out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vggt4d_ros.demo", "--out", str(out), *options],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


def test_demo_ends_by_itself_with_all_outputs_and_every_frame_accounted_for(tmp_path):
    done = run_demo(tmp_path / "demo", "--seconds", "8")

    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((tmp_path / "demo" / "summary.json").read_text())
    played = summary["replay"]["loops"] * 13 * len(CAMERAS)
    assert summary["frames_received"] == played
    assert summary["frames_received"] == summary["frames_used"] + sum(
        summary["frames_dropped"].values()
    )
    assert summary["frames_pending"] == 0
    assert summary["sets"] == played / len(CAMERAS)
    assert summary["windows"] >= 1
    assert summary["frames_used"] > 0
    for camera in CAMERAS:
        for topic in ("depth/image_rect", "points", "scene_flow", "scene_flow/dynamic_mask"):
            assert summary["outputs"][f"/vggt4d/{camera}/{topic}"]["count"] >= 1
    assert summary["outputs"]["/tf"]["type"] == "tf2_msgs/TFMessage"
    assert summary["outputs"]["/vggt4d/status"]["count"] >= summary["windows"]
    assert {"total", "publish", "image_to_depth"} <= summary["latency_ms"].keys()
    for stage in summary["latency_ms"].values():
        assert 0.0 <= stage["p50"] <= stage["p95"]
    assert all(item["ok"] for item in summary["checks"])
    picture = cv2.imread(summary["picture"])
    assert picture.shape[0] > 1000
    assert picture.shape[1] > 2000
    assert picture.std() > 20.0
    assert f"picture  {summary['picture']}" in done.stdout
    assert "One window takes" in done.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--bag", "/nowhere/at/all"), "demo: /nowhere/at/all: no such file or directory"),
        (("--params-file", "/nowhere.yaml"), "demo: /nowhere.yaml: no such file"),
        (("--seconds", "0"), "demo: --seconds must be above 0, got 0"),
    ],
)
def test_demo_refuses_in_one_line(tmp_path, options, message):
    done = run_demo(tmp_path, *options)

    assert done.returncode == 1
    assert done.stderr.strip().startswith(message)
    assert len(done.stderr.strip().splitlines()) == 1


def test_demo_refuses_a_bag_of_other_cameras(tmp_path):
    parameters = tmp_path / "other.yaml"
    parameters.write_text("/**:\n  ros__parameters:\n    cameras:\n      names: [front]\n")

    done = run_demo(tmp_path / "out", "--params-file", str(parameters))

    assert done.returncode == 1
    assert "0 image topics of camera front" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
