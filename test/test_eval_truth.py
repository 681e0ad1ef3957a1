# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Ground truth of a recording: depth topics, odometry, TF, files beside it, and how they match."""

from __future__ import annotations

import struct
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

pytest.importorskip("rosbags")

from eval_bags import (
    START_NS,
    STEP_NS,
    Recorder,
    Scene,
    options,
    true_depth,
    write_scene,
)

from vggt4d_ros.datatypes import DecodeError
from vggt4d_ros.evaluation.depth_truth import decode_depth
from vggt4d_ros.evaluation.offline import evaluate_bag
from vggt4d_ros.evaluation.options import EvaluationError
from vggt4d_ros.evaluation.pose_truth import read_trajectory

MOVING = Scene(odometry_mps=0.5)


def still_error(result) -> float:
    """ATE without alignment: the engine stands still, the truth does not."""
    return result.metrics["trajectory"]["none"]["ate_mean"]


def test_odometry_is_the_truth_at_each_images_own_stamp(tmp_path):
    result = evaluate_bag(write_scene(tmp_path / "bag", MOVING), options())

    truth = result.truth["trajectory"]
    assert truth["source"] == "/odom (nav_msgs/msg/Odometry)"
    # messages are 1 ms after the images; the first image has none before it, so it takes the
    # nearest: from there on x = 0.05 m a step less that millisecond's half millimetre
    assert (truth["matched"], truth["of"]) == (8, 8)
    expected = np.abs([0.0, *(0.05 * step - 0.0005 for step in range(1, 8))])
    assert still_error(result) == pytest.approx(expected.mean(), abs=1e-9)
    assert result.truth_trajectory is not None
    assert len(result.truth_trajectory) == 8
    assert result.baselines["static_camera"]["trajectory"]["none"]["ate_mean"] == pytest.approx(
        still_error(result)
    )


def test_tf_from_the_fixed_frame_to_the_base_is_the_truth_where_no_topic_is(tmp_path):
    def tf(to: Recorder) -> None:
        for step in range(-1, 9):
            to.transform("odom", "base_link", START_NS + step * STEP_NS, (0.1 * step, 0.0, 0.0))

    result = evaluate_bag(write_scene(tmp_path / "bag", also=tf), options())

    assert result.truth["trajectory"]["source"] == "TF odom -> base_link"
    assert still_error(result) == pytest.approx(0.1 * np.arange(8).mean(), abs=1e-9)


def test_a_pose_topic_is_taken_by_its_name_or_when_it_is_named(tmp_path):
    def poses(to: Recorder) -> None:
        for step in range(8):
            to.pose("/goal_pose", START_NS + step * STEP_NS, 100.0 * step)
            to.pose("/mocap/robot", START_NS + step * STEP_NS, 0.2 * step)

    path = write_scene(tmp_path / "bag", MOVING, also=poses)

    by_name = evaluate_bag(path, options())
    named = evaluate_bag(path, options(truth_topic="/goal_pose"))

    assert by_name.truth["trajectory"]["source"].startswith("/mocap/robot")
    assert still_error(by_name) == pytest.approx(0.2 * np.arange(8).mean())
    assert still_error(named) == pytest.approx(100.0 * np.arange(8).mean())
    with pytest.raises(EvaluationError, match=r"no topic /x with poses in the bag; it has /"):
        evaluate_bag(path, options(truth_topic="/x"))


def test_files_of_tum_and_kitti_say_the_same(tmp_path):
    path = write_scene(tmp_path / "bag", Scene())
    tum, kitti = tmp_path / "truth.tum", tmp_path / "truth.txt"
    stamps = [(START_NS + step * STEP_NS) / 1e9 for step in range(8)]
    tum.write_text(
        "# stamp tx ty tz qx qy qz qw\n"
        + "".join(f"{s:.9f} {0.1 * i} 0 0 0 0 0 1\n" for i, s in enumerate(stamps))
    )
    # a camera that moves along its own axis, z, by as much
    kitti.write_text("".join(f"1 0 0 0 0 1 0 0 0 0 1 {0.1 * i}\n" for i in range(8)))

    results = [evaluate_bag(path, options(truth_file=file)) for file in (tum, kitti)]

    for result in results:
        assert still_error(result) == pytest.approx(0.1 * np.arange(8).mean(), abs=1e-6)
    np.testing.assert_allclose(
        results[0].truth_trajectory.poses, results[1].truth_trajectory.poses, atol=1e-6
    )


def test_a_truth_file_that_is_none_is_refused_in_one_line(tmp_path):
    path = write_scene(tmp_path / "bag", Scene())
    (tmp_path / "short.txt").write_text("1 0 0 0 0 1 0 0 0 0 1 0\n")
    (tmp_path / "odd.tum").write_text("0.0 1 2 3\n")
    (tmp_path / "empty.tum").write_text("# nothing\n")

    for name, words in (
        ("short.txt", "1 poses without stamps for 8 instants"),
        ("odd.tum", "neither a TUM nor a KITTI"),
        ("empty.tum", "no pose"),
        ("none.tum", "cannot be read"),
    ):
        with pytest.raises(EvaluationError, match=words):
            evaluate_bag(path, options(truth_file=tmp_path / name))


def test_truth_of_another_time_says_which_ranges_do_not_overlap(tmp_path):
    path = write_scene(tmp_path / "bag", Scene())
    far = tmp_path / "far.tum"
    far.write_text("5.0 0 0 0 0 0 0 1\n6.0 1 0 0 0 0 0 1\n")

    result = evaluate_bag(path, options(truth_file=far))

    (fault,) = [fault for fault in result.faults if "nothing matched" in fault]
    assert "found 1700000000.000 to 1700000000.700 s, truth 5.000 to 6.000 s" in fault
    assert result.truth["trajectory"]["matched"] == 0
    assert "trajectory" not in result.metrics


@pytest.mark.parametrize(("offset_ms", "matched"), [(19, 10), (21, 0)])
def test_depth_matches_within_the_tolerance_alone(tmp_path, offset_ms, matched):
    def depth(to: Recorder) -> None:
        for step in range(8):
            for name in ("left", "right"):
                to.image(
                    f"/{name}/depth/image_rect",
                    START_NS + step * STEP_NS + offset_ms * 1_000_000,
                    frame_id=f"{name}_optical",
                    pixels=true_depth(),
                    encoding="32FC1",
                )

    path = write_scene(tmp_path / "bag", also=depth)

    result = evaluate_bag(path, options(truth_tolerance_s=0.02))

    assert result.truth["depth"]["matched"] == matched
    assert result.truth["depth"]["of"] == 10
    if not matched:
        (fault,) = [fault for fault in result.faults if "nothing matched" in fault]
        assert "/left/depth/image_rect has stamps 1700000000.021 to" in fault


def test_depth_that_belongs_to_no_camera_is_said_and_can_be_named(tmp_path):
    def depth(to: Recorder) -> None:
        for step in range(8):
            to.image(
                "/tof/range",
                START_NS + step * STEP_NS,
                frame_id="tof",
                pixels=(true_depth() * 1000).astype(np.uint16),
                encoding="16UC1",
            )

    path = write_scene(tmp_path / "bag", also=depth)

    found = evaluate_bag(path, options())
    named = evaluate_bag(path, options(depth_topics={"left": "/tof/range"}))

    assert list(found.topics) == ["left", "right"]
    assert "/tof/range: holds depth (16UC1)" in found.source["left_out"]
    assert any("/tof/range: depth that belongs to no camera" in f for f in found.faults)
    assert named.metrics["depth"]["metric"]["abs_rel"] < 1e-3
    assert named.metrics["depth"]["metric"]["frames"] == 5
    with pytest.raises(EvaluationError, match="no camera up; there are left, right"):
        evaluate_bag(path, options(depth_topics={"up": "/tof/range"}))


def image(encoding: str, data: bytes, width: int, height: int, big: int = 0) -> SimpleNamespace:
    return SimpleNamespace(
        encoding=encoding,
        data=np.frombuffer(data, np.uint8),
        width=width,
        height=height,
        step=len(data) // height,
        is_bigendian=big,
    )


def test_depth_encodings_by_hand():
    millimetres = struct.pack("<3H", 0, 1500, 65535)
    metres = struct.pack("<4f", 1.25, 0.0, float("nan"), float("inf"))

    found = decode_depth(image("16UC1", millimetres, 3, 1))
    np.testing.assert_allclose(found, [[np.nan, 1.5, 65.535]], rtol=1e-6)
    big = decode_depth(image("mono16", struct.pack(">1H", 1500), 1, 1, big=1))
    np.testing.assert_allclose(big, [[1.5]], rtol=1e-6)
    np.testing.assert_array_equal(
        decode_depth(image("32FC1", metres, 4, 1)), [[1.25, np.nan, np.nan, np.nan]]
    )
    with pytest.raises(DecodeError, match="no depth encoding"):
        decode_depth(image("rgb8", b"123", 1, 1))
    with pytest.raises(DecodeError, match="bytes for"):
        decode_depth(image("16UC1", b"12", 3, 1))


def test_compressed_depth_by_hand():
    values = np.array([[0, 200, 400]], np.uint16)
    png = cv2.imencode(".png", values)[1].tobytes()
    header = struct.pack("<iff", 0, 100.0, -100.0)  # depth = 100 / (value + 100)

    def message(kind: str, data: bytes) -> SimpleNamespace:
        return SimpleNamespace(format=kind, data=np.frombuffer(data, np.uint8))

    inverse = decode_depth(message("32FC1; compressedDepth png", header + png))
    plain = decode_depth(message("16UC1; compressedDepth", header + png))

    np.testing.assert_allclose(inverse, [[np.nan, 100 / 300, 100 / 500]], rtol=1e-6)
    np.testing.assert_allclose(plain, [[np.nan, 0.2, 0.4]], rtol=1e-6)
    for data in (
        header,
        header + b"no png",
        header + cv2.imencode(".png", values > 0)[1].tobytes(),
    ):
        with pytest.raises(DecodeError):
            decode_depth(message("16UC1; compressedDepth", data))


def test_a_trajectory_file_is_read_with_every_nanosecond(tmp_path: Path):
    file = tmp_path / "t.tum"
    file.write_text("1700000000.123456789 1 2 3 0 0 1 0\n1700000000.1 0 0 0 0 0 0 2\n")

    found = read_trajectory(file)

    assert found.stamps_ns.tolist() == [1700000000100000000, 1700000000123456789]
    np.testing.assert_allclose(found.poses[1, :3, 3], [1, 2, 3])
    np.testing.assert_allclose(found.poses[1, :3, :3], np.diag([-1, -1, 1]), atol=1e-12)
