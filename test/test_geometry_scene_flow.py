# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Scene flow: metres per second in the fixed frame, whatever the camera does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from vggt4d_ros.data.analytic import MOVING_BOXES, exact_flow, render
from vggt4d_ros.data.analytic_drive import SMALL_CAMERA, START_NS, STEP_S, body_pose, outward_rig
from vggt4d_ros.datatypes import CameraModel
from vggt4d_ros.geometry import pinhole, se3
from vggt4d_ros.geometry.flow_noise import FlowOptions, mahalanobis_threshold
from vggt4d_ros.geometry.flow_pair import DenseView
from vggt4d_ros.geometry.scene_flow import SceneFlow, compute_scene_flow

VIEW = 0  # looks at the second of the moving boxes
PLAIN = FlowOptions(correct_ego_motion=False)
FLAT = CameraModel(80, 60, 60.0, 60.0, 39.5, 29.5)


def pair(step: int = 6, model: CameraModel = SMALL_CAMERA, view: int = VIEW, gap: int = 1):
    """Two frames of the driving rig, the newer first, with exact flow both ways."""
    seen, dense, poses = [], [], []
    for index in (step, step - gap):
        pose = body_pose(index * STEP_S) @ outward_rig()[view]
        poses.append(pose)
        seen.append(render(pose, index * STEP_S, model))
        stamp = START_NS + round(index * STEP_S * 1e9)
        dense.append(DenseView(seen[-1].depth.astype(np.float32), model, pose, stamp))
    forth = exact_flow(seen[0], se3.inverse(poses[1]), -gap * STEP_S, model)
    back = exact_flow(seen[1], se3.inverse(poses[0]), gap * STEP_S, model)
    return seen, dense, forth, back


def wall(depth: float, count: int = 2, speed: tuple[float, ...] = (0.0, 0.0, 0.0), dt: float = 0.1):
    """A camera that stands still before a wall that moves; frames newest first, flow both ways."""
    views = [
        DenseView(np.full((60, 80), depth - i * dt * speed[2], np.float32), FLAT, np.eye(4),
                  START_NS - round(i * dt * 1e9))
        for i in range(count)
    ]  # fmt: skip
    shift = np.array(speed[:2], np.float32) * dt * 60.0 / depth
    flow = np.broadcast_to(-shift, (60, 80, 2)).astype(np.float32)
    return views, flow, -flow


def test_still_things_do_not_move_and_moving_ones_move_as_they_do():
    seen, dense, forth, back = pair()
    truth = seen[0]

    flow = compute_scene_flow(dense[0], dense[1], forth, flow_back=back, options=PLAIN)

    assert flow.dt_s == pytest.approx(STEP_S)
    assert flow.valid.mean() > 0.8
    still, moving = flow.valid & ~truth.moving, flow.valid & truth.moving
    assert moving.sum() > 300
    assert np.median(flow.speed[still]) < 0.01  # OpenCV 4 samples at 1/32 px
    assert np.quantile(flow.speed[still], 0.9) < 0.05
    error = np.linalg.norm(flow.velocity[moving] - MOVING_BOXES[1].velocity, axis=1)
    assert np.median(error) < 0.01


def test_forward_and_backward_flow_give_the_same_velocity():
    seen, dense, forth, back = pair()

    backward = compute_scene_flow(dense[0], dense[1], forth, flow_back=back, options=PLAIN)
    forward = compute_scene_flow(dense[1], dense[0], back, flow_back=forth, options=PLAIN)

    moving = forward.valid & seen[1].moving
    assert np.median(np.abs(forward.velocity[moving] - MOVING_BOXES[1].velocity)) < 0.01
    assert forward.dt_s == backward.dt_s


def test_velocity_of_a_wall_is_what_it_was_made_with():
    views, forth, back = wall(4.0, speed=(0.8, -0.4, 0.5))

    flow = compute_scene_flow(*views, forth, flow_back=back, options=PLAIN)

    assert_allclose(flow.velocity_cam[:, 30, 40], [0.8, -0.4, 0.5], atol=0.02)


def test_velocity_can_be_had_in_the_axes_of_the_cloud():
    _, dense, forth, back = pair()
    flow = compute_scene_flow(dense[0], dense[1], forth, flow_back=back)
    cam_from_world = dense[0].world_from_cam[:3, :3].T

    in_camera = flow.velocity_in(cam_from_world)

    assert_allclose(in_camera, np.moveaxis(flow.velocity_cam, 0, -1), atol=1e-6)
    assert_allclose(flow.velocity @ cam_from_world.T, in_camera, atol=1e-5)
    assert in_camera.dtype == np.float32


def test_lens_distortion_is_taken_into_account():
    bent = replace(SMALL_CAMERA, distortion_model="plumb_bob", distortion=(-0.15, 0.02, 0.0, 0.0))
    flat_seen, flat_dense, _, _ = pair()
    columns, rows = np.meshgrid(np.arange(160), np.arange(120))
    rays = pinhole.pixel_rays(np.stack([columns, rows], -1).astype(float), bent)
    dense, points = [], []
    for view in flat_dense:
        # a plane 3 m ahead of where the newest frame looks, seen through the bent lens
        one_from = se3.inverse(flat_dense[0].world_from_cam) @ view.world_from_cam
        direction = np.concatenate([rays, np.ones((120, 160, 1))], -1)
        depth = (3.0 - one_from[2, 3]) / (direction @ one_from[2, :3])
        dense.append(replace(view, depth=depth.astype(np.float32), model=bent))
        points.append(direction * depth[..., None])
    other_from_one = se3.inverse(dense[1].world_from_cam) @ dense[0].world_from_cam
    there = points[0] @ other_from_one[:3, :3].T + other_from_one[:3, 3]
    forth = (pinhole.project(there, bent) - np.stack([columns, rows], -1)).astype(np.float32)

    flow = compute_scene_flow(dense[0], dense[1], forth, options=PLAIN)

    assert flow.valid.mean() > 0.8
    assert np.nanquantile(flow.speed, 0.95) < 0.03
    assert flat_seen[0].depth.shape == flow.valid.shape


def test_unknown_depth_is_nan_and_spreads_no_farther_than_its_neighbours():
    views, forth, back = wall(4.0)
    views[0].depth[5, 5] = np.nan
    views[1].depth[20, 30] = np.nan

    flow = compute_scene_flow(*views, forth, flow_back=back)

    bad = np.argwhere(~flow.valid)
    assert [5, 5] in bad.tolist()
    assert len(bad) <= 1 + 4
    assert np.isnan(flow.velocity[5, 5]).all()
    assert np.isnan(flow.sigma[5, 5])
    assert not flow.dynamic[5, 5]


def test_unknown_flow_and_flow_out_of_the_image_are_invalid():
    views, forth, back = wall(4.0)
    forth[10, 10] = np.nan
    forth[20, 20] = [500.0, 0.0]
    back[30, 30] = np.nan

    flow = compute_scene_flow(*views, forth, flow_back=back)

    assert not flow.valid[10, 10]
    assert not flow.valid[20, 20]
    assert not flow.valid[30, 30]
    assert flow.valid.sum() >= 60 * 80 - 2 - 4


def test_occluded_pixels_are_found_by_going_forth_and_back():
    seen, dense, forth, back = pair(gap=4, view=3)
    # what one shows but the other does not: its point is behind something there
    columns, rows = np.meshgrid(np.arange(160), np.arange(120))
    u = np.clip(np.nan_to_num(columns + forth[..., 0]).round().astype(int), 0, 159)
    v = np.clip(np.nan_to_num(rows + forth[..., 1]).round().astype(int), 0, 119)
    points = seen[0].points - 4 * STEP_S * seen[0].velocity
    other_from_world = se3.inverse(dense[1].world_from_cam)
    depth_there = points @ other_from_world[2, :3] + other_from_world[2, 3]
    hidden = seen[1].depth[v, u] < 0.8 * depth_there

    checked = compute_scene_flow(dense[0], dense[1], forth, flow_back=back)
    unchecked = compute_scene_flow(dense[0], dense[1], forth)

    assert hidden.sum() > 30
    assert checked.valid[hidden].mean() < 0.1
    assert unchecked.valid[hidden].mean() > 0.5


def noisy_wall(depth_noise: float, flow_noise: float, speed: float, seed: int = 0) -> SceneFlow:
    """A still wall of which the middle slides to the right."""
    rng = np.random.default_rng(seed)
    views, forth, back = wall(4.0)
    forth[20:40, 30:50] -= np.array([speed * 0.1 * 60 / 4.0, 0.0], np.float32)
    back[20:40, 30:50] += np.array([speed * 0.1 * 60 / 4.0, 0.0], np.float32)
    for view in views:
        view.depth[:] *= np.exp(rng.normal(0, depth_noise, view.depth.shape))
    forth += rng.normal(0, flow_noise, forth.shape).astype(np.float32)
    return compute_scene_flow(views[0], views[1], forth, flow_back=back)


def test_uncertainty_is_that_of_the_noise_though_it_was_not_told():
    for depth_noise in (0.003, 0.02):
        flow = noisy_wall(depth_noise, 0.05, speed=0.0)

        # standard deviation along the ray: both depths, 4 m, 0.1 s
        expected = np.sqrt(2) * depth_noise * 4.0 / 0.1
        assert np.nanmedian(np.abs(flow.velocity_cam[2])) == pytest.approx(
            0.674 * expected, rel=0.1
        )
        assert np.nanmedian(flow.sigma) == pytest.approx(expected, rel=0.25)
        assert flow.dynamic.mean() < 0.01


def test_slow_motion_across_the_ray_is_seen_through_depth_noise_that_is_larger():
    flow = noisy_wall(0.02, 0.05, speed=0.6)

    # 0.6 m/s under a depth noise of 1.1 m/s: no fixed speed could tell
    middle = np.zeros_like(flow.dynamic)
    middle[20:40, 30:50] = True
    both, either = (flow.dynamic & middle).sum(), (flow.dynamic | middle).sum()
    assert both / either > 0.85


def test_motion_below_its_own_noise_is_not_claimed():
    flow = noisy_wall(0.02, 0.5, speed=0.6)

    assert flow.dynamic.mean() < 0.02


def test_more_sigma_means_fewer_moving_pixels():
    _, dense, forth, back = pair()
    noise = np.random.default_rng(0).normal(0, 0.2, forth.shape).astype(np.float32)

    counts = [
        compute_scene_flow(
            dense[0], dense[1], forth + noise, flow_back=back, options=FlowOptions(dynamic_sigma=k)
        ).dynamic.sum()
        for k in (1.0, 3.0, 12.0)
    ]

    assert counts[0] > counts[1] > counts[2]


def test_three_sigma_in_three_axes_is_as_rare_as_in_one():
    sample = (np.random.default_rng(0).normal(size=(400_000, 3)) ** 2).sum(axis=1)

    assert (sample > mahalanobis_threshold(3.0)).mean() == pytest.approx(0.0027, abs=0.0003)


def test_error_of_the_cameras_motion_is_taken_out_by_the_still_scene():
    seen, dense, forth, back = pair()
    wrong = dense[1].world_from_cam @ se3.exp(
        np.array([0.004, -0.003, 0.002, 0.002, -0.001, 0.001])
    )
    other = replace(dense[1], world_from_cam=wrong, depth=dense[1].depth * np.float32(1.005))

    raw = compute_scene_flow(dense[0], other, forth, flow_back=back, options=PLAIN)
    corrected = compute_scene_flow(dense[0], other, forth, flow_back=back)

    still = raw.valid & ~seen[0].moving
    moving = raw.valid & seen[0].moving
    assert np.median(raw.speed[still]) > 0.1
    assert np.median(corrected.speed[still]) < 0.02
    truth = np.linalg.norm(MOVING_BOXES[1].velocity)
    assert np.median(corrected.speed[moving]) == pytest.approx(truth, rel=0.03)
    assert np.abs(corrected.ego_correction[:3]).max() > 1e-3


def test_what_fills_the_view_is_not_explained_away():
    views, forth, back = wall(4.0, speed=(2.0, 0.0, 0.0))

    flow = compute_scene_flow(*views, forth, flow_back=back)

    # the prior lets the correction take a small part at most
    assert np.nanmedian(flow.speed) > 1.0


def test_bands_and_threads_do_not_show_in_the_result(monkeypatch):
    _, dense, forth, back = pair()
    whole = compute_scene_flow(dense[0], dense[1], forth, flow_back=back)

    monkeypatch.setattr("vggt4d_ros.geometry.scene_flow._BAND_PIXELS", 7 * 160)
    banded = compute_scene_flow(dense[0], dense[1], forth, flow_back=back)

    assert_allclose(banded.velocity_cam, whole.velocity_cam, atol=1e-6)
    assert_array_equal(banded.dynamic, whole.dynamic)


def test_frame_of_nothing_but_nan_gives_nothing_and_no_error():
    views, forth, back = wall(4.0)
    views[0].depth[:] = np.nan

    flow = compute_scene_flow(*views, forth, flow_back=back)

    assert not flow.valid.any()
    assert not flow.dynamic.any()


def test_inputs_are_left_as_they_were():
    _, dense, forth, back = pair()
    before = [dense[0].depth.copy(), dense[1].depth.copy(), forth.copy(), back.copy()]

    compute_scene_flow(dense[0], dense[1], forth, flow_back=back)

    after = [dense[0].depth, dense[1].depth, forth, back]
    for one, other in zip(before, after, strict=True):
        assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stamp_ns": START_NS - 100_000_000}, "both frames have the stamp"),
        ({"depth": np.ones((60, 81), np.float32)}, r"got \(60, 81\)"),
        ({"world_from_cam": np.full((4, 4), np.nan)}, "pose is not finite"),
    ],
)
def test_frames_that_are_no_pair_are_refused(change, message):
    views, forth, back = wall(4.0)

    with pytest.raises(ValueError, match=message):
        compute_scene_flow(replace(views[0], **change), views[1], forth, flow_back=back)


def test_flow_of_another_size_is_refused():
    views, forth, back = wall(4.0)

    with pytest.raises(ValueError, match="flow_to_other must be"):
        compute_scene_flow(*views, forth[:50])
    with pytest.raises(ValueError, match="flow_back must be"):
        compute_scene_flow(*views, forth, flow_back=back[..., :1])
