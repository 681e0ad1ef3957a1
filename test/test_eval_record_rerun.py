# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Recordings for the rerun viewer, read back by rerun's own tool."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from record_windows import CAMERAS, config, processed_windows, rig

from vggt4d_ros.evaluation.options import EvaluationError
from vggt4d_ros.evaluation.rerun_log import RerunSink
from vggt4d_ros.evaluation.sink import SinkContext
from vggt4d_ros.products import view_products
from vggt4d_ros.stream import StreamPipeline


def context() -> SinkContext:
    settings = config()
    pipeline = StreamPipeline(len(CAMERAS), settings.sync, settings.window)
    return SinkContext(settings, {}, "null", pipeline.counts)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("rerun")
    path = tmp_path_factory.mktemp("rerun") / "out.rrd"
    sink = RerunSink(path, context())
    for processed in processed_windows(3, rig()):
        sink.window(processed, view_products(processed, config().geometry))
    sink.close()
    return path


def rerun_says(home: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "rerun", "rrd", *arguments],
        env={**os.environ, "HOME": str(home)},  # it keeps settings there
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_rerun_finds_the_file_sound(recording: Path, tmp_path: Path):
    assert recording.stat().st_size > 10_000

    rerun_says(tmp_path, "verify", str(recording))


def test_images_clouds_poses_and_numbers_are_in_the_file(recording: Path, tmp_path: Path):
    listed = rerun_says(tmp_path, "print", "-v", str(recording))

    for camera in CAMERAS:
        for part in ("rgb", "depth", "moving"):
            assert f"/world/{camera}/image/{part}" in listed
        assert f"/confidence/{camera}" in listed
    for entity in ("base", "path", "points"):
        assert f"/world/{entity}" in listed
    assert "/plots/stage_ms/geometry" in listed


def test_file_that_exists_is_not_overwritten(recording: Path):
    before = recording.read_bytes()

    with pytest.raises(EvaluationError, match="exists already"):
        RerunSink(recording, context())

    assert recording.read_bytes() == before


def test_missing_package_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "rerun", None)

    with pytest.raises(EvaluationError, match="pip install rerun-sdk"):
        RerunSink(tmp_path / "out.rrd", context())

    assert not (tmp_path / "out.rrd").exists()
