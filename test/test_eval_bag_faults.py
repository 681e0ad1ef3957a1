# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Recordings with something wrong: one clear line, all before it evaluated, every frame counted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rosbags")

from eval_bags import (
    AHEAD,
    HEIGHT,
    START_NS,
    STEP_NS,
    WIDTH,
    Recorder,
    Scene,
    null_config,
    options,
    recorder,
    total,
    write_scene,
    write_step,
)

from vggt4d_ros.evaluation.bag import BagError
from vggt4d_ros.evaluation.offline import evaluate_bag
from vggt4d_ros.evaluation.results import RunResult

ONE = Scene(cameras=("left",), rig=False)
SECOND = 1_000_000_000


def make(path: Path, write: Callable[[Recorder], None]) -> Path:
    with recorder(path) as to:
        write(to)
    return path


def the_fault(result: RunResult, words: str) -> str:
    """The one fault with these words; frames must add up in any case."""
    received, used, dropped = total(result.counts)
    assert received == used + dropped
    found = [fault for fault in result.faults if words in fault]
    assert len(found) == 1, result.faults
    assert "\n" not in found[0]
    return found[0]


def test_truncated_tail_is_said_and_all_before_it_is_used(tmp_path):
    scene = Scene(cameras=("left",), steps=40)
    path = write_scene(tmp_path / "bag", scene)
    file = next(path.glob("*.mcap"))
    with file.open("r+b") as opened:
        opened.truncate(int(file.stat().st_size * 0.6))

    result = evaluate_bag(path, options())

    the_fault(result, "messages could be read")
    assert 10 < result.counts["left"]["used"] < 40
    assert result.windows["done"] == result.counts["left"]["used"] - 3


def test_missing_camera_info_is_said_and_counted_where_it_is_required(tmp_path):
    path = write_scene(tmp_path / "bag", Scene(cameras=("left",), infos=False))

    loose = evaluate_bag(path, options())
    strict = evaluate_bag(path, options(config=null_config(cameras__require_info=True)))

    assert the_fault(loose, "left: no CameraInfo").endswith("own intrinsics stand in")
    assert loose.counts["left"] == {"received": 8, "used": 8, "dropped": {}}
    assert strict.counts["left"] == {"received": 8, "used": 0, "dropped": {"no_camera_info": 8}}
    assert "8 images refused, no_camera_info" in the_fault(strict, "refused")
    assert "window.length is 4" in the_fault(strict, "no window")


def test_camera_info_that_begins_late_is_said(tmp_path):
    def write(to: Recorder) -> None:
        for step in range(8):
            if step >= 3:
                to.info("/left/camera_info", START_NS + step * STEP_NS - 1)
            to.image("/left/image_raw", START_NS + step * STEP_NS)

    result = evaluate_bag(make(tmp_path / "bag", write), options())

    assert "the first 3 of 8 images" in the_fault(result, "before any CameraInfo")


@pytest.mark.parametrize(
    ("where", "turn", "cause"),
    [
        ((np.nan, 0.0, 0.0), AHEAD, "not finite"),
        ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.9), "the quaternion is not of unit length"),
    ],
)
def test_extrinsics_that_are_no_transform_are_said_and_not_used(tmp_path, where, turn, cause):
    scene = Scene(rig=False)

    def write(to: Recorder) -> None:
        to.rig(("left",))
        to.transform("base_link", "right_optical", START_NS, where, turn, static=True)
        for step in range(scene.steps):
            write_step(to, scene, step)

    result = evaluate_bag(make(tmp_path / "bag", write), options())

    fault = the_fault(result, "poses left out")
    assert fault == f"TF base_link -> right_optical: 1 of 1 poses left out: {cause}"
    assert {row["scale_source"] for row in result.rows} == {"none"}


def test_mixed_encodings_are_said_and_each_is_decoded(tmp_path):
    def write(to: Recorder) -> None:
        for step in range(8):
            stamp_ns = START_NS + step * STEP_NS
            if step % 2:
                grey = np.full((HEIGHT, WIDTH), step, np.uint8)
                to.image("/left/image_raw", stamp_ns, pixels=grey, encoding="mono8")
            else:
                to.image("/left/image_raw", stamp_ns)

    result = evaluate_bag(make(tmp_path / "bag", write), options())

    assert the_fault(result, "mixed").endswith("mixed encodings: rgb8 4, mono8 4")
    assert result.counts["left"]["used"] == 8


def test_what_cannot_be_decoded_is_counted_by_cause_with_its_reason(tmp_path):
    def write(to: Recorder) -> None:
        for step in range(12):
            stamp_ns = START_NS + step * STEP_NS
            if step == 3:
                to.image("/left/image_raw", stamp_ns, encoding="32SC7")
            elif step == 6:
                to.image("/left/image_raw", stamp_ns, cut=5)
            else:
                to.image("/left/image_raw", stamp_ns)

    result = evaluate_bag(make(tmp_path / "bag", write), options())

    assert result.counts["left"]["dropped"] == {"short_data": 1, "unknown_encoding": 1}
    assert result.counts["left"]["used"] == 10
    assert "1 images refused, short_data: 2299 bytes" in the_fault(result, "short_data")


def test_a_compressed_image_that_is_none_is_found_when_it_is_decoded(tmp_path):
    def write(to: Recorder) -> None:
        for step in range(8):
            stamp_ns = START_NS + step * STEP_NS
            data = b"\x89PNG nothing" if step == 5 else None
            to.compressed("/left/image_raw/compressed", stamp_ns, data=data)

    result = evaluate_bag(make(tmp_path / "bag", write), options())

    assert result.counts["left"]["dropped"] == {"corrupt_data": 1}
    the_fault(result, "left: images refused, corrupt_data")


def test_out_of_order_stamps_are_dropped_and_said(tmp_path):
    def write(to: Recorder) -> None:
        order = [0, 1, 2, 3, 5, 4, 6, 7, 8]  # the sixth image is older than the one before
        for place, step in enumerate(order):
            to.image("/left/image_raw", START_NS + step * STEP_NS, at_ns=START_NS + place * STEP_NS)

    result = evaluate_bag(make(tmp_path / "bag", write), options())

    assert result.counts["left"] == {"received": 9, "used": 8, "dropped": {"out_of_order": 1}}
    assert "1 images out of order" in the_fault(result, "order")


def test_a_topic_that_stops_half_way_is_said_and_the_rest_goes_on_without_it(tmp_path):
    def write(to: Recorder) -> None:
        to.rig(("left", "right"))
        for step in range(40):
            cameras = ("left", "right") if step < 20 else ("left",)
            write_step(to, Scene(cameras=cameras), step)

    path = make(tmp_path / "bag", write)

    alone = evaluate_bag(path, options())
    result = evaluate_bag(path, options(config=null_config(sync__min_cameras=1)))

    assert the_fault(alone, "stops") == "right: stops after 1.900 s of 3.900 s"
    assert alone.windows["done"] == 17
    assert set(alone.counts["left"]["dropped"]) <= {"unmatched", "queue_full", "shutdown"}
    assert result.windows["done"] > 30
    assert result.counts["left"]["used"] > 37
    the_fault(result, "stops")


def test_two_time_bases_are_said(tmp_path):
    def write(to: Recorder) -> None:
        for step in range(20):
            at_ns = START_NS + step * STEP_NS
            to.image("/left/image_raw", at_ns)
            to.image("/right/image_raw", 50 * SECOND + step * STEP_NS, at_ns=at_ns)

    result = evaluate_bag(make(tmp_path / "bag", write), options())

    fault = the_fault(result, "two time bases")
    assert "left has stamps 1700000000.000 to 1700000001.900 s" in fault
    assert "right 50.000 to 51.900 s" in fault
    assert result.windows["done"] == 0
    assert "sync.tolerance_s, 0.02 s" in the_fault(result, "no window")


def test_a_camera_that_cannot_be_brought_together_says_how_far_it_is_off(tmp_path):
    def write(to: Recorder) -> None:
        for step in range(8):
            at_ns = START_NS + step * STEP_NS
            to.image("/left/image_raw", at_ns)
            to.image("/right/image_raw", at_ns + 45_000_000)

    result = evaluate_bag(make(tmp_path / "bag", write), options())

    assert "0.045 s apart at best" in the_fault(result, "no window")


def test_a_recording_too_short_for_a_window_says_so(tmp_path):
    result = evaluate_bag(write_scene(tmp_path / "bag", Scene(steps=3)), options())

    assert "no window: 3 instants" in the_fault(result, "no window")
    assert result.counts["left"]["dropped"] == {"shutdown": 3}


def test_a_bag_without_messages_a_file_that_is_none_and_one_without_images_are_refused(tmp_path):
    empty = make(tmp_path / "empty", lambda to: to.topic("/x", "std_msgs/msg/String"))
    (tmp_path / "note.txt").write_text("hello")
    (tmp_path / "bad.mcap").write_bytes(b"not a recording at all")
    poses = make(tmp_path / "poses", lambda to: to.odometry("/odom", START_NS, 0.0))

    for path, words in (
        (empty, "an empty bag"),
        (tmp_path / "note.txt", "not a bag"),
        (tmp_path / "bad.mcap", "not a bag"),
        (tmp_path / "nowhere", "no such file"),
        (poses, r"no image topic in this bag; it has /odom \(nav_msgs/msg/Odometry\)"),
    ):
        with pytest.raises(BagError, match=words) as caught:
            evaluate_bag(path, options())
        assert "\n" not in str(caught.value)


def test_a_camera_info_of_no_use_is_said_and_predicted_intrinsics_stand_in(tmp_path):
    def write(to: Recorder) -> None:
        for step in range(8):
            to.info("/left/camera_info", START_NS + step * STEP_NS - 1, focal=-5.0)
            to.image("/left/image_raw", START_NS + step * STEP_NS)

    result = evaluate_bag(make(tmp_path / "bag", write), options())

    assert "no positive focal lengths" in the_fault(result, "CameraInfo")
    assert result.counts["left"]["used"] == 8
