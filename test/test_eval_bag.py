# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bags run offline through the node's classes: the numbers, every storage format, every frame."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rosbags")

from eval_bags import (
    SCALE,
    START_NS,
    STEP_NS,
    Recorder,
    Scene,
    null_config,
    options,
    recorder,
    total,
    write_scene,
)
from rosbags.rosbag2.enums import CompressionMode

from vggt4d_ros.evaluation.bag import BagError
from vggt4d_ros.evaluation.offline import evaluate_bag
from vggt4d_ros.evaluation.run_folder import metrics_document, read_run, write_run

ROOT = Path(__file__).parents[1]


def numbers(result) -> dict:
    """What has to be the same each time."""
    document = metrics_document(result)
    document.pop("timing")
    return document


def test_scale_depth_and_counts_are_those_of_the_scene(tmp_path):
    path = write_scene(tmp_path / "bag", Scene(depth=True))

    result = evaluate_bag(path, options())

    assert result.topics == {"left": "/left/image_raw", "right": "/right/image_raw"}
    assert total(result.counts) == (16, 16, 0)
    assert (result.windows["formed"], result.windows["done"]) == (5, 5)
    assert [row["scale_source"] for row in result.rows] == ["rig"] * 5
    assert result.rows[0]["scale"] == pytest.approx(SCALE, rel=1e-6)
    assert result.metrics["depth"]["metric"]["abs_rel"] == pytest.approx(0.0, abs=1e-6)
    # without the rig's scale half of every depth is missing
    assert result.metrics["depth"]["none"]["abs_rel"] == pytest.approx(0.5, abs=1e-6)
    assert result.metrics["depth"]["median"]["frames"] == 10
    assert result.truth["depth"]["matched"] == result.truth["depth"]["of"] == 10
    assert result.baselines["constant_depth"]["depth"]["median"]["abs_rel"] > 0.1
    assert result.faults == []


def test_two_runs_write_the_same_bytes(tmp_path):
    path = write_scene(tmp_path / "bag", Scene(depth=True, odometry_mps=0.5))
    for name in ("one", "two"):
        write_run(evaluate_bag(path, options()), tmp_path / name)

    one, two = (json.loads((tmp_path / n / "metrics.json").read_text()) for n in ("one", "two"))
    assert one.pop("timing").keys() == two.pop("timing").keys()
    assert json.dumps(one) == json.dumps(two)
    names = {p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*") if p.is_file()}
    assert {Path("windows.csv"), Path("trajectory.tum"), Path("truth.tum")} < names
    for name in names - {Path("metrics.json"), Path("timing.csv")}:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_runs_of_the_network_give_the_same_numbers():
    pytest.importorskip("torch")
    config = replace(null_config(), model=replace(null_config().model, engine="vggt4d"))
    given = options(config=config, topics={"cam01": "/cam01/image_raw", "b": "/cam03/image_raw"})

    one, two = (numbers(evaluate_bag(ROOT / "demo/walk_4cam", given)) for _ in range(2))

    assert one == two
    assert one["windows"]["done"] == 10


@pytest.mark.parametrize(
    ("storage", "name", "compression"),
    [
        ("sqlite3", "bag", None),
        ("mcap", "bag", CompressionMode.MESSAGE),
        ("mcap", "bag", CompressionMode.STORAGE),
        ("sqlite3", "bag", CompressionMode.FILE),
        ("ros1", "bag.bag", None),
    ],
)
def test_every_storage_gives_the_same_numbers(tmp_path, storage, name, compression):
    scene = Scene(depth=True, odometry_mps=0.5)
    plain = evaluate_bag(write_scene(tmp_path / "plain", scene), options())
    path = write_scene(tmp_path / name, scene, storage, compression)

    result = evaluate_bag(path, options())

    assert result.metrics == plain.metrics
    assert result.counts == plain.counts
    assert result.truth == plain.truth


def test_compressed_images_give_what_raw_ones_give(tmp_path):
    raw = evaluate_bag(write_scene(tmp_path / "raw"), options())
    png = evaluate_bag(write_scene(tmp_path / "png", Scene(compressed=True)), options())

    assert png.topics["left"] == "/left/image_raw/compressed"
    assert repr(png.rows) == repr(raw.rows)
    inputs = [[p.png for p in run.pictures if p.kind == "input"] for run in (raw, png)]
    assert inputs[0] == inputs[1]


def test_named_topics_are_the_cameras_in_that_order(tmp_path):
    path = write_scene(tmp_path / "bag", Scene(cameras=("left", "middle", "right")))

    result = evaluate_bag(path, options(topics={"b": "/right/image_raw", "a": "/left/image_raw"}))

    assert list(result.counts) == ["b", "a"]
    assert result.config["cameras.names"] == ["b", "a"]
    with pytest.raises(BagError, match=r"no image topic /up/image_raw for camera up; it has /left"):
        evaluate_bag(path, options(topics={"up": "/up/image_raw"}))


def test_cameras_of_the_configuration_are_found_by_the_nodes_rules(tmp_path):
    path = write_scene(tmp_path / "bag", Scene(compressed=True))
    config = null_config(cameras__names=["right"], cameras__transport="compressed")

    result = evaluate_bag(path, options(config=config))

    assert result.topics == {"right": "/right/image_raw/compressed"}
    assert result.config["cameras.transport"] == "compressed"
    assert result.config["cameras.image_topics"] == ["/right/image_raw"]
    assert result.config["cameras.info_topics"] == ["/right/camera_info"]


def test_windows_are_the_live_nodes_when_it_is_slow(tmp_path):
    path = write_scene(tmp_path / "bag", Scene(steps=20))

    every = evaluate_bag(path, options())
    live = evaluate_bag(path, options(real_time_ms=230.0))

    # images every 100 ms: window 0 is taken at once, then the newest of those that came meanwhile
    assert [row["index"] for row in live.rows] == [0, 2, 4, 6, 9, 11, 13, 16]
    assert every.windows["done"] == 17
    assert live.windows["dropped"] == {"superseded": 9}
    assert live.source["policy"] == "newest wins, 230 ms a window"
    assert total(live.counts)[0] == sum(total(live.counts)[1:])


def test_a_loop_of_the_recording_starts_a_new_trajectory(tmp_path):
    def again(to: Recorder) -> None:
        for step in range(8):
            stamp_ns = START_NS + step * STEP_NS
            at_ns = START_NS + (8 + step) * STEP_NS
            for name in ("left", "right"):
                to.image(f"/{name}/image_raw", stamp_ns, at_ns=at_ns)

    result = evaluate_bag(write_scene(tmp_path / "bag", also=again), options())

    assert result.windows["time_jumps"] == 1
    assert {row["epoch"] for row in result.rows} == {0, 1}
    assert any("time jumped back 1 times" in fault for fault in result.faults)
    received, used, dropped = total(result.counts)
    assert received == used + dropped == 32


def test_a_run_folder_reads_back_as_it_was(tmp_path):
    path = write_scene(tmp_path / "bag", Scene(depth=True, odometry_mps=0.5))
    result = evaluate_bag(path, options())

    write_run(result, tmp_path / "run")
    again = read_run(tmp_path / "run")

    assert numbers(again) == numbers(result)
    assert [p.file for p in again.pictures] == [p.file for p in result.pictures]
    assert again.pictures[0].png == result.pictures[0].png
    assert again.trajectory is not None
    np.testing.assert_array_equal(again.trajectory.stamps_ns, result.trajectory.stamps_ns)
    np.testing.assert_allclose(again.trajectory.poses, result.trajectory.poses, atol=1e-8)
    assert [row["index"] for row in again.rows] == [row["index"] for row in result.rows]
    assert write_run(again, tmp_path / "again")
    first, second = (tmp_path / n / "windows.csv" for n in ("run", "again"))
    assert first.read_text() == second.read_text()


def test_pictures_are_small_and_of_every_kind(tmp_path):
    path = write_scene(tmp_path / "bag", Scene(depth=True, steps=12))

    result = evaluate_bag(path, options(pictures=3))

    assert sorted({p.window for p in result.pictures}) == [0, 4, 8]
    live = evaluate_bag(path, options(pictures=3, real_time_ms=330.0))
    assert sorted({p.window for p in live.pictures}) == [0, 6, 8]  # 3 is done, 4 and 5 are lost
    kinds = {p.kind for p in result.pictures}
    assert kinds >= {"input", "depth", "confidence", "depth_truth", "error", "cloud"}
    assert evaluate_bag(path, options(pictures=0)).pictures == []


def test_progress_is_told_after_each_image(tmp_path):
    told = []

    evaluate_bag(write_scene(tmp_path / "bag"), options(), progress=lambda *args: told.append(args))

    assert told == [(number, 16) for number in range(1, 17)]


@pytest.mark.timeout(360)
def test_neither_ros_nor_torch_is_needed_for_the_run_itself(tmp_path):
    path = write_scene(tmp_path / "bag", Scene(depth=True))
    code = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "rclpy", "sensor_msgs", "tf2_ros", "evo", "matplotlib"):
            raise ImportError(f"blocked: {{name}}")

sys.meta_path.insert(0, Absent())
from vggt4d_ros.config import config_from_flat
from vggt4d_ros.evaluation.offline import evaluate_bag
from vggt4d_ros.evaluation.options import EvalOptions
config = config_from_flat({{"model.engine": "null"}})
print(evaluate_bag({str(path)!r}, EvalOptions(config)).windows["done"])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300
    )

    assert (done.stdout.strip(), done.returncode) == ("5", 0), done.stderr


@pytest.mark.slow
def test_memory_does_not_grow_with_the_recording(tmp_path):
    """Forty times the window's length: its images alone would be 280 MB if they were kept."""
    from vggt4d_ros.evaluation.stopwatch import resident_bytes

    big = np.zeros((480, 640, 3), np.uint8)
    with recorder(tmp_path / "bag") as to:
        to.rig(("left", "right"))
        for step in range(160):
            for name in ("left", "right"):
                to.image(f"/{name}/image_raw", START_NS + step * STEP_NS, pixels=big)
    marks: list[int] = []

    def progress(done: int, _: int) -> None:
        if done % 40 == 0:
            marks.append(resident_bytes())

    evaluate_bag(tmp_path / "bag", options(pictures=2), progress=progress)

    assert max(marks[1:]) - marks[0] < 50 * 2**20
