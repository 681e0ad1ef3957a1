# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Estimates of rendered windows: the truth itself scores best, and errors show as they are."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vggt4d_ros.data.readers.recording import RawFrame, Recording
from vggt4d_ros.data.scenes import SceneConfig
from vggt4d_ros.data.synthetic import SyntheticWindows
from vggt4d_ros.datatypes import FramePrediction, Prediction, Window
from vggt4d_ros.evaluation.estimates import baseline_estimates, network_estimate
from vggt4d_ros.evaluation.known_window import KnownWindow, window_of_batch, window_of_recording
from vggt4d_ros.evaluation.results import Metrics
from vggt4d_ros.evaluation.window_scores import WindowEstimate, WindowScores, horizontal_fov_deg
from vggt4d_ros.geometry.scale import ScaleSource


@pytest.fixture(scope="module")
def known() -> KnownWindow:
    source = SyntheticWindows(SceneConfig(drop_share=0.0), seed=5)
    return window_of_batch(source.batch([3], 2, 2, 48, 64), 0)


def truth_of(known: KnownWindow) -> WindowEstimate:
    slots = known.truth
    return WindowEstimate(
        depth={slot: 0.3 * t.depth for slot, t in slots.items()},
        depth_m={slot: t.depth for slot, t in slots.items()},
        flow_forward={slot: t.flow_forward for slot, t in slots.items()},
        flow_backward={slot: t.flow_backward for slot, t in slots.items()},
        dynamic={slot: t.dynamic for slot, t in slots.items()},
        world_from_cam={slot: t.world_from_cam for slot, t in slots.items()},
        fov_deg={slot: horizontal_fov_deg(known.model(slot).fx, 64) for slot in slots},
    )


def test_only_what_is_known_is_truth() -> None:
    batch = SyntheticWindows(SceneConfig(drop_share=0.0), seed=5).batch([3], 2, 2, 48, 64)
    valid = batch.depth_valid.clone()
    valid[..., :5] = False
    known = window_of_batch(replace(batch, depth_valid=valid), 0)

    for (step, view), truth in known.truth.items():
        is_known = valid[0, step, view].numpy()
        np.testing.assert_array_equal(np.isfinite(truth.depth), is_known)
        # nothing comes after the last step, nor before the first
        assert np.isnan(truth.flow_forward).all() == (step == 1)
        assert np.isnan(truth.flow_backward).all() == (step == 0)


def summary(known: KnownWindow, *estimates: WindowEstimate) -> Metrics:
    tally = WindowScores()
    for estimate in estimates:
        tally.add(known, estimate)
    return tally.summary()


def test_the_truth_scores_best(known: KnownWindow) -> None:
    result = summary(known, truth_of(known))

    for variant in ("median", "scale_shift", "metric"):
        assert result["depth"][variant]["abs_rel"] == pytest.approx(0, abs=1e-5)
        assert result["depth"][variant]["delta1"] == 1.0
    assert result["flow"]["all"]["epe"] == 0.0
    assert result["flow"]["visible"]["epe"] == 0.0
    assert result["flow"]["visible"]["pixels"] < result["flow"]["all"]["pixels"]
    assert result["mask"]["head"]["iou"] == 1.0
    assert result["poses"]["all"]["pairs"] == 3.0
    for name in ("rotation_deg", "translation_deg", "fov_deg"):
        assert result["poses"]["all"][f"{name}_median"] == pytest.approx(0, abs=1e-4)


def test_the_first_camera_may_be_anywhere_and_lengths_may_have_any_unit(known: KnownWindow) -> None:
    shift = np.eye(4)
    shift[:3, :3] = Rotation.from_rotvec([1.0, 2.0, -0.5]).as_matrix()
    shift[:3, 3] = [4.0, 5.0, 6.0]
    moved = {}
    for slot, truth in known.truth.items():
        pose = truth.world_from_cam.copy()
        pose[:3, 3] *= 0.2
        moved[slot] = shift @ pose

    poses = summary(known, WindowEstimate(world_from_cam=moved))["poses"]["all"]

    assert poses["rotation_deg_mean"] == pytest.approx(0, abs=1e-4)
    assert poses["translation_deg_mean"] == pytest.approx(0, abs=1e-4)


def test_an_error_of_rotation_is_told_apart_by_time_and_by_camera(known: KnownWindow) -> None:
    poses = dict(truth_of(known).world_from_cam)
    wrong = np.eye(4)
    wrong[:3, :3] = Rotation.from_euler("y", 7, degrees=True).as_matrix()
    poses[1, 0] = poses[1, 0] @ wrong

    found = summary(known, WindowEstimate(world_from_cam=poses))["poses"]

    assert found["time"]["rotation_deg_median"] == pytest.approx(7, abs=1e-4)
    assert found["views"]["rotation_deg_median"] == pytest.approx(0, abs=1e-4)
    assert found["all"]["rotation_deg_mean"] == pytest.approx(7 / 3, abs=1e-4)


def test_errors_of_depth_and_flow_are_averaged_over_windows(known: KnownWindow) -> None:
    best = truth_of(known)
    worse = replace(
        best,
        depth_m={slot: 1.2 * depth for slot, depth in best.depth_m.items()},
        flow_forward={slot: flow + 3.0 for slot, flow in best.flow_forward.items()},
        flow_backward={slot: flow + 3.0 for slot, flow in best.flow_backward.items()},
    )

    result = summary(known, best, worse)

    assert result["depth"]["metric"]["abs_rel"] == pytest.approx(0.1, abs=1e-5)
    assert result["depth"]["metric"]["windows"] == 2.0
    assert result["flow"]["all"]["epe"] == pytest.approx(np.sqrt(18) / 2, abs=1e-4)


def test_hidden_pixels_count_in_all_flow_only(known: KnownWindow) -> None:
    flow = {}
    for slot, truth in known.truth.items():
        flow[slot] = truth.flow_forward.copy()
        flow[slot][truth.occluded_forward] += 10.0

    found = summary(known, WindowEstimate(flow_forward=flow))["flow"]

    assert found["visible"]["epe"] == 0.0
    assert found["all"]["epe"] > 0.0


def test_mask_overlap_is_that_of_all_pixels_together(known: KnownWindow) -> None:
    moving = sum(t.dynamic.sum() for t in known.truth.values())
    pixels = sum(t.dynamic.size for t in known.truth.values())
    assert 0 < moving < pixels

    everything = summary(known, baseline_estimates(known)["all_moves"])

    assert everything["mask"]["head"]["iou"] == pytest.approx(moving / pixels)


def test_each_baseline_says_only_what_it_can(known: KnownWindow) -> None:
    found = {name: summary(known, e) for name, e in baseline_estimates(known).items()}

    assert set(found) == {"constant_depth", "zero_flow", "dis", "static_camera", "all_moves"}
    assert set(found["constant_depth"]) == {"depth"}
    assert "metric" not in found["constant_depth"]["depth"]
    assert set(found["zero_flow"]) == set(found["dis"]) == {"flow"}
    assert set(found["static_camera"]["poses"]["all"]) == {
        "rotation_deg_median",
        "rotation_deg_mean",
        "pairs",
    }
    true = np.concatenate([t.flow_forward.reshape(-1, 2) for t in known.truth.values()])
    true = np.concatenate([true, *[t.flow_backward.reshape(-1, 2) for t in known.truth.values()]])
    still = found["zero_flow"]["flow"]["all"]["epe"]
    assert still == pytest.approx(np.nanmean(np.linalg.norm(true, axis=-1)), rel=1e-5)


def test_classical_flow_follows_a_recording_that_moves_both_ways() -> None:
    noise = np.random.default_rng(0).uniform(0, 255, (64, 120, 3)).astype(np.float32)
    wide = cv2.GaussianBlur(noise, (0, 0), 1.5)
    ahead = np.full((64, 96, 2), [3.0, 0.0], np.float32)

    def read(step: int, view: int) -> RawFrame:
        rgb = np.clip(wide[:, 10 - 3 * step :][:, :96], 0, 255).astype(np.uint8)
        flows = {"flow_forward": ahead} if step == 0 else {"flow_backward": -ahead}
        return RawFrame(np.ascontiguousarray(rgb), **flows)

    known = window_of_recording(Recording("r", ("rgb",), 2, read, "none", metric=False), range(2))

    found = {name: summary(known, e)["flow"] for name, e in baseline_estimates(known).items()}
    assert found["zero_flow"]["all"]["epe"] == pytest.approx(3.0)
    assert found["dis"]["all"]["epe"] < 0.6
    assert found["dis"]["all"]["pixels"] == 2 * 64 * 96
    assert "visible" not in found["dis"]


class Oracle:
    """An engine that knows the truth, in units of 5 m and in the world of its first camera."""

    def __init__(self, known: KnownWindow) -> None:
        self._known = known

    def predict(self, window: Window, dense_steps: range, **asked: object) -> Prediction:
        truth = self._known.truth
        cam_from_world = np.tile(np.eye(4), (*window.shape, 1, 1))
        intrinsics = np.zeros((*window.shape, 3, 3))
        frames = {}
        for slot, known in truth.items():
            cam_from_world[slot] = np.linalg.inv(known.world_from_cam) @ truth[0, 0].world_from_cam
            cam_from_world[slot][:3, 3] /= 5.0
            intrinsics[slot] = self._known.model(slot).matrix
            depth = known.depth / np.float32(5.0)
            frames[slot] = FramePrediction(depth, np.full_like(depth, 2.0))
        return Prediction(window.valid, cam_from_world, intrinsics, frames)


def test_metres_come_from_the_rig(known: KnownWindow) -> None:
    estimate, scale = network_estimate(known, Oracle(known))

    assert scale.source is ScaleSource.RIG
    assert scale.value == pytest.approx(5.0, rel=1e-3)
    found = summary(known, estimate)
    assert found["depth"]["metric"]["abs_rel"] < 1e-3
    assert found["poses"]["all"]["rotation_deg_median"] < 1e-3
    assert found["poses"]["all"]["fov_deg_median"] < 1e-6


def test_nothing_said_is_nothing_scored(known: KnownWindow) -> None:
    blank = {slot: np.full_like(t.depth, np.nan) for slot, t in known.truth.items()}

    assert summary(known, WindowEstimate()) == {}
    assert summary(known, WindowEstimate(depth=blank)) == {}


def test_a_missing_frame_has_no_truth_and_its_step_goes_where_nothing_is_left() -> None:
    batch = SyntheticWindows(SceneConfig(drop_share=0.0), seed=5).batch([3], 3, 2, 48, 64)
    valid = batch.valid.clone()
    valid[0, 0, 0] = False
    valid[0, 1] = False

    known = window_of_batch(replace(batch, valid=valid), 0)

    assert known.window.shape == (2, 2)
    assert set(known.truth) == {(0, 1), (1, 0), (1, 1)}
    assert known.window.frame(0, 0) is None
    assert [known.truth[slot].step for slot in ((0, 1), (1, 0))] == [0, 2]
    # no step shows camera 1 without the first one placed: the base is camera 0
    assert known.rig.base_from_cam[0] is not None
    np.testing.assert_allclose(known.rig.base_from_cam[0], np.eye(4), atol=1e-12)


def test_the_rig_holds_at_every_step(known: KnownWindow) -> None:
    for step in (0, 1):
        first, second = (known.truth[step, view].world_from_cam for view in (0, 1))
        np.testing.assert_allclose(
            np.linalg.inv(first) @ second, known.rig.base_from_cam[1], atol=1e-4
        )
