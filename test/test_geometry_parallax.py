# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the cameras of a rig both see: metric scale, and extrinsics that are wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from vggt4d_ros.data.analytic_drive import AnalyticDrive, stereo_rig
from vggt4d_ros.datatypes import CameraModel, FramePrediction, Prediction, Rig, ViewMatches
from vggt4d_ros.geometry import se3
from vggt4d_ros.geometry.parallax import compare_views, view_pairs
from vggt4d_ros.geometry.pinhole import pixel_rays, project
from vggt4d_ros.geometry.scale import ScaleEstimate, ScaleSource
from vggt4d_ros.geometry.tracker import Tracker

TRUE = 0.4  # metres per network unit
LENS = CameraModel(64, 48, 60.0, 62.0, 31.0, 24.0)
BENT = replace(LENS, distortion_model="plumb_bob", distortion=(-0.2, 0.05, 0.001, 0.0, 0.0))
NOISE = 0.5  # pixels


def toed_in(baseline: float = 0.3) -> np.ndarray:
    """Two cameras side by side, the second turned a little inwards: (2, 4, 4)."""
    rig = stereo_rig(baseline)
    rig[1] = rig[1] @ se3.exp(np.array([0.0, 0.0, 0.0, 0.02, -0.1, 0.03]))
    return rig


class Scene:
    """A wavy wall 2 to 3 m ahead, what the network thinks of its depth, and the matches."""

    def __init__(self, rig: np.ndarray, lens: CameraModel = LENS, distance: float = 2.5) -> None:
        self.rig, self.lens = rig, lens
        columns, rows = np.meshgrid(np.arange(lens.width), np.arange(lens.height))
        self.depth = distance + 0.5 * np.sin(columns / 9.0) * np.cos(rows / 7.0)
        net = (self.depth / TRUE).astype(np.float32)
        self.frames = {(1, view): FramePrediction(net, np.ones_like(net)) for view in (0, 1)}
        self.models = {(1, view): lens for view in (0, 1)}
        self.pixels = np.stack([columns[4::6, 4::6], rows[4::6, 4::6]], -1).reshape(-1, 2)

    def matches(self, true_rig: np.ndarray | None = None) -> ViewMatches:
        """Of a first camera that sees the wall, with one whose place is ``true_rig``'s."""
        rig = self.rig if true_rig is None else true_rig
        pixels = self.pixels.astype(np.float64)
        rays = np.concatenate([pixel_rays(pixels, self.lens), np.ones((len(pixels), 1))], -1)
        depth = self.depth[self.pixels[:, 1], self.pixels[:, 0]]
        seen = se3.transform_points(se3.inverse(rig[1]) @ rig[0], rays * depth[:, None])
        place = project(seen, self.lens)
        return ViewMatches(1, (0, 1), pixels, place, np.ones(len(pixels)), NOISE)

    def scale(self, *matches: ViewMatches) -> ScaleEstimate:
        return compare_views(matches, self.frames, self.models, self.rig).scale


@pytest.mark.parametrize("lens", [LENS, BENT], ids=["pinhole", "bent"])
def test_exact_matches_give_the_exact_scale(lens: CameraModel) -> None:
    scene = Scene(toed_in(), lens)

    found = scene.scale(scene.matches())

    assert found.value == pytest.approx(TRUE, rel=1e-6)
    assert found.source is ScaleSource.RIG
    assert "rig parallax" in found.reason


def test_where_the_network_has_its_cameras_does_not_matter_but_its_depth_does() -> None:
    scene = Scene(toed_in())
    half = {
        slot: replace(frame, depth=frame.depth / np.float32(2.0))
        for slot, frame in scene.frames.items()
    }

    found = compare_views([scene.matches()], half, scene.models, scene.rig).scale

    assert found.value == pytest.approx(2 * TRUE, rel=1e-5)


def test_noise_and_wrong_matches_leave_the_scale_within_its_own_error() -> None:
    rng = np.random.default_rng(0)
    scene = Scene(toed_in())
    errors, sigmas = [], []
    for _ in range(20):
        exact = scene.matches()
        second = exact.second + rng.normal(0, NOISE, exact.second.shape)
        wrong = rng.random(len(second)) < 0.25
        second[wrong] = rng.uniform(0, 60, (int(wrong.sum()), 2))
        found = scene.scale(replace(exact, second=second))
        errors.append(np.log(found.value / TRUE))
        sigmas.append(found.sigma)

    assert np.std(errors) < 0.05
    assert abs(np.mean(errors)) < 0.03
    assert np.std(errors) < np.mean(sigmas)


def test_extrinsics_that_contradict_the_matches_are_not_believed() -> None:
    scene = Scene(toed_in())
    pitched = scene.rig.copy()
    pitched[1] = pitched[1] @ se3.exp(np.array([0.0, 0.0, 0.0, 0.15, 0.0, 0.0]))

    found = scene.scale(scene.matches(pitched))

    assert not found.known
    assert "contradict TF" in found.reason


def test_cameras_too_near_to_one_another_say_nothing() -> None:
    scene = Scene(toed_in(0.005))

    found = scene.scale(scene.matches())

    assert not found.known
    assert "too few points in common" in found.reason


def test_depth_that_fits_nowhere_gives_no_scale() -> None:
    rng = np.random.default_rng(1)
    scene = Scene(toed_in())
    noise = np.exp(rng.normal(0, 1.0, scene.depth.shape)).astype(np.float32)
    scene.frames[1, 0] = FramePrediction(scene.frames[1, 0].depth * noise, noise)

    found = scene.scale(scene.matches())

    assert not found.known
    assert "the limit" in found.reason


def test_uncalibrated_cameras_and_unknown_extrinsics_are_left_out() -> None:
    scene = Scene(toed_in())
    match = scene.matches()
    lost = scene.rig.copy()
    lost[1] = np.nan

    for found in (
        compare_views([match], scene.frames, {(1, 0): LENS}, scene.rig),
        compare_views([match], scene.frames, scene.models, lost),
        compare_views([], scene.frames, scene.models, scene.rig),
    ):
        assert not found.scale.known
        assert not found.contradicted


def three_cameras(turned: int) -> tuple[list[ViewMatches], Scene]:
    """All pairs of three cameras on a line, one of them turned while TF does not know."""
    rig = np.concatenate([toed_in(), stereo_rig(0.6)[1:]])
    true = rig.copy()
    true[turned] = true[turned] @ se3.exp(np.array([0.0, 0.0, 0.0, 0.2, 0.0, 0.0]))
    scene = Scene(rig)
    scene.frames = {(1, view): scene.frames[1, 0] for view in range(3)}
    scene.models = {(1, view): LENS for view in range(3)}
    matches = []
    for first, second in view_pairs(list(rig)):
        pair = scene.matches(true[[first, second]])
        matches.append(replace(pair, views=(first, second)))
    return matches, scene


@pytest.mark.parametrize("turned", [0, 1, 2])
def test_of_three_cameras_the_wrong_one_is_outvoted(turned: int) -> None:
    matches, scene = three_cameras(turned)

    found = compare_views(matches, scene.frames, scene.models, scene.rig)

    assert list(found.contradicted) == [turned]
    assert found.contradicted[turned] == pytest.approx(0.2, rel=0.3)
    assert found.scale.value == pytest.approx(TRUE, rel=0.01)  # by the other two


def test_cameras_that_see_nothing_in_common_are_not_contradicted() -> None:
    scene = Scene(toed_in())
    exact = scene.matches()
    few = replace(
        exact, first=exact.first[:5], second=exact.second[:5] + 20.0, weight=exact.weight[:5]
    )

    assert not compare_views([few], scene.frames, scene.models, scene.rig).contradicted


def stereo_window(
    shift: np.ndarray, drive: AnalyticDrive | None = None, newest: int = 5
) -> tuple[AnalyticDrive, Prediction]:
    """A drive of two cameras, the second of which the network sees elsewhere by ``shift``."""
    drive = drive or AnalyticDrive(stereo_rig(0.3), seed=4)
    found = drive.predict(newest, (drive.length - 1,))
    poses = found.cam_from_world.copy()
    poses[:, 1] = se3.exp(shift) @ poses[:, 1]
    step = drive.length - 1
    model, metres = drive.model, drive.metres_per_unit
    columns, rows = np.meshgrid(np.arange(8, 152, 12), np.arange(8, 112, 12))
    pixels = np.stack([columns, rows], -1).reshape(-1, 2)
    rays = np.concatenate([pixel_rays(pixels.astype(float), model), np.ones((len(pixels), 1))], -1)
    depth = found.frames[step, 0].depth[pixels[:, 1], pixels[:, 0]] * metres
    first, second = (drive.world_from_cam(newest, view) for view in (0, 1))
    seen = se3.transform_points(se3.inverse(second) @ first, rays * depth[:, None])
    match = ViewMatches(
        step, (0, 1), pixels.astype(float), project(seen, model), np.ones(len(pixels)), NOISE
    )
    return drive, replace(found, cam_from_world=poses, matches=(match,))


def test_matches_that_agree_with_tf_outweigh_where_the_network_has_its_cameras() -> None:
    drive, prediction = stereo_window(np.array([0.05, 0.0, 0.1, 0.1, -0.15, 0.1]))
    rig = Rig(tuple(drive.base_from_cam))

    tracked = Tracker().update(drive.window(5), prediction, rig)
    believed = Tracker().update(drive.window(5), replace(prediction, matches=None), rig)

    assert believed.contradicted or not believed.scale.known  # what it is about
    assert tracked.scale.value == pytest.approx(drive.metres_per_unit, rel=1e-3)
    assert not tracked.contradicted
    between = se3.inverse(tracked.world_from_cam[:, 0]) @ tracked.world_from_cam[:, 1]
    expected = se3.inverse(drive.base_from_cam[0]) @ drive.base_from_cam[1]
    assert_allclose(between, np.broadcast_to(expected, between.shape), atol=1e-6)
    # and the platform moves as it does
    moved = se3.inverse(tracked.world_from_cam[0, 0]) @ tracked.world_from_cam[-1, 0]
    true = [drive.world_from_cam(index, 0) for index in (2, 5)]
    assert_allclose(moved, se3.inverse(true[0]) @ true[1], atol=1e-6)


def test_cameras_that_are_not_triggered_at_once_are_taken_where_they_were() -> None:
    drive = AnalyticDrive(stereo_rig(0.15), jitter_s=(0.0, -0.03), seed=4)
    rig, still = Rig(tuple(drive.base_from_cam)), np.zeros(6)
    tracker = Tracker()

    errors = []
    for newest in (5, 6):  # 3 cm on the way between the two images
        _, prediction = stereo_window(still, drive, newest)
        scale = tracker.update(drive.window(newest), prediction, rig).scale
        errors.append(abs(np.log(scale.value / drive.metres_per_unit)))

    assert errors[0] > 0.05  # how fast the platform is, is not known yet
    assert errors[1] < 0.3 * errors[0]


def test_pairs_are_of_cameras_whose_distance_is_known() -> None:
    near = np.eye(4)
    far = near.copy()
    far[0, 3] = 0.2

    assert view_pairs([near, None, far]) == ((0, 2), (2, 0))
    assert view_pairs([near, near.copy()]) == ()
    assert view_pairs([near]) == ()
