# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Metric scale: what each source says, when it refuses, and how windows are joined."""

from __future__ import annotations

import numpy as np
import pytest

from vggt4d_ros.data.analytic_drive import body_pose, outward_rig, stereo_rig
from vggt4d_ros.geometry import se3
from vggt4d_ros.geometry.scale import (
    ScaleEstimate,
    ScaleSource,
    depth_scale,
    height_scale,
    motion_scale,
    no_scale,
    rig_scale,
)
from vggt4d_ros.geometry.scale_filter import ScaleFilter

TRUE = 0.4  # metres per network unit
NAN = float("nan")


def world_poses(rig: np.ndarray, steps: int = 4, speed: float = 1.0) -> np.ndarray:
    bases = [body_pose(0.1 * step, speed, 0.5 * speed) for step in range(steps)]
    return np.stack([base @ rig for base in bases])


def as_network(poses: np.ndarray, seed: int = 0, noise_m: float = 0.0, noise_rad: float = 0.0):
    """The same cameras in a world of the network's own, with noise on each."""
    rng = np.random.default_rng(seed)
    turned = se3.exp(
        np.concatenate(
            [np.zeros((*poses.shape[:2], 3)), rng.normal(0, noise_rad, (*poses.shape[:2], 3))], -1
        )
    )
    shifted = poses @ turned
    shifted[..., :3, 3] += rng.normal(0, noise_m, (*poses.shape[:2], 3))
    net = se3.exp(np.array([3.0, -1, 2, 0.5, 1.5, -0.3])) @ shifted
    net[..., :3, 3] /= TRUE
    return net


def all_valid(poses: np.ndarray) -> np.ndarray:
    return np.ones(poses.shape[:2], dtype=bool)


def test_exact_rig_gives_the_exact_scale():
    net = as_network(world_poses(outward_rig(4)))

    scale = rig_scale(net, all_valid(net), outward_rig(4), median_depth=4.0 / TRUE)

    assert scale.value == pytest.approx(TRUE, rel=1e-9)
    assert scale.source is ScaleSource.RIG
    assert "rig baseline of 0.5" in scale.reason


def test_scale_needs_no_motion_and_no_second_step():
    net = as_network(world_poses(stereo_rig(0.3), steps=1, speed=0.0))

    scale = rig_scale(net, all_valid(net), stereo_rig(0.3), median_depth=4.0 / TRUE)

    assert scale.value == pytest.approx(TRUE, rel=1e-9)


def test_noisy_scale_is_unbiased_and_its_sigma_true():
    errors, sigmas = [], []
    for seed in range(200):
        net = as_network(world_poses(outward_rig(4)), seed, noise_m=0.01, noise_rad=0.005)
        scale = rig_scale(net, all_valid(net), outward_rig(4), 4.0 / TRUE)
        errors.append(np.log(scale.value / TRUE))
        sigmas.append(scale.sigma)

    assert abs(np.mean(errors)) < 3 * np.std(errors) / np.sqrt(200) + 1e-3
    assert np.std(errors) == pytest.approx(np.median(sigmas), rel=0.35)


def test_missing_camera_does_not_matter_while_two_are_left():
    net = as_network(world_poses(outward_rig(4)))
    valid = all_valid(net)
    valid[:, 0] = False
    net[:, 0] = NAN

    scale = rig_scale(net, valid, outward_rig(4), 4.0 / TRUE)

    assert scale.value == pytest.approx(TRUE, rel=1e-9)


def test_camera_without_extrinsics_is_left_out():
    rig = outward_rig(3)
    rig[1] = NAN
    net = as_network(world_poses(outward_rig(3)))

    assert rig_scale(net, all_valid(net), rig, 4.0 / TRUE).value == pytest.approx(TRUE, rel=1e-9)


def test_one_wrong_camera_of_six_does_not_carry_the_scale_away():
    rig = outward_rig(6)
    net = as_network(world_poses(rig), noise_m=0.003)
    net[:, 2, :3, 3] += [3.0, 1.0, 0.0]

    scale = rig_scale(net, all_valid(net), rig, 4.0 / TRUE)

    assert scale.value == pytest.approx(TRUE, rel=0.02)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("one camera", "no step has two cameras"),
        (
            "far scene",
            r"rig baseline of 0\.3 m is 0\.7\d* % of the scene's median depth; below 1 %",
        ),
        ("contradicting turns", "rotations contradict TF by"),
        ("noise", "gives the scale only to"),
        ("mirrored", "camera centres contradict TF"),
        ("one place", "all at one place"),
    ],
)
def test_rig_that_says_nothing_of_the_scale_is_refused_in_words(change, message):
    rig = stereo_rig(0.3)
    net = as_network(world_poses(rig))
    valid, depth = all_valid(net), 4.0 / TRUE
    if change == "one camera":
        valid[:, 1] = False
    elif change == "far scene":
        depth = 40.0 / TRUE
    elif change == "contradicting turns":
        net[:, 1] = net[:, 1] @ se3.exp(np.array([0, 0, 0, 0, 1.6, 0]))
    elif change == "noise":
        net = as_network(world_poses(rig), noise_m=0.3, seed=2)
    elif change == "mirrored":
        net[:, [0, 1], :3, 3] = net[:, [1, 0], :3, 3]
    elif change == "one place":
        rig[1, :3, 3] = rig[0, :3, 3]

    scale = rig_scale(net, valid, rig, depth)

    assert not scale.known
    assert scale.value == 1.0
    assert np.isnan(scale.sigma)
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(scale.reason)


def test_unknown_depth_leaves_the_baseline_untested():
    net = as_network(world_poses(stereo_rig(0.3)))

    assert rig_scale(net, all_valid(net), stereo_rig(0.3), NAN).known


def test_platform_motion_gives_the_scale_of_a_single_camera():
    poses = world_poses(outward_rig(1), steps=5)
    net = as_network(poses)
    odom_from_world = se3.exp(np.array([5.0, 5, 0, 0, 0, 2.0]))

    scale = motion_scale(net, all_valid(net), odom_from_world @ poses, 4.0 / TRUE)

    assert scale.value == pytest.approx(TRUE, rel=1e-9)
    assert scale.source is ScaleSource.MOTION


def test_robot_that_stands_still_has_no_scale_by_motion():
    poses = world_poses(outward_rig(2), speed=0.0)
    net = as_network(poses, noise_m=1e-4)

    scale = motion_scale(net, all_valid(net), poses, 4.0 / TRUE)

    assert not scale.known
    assert "platform motion" in scale.reason


def test_motion_with_an_unknown_step_uses_the_others():
    poses = world_poses(outward_rig(1), steps=5)
    net = as_network(poses)
    odom = poses.copy()
    odom[2] = NAN

    assert motion_scale(net, all_valid(net), odom, NAN).value == pytest.approx(TRUE, rel=1e-9)
    odom[1:] = NAN
    assert "no camera has two stamps" in motion_scale(net, all_valid(net), odom, NAN).reason


def test_known_depth_gives_the_scale_in_spite_of_wrong_pixels():
    rng = np.random.default_rng(0)
    net = rng.uniform(2, 30, 2000)
    metric = TRUE * net * np.exp(rng.normal(0, 0.02, 2000))
    metric[:400] *= 3.0
    metric[400:500] = NAN

    scale = depth_scale(net, metric, np.ones(2000), np.zeros(2000, dtype=np.int64))

    assert scale.value == pytest.approx(TRUE, rel=0.01)


def test_frames_that_contradict_each_other_make_the_scale_unsure():
    net = np.full(400, 5.0)
    frame = np.repeat([0, 1], 200)
    agreeing = depth_scale(net, net * TRUE, np.ones(400), frame)
    fighting = depth_scale(net, net * TRUE * np.where(frame, 1.1, 0.9), np.ones(400), frame)

    assert fighting.sigma > 5 * agreeing.sigma


def test_too_few_or_wild_depths_are_refused():
    wild = np.random.default_rng(0).uniform(0.1, 100, 300)
    ones, one_frame = np.ones(300), np.zeros(300, dtype=np.int64)

    assert (
        "pixels have both depths" in depth_scale(ones[:5], ones[:5], ones[:5], one_frame[:5]).reason
    )
    assert "are apart by" in depth_scale(wild, ones, ones, one_frame).reason


def ground_and_wall() -> np.ndarray:
    rng = np.random.default_rng(0)
    ground = np.stack([rng.uniform(1, 8, 600), rng.uniform(-3, 3, 600), np.full(600, -1.2)], -1)
    wall = np.stack([np.full(500, 8.0), rng.uniform(-3, 3, 500), rng.uniform(-1.2, 3, 500)], -1)
    points = np.concatenate([ground, wall]) / TRUE
    return points + rng.normal(0, 0.01 / TRUE, points.shape)


def test_camera_height_over_flat_ground_gives_the_scale():
    points = ground_and_wall()

    scale = height_scale(points, np.ones(len(points)), 1.2)

    assert scale.value == pytest.approx(TRUE, rel=0.01)
    assert scale.source is ScaleSource.GIVEN


def test_no_ground_in_view_is_said_and_no_height_is_an_error():
    points = ground_and_wall()
    scattered = np.random.default_rng(0).uniform(-9, 9, (4000, 3)) * [1, 1, 1]
    scattered[:, 2] = -np.exp(np.random.default_rng(1).uniform(-3, 3, 4000))

    assert "nothing is seen below" in height_scale(np.abs(points), np.ones(1100), 1.0).reason
    assert "no flat ground" in height_scale(scattered, np.ones(4000), 1.0).reason
    with pytest.raises(ValueError, match="must be positive, got 0"):
        height_scale(points, np.ones(1100), 0.0)


def measured(value: float, sigma: float = 0.02) -> ScaleEstimate:
    return ScaleEstimate(value, sigma, ScaleSource.RIG, "rig")


def test_noise_of_the_measurements_is_smoothed_away():
    rng = np.random.default_rng(0)
    joined, raw, found = ScaleFilter(), [], []
    before = None
    for _ in range(200):
        unit = np.exp(rng.uniform(-1, 1))  # another network unit in each window
        reading = unit * np.exp(rng.normal(0, 0.02))
        carried = None if before is None else before * unit
        estimate = joined.update(carried, 0.001, measured(reading))
        before = estimate.value / unit  # metres per unit of a steady world
        raw.append(reading / unit)
        found.append(before)

    assert np.std(found[50:]) < 0.3 * np.std(raw[50:])
    assert np.mean(found[50:]) == pytest.approx(1.0, abs=0.005)
    assert found[0] == raw[0]


def test_jump_is_followed_at_once_and_named():
    joined = ScaleFilter()
    for _ in range(50):
        joined.update(1.0, 0.001, measured(1.0))

    estimate = joined.update(1.0, 0.001, measured(1.2))

    assert estimate.jumped
    assert estimate.value == 1.2
    assert "jumped by +20.0 %" in estimate.reason
    assert not joined.update(1.2, 0.001, measured(1.21)).jumped


def test_frames_measured_before_do_not_count_twice():
    fresh, shared = ScaleFilter(), ScaleFilter()
    for _ in range(10):
        first = fresh.update(1.0, 0.001, measured(1.0), shared=0.0)
        second = shared.update(1.0, 0.001, measured(1.0), shared=0.75)

    assert second.sigma > 1.3 * first.sigma


def test_without_a_source_the_last_scale_is_held_until_it_is_too_unsure():
    joined = ScaleFilter()
    joined.update(None, NAN, measured(2.0, 0.05))

    held = joined.update(2.0, 0.05, no_scale("too short"))
    for _ in range(60):
        last = joined.update(2.0, 0.05, no_scale("too short"))
        if not last.known:
            break

    assert held.known
    assert held.value == 2.0
    assert held.sigma == pytest.approx(np.hypot(0.05, 0.05))
    assert "held for 1 windows" in held.reason
    assert not last.known
    assert "too short" in last.reason


def test_window_that_shares_nothing_starts_from_its_own_measurement():
    joined = ScaleFilter()
    joined.update(None, NAN, measured(2.0))

    estimate = joined.update(None, NAN, measured(7.0))

    assert estimate.value == 7.0
    assert not estimate.jumped


def test_without_any_source_units_are_carried_on_but_not_called_metres():
    joined = ScaleFilter()

    first = joined.update(None, NAN, no_scale("none"))
    second = joined.update(0.7, 0.01, no_scale("none"))

    assert (first.value, first.known) == (1.0, False)
    assert (second.value, second.known) == (0.7, False)
