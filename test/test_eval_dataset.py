# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Data sets run through the node's classes: stamps, extrinsics, truth, and flow by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("rosbags")

from eval_bags import HEIGHT, SCALE, WIDTH, null_config, options, picture, true_depth
from scipy.spatial.transform import Rotation

from vggt4d_ros.data.readers.recording import DatasetError, RawFrame, Recording
from vggt4d_ros.datatypes import CameraModel, FramePrediction, Prediction, Window
from vggt4d_ros.evaluation.datasets import open_recordings
from vggt4d_ros.evaluation.offline import evaluate_dataset
from vggt4d_ros.evaluation.options import EvaluationError
from vggt4d_ros.evaluation.score_motion import true_displacements
from vggt4d_ros.evaluation.sources import FrameTruth
from vggt4d_ros.model.null import NullPredictor

K = np.array([[WIDTH, 0.0, (WIDTH - 1) / 2], [0.0, WIDTH, (HEIGHT - 1) / 2], [0, 0, 1]])
FLOW = np.full((HEIGHT, WIDTH, 2), (3.0, 4.0), np.float32)  # 5 pixels long


def shifted(x: float, y: float = 0.0, z: float = 0.0) -> np.ndarray:
    """cam_from_world of a camera at (x, y, z) that looks along z."""
    pose = np.eye(4)
    pose[:3, 3] = -x, -y, -z
    return pose


def raw(step: int, view: int) -> RawFrame:
    return RawFrame(
        picture(1_000_000_000 * (step + 1)),
        K,
        shifted(0.2 * view, z=0.5 * step),
        true_depth(),
        flow_forward=FLOW,
        dynamic=np.zeros((HEIGHT, WIDTH), bool),
    )


def recording(steps: int = 6, views: int = 2, **changes: object) -> Recording:
    names = tuple(f"cam {view}" for view in range(views))
    return replace(Recording("made", names, steps, raw, "none"), **changes)


def test_depth_scale_and_trajectory_are_those_of_the_recording():
    result = evaluate_dataset(recording(), options())

    assert result.topics == {}
    assert list(result.counts) == ["cam_0", "cam_1"]
    assert result.rows[0]["scale"] == pytest.approx(SCALE)
    assert result.metrics["depth"]["metric"]["abs_rel"] == pytest.approx(0.0, abs=1e-6)
    # the engine stands still while the truth goes 0.5 m ahead each step
    trajectory = result.metrics["trajectory"]["none"]
    assert trajectory["ate_mean"] == pytest.approx(0.5 * np.arange(6).mean())
    assert trajectory["length_m"] == pytest.approx(2.5)
    assert result.baselines["static_camera"]["trajectory"]["none"] == pytest.approx(trajectory)
    assert result.windows["done"] == 3


def test_covariances_are_not_judged_by_poses_that_are_known_to_be_loose():
    tight = evaluate_dataset(recording(), options())
    loose = evaluate_dataset(recording(loose_poses=True), options())

    assert tight.metrics["calibration"]["pose"]["count"] > 0
    assert "pose" not in loose.metrics.get("calibration", {})
    assert [fault for fault in loose.faults if fault not in tight.faults] == [
        "calibration of poses left out: the recording's poses are known to be loose"
    ]
    assert loose.metrics["trajectory"] == tight.metrics["trajectory"]


def test_without_extrinsics_there_is_no_metric_number():
    result = evaluate_dataset(recording(views=1), options())

    assert "metric" not in result.metrics["depth"]
    assert "none" not in result.metrics["trajectory"]
    assert result.metrics["depth"]["median"]["abs_rel"] == pytest.approx(0.0, abs=1e-6)


def test_a_recording_that_is_not_in_metres_has_no_metric_number():
    result = evaluate_dataset(recording(metric=False), options())

    assert {row["scale_source"] for row in result.rows} == {"none"}
    assert "metric" not in result.metrics["depth"]
    assert "none" not in result.metrics["trajectory"]


def test_cameras_that_move_on_the_rig_have_no_extrinsics():
    def read(step: int, view: int) -> RawFrame:
        return replace(raw(step, view), cam_from_world=shifted(0.2 * view * (1 + 0.1 * step)))

    result = evaluate_dataset(recording(read=read), options())

    assert any("do not keep their places" in fault for fault in result.faults)
    assert {row["scale_source"] for row in result.rows} == {"none"}


def test_a_short_recording_is_one_window_and_says_so():
    result = evaluate_dataset(recording(steps=2), options())

    assert result.windows["done"] == 1
    assert result.rows[0]["steps"] == 2
    assert any("2 steps instead of 4" in fault for fault in result.faults)


def test_a_camera_that_lacks_a_frame_leaves_its_slot_empty():
    def read(step: int, view: int) -> RawFrame | None:
        return None if (step, view) == (4, 1) else raw(step, view)

    config = null_config(sync__min_cameras=1)

    result = evaluate_dataset(recording(read=read), options(config=config))

    assert [counts["received"] for counts in result.counts.values()] == [6, 5]
    assert [counts["used"] for counts in result.counts.values()] == [6, 5]
    assert result.windows["partial_sets"] == 1


class Mover(NullPredictor):
    """The engine without a network, with flow of (3, 4) pixels less one, and a mask."""

    def predict(self, window: Window, dense_steps=None, **asked) -> Prediction:
        found = super().predict(window, dense_steps, **asked)
        off = FLOW + np.array([1.0, 0.0], np.float32)
        mask = np.zeros((HEIGHT, WIDTH), np.float32)
        frames: dict[tuple[int, int], FramePrediction] = {
            slot: replace(frame, flow_forward=off, flow_backward=-off, dynamic=mask)
            for slot, frame in found.frames.items()
        }
        return replace(found, frames=frames)


def test_flow_and_masks_are_scored_once_for_each_frame():
    result = evaluate_dataset(recording(), options(), engine=Mover())

    flow = result.metrics["flow"]["all"]
    assert flow["epe"] == pytest.approx(1.0)
    assert flow["frames"] == 6  # three windows, two cameras: newest step and the one before
    zero = result.baselines["zero_flow"]["flow"]["all"]
    assert zero["epe"] == pytest.approx(5.0)
    assert result.baselines["dis"]["flow"]["all"]["epe"] > 0
    assert result.metrics["mask"]["head"]["frames"] == 8  # steps 2 to 5, two cameras
    assert result.metrics["mask"]["head"]["j"] == 1.0
    assert result.rows[0]["epe"] == pytest.approx(1.0)


def test_scene_flow_of_a_point_that_moves_by_hand():
    model = CameraModel(WIDTH, HEIGHT, 10.0, 10.0, 0.0, 0.0)
    depth = np.full((HEIGHT, WIDTH), 2.0, np.float32)
    flow = np.full((HEIGHT, WIDTH, 2), np.nan, np.float32)
    flow[4, 6] = 5.0, 0.0  # a metre to the right at 2 m: f = 10
    flow[4, 7] = 60.0, 0.0  # out of the image
    # meanwhile the camera goes 0.5 m to the right
    camera = np.eye(4)
    camera[0, 3] = 0.5
    before = FrameTruth(depth=depth, flow_forward=flow, world_from_cam=np.eye(4))
    now = FrameTruth(depth=depth, world_from_cam=camera, step=1)

    found = true_displacements(before, now, model)

    assert found is not None
    u, v, moved = found
    assert (u.tolist(), v.tolist()) == ([11], [4])
    np.testing.assert_allclose(moved, [[1.5, 0.0, 0.0]], atol=1e-6)
    hidden = replace(before, occluded_forward=np.ones((HEIGHT, WIDTH), bool))
    assert true_displacements(hidden, now, model) is None
    assert true_displacements(replace(before, depth=None), now, model) is None


def test_an_unknown_data_set_and_a_wrong_folder_are_refused_in_one_line(tmp_path: Path):
    for name, path, words in (
        ("kitty", tmp_path, "no data set 'kitty'; known: kitti"),
        ("kitti", tmp_path / "none", "no such folder"),
        ("kitti", tmp_path, "no KITTI odometry data set: expected"),
        ("kitti_flow", tmp_path, "no KITTI scene flow"),
        ("sintel", tmp_path, "no MPI Sintel"),
        ("nuscenes", tmp_path, "no nuScenes"),
        ("tum", tmp_path, "no TUM or Bonn sequence"),
        ("samples", tmp_path, "none of the known small recordings"),
    ):
        with pytest.raises(EvaluationError, match=words) as caught:
            open_recordings(name, path)
        assert "\n" not in str(caught.value)
    with pytest.raises(EvaluationError, match="--sequence has no meaning"):
        open_recordings("tum", tmp_path, "x")


def test_a_damaged_file_of_a_data_set_ends_the_run_in_one_line():
    def read(step: int, view: int) -> RawFrame:
        if step == 5:
            raise DatasetError("image.png: missing or no image")
        return raw(step, view)

    with pytest.raises(EvaluationError, match=r"image\.png: missing"):
        evaluate_dataset(recording(read=read, views=1), options())


class Turner(NullPredictor):
    """The engine without a network, its second camera turned by 3 degrees about its y axis."""

    def predict(self, window: Window, dense_steps=None, **asked) -> Prediction:
        found = super().predict(window, dense_steps, **asked)
        poses = found.cam_from_world.copy()
        turn = np.eye(4)
        turn[:3, :3] = Rotation.from_euler("y", 3.0, degrees=True).as_matrix()
        poses[:, 1] = turn @ poses[:, 1]
        return replace(found, cam_from_world=poses)


def test_camera_poses_are_the_networks_own_not_the_rigs():
    result = evaluate_dataset(recording(), options(), engine=Turner())

    views, time = result.metrics["poses"]["views"], result.metrics["poses"]["time"]
    assert views["rotation_deg_median"] == pytest.approx(3.0)
    assert views["translation_deg_median"] == pytest.approx(0.0, abs=1e-5)
    assert views["pairs"] == 3
    assert time["rotation_deg_mean"] == pytest.approx(0.0, abs=1e-5)
    assert time["pairs"] == 6
    assert "translation_deg_mean" not in time  # the engine stands still: no direction
