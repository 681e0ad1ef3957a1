# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Laying windows over each other, also where points or centres alone would not do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from vggt4d_ros.geometry import se3
from vggt4d_ros.geometry.align import Overlap, Similarity, align, covariance_at

TRUTH = Similarity(
    2.5, se3.exp(np.array([0, 0, 0, 0.3, -1.1, 0.7]))[:3, :3], np.array([4.0, -2.0, 1.0])
)
RIGID = Similarity(1.0, TRUTH.rotation, TRUTH.translation)


def overlap(
    truth: Similarity,
    *,
    frames: int = 6,
    points: int = 400,
    spread: tuple[float, float, float] = (3.0, 2.0, 1.0),
    centres: float = 0.5,
    noise_m: float = 0.0,
    noise_rad: float = 0.0,
    seed: int = 0,
) -> Overlap:
    rng = np.random.default_rng(seed)
    twist = np.concatenate(
        [rng.normal(0, centres, (frames, 3)), rng.uniform(-1, 1, (frames, 3))], -1
    )
    source = se3.exp(twist)
    source[:, :3, 3] = twist[:, :3]
    wobble = np.concatenate([np.zeros((frames, 3)), rng.normal(0, noise_rad, (frames, 3))], -1)
    target = truth.poses(source) @ se3.exp(wobble)
    target[:, :3, 3] += rng.normal(0, noise_m, (frames, 3))
    xs = rng.normal(0, 1, (points, 3)) * spread + [0, 0, 5]
    ys = truth.points(xs) + rng.normal(0, noise_m, (points, 3))
    return Overlap(source, target, xs, ys, np.ones(points), dense_frames=2 if points else 0)


def assert_same(found: Similarity, truth: Similarity, metres: float, radians: float) -> None:
    assert se3.rotation_angle(found.rotation.T @ truth.rotation) < radians
    place = np.array([[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]])
    assert_allclose(found.points(place), truth.points(place), atol=metres)


def test_exact_windows_are_laid_over_each_other_exactly():
    found = align(overlap(TRUTH), scale=None)

    assert_same(found.target_from_source, TRUTH, 1e-9, 1e-9)
    assert found.target_from_source.scale == pytest.approx(2.5, rel=1e-12)
    assert found.residual_m < 1e-9
    assert found.residual_rad < 1e-9
    assert found.scale_ratio == pytest.approx(1.0)
    assert (found.points, found.frames) == (400, 6)


def test_rigid_alignment_keeps_its_scale_and_reports_the_one_it_misses():
    similar = Similarity(1.03, TRUTH.rotation, TRUTH.translation)

    found = align(overlap(similar), scale=1.0)

    assert found.target_from_source.scale == 1.0
    assert found.scale_ratio == pytest.approx(1.03, rel=1e-3)


@pytest.mark.parametrize(
    "case",
    [
        {"centres": 0.0},  # a robot that stands still or turns on the spot
        {"spread": (3.0, 2.0, 0.0)},  # a wall
        {"spread": (3.0, 0.0, 0.0)},  # a line: turns about it are free by points alone
        {"spread": (0.0, 0.0, 0.0), "centres": 0.0},  # nothing but rotations
        {"points": 0},  # poses alone
        {"points": 0, "frames": 1},  # one pose
        {"points": 0, "centres": 0.0},  # one place and no points
        {"frames": 1, "spread": (3.0, 2.0, 0.0)},
    ],
    ids=str,
)
def test_degenerate_scenes_are_determined_by_points_and_rotations_together(case):
    found = align(overlap(RIGID, **case))

    assert_same(found.target_from_source, RIGID, 1e-6, 1e-6)
    assert np.isfinite(found.covariance).all()
    assert np.linalg.eigvalsh(found.covariance).min() > 0


@pytest.mark.parametrize(
    "case", [{"points": 0, "frames": 1}, {"points": 0, "centres": 0.0}], ids=str
)
def test_scale_that_nothing_tells_of_stays_one(case):
    found = align(overlap(RIGID, **case), scale=None)

    assert found.target_from_source.scale == pytest.approx(1.0)


def test_a_third_of_nonsense_points_is_ignored():
    data = overlap(RIGID, noise_m=0.01, noise_rad=0.002)
    data.target_points[:130] += np.random.default_rng(1).normal(0, 20, (130, 3))

    found = align(data)

    assert_same(found.target_from_source, RIGID, 0.02, 0.003)
    assert 250 < found.points < 280
    assert found.residual_m == pytest.approx(0.01 * np.sqrt(3), rel=0.2)


def test_many_points_of_one_frame_do_not_overrule_the_poses():
    # depth of the one dense frame is 2 % too long as a whole: its points agree perfectly, wrongly
    data = overlap(RIGID, noise_m=0.002, noise_rad=0.001)
    eye = data.target_from_cam[0, :3, 3]
    data.target_points[:] = eye + 1.02 * (data.target_points - eye)
    away = np.linalg.norm(data.target_points - eye, axis=1).mean() * 0.02

    found = align(replace(data, dense_frames=1))

    truth, fit = RIGID.points(np.zeros((1, 3))), found.target_from_source.points(np.zeros((1, 3)))
    assert np.linalg.norm(fit - truth) < 0.1 * away


def test_points_of_no_weight_do_not_count():
    data = overlap(RIGID)
    data.weights[:200] = 1e-9
    data.target_points[:200] += 5.0

    assert_same(align(data).target_from_source, RIGID, 1e-4, 1e-5)


def test_residuals_are_those_of_the_noise():
    found = align(overlap(RIGID, noise_m=0.02, noise_rad=0.01, frames=40, points=2000))

    assert found.residual_m == pytest.approx(0.02 * np.sqrt(3), rel=0.2)
    assert found.residual_rad == pytest.approx(0.01 * np.sqrt(3), rel=0.2)
    assert found.centre_sigma_m == pytest.approx(0.02 / np.sqrt(2), rel=0.2)
    assert found.rotation_sigma_rad == pytest.approx(0.01 / np.sqrt(2), rel=0.2)


def test_covariance_holds_the_errors_it_speaks_of():
    # poses alone, whose errors are independent as the covariance assumes
    scores = []
    for seed in range(150):
        found = align(overlap(RIGID, points=0, frames=12, noise_m=0.02, noise_rad=0.01, seed=seed))
        fit = found.target_from_source
        turn = se3.rotation_vector(fit.rotation @ RIGID.rotation.T)
        source = RIGID.rotation.T @ (found.centre - RIGID.translation)
        shift = fit.points(source[None])[0] - found.centre
        error = np.concatenate([shift, turn])
        scores.append(error @ np.linalg.solve(found.covariance, error) / 6)

    assert 0.6 < np.mean(scores) < 1.6


def test_covariance_moves_with_the_lever_arm():
    turn_only = np.diag([0.0, 0, 0, 0, 0, 0.01**2])  # about z at the origin

    moved = covariance_at(turn_only, np.zeros(3), np.array([10.0, 0.0, 0.0]))

    assert_allclose(np.sqrt(np.diag(moved)), [0, 0.1, 0, 0, 0, 0.01], atol=1e-12)


def test_nothing_shared_is_an_error():
    empty = Overlap(
        np.zeros((0, 4, 4)), np.zeros((0, 4, 4)), np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0)
    )

    with pytest.raises(ValueError, match="needs a shared frame"):
        align(empty)


def test_similarity_keeps_camera_poses_rigid():
    poses = se3.exp(np.random.default_rng(0).normal(0, 1, (5, 6)))

    moved = TRUTH.poses(poses)

    assert se3.is_rigid(moved).all()
    assert_allclose(moved[:, :3, 3], TRUTH.points(poses[:, :3, 3]), atol=1e-12)
