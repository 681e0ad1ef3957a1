# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Recorded outputs of the node, scored by the measures of a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rosbags")
pytest.importorskip("torch")

from eval_bags import (
    HEIGHT,
    START_NS,
    STEP_NS,
    WIDTH,
    Recorder,
    Scene,
    options,
    recorder,
    true_depth,
    write_scene,
)

from vggt4d_ros.cli import main
from vggt4d_ros.evaluation.bag import open_bag
from vggt4d_ros.evaluation.bag_writer import BagWriter
from vggt4d_ros.evaluation.offline import evaluate_bag
from vggt4d_ros.evaluation.options import EvaluationError
from vggt4d_ros.evaluation.outputs import evaluate_outputs
from vggt4d_ros.evaluation.outputs_status import ALL, StatusLog
from vggt4d_ros.evaluation.run_folder import read_run

CAMERAS = ("left", "right")
STEPS = 8
WINDOWS = 5  # of four instants each


def add_rough_depth(to: Recorder) -> None:
    """True depth that the engine's differs from, and TF-free odometry at half a metre a second."""
    rng = np.random.default_rng(0)
    for step in range(STEPS):
        stamp_ns = START_NS + step * STEP_NS
        for name in CAMERAS:
            noise = rng.uniform(0.8, 1.2, (HEIGHT, WIDTH)).astype(np.float32)
            to.image(
                f"/{name}/depth/image_rect",
                stamp_ns + 3_000_000,
                frame_id=f"{name}_optical",
                pixels=true_depth() * noise,
                encoding="32FC1",
            )
        to.odometry("/odom", stamp_ns + 1_000_000, 0.05 * step)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The sensors' bag with truth, the run, and the bag of its outputs."""
    folder = tmp_path_factory.mktemp("outputs")
    bag = write_scene(folder / "sensors", Scene(steps=STEPS), also=add_rough_depth)
    run = evaluate_bag(bag, options(record=folder / "outputs"))
    return bag, run, folder / "outputs"


def join(path: Path, *bags: Path, rename: dict[str, str] | None = None) -> Path:
    """One recording of several, by time."""
    messages, kinds = [], {}
    for bag_path in bags:
        with open_bag(bag_path) as bag:
            kinds.update({t.name: (t.type, t.latched) for t in bag.topics})
            messages += [(m.stamp_ns, m.topic, m.data) for m in bag.messages()]
    names = {name: (rename or {}).get(name, name) for name in kinds}
    with BagWriter(path) as writer:
        for name, (kind, latched) in kinds.items():
            writer.add_topic(names[name], kind, is_latched=latched)
        for stamp_ns, topic, data in sorted(messages, key=lambda item: item[0]):
            writer.write(names[topic], stamp_ns, data)
    return path


def assert_scores_as(found, run) -> None:
    for group, variant in (
        ("depth", "none"),
        ("depth", "median"),
        ("depth", "scale_shift"),
        ("depth", "metric"),
        ("depth", "median_sequence"),
        ("temporal", "all"),
    ):
        expected = run.metrics[group][variant]
        assert expected["pixels"] > 0
        assert found.metrics[group][variant] == pytest.approx(expected, rel=1e-6, abs=1e-9)
    constant = found.baselines["constant_depth"]["depth"]["median"]
    assert constant == pytest.approx(run.baselines["constant_depth"]["depth"]["median"])


# ---------------------------------------------------------------------- truth


def test_outputs_score_as_the_run_that_made_them_with_the_truth_of_the_sensors_bag(made):
    bag, run, outputs = made

    found = evaluate_outputs(outputs, options(truth_file=bag))

    assert run.metrics["depth"]["median"]["abs_rel"] > 0.05  # there is something to score
    assert_scores_as(found, run)
    assert found.truth["depth"]["matched"] == found.truth["depth"]["of"] == 10
    assert found.truth["trajectory"]["matched"] == WINDOWS  # one pose each, of the newest instant
    # the engine's platform stands still: the truth's way is its error
    assert found.metrics["trajectory"]["none"]["ate_max"] == pytest.approx(0.2)
    (fault,) = found.faults
    assert "sim3 and scale left out: no scale can be found: a trajectory stands still" in fault


def test_truth_in_the_same_recording_is_found(made, tmp_path):
    bag, run, outputs = made

    found = evaluate_outputs(join(tmp_path / "both", bag, outputs), options())

    assert_scores_as(found, run)
    assert found.truth["trajectory"]["source"] == "/odom (nav_msgs/msg/Odometry)"


def test_outputs_that_come_late_meet_their_truth(made, tmp_path):
    bag, run, outputs = made
    with open_bag(outputs) as old, BagWriter(tmp_path / "late") as writer:
        for topic in old.topics:
            writer.add_topic(topic.name, topic.type, is_latched=topic.latched)
        for message in old.messages():  # a network of five seconds
            writer.write(message.topic, message.stamp_ns + 5 * 10**9, message.data)

    found = evaluate_outputs(join(tmp_path / "both", bag, tmp_path / "late"), options())

    assert_scores_as(found, run)


def test_trajectory_file_beside_it_is_the_truth(made, tmp_path):
    *_, outputs = made
    lines = [f"{1_700_000_000 + 0.1 * s:.1f} {s} 0 0 0 0 0 1" for s in range(STEPS)]
    (tmp_path / "truth.tum").write_text("\n".join(lines))

    found = evaluate_outputs(outputs, options(truth_file=tmp_path / "truth.tum"))

    assert found.metrics["trajectory"]["none"]["ate_max"] == pytest.approx(4.0)
    assert "depth" not in found.truth


def test_what_the_node_itself_published_is_never_its_truth(tmp_path):
    from eval_bags import null_config

    bag = write_scene(tmp_path / "sensors", Scene())
    config = null_config(tf__mode="odom_to_base")
    evaluate_bag(bag, options(config=config, record=tmp_path / "outputs"))

    found = evaluate_outputs(tmp_path / "outputs", options(config=config))

    assert found.truth == {}
    assert "trajectory" not in found.metrics
    assert len(found.trajectory) == WINDOWS


def test_truth_of_another_time_is_told_with_both_ranges(made, tmp_path):
    *_, outputs = made
    with recorder(tmp_path / "other") as to:
        to.image(
            "/left/depth/image_rect",
            START_NS - 10**12,
            frame_id="left_optical",
            pixels=true_depth(),
            encoding="32FC1",
        )

    found = evaluate_outputs(outputs, options(truth_file=tmp_path / "other"))

    (fault,) = found.faults
    assert "true depth from /left/depth/image_rect: nothing matched" in fault
    assert "1699999000.000 to 1699999000.000 s" in fault
    assert "1700000000.300 s" in fault


def test_mask_and_scene_flow_are_scored_where_a_topic_has_their_truth(made, tmp_path):
    *_, outputs = made
    same = {
        f"/vggt4d/{cam}/scene_flow/{kind}": f"/truth/{cam}/scene_flow/{kind}"
        for cam in CAMERAS
        for kind in ("dynamic_mask", "image")
    }
    truth = join(tmp_path / "truth", outputs, rename=same)

    found = evaluate_outputs(outputs, options(truth_file=truth))

    assert found.metrics["mask"]["all"]["j"] == 1.0
    assert found.metrics["mask"]["all"]["frames"] == 10
    assert found.metrics["scene_flow"]["all"]["epe3d"] == 0.0
    assert found.rows[0]["epe3d"] == 0.0


def test_run_over_a_recording_with_outputs_takes_them_for_neither_cameras_nor_truth(made, tmp_path):
    sensors, run, outputs = made
    without_truth = write_scene(tmp_path / "sensors", Scene(steps=STEPS))

    found = evaluate_bag(join(tmp_path / "both", without_truth, outputs), options(pictures=0))

    assert found.topics == run.topics
    assert "depth" not in found.truth
    assert found.source["left_out"] == []


# ---------------------------------------------------------------------- counts and rows


def test_rows_and_counts_are_those_of_the_run(made):
    _, run, outputs = made

    found = evaluate_outputs(outputs, options())

    assert [row["stamp_ns"] for row in found.rows] == [row["stamp_ns"] for row in run.rows]
    for row, expected in zip(found.rows, run.rows, strict=True):
        for name in ("index", "steps", "views", "valid_slots", "scale_source"):
            assert row[name] == expected[name]
        assert row["scale"] == pytest.approx(expected["scale"])
    assert found.counts == {ALL: {"received": 16, "used": 16, "dropped": {}}}
    assert found.windows["formed"] == found.windows["done"] == WINDOWS
    assert found.source["kind"] == "outputs"
    assert found.timing["stages_ms"]["geometry"]["p50"] > 0.0


def status(**values: object) -> SimpleNamespace:
    plain = {
        "frames_received": 0,
        "frames_used": 0,
        "frames_pending": 0,
        "frames_dropped": [],
        "sets": 0,
        "windows": 0,
        "windows_superseded": 0,
        "steps": 0,
        "cameras": ["left"],
    }
    return SimpleNamespace(**{**plain, **values})


def test_frames_add_up_with_what_was_dropped_and_what_still_waited():
    log = StatusLog()
    late = SimpleNamespace(name="late", count=3)

    log.add(
        status(frames_received=10, frames_used=5, frames_pending=2, frames_dropped=[late], sets=4)
    )

    (counts,) = log.frame_counts().values()
    assert counts == {"received": 10, "used": 5, "dropped": {"late": 3, "pending": 2}}


def test_counts_of_a_node_that_was_restarted_are_added():
    log = StatusLog()
    for received, superseded in ((10, 1), (20, 2), (5, 1)):
        log.add(
            status(
                frames_received=received,
                frames_used=received,
                windows=3,
                windows_superseded=superseded,
            )
        )

    assert log.frame_counts()[ALL]["received"] == 25
    assert log.window_counts()["formed"] == 9  # (3 + 2) + (3 + 1)
    assert log.window_counts()["dropped"] == {"superseded": 3}


# ---------------------------------------------------------------------- refusals and damage


def test_bag_without_outputs_is_refused(made):
    with pytest.raises(EvaluationError, match="0 nodes"):
        evaluate_outputs(made[0], options())


def test_one_of_two_nodes_is_chosen_by_its_namespace(made, tmp_path):
    _, run, outputs = made
    with open_bag(outputs) as bag:
        other = {t.name: f"/robot2{t.name}" for t in bag.topics if t.name.startswith("/vggt4d/")}
    both = join(tmp_path / "both", join(tmp_path / "second", outputs, rename=other), outputs)

    with pytest.raises(EvaluationError, match="2 nodes .* one of /robot2/vggt4d, /vggt4d"):
        evaluate_outputs(both, options())
    found = evaluate_outputs(both, replace(options(), namespace="/robot2"))

    assert found.source["policy"] == "recorded outputs of /robot2/vggt4d"
    assert len(found.rows) == len(run.rows)


def test_cut_recording_is_scored_up_to_its_end(made, tmp_path):
    bag, _, outputs = made
    both = join(tmp_path / "both", bag, outputs)
    (file,) = both.glob("*.mcap")
    size = file.stat().st_size
    (both / "metadata.yaml").unlink()
    with file.open("r+b") as data:
        data.truncate(size * 6 // 10)

    found = evaluate_outputs(both, options())

    assert any("truncated" in fault for fault in found.faults)
    assert 0 < found.metrics["depth"]["median"]["frames"] < 10


def change_poses(path: Path, bag_path: Path, topic: str, changes: dict[int, tuple]) -> Path:
    """A copy of a bag in which the n-th message of a topic has another position and rotation."""
    with open_bag(bag_path) as bag, BagWriter(path) as writer:
        for known in bag.topics:
            writer.add_topic(known.name, known.type, is_latched=known.latched)
        count = 0
        for message in bag.messages():
            data = message.data
            if message.topic == topic:
                content = bag.deserialize(message)
                if count in changes:
                    change_pose(content, *changes[count])
                    data = bytes(writer.typestore.serialize_cdr(content, message.type))
                count += 1
            writer.write(message.topic, message.stamp_ns, data)
        assert count > max(changes)
    return path


def change_pose(content, x: float, w: float) -> None:
    if hasattr(content, "transforms"):
        pose = content.transforms[0].transform
        pose.translation.x, pose.rotation.w = x, w
    else:
        content.pose.pose.position.x, content.pose.pose.orientation.w = x, w


def test_odometry_that_is_no_pose_is_counted_by_cause_and_left_out(made, tmp_path):
    bag, run, outputs = made
    broken = {0: (np.nan, 1.0), 1: (0.0, np.inf), 3: (0.0, 1.1)}
    changed = change_poses(tmp_path / "changed", outputs, "/vggt4d/odometry", broken)

    found = evaluate_outputs(changed, options(truth_file=bag))

    stamps = found.trajectory.stamps_ns.tolist()
    expected = run.trajectory.stamps_ns[-WINDOWS:].tolist()  # one each, of the newest instant
    assert stamps == [expected[2], expected[4]]
    assert np.isfinite(found.trajectory.poses).all()
    assert [fault for fault in found.faults if "poses left out" in fault] == [
        "/vggt4d/odometry: 2 of 5 poses left out: not finite",
        "/vggt4d/odometry: 1 of 5 poses left out: the quaternion is not of unit length",
    ]


@pytest.mark.parametrize(("x", "w", "cause"), [(np.nan, 1.0, "not finite"), (0.0, 2.0, "unit")])
def test_transform_that_is_none_is_counted_once_and_left_out(made, tmp_path, x, w, cause):
    bag, _, outputs = made
    changed = change_poses(tmp_path / "changed", outputs, "/tf_static", {0: (x, w)})

    within = evaluate_outputs(changed, options())
    beside = evaluate_outputs(outputs, options(truth_file=tmp_path / "changed"))

    for found, seen in ((within, 1), (beside, 2)):  # beside: one more in each recording
        (fault,) = [fault for fault in found.faults if "poses left out" in fault]
        assert fault.startswith(f"TF base_link -> left_optical: 1 of {seen} poses left out: ")
        assert cause in fault


def test_command_writes_the_same_kind_of_folder_as_a_run(made, tmp_path, capsys):
    bag, run, outputs = made

    status = main(
        ["eval", str(outputs), "--outputs", "--truth", str(bag), "--out", str(tmp_path / "run")]
    )

    assert status == 0
    found = read_run(tmp_path / "run")
    assert_scores_as(found, run)
    assert (tmp_path / "run/report.html").stat().st_size > 10_000
    assert {p.kind for p in found.pictures} >= {"depth", "depth_truth", "error", "dynamic"}
    assert "recorded outputs of /vggt4d" in capsys.readouterr().out
