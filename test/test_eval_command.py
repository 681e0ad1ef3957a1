# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``vggt4d eval`` as a user types it, and what it is made of: parameter files, topics, averages."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rosbags")

from eval_bags import START_NS, STEP_NS, Recorder, Scene, write_scene

from vggt4d_ros.cli import main
from vggt4d_ros.commands.eval import SUITES, configure
from vggt4d_ros.commands.eval_usage import EFFECTIVE
from vggt4d_ros.evaluation.camera_sources import camera_name
from vggt4d_ros.evaluation.metrics import Trajectory, pool
from vggt4d_ros.evaluation.options import EvaluationError
from vggt4d_ros.evaluation.parameter_file import Parameters, read_parameters
from vggt4d_ros.evaluation.results import RunResult
from vggt4d_ros.evaluation.run_folder import metrics_document, parse_tum, read_run, tum_text
from vggt4d_ros.evaluation.tally import RunningPool
from vggt4d_ros.options import ConfigError

ROOT = Path(__file__).parents[1]
NULL = ("--set", "model.engine=null", "--no-progress")


def failed(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 1) -> str:
    """The one line on stderr of a command that fails."""
    assert main(["eval", *arguments]) == status
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    return error


def test_a_bag_becomes_a_folder_with_report_and_numbers(tmp_path, capsys):
    bag = write_scene(tmp_path / "bag", Scene(depth=True, odometry_mps=0.5))

    status = main(["eval", str(bag), "--out", str(tmp_path / "run"), *NULL])

    output = capsys.readouterr().out
    assert status == 0
    assert "camera left /left/image_raw: 8 images = 8 used + 0 dropped" in output
    assert "true depth from /left/depth/image_rect, /right/depth/image_rect: 10 of 10" in output
    assert "depth.metric" in output
    assert "reading and decoding" in output
    files = {path.name for path in (tmp_path / "run").iterdir()}
    assert files >= {"metrics.json", "windows.csv", "timing.csv", "report.html", "trajectory.tum"}
    document = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert document["config"]["model.engine"] == "null"
    assert document["model"]["name"] == "null"
    assert set(document["timing"]["parts_s"]) >= {"read", "decode", "geometry", "score"}


def test_what_cannot_be_done_is_one_line_and_status_1(tmp_path, capsys):
    bag = str(write_scene(tmp_path / "bag"))
    out = ("--out", str(tmp_path / "run"))

    for arguments, words in (
        ((), "name a bag or a data set"),
        ((bag,), "--out FOLDER is needed"),
        ((str(tmp_path / "no.mcap"), *out), "no such file"),
        ((bag, *out, "--set", "window.len=2"), "unknown parameter 'window.len'"),
        ((bag, *out, "--set", "window.length=x"), "window.length must be of type int"),
        ((bag, *out, "--topic", "left"), "--topic must be CAM=TOPIC"),
        ((bag, *out, "--topic", "a=/x"), "no image topic /x for camera a"),
        ((bag, *out, "--real-time", "-1"), "--real-time must not be negative"),
        ((bag, *out, "--real-time", "inf"), "--real-time must not be negative and must be finite"),
        ((bag, *out, "--truth-tolerance", "nan"), "--truth-tolerance must not be negative"),
        ((bag, *out, "--pictures", "-1"), "--pictures must not be negative"),
        ((bag, *out, "--jobs", "0"), "--jobs must be 1 or more, got 0"),
        ((bag, *out, "--truth", str(tmp_path / "t.tum"), *NULL), "t.tum: cannot be read"),
        ((bag, *out, "--params", str(tmp_path / "p.yaml")), "p.yaml: No such file"),
        ((bag, *out, "--checkpoint", str(tmp_path / "c.safetensors")), "c.safetensors"),
        (("kitti", *out), "kitti needs one folder"),
        (("tum", str(tmp_path), *out), "no TUM or Bonn sequence"),
        (("--suite", "samples"), "needs the folder"),
    ):
        assert words in failed(capsys, *arguments)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("BAG --out RUN --sequence a", "--sequence has no effect with a bag: it goes with a data"),
        ("BAG --out RUN --bound a<=1", "--bound has no effect with a bag: it goes with compare"),
        ("BAG --out RUN --json a", "--json has no effect with a bag: it goes with compare or --s"),
        ("BAG --out RUN --outputs --record a", "--record has no effect with recorded outputs"),
        ("BAG --out RUN --outputs --real-time 5", "--real-time has no effect with recorded"),
        ("tum BAG --out RUN --jobs 2", "--jobs has no effect with a data set"),
        ("tum BAG --out RUN --ray auto", "--ray has no effect with a data set"),
        (
            "tum BAG --out RUN --outputs",
            "no effect with a data set: it goes with recorded outputs",
        ),
        ("tum BAG --out RUN --topic a=/b", "--topic has no effect with a data set"),
        ("--suite geometry --set window.length=2", "--set has no effect with --suite geometry"),
        ("--suite geometry --checkpoint a", "--checkpoint has no effect with --suite geometry"),
        ("--suite compact --params a", "--params has no effect with --suite compact"),
        ("--suite compact --set a=1 --out b", "--out and --set have no effect with --suite comp"),
        ("--suite samples BAG --jobs 2", "--jobs has no effect with --suite samples"),
        ("--suite geometry BAG BAG", "--suite takes one folder of samples, got 2"),
        ("compare RUN RUN --out c", "--out has no effect with compare"),
        ("compare RUN", "compare needs two run folders"),
        ("compare", "compare needs two run folders"),
    ],
)
def test_options_without_effect_are_one_line_and_status_2(tmp_path, capsys, arguments, words):
    places = {"BAG": str(tmp_path / "bag"), "RUN": str(tmp_path / "run")}
    given = [places.get(word, word) for word in arguments.split()]

    assert words in failed(capsys, *given, status=2)


def test_every_option_has_an_effect_on_something():
    parser = argparse.ArgumentParser()
    configure(parser)
    known = set(vars(parser.parse_args([]))) - {"what", "suite", "no_progress"}

    assert known == set().union(*EFFECTIVE.values())
    assert {f"--suite {name}" for name in SUITES} <= EFFECTIVE.keys()


def test_a_run_that_says_nothing_is_written_and_fails(tmp_path, capsys):
    bag = str(write_scene(tmp_path / "bag", Scene(steps=3)))
    far = tmp_path / "far.tum"
    far.write_text("5.0 0 0 0 0 0 0 1\n")
    long = str(write_scene(tmp_path / "long"))

    short = failed(capsys, bag, "--out", str(tmp_path / "a"), *NULL)
    missed = failed(capsys, long, "--out", str(tmp_path / "b"), "--truth", str(far), *NULL)

    assert "no window: 3 instants" in short
    assert read_run(tmp_path / "a").counts["left"]["received"] == 3
    assert "nothing matched" in missed
    assert "truth 5.000 to 5.000 s" in missed
    assert read_run(tmp_path / "b").windows["done"] == 5


def test_the_nodes_own_parameter_files_are_accepted_as_they_are():
    demo = read_parameters(ROOT / "config" / "demo.yaml")

    assert demo.notes == ()
    config = demo.config()
    assert config.cameras.names == ("cam01", "cam02", "cam03", "cam04")
    assert config.cameras.transport == "compressed"
    assert config.geometry.allow_unscaled
    assert read_parameters(ROOT / "config" / "vggt4d.yaml").config().sync.min_cameras == 1


def test_parameters_are_those_of_this_node_and_later_ones_win(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text(
        "/**:\n  ros__parameters:\n    use_sim_time: true\n    window: {length: 2}\n"
        "    cameras.names: ['']\n    window.stide: 3\n"
        "other:\n  ros__parameters: {window: {length: 9}}\n"
        "robot1:\n  vggt4d:\n    ros__parameters: {window.stride: 2}\n"
        "/*/vggt4d:\n  ros__parameters: {sync: {tolerance_s: 1}}\n"
    )

    plain, robot = read_parameters(path), read_parameters(path, "/robot1")

    assert plain.values == {"window.length": 2, "cameras.names": [""]}
    assert plain.notes == ("p.yaml: unknown parameters, which have no effect: window.stide",)
    assert robot.config().window.stride == 2
    assert robot.config().sync.tolerance_s == 1.0


def test_a_file_that_holds_no_parameters_is_refused(tmp_path):
    for text, words in (
        ("a: [", "no YAML"),
        ("- 1\n", "no parameter file"),
        ("other:\n  ros__parameters: {a: 1}\n", "no ros__parameters for vggt4d"),
        ("vggt4d:\n  ros__parameters: 3\n", "no mapping"),
        ("vggt4d:\n  ros__parameters: {window: {length: two}}\n", "must be of type int"),
    ):
        path = tmp_path / "p.yaml"
        path.write_text(text)
        with pytest.raises(ConfigError, match=words) as caught:
            read_parameters(path).config()
        assert "\n" not in str(caught.value)


def test_values_on_the_command_line_are_typed_by_their_parameter():
    found = Parameters().with_texts(
        ["window.length=2", "sync.tolerance_s=1", "cameras.names=a,b", "model.checkpoint=5"]
    )

    config = found.config()
    assert (config.window.length, config.sync.tolerance_s) == (2, 1.0)
    assert config.cameras.names == ("a", "b")
    assert config.model.checkpoint == "5"


@pytest.mark.parametrize(
    ("topic", "name"),
    [
        ("/front/image_raw", "front"),
        ("/front/image_raw/compressed", "front"),
        ("/camera/color/image_rect_color", "camera/color"),
        ("/image_raw", "image_raw"),
        ("/robot-1/2/image", "robot_1/cam_2"),
        ("/usb_cam", "usb_cam"),
    ],
)
def test_a_camera_is_named_by_its_topic(topic, name):
    assert camera_name(topic) == name


def test_one_topic_of_each_camera_is_taken_and_the_others_are_shown(tmp_path, capsys):
    def twins(to: Recorder) -> None:
        for step in range(8):
            to.compressed("/left/image_raw/compressed", START_NS + step * STEP_NS)

    bag = write_scene(tmp_path / "bag", Scene(cameras=("left",)), also=twins)

    assert main(["eval", str(bag), "--out", str(tmp_path / "run"), *NULL]) == 0

    output = capsys.readouterr().out
    assert "camera left /left/image_raw:" in output
    assert "left out: /left/image_raw/compressed: the same camera as /left/image_raw" in output


@pytest.mark.parametrize("weight", ["", "pixels"])
def test_running_averages_are_those_of_all_frames_together(weight):
    rng = np.random.default_rng(0)
    frames = [
        {"pixels": float(10 + i), "rmse": rng.uniform(), "abs_rel": rng.uniform()} for i in range(9)
    ]
    frames[3]["extra"] = 0.25
    running = RunningPool(weight)

    for frame in frames:
        running.add(frame)

    assert running.result() == pytest.approx(pool(frames, weight))


def test_a_trajectory_is_written_with_every_nanosecond_and_read_back():
    stamps = np.array([1_700_000_000_000_000_001, 1_700_000_000_100_000_000])
    turned = np.eye(4)
    turned[:3, :3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    turned[:3, 3] = 1.5, -2.0, 1e-9
    given = Trajectory(stamps, np.stack([np.eye(4), turned]))

    text = tum_text(given)

    assert text.splitlines()[0] == (
        "1700000000.000000001 "
        "0.000000000 0.000000000 0.000000000 0.000000000 0.000000000 0.000000000 1.000000000"
    )
    again = parse_tum(text)
    assert again.stamps_ns.tolist() == stamps.tolist()
    np.testing.assert_allclose(again.poses, given.poses, atol=1e-8)
    assert parse_tum(text + text).stamps_ns.tolist() == stamps.tolist()


@pytest.mark.parametrize("stamp", ["inf", "-1e300", "nan", "10000000000"])
def test_a_stamp_that_no_clock_has_is_refused(stamp):
    with pytest.raises(ValueError, match=r"is no stamp"):
        parse_tum(f"{stamp} 0 0 0 0 0 0 1\n")


def test_a_folder_that_holds_no_run_is_refused_in_one_line(tmp_path):
    (tmp_path / "metrics.json").write_text("{}")

    for folder, words in ((tmp_path, "not of format 1"), (tmp_path / "none", "no run folder")):
        with pytest.raises(EvaluationError, match=words):
            read_run(folder)


def test_numbers_are_written_with_nine_digits_and_what_is_not_finite_as_null():
    result = RunResult({}, {}, {}, {}, {}, {}, metrics={"a": {"b": {"x": 1 / 3, "y": math.nan}}})

    document = metrics_document(result)

    assert document["metrics"]["a"]["b"] == {"x": 0.333333333, "y": None}
