# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The demo's plan and verdict, from made-up observations."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from vggt4d_ros.demo.observed import Observed, Tally
from vggt4d_ros.demo.plan import Plan, Recording, choose
from vggt4d_ros.demo.report import check, commit, machine, percentiles, summarize, table

CAMERAS = ("left", "right")
NODE = "/robot/vggt4d"
RECORDING = Recording(sets=13, period_s=1 / 15, duration_s=0.8)
PLAN = Plan(rate=0.5, loops=2, window_ms=100.0, recording=RECORDING)
# written out, so that the table of topics in the code is checked, not repeated
PER_CAMERA = {
    "depth/image_rect": "sensor_msgs/Image",
    "depth/camera_info": "sensor_msgs/CameraInfo",
    "depth/confidence": "sensor_msgs/Image",
    "points": "sensor_msgs/PointCloud2",
    "scene_flow": "sensor_msgs/PointCloud2",
    "scene_flow/image": "sensor_msgs/Image",
    "scene_flow/rgb": "sensor_msgs/Image",
    "scene_flow/dynamic_mask": "sensor_msgs/Image",
}
OF_RIG = {
    "points": "sensor_msgs/PointCloud2",
    "scene_flow/markers": "visualization_msgs/Marker",
    "odometry": "nav_msgs/Odometry",
    "path": "nav_msgs/Path",
    "status": "vggt4d_ros/WindowStatus",
}
OUTPUTS = {
    **{f"{NODE}/{cam}/{name}": kind for cam in CAMERAS for name, kind in PER_CAMERA.items()},
    **{f"{NODE}/{name}": kind for name, kind in OF_RIG.items()},
    "/tf": "tf2_msgs/TFMessage",
    "/diagnostics": "diagnostic_msgs/DiagnosticArray",
}


def good_run() -> Observed:
    """2 cameras x 13 images x 2 times: 52 frames, of which 4 were dropped."""
    return Observed(
        ended="drained",
        inputs={
            f"/{camera}/image_raw": Tally("sensor_msgs/Image", 26, 0.0, 5.0) for camera in CAMERAS
        },
        outputs={topic: Tally(kind, 20, 10.0, 19.5) for topic, kind in OUTPUTS.items()},
        frames_received=52,
        frames_used=48,
        frames_dropped={"superseded": 3, "late": 1},
        sets=25,
        windows=20,
        steps=4,
        device="cpu",
        model="compact",
        memory_bytes=500_000_000,
        scale_source=1,
        scale=0.7,
        stage_ms={"encoder": [10.0, 20.0, 30.0], "total": [100.0, 200.0, 300.0]},
        image_to_depth_ms=[50.0, 150.0],
        picture_stamp_ns=1_700_000_000_000_000_000,
    )


def failed(observed: Observed) -> list[str]:
    return [item.name for item in check(observed, PLAN, CAMERAS, NODE) if not item.ok]


def test_good_run_passes_every_check():
    assert failed(good_run()) == []


def without(topic: str) -> Observed:
    run = good_run()
    del run.outputs[topic]
    return run


@pytest.mark.parametrize(
    ("broken", "name"),
    [
        (replace(good_run(), ended="silent for 15 s"), "the run came to its end"),
        (replace(good_run(), ended=""), "the run came to its end"),
        (
            replace(good_run(), inputs={"/left/image_raw": Tally("sensor_msgs/Image", 25)}),
            "every image was sent",
        ),
        (replace(good_run(), inputs={}), "every image was sent"),
        (
            replace(good_run(), frames_received=51, frames_used=47),
            "the node received every image",
        ),
        (replace(good_run(), frames_used=47), "received = used + dropped, none pending"),
        (
            replace(good_run(), frames_used=47, frames_pending=1),
            "received = used + dropped, none pending",
        ),
        (replace(good_run(), windows=0), "the network finished windows"),
        (replace(good_run(), picture_stamp_ns=0), "an instant has all outputs of all cameras"),
        *((without(topic), "every output came") for topic in OUTPUTS),
    ],
)
def test_each_fault_of_a_run_is_found(broken, name):
    assert name in failed(broken)


def test_output_that_exists_but_is_silent_is_named():
    run = good_run()
    run.outputs[f"{NODE}/left/points"] = Tally("sensor_msgs/PointCloud2")

    (item,) = [item for item in check(run, PLAN, CAMERAS, NODE) if not item.ok]

    assert item.detail == f"nothing on {NODE}/left/points"


def test_summary_has_the_agreed_keys_and_values(tmp_path):
    run = good_run()
    summary = summarize(
        run, PLAN, check(run, PLAN, CAMERAS, NODE), picture=tmp_path / "a.png", extra={"x": 1}
    )

    told = json.loads(json.dumps(summary))
    assert told["frames_received"] == 52
    assert told["frames_used"] == 48
    assert told["frames_dropped"] == {"superseded": 3, "late": 1}
    assert told["sets"] == 25
    assert told["windows"] == 20
    assert told["latency_ms"]["encoder"] == {"p50": 20.0, "p95": 29.0}
    assert told["latency_ms"]["image_to_depth"] == {"p50": 100.0, "p95": 145.0}
    assert told["outputs"].keys() == OUTPUTS.keys()
    # 20 messages from 10.0 s to 19.5 s: 19 steps of half a second
    assert told["outputs"]["/tf"] == {"type": "tf2_msgs/TFMessage", "count": 20, "hz": 2.0}
    assert told["picture"] == str(tmp_path / "a.png")
    assert told["ok"] is True
    assert told["scale"]["source"] == "rig"
    assert told["x"] == 1


def test_summary_of_a_bad_run_is_not_ok():
    run = replace(good_run(), frames_pending=2)

    summary = summarize(run, PLAN, check(run, PLAN, CAMERAS, NODE), picture=None, extra={})

    assert summary["ok"] is False
    assert summary["picture"] is None


def test_table_names_drops_by_cause_and_each_output():
    run = good_run()
    text = table(summarize(run, PLAN, check(run, PLAN, CAMERAS, NODE), picture=None, extra={}))

    assert "52 received = 48 used + 4 dropped (late 1, superseded 3)" in text
    for topic in OUTPUTS:
        assert topic in text
    assert "FAIL" not in text


def test_table_shows_a_failed_check():
    run = replace(good_run(), frames_used=0)

    text = table(summarize(run, PLAN, check(run, PLAN, CAMERAS, NODE), picture=None, extra={}))

    assert "FAIL  received = used + dropped, none pending: 52 = 0 + 4, 0 pending" in text


def test_observations_survive_their_file(tmp_path):
    good_run().write(tmp_path)

    assert Observed.read(tmp_path) == good_run()


def test_tally_counts_and_rates_arrivals():
    tally = Tally("std_msgs/String")
    assert tally.hz == 0.0
    tally.add(10.0)
    assert tally.hz == 0.0

    tally.add(10.5)
    tally.add(11.0)

    assert (tally.count, tally.first_s, tally.last_s) == (3, 10.0, 11.0)
    assert tally.hz == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("window_ms", "seconds", "rate", "loops"),
    [
        (1.0, 15.0, 1.0, 18),  # faster than the cameras: real time, 15 s / 0.8 s
        (500.0, 15.0, 0.074, 1),  # 0.9 s for each of 66.7 ms
        (100.0, 16.0, 0.37, 7),
    ],
)
def test_plan_leaves_the_network_its_time(window_ms, seconds, rate, loops):
    plan = choose(window_ms, RECORDING, seconds)

    assert plan.rate == pytest.approx(rate)
    assert plan.loops == loops
    assert plan.keeps_up
    assert RECORDING.period_s / plan.rate >= window_ms * 1e-3
    assert plan.seconds <= seconds


def test_plan_of_a_slow_machine_keeps_to_the_time_and_drops_windows():
    plan = choose(5000.0, RECORDING, 16.0)

    assert plan.rate == pytest.approx(0.05)
    assert plan.loops == 1
    assert plan.seconds == pytest.approx(16.0)
    assert not plan.keeps_up
    assert "windows that come too fast are dropped" in plan.words


def test_plan_says_what_it_does_and_why():
    slow = choose(500.0, RECORDING, 10.0).words
    fast = choose(5.0, RECORDING, 1.0).words

    assert "One window takes 500 ms here" in slow
    assert "new images every 67 ms" in slow
    assert "at 0.08 x real time, once (10 s), so that about every window" in slow
    assert "in real time, once (1 s)" in fast


def test_percentiles_are_of_the_values():
    assert percentiles([float(value) for value in range(101)]) == {"p50": 50.0, "p95": 95.0}


def test_machine_and_commit_can_be_told_anywhere(tmp_path):
    assert machine()["cores"] >= 1
    assert commit(tmp_path) == ""
