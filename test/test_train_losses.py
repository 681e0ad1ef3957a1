# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Losses against values worked out by hand, and the masks in front of them."""

from __future__ import annotations

import math

import pytest
import torch

from vggt4d_ros.data.scenes import SceneConfig
from vggt4d_ros.data.synthetic import SyntheticWindows
from vggt4d_ros.model.config import tiny_motion
from vggt4d_ros.model.motion import FlowField
from vggt4d_ros.model.vggt4d import VGGT4D
from vggt4d_ros.train import losses
from vggt4d_ros.train.losses import LossWeights, compute_losses
from vggt4d_ros.train.targets import make_targets

YES = torch.ones(1, 1, 1, 2, 2, dtype=torch.bool)


def test_masked_mean_counts_what_the_mask_lets_through() -> None:
    values = torch.tensor([1.0, 2.0, float("nan")], requires_grad=True)

    mean = losses.masked_mean(values, torch.tensor([True, True, False]))
    none = losses.masked_mean(values, torch.zeros(3, dtype=torch.bool))
    mean.backward()

    assert mean == 1.5
    assert none == 0.0
    assert values.grad is not None
    assert values.grad.tolist() == [0.5, 0.5, 0.0]


def test_camera_loss_is_straight_far_away_square_nearby_and_decays() -> None:
    target = torch.zeros(1, 1, 2, 9)
    far, near, gone = target.clone(), target.clone(), target.clone()
    far[0, 0, 0, 3] = 1.0  # |x| - beta/2
    near[0, 0, 0, 3] = 0.01  # x^2 / (2 beta)
    gone[0, 0, 1] = 100.0  # the frame that is not there
    valid = torch.tensor([[[True, False]]])

    value = losses.camera_loss([far, near + gone], target, valid)

    assert float(value) == pytest.approx(0.6 * (1 - 0.01) + 0.01**2 / 0.04, rel=1e-5)


def test_fields_of_view_cost_once_more_where_asked_for() -> None:
    torch.manual_seed(0)
    model = VGGT4D(tiny_motion())
    source = SyntheticWindows(SceneConfig(drop_share=0.0), seed=1)
    targets = make_targets(source.batch([0], 2, 1, 56, 56))
    output = model(targets.batch.images, None)
    last = targets.pose_encoding.clone()
    last[0, 0, 0, 7] += 0.5
    last[0, 1, 0, :7] += 9.0  # poses do not count here
    output = output._replace(pose_enc=[*output.pose_enc[:-1], last])

    _, without = compute_losses(output, targets, LossWeights(), (0, 1))
    _, found = compute_losses(output, targets, LossWeights(sight=2.0), (0, 1))

    assert "sight" not in without
    assert float(found["sight"]) == pytest.approx((0.5 - 0.01) / 2, rel=1e-4)  # of two frames


def test_best_confidence_is_the_inverse_error() -> None:
    error = torch.full((1, 1, 1, 2, 2), 0.05)
    logits = torch.zeros(1, 1, 1, 2, 2, requires_grad=True)

    confidence = 1 + logits.exp()
    value = losses.confident_loss(error, torch.full_like(error, 4.0), YES)
    losses.confident_loss(error, confidence, YES).backward()

    assert float(value) == pytest.approx(4 * 0.05 - 0.2 * math.log(4))
    assert logits.grad is not None
    assert (logits.grad < 0).all()  # rises from 2 towards 0.2 / 0.05 = 4


def test_confidence_apart_learns_from_the_error_and_does_not_weigh_it() -> None:
    error = torch.tensor([0.5, 0.1]).view(1, 1, 1, 1, 2).requires_grad_()
    confidence = torch.tensor([4.0, 4.0]).view(1, 1, 1, 1, 2).requires_grad_()
    valid = torch.ones_like(error, dtype=torch.bool)

    value = losses.confident_loss(error, confidence, valid, apart=1.0)
    value.backward()

    assert value.item() == pytest.approx((0.5 + 0.1 + 4 * 0.6 - 2 * math.log(4)) / 2)
    assert error.grad is not None
    assert error.grad.flatten().tolist() == pytest.approx([0.5, 0.5])  # of a mean of two
    assert confidence.grad is not None
    # (error - 1 / c) / 2: falls from 4 to 2, rises to 10
    assert confidence.grad.flatten().tolist() == pytest.approx([0.125, -0.075])


def test_confidence_apart_is_told_the_error_of_a_window_with_its_scale() -> None:
    truth = torch.rand(2, 1, 2, 4, 6) + 1.0
    valid = torch.rand(2, 1, 2, 4, 6) < 0.8
    valid[1] = False  # a window of which nothing is known
    scaled = truth * torch.tensor([3.0, 0.5]).view(2, 1, 1, 1, 1)
    confidence = torch.full_like(truth, 2.0, requires_grad=True)

    losses.depth_loss(scaled, confidence, truth, valid, apart=1.0).backward()

    # the scale is all that is wrong: only - log(c) is left of what confidence learns
    assert confidence.grad is not None
    expected = torch.where(valid, -0.5 / valid.sum(), 0.0)
    torch.testing.assert_close(confidence.grad, expected, rtol=1e-3, atol=1e-7)


def test_depth_loss_sees_log_error_and_slope() -> None:
    target = torch.ones(1, 1, 1, 2, 8)
    depth = target.clone()
    depth[..., 4:] = math.e  # off by one in the log, and a false edge
    valid = torch.ones_like(target, dtype=torch.bool)

    value = losses.depth_loss(depth, torch.ones_like(depth), target, valid)

    # mean |log| is 0.5; neighbours at distance 1: along x 2 of 14 differ, along y none;
    # at distance 4: along x all 8 differ, along y there are none
    assert float(value) == pytest.approx(0.5 + (2 / 14 + 0 + 1 + 0) / 4, rel=1e-5)


def test_relative_share_asks_for_the_nearer_of_two_depths() -> None:
    target = torch.ones(1, 1, 1, 2, 2)
    valid = torch.ones_like(target, dtype=torch.bool)

    def value(depth: float, relative: float) -> float:
        found = torch.full_like(target, depth)
        return float(losses.depth_loss(found, torch.ones_like(found), target, valid, relative))

    assert value(2.5, 0.0) == pytest.approx(value(0.4, 0.0)) == pytest.approx(math.log(2.5))
    assert value(2.5, 1.0) == pytest.approx(1.5)  # |2.5 - 1|
    assert value(0.4, 1.0) == pytest.approx(0.6)
    assert value(2.5, 0.25) == pytest.approx(0.75 * math.log(2.5) + 0.25 * 1.5)
    # beyond e times too far it rises with the logarithm: slope and value are the same there
    assert value(math.e**3, 1.0) == pytest.approx(math.e - 1 + 2 * math.e)


def test_depth_loss_ignores_what_is_not_known() -> None:
    target = torch.tensor([1.0, float("nan")]).expand(1, 1, 1, 6, 2)
    valid = torch.tensor([True, False]).expand(1, 1, 1, 6, 2)
    depth = torch.tensor([1.0, 50.0]).expand(1, 1, 1, 6, 2).clone().requires_grad_()

    value = losses.depth_loss(depth, torch.ones(1, 1, 1, 6, 2), target, valid)
    value.backward()

    assert float(value) == pytest.approx(0.0, abs=1e-6)
    assert depth.grad is not None
    assert torch.isfinite(depth.grad).all()


def test_points_loss_is_distance_over_depth() -> None:
    target = torch.zeros(1, 1, 1, 6, 6, 3)
    points = target + torch.tensor([3.0, 4.0, 0.0])
    depth = torch.full((1, 1, 1, 6, 6), 10.0)
    valid = torch.ones(1, 1, 1, 6, 6, dtype=torch.bool)

    value = losses.points_loss(points, torch.ones_like(depth), target, depth, valid)

    assert float(value) == pytest.approx(0.5, rel=1e-5)


def test_coarse_cell_is_widened_over_its_own_pixels() -> None:
    stage = torch.arange(12.0).view(1, 1, 1, 2, 3, 2)

    wide = losses.widen(stage, (4, 6))

    assert wide.shape == (1, 1, 1, 4, 6, 2)
    torch.testing.assert_close(wide[..., ::2, 1::2, :], stage)
    torch.testing.assert_close(wide[..., 1::2, ::2, :], stage)


def test_coarse_flow_is_taught_what_most_of_its_pixels_do() -> None:
    goal = torch.zeros(1, 1, 1, 4, 4, 2)
    goal[..., :1, :, 0] = 20.0  # a quarter of the cell moves; the mean would be 5
    valid = torch.ones(1, 1, 1, 4, 4, dtype=torch.bool)
    hidden, logits = ~valid, torch.zeros(1, 1, 1, 4, 4)

    def loss(of_cell: float) -> float:
        stage = torch.tensor([of_cell, 0.0]).view(1, 1, 1, 1, 1, 2)
        return float(
            losses.flow_losses(FlowField((0,), goal, logits, [stage]), goal, valid, hidden)[0]
        )

    assert loss(0.0) == pytest.approx(0.7 * 5.0 / 8.0)
    assert loss(0.0) < loss(5.0) < loss(20.0)


def test_unknown_flow_teaches_coarse_cells_nothing() -> None:
    goal = torch.zeros(1, 1, 1, 2, 2, 2)
    goal[..., 0, 0, :] = 1e6
    valid = torch.tensor([[False, True], [True, True]]).view(1, 1, 1, 2, 2)
    field = FlowField((0,), goal, torch.zeros(1, 1, 1, 2, 2), [torch.zeros(1, 1, 1, 1, 1, 2)])

    assert float(losses.flow_losses(field, goal, valid, ~valid)[0]) == 0.0


def test_flow_loss_halves_hidden_pixels_and_adds_coarser_stages() -> None:
    goal = torch.zeros(1, 1, 1, 2, 2, 2)
    flow = goal.clone()
    flow[..., 0] = 8.0
    field = FlowField((0,), flow, torch.zeros(1, 1, 1, 2, 2), [flow.clone()])
    hidden = torch.tensor([[True, True], [False, False]]).view(1, 1, 1, 2, 2)

    value, confidence = losses.flow_losses(field, goal, YES, hidden)

    assert float(value) == pytest.approx(0.75 * (1 + 0.7))  # 8 px is one unit
    assert float(confidence) == pytest.approx(math.log(2))


def test_right_flow_is_taught_to_be_sure() -> None:
    goal = torch.zeros(1, 1, 1, 2, 2, 2)
    logits = torch.zeros(1, 1, 1, 2, 2, requires_grad=True)
    flow = goal.clone()
    flow[..., 0, :, 0] = 5.0  # the upper row is wrong

    _, confidence = losses.flow_losses(FlowField((0,), flow, logits, []), goal, YES, ~YES)
    confidence.backward()

    assert logits.grad is not None
    assert (logits.grad[..., 0, :] > 0).all()
    assert (logits.grad[..., 1, :] < 0).all()


def test_dynamic_loss_of_an_undecided_mask() -> None:
    target = torch.tensor([[True, False], [False, False]]).view(1, 1, 1, 2, 2)

    value = losses.dynamic_loss(torch.zeros(1, 1, 1, 2, 2), target, YES)

    overlap = (2 * 0.5 + 1) / (2 + 1 + 1)
    # one of four moves: its weight is the square root of half of 3/4 over 1/4
    entropy = (1.5**0.5 + 3) / 4 * math.log(2)
    assert float(value) == pytest.approx(entropy + 1 - overlap, rel=1e-5)


def test_rare_moving_pixels_weigh_more_but_not_without_limit() -> None:
    target = torch.zeros(1, 1, 1, 100, 100, dtype=torch.bool)
    target[..., 0, 0] = True
    logits = torch.zeros(1, 1, 1, 100, 100, requires_grad=True)

    losses.dynamic_loss(logits, target, torch.ones_like(target)).backward()

    assert logits.grad is not None
    ratio = -logits.grad[..., 0, 0] / logits.grad[..., 50, 50]
    assert float(ratio) > losses.MOVING


def test_track_loss_places_only_what_is_seen() -> None:
    target = torch.zeros(1, 1, 2, 2)
    tracks = target + 4.0
    seen = torch.tensor([[[True, False]]])
    known = torch.ones_like(seen)

    value = losses.track_loss(tracks, torch.zeros(1, 1, 2), target, seen, known)

    assert float(value) == pytest.approx(8 / 8 + 0.2 * math.log(2))


def test_every_loss_reaches_its_head_and_the_trunk() -> None:
    torch.manual_seed(0)
    model = VGGT4D(tiny_motion())
    source = SyntheticWindows(SceneConfig(drop_share=0.0), seed=1)
    targets = make_targets(source.batch([0], 2, 2, 56, 56))
    heads = {
        "camera": "spatial_head",
        "depth": "dense_head.depth_head",
        "points": "dense_head.point_head",
        "flow": "motion_head.flow",
        "flow_confidence": "motion_head.flow",
        "dynamic": "motion_head.dynamic",
    }

    for name, prefix in heads.items():
        model.zero_grad(set_to_none=True)
        output = model(targets.batch.images, None)
        _, found = compute_losses(output, targets, LossWeights(), (0, 1))
        found[name].backward()
        reached = {
            key for key, p in model.named_parameters() if p.grad is not None and p.grad.any()
        }
        assert any(key.startswith(prefix) for key in reached), name
        assert any("patch_embed" in key or "detail" in key for key in reached), name


def test_weights_scale_the_sum() -> None:
    torch.manual_seed(0)
    model = VGGT4D(tiny_motion())
    source = SyntheticWindows(SceneConfig(drop_share=0.0), seed=1)
    targets = make_targets(source.batch([0], 2, 1, 56, 56))
    output = model(targets.batch.images, None)
    only_depth = LossWeights(0.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0)

    total, found = compute_losses(output, targets, only_depth, (0, 1))

    torch.testing.assert_close(total, 2 * found["depth"])
