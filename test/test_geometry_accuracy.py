# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How good the geometry is on an exact scene with controlled noise; limits are those promised."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest

from vggt4d_ros.data.analytic import BARE_ROOM, AnalyticScene, Box, exact_flow, render
from vggt4d_ros.data.analytic_drive import SMALL_CAMERA, AnalyticDrive, Noise
from vggt4d_ros.datatypes import CameraModel
from vggt4d_ros.evaluation import suite_geometry
from vggt4d_ros.evaluation.geometry_accuracy import flow_accuracy, track_drive
from vggt4d_ros.geometry import se3
from vggt4d_ros.geometry.scale import ScaleSource

SAMPLES = Path(os.environ.get("VGGT4D_SAMPLES", Path(__file__).parents[2] / "shared" / "data"))


@pytest.mark.parametrize(("source", "limit"), [(ScaleSource.RIG, 0.01), (ScaleSource.MOTION, 0.02)])
def test_scale_drift_and_covariance_over_200_windows(source, limit):
    found = track_drive(source, windows=200, seed=1)

    assert found.scale_error < limit
    assert found.drift < 0.005
    assert 0.1 < found.nees < 4.0
    assert found.path_m == pytest.approx(19.9, abs=0.1)  # 199 steps of 0.1 s at 1 m/s


def test_scene_flow_of_a_robot_that_drives_and_turns():
    found = flow_accuracy(windows=2, seed=1)

    assert found.static_speed_mps < 0.05
    assert found.moving_speed_error < 0.05
    assert found.mask_iou > 0.9
    assert found.valid_share > 0.8


def test_the_suite_prints_and_writes_every_figure_beside_its_goal(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv(suite_geometry.SAMPLES_VARIABLE, raising=False)
    file = tmp_path / "sub" / "geometry.json"

    result = suite_geometry.run(file, windows=8, flow_windows=1, seeds=(1,))

    assert json.loads(file.read_text()) == result
    names = [figure["name"] for figure in result["figures"]]
    assert names == [
        "scale_error_rig", "drift_rig", "nees_rig",
        "scale_error_motion", "drift_motion", "nees_motion",
        "static_speed", "moving_speed_error", "dynamic_mask_iou",
    ]  # fmt: skip
    assert set(result["metrics"]["geometry"]["all"]) == set(names)
    printed = capsys.readouterr().out
    assert all(name in printed for name in names)
    assert "real recordings: left out" in printed


def test_a_figure_without_a_value_has_not_reached_its_goal():
    figure = suite_geometry.Figure("drift", math.nan, -math.inf, 0.005, "%", "")

    assert not figure.reached
    assert "NO" in figure.row()
    assert figure.goal() == "<= 0.5 %"


@pytest.mark.slow
@pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"no real recordings in {SAMPLES}")
def test_real_recordings_agree_with_the_camera_model_within_a_pixel():
    from vggt4d_ros.evaluation.geometry_samples import reprojections
    from vggt4d_ros.evaluation.rig_scale_samples import rig_scales

    found = {one.sample: one for one in reprojections(SAMPLES)}
    scales = {one.sample: one for one in rig_scales(SAMPLES)}

    for one in found.values():
        assert one.matches > 100, one
        # the GPS of KITTI is no better
        assert one.agrees or (one.sample.endswith("GPS") and one.median_px < 1.5), one
    for one in scales.values():
        assert one.error < 0.06, one


# ---------------------------------------------------------------------- the room itself


def test_depth_and_velocity_of_a_box_are_those_computed_by_hand():
    scene = AnalyticScene(
        Box((-5.0, -5.0, -5.0), (5.0, 5.0, 9.0)),
        (Box((-1.0, -1.0, 3.0), (1.0, 1.0, 4.0), (0.5, 0.0, -1.0)),),
    )
    model = CameraModel(101, 101, 50.0, 50.0, 50.0, 50.0)

    view = render(np.eye(4), 1.0, model, scene)  # the box has come to 2 m, and 0.5 m right

    assert view.depth[50, 50] == pytest.approx(2.0)
    assert view.moving[50, 50]
    assert view.depth[50, 10] == pytest.approx(5.0 / 0.8)  # the wall at x = -5
    assert not view.moving[50, 10]
    moved = exact_flow(view, np.eye(4), 0.5, model)  # 0.25 m right and 1.5 m away
    np.testing.assert_allclose(moved[50, 50], [50 * 0.25 / 1.5, 0.0], atol=1e-5)
    np.testing.assert_array_equal(moved[50, 10], [0.0, 0.0])


def test_flow_is_nan_where_a_point_comes_to_lie_behind_the_camera():
    view = render(np.eye(4), 0.0, SMALL_CAMERA, BARE_ROOM)
    ahead = se3.make_transform(np.eye(3), np.array([0.0, 0.0, -100.0]))

    assert np.isnan(exact_flow(view, ahead, 0.1, SMALL_CAMERA)).all()


def test_a_drive_gives_each_window_a_world_of_its_own_and_says_its_unit():
    drive = AnalyticDrive(noise=Noise())
    first = drive.predict(3, (3,))
    unit = drive.metres_per_unit
    second = drive.predict(3, (3,))

    assert drive.metres_per_unit != unit
    for prediction, metres in ((first, unit), (second, drive.metres_per_unit)):
        depth = prediction.frames[3, 0].depth * metres
        np.testing.assert_allclose(depth, drive.view(3, 0).depth, rtol=1e-5)
        moved = se3.inverse(prediction.cam_from_world[3, 0]) @ np.array([0, 0, 0, 1.0])
        start = se3.inverse(prediction.cam_from_world[0, 0]) @ np.array([0, 0, 0, 1.0])
        length = np.linalg.norm((moved - start)[:3]) * metres
        true = drive.world_from_cam(3, 0) - drive.world_from_cam(0, 0)
        assert length == pytest.approx(np.linalg.norm(true[:3, 3]))
