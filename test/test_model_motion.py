# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Flow, dynamic mask and tracks: their geometry by hand, and what they may depend on."""

from __future__ import annotations

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from model_cases import CONFIGS, grid_images, lively, small_compact  # noqa: E402

from vggt4d_ros.model.config import tiny, tiny_motion  # noqa: E402
from vggt4d_ros.model.correlation import (  # noqa: E402
    convex_upsample,
    correlate_locally,
    match_globally,
    sample_points,
    warp,
)
from vggt4d_ros.model.dynamic_mask import motion_cues, rigid_flow  # noqa: E402
from vggt4d_ros.model.flow import FlowEstimate, FlowHead, MotionFeatures  # noqa: E402
from vggt4d_ros.model.grid import GridShape  # noqa: E402
from vggt4d_ros.model.vggt4d import VGGT4D  # noqa: E402

IDENTITY = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]
BOTH = pytest.mark.parametrize("kind", sorted(CONFIGS))


def features(height: int, width: int, dim: int = 8) -> torch.Tensor:
    return torch.randn(1, dim, height, width, generator=torch.Generator().manual_seed(1))


def constant_flow(du: float, dv: float, height: int, width: int) -> torch.Tensor:
    return torch.tensor([du, dv]).view(1, 2, 1, 1).expand(1, 2, height, width)


def test_warp_reads_where_the_flow_points_and_zero_outside() -> None:
    source = features(5, 6)

    found = warp(source, constant_flow(2.0, -1.0, 5, 6))

    torch.testing.assert_close(found[..., 1:, :4], source[..., :4, 2:])
    assert (found[..., 0, :] == 0).all()
    assert (found[..., 4:] == 0).all()


def test_local_correlation_finds_the_shift() -> None:
    source = features(7, 8, dim=64)
    target = torch.roll(source, shifts=(1, -2), dims=(2, 3))  # moves 1 down, 2 left

    best = correlate_locally(source, target, radius=2)[..., 2:-2, 3:-3].argmax(1)

    assert (best == (1 + 2) * 5 + (-2 + 2)).all()  # rows first: dv + r, then du + r


def test_global_match_of_distinct_features_is_their_displacement() -> None:
    source = 20 * torch.eye(12).view(1, 12, 3, 4)
    target = torch.roll(source, shifts=(1, 2), dims=(2, 3))

    flow, best = match_globally(source, target, torch.tensor(0.01))

    torch.testing.assert_close(flow[0, :, 0, 0], torch.tensor([2.0, 1.0]), atol=1e-3, rtol=0)
    torch.testing.assert_close(flow[0, :, 1, 1], torch.tensor([2.0, 1.0]), atol=1e-3, rtol=0)
    assert best.min() > 0.99


def test_coarse_match_keeps_its_length_on_the_way_to_full_resolution() -> None:
    head = lively(small_compact()).motion_head.flow
    for part in (head.eighth, head.quarter):
        torch.nn.init.zeros_(part.out.weight)
        torch.nn.init.zeros_(part.out.bias)
    codes = 30 * torch.eye(16).view(1, 16, 4, 4)
    blank = [torch.zeros(1, 8, 4 * n, 4 * n) for n in (2, 4)]
    source = MotionFeatures(codes, *blank)
    target = MotionFeatures(torch.roll(codes, shifts=1, dims=3), *blank)

    estimate = head(source, target)

    # one patch to the right is 2, 4 and 16 cells; cells of the last column match the first one
    middle = [x[0, :, x.shape[2] // 2, x.shape[3] // 4] for x in (*estimate.stages, estimate.fine)]
    expected = [[1.0, 0.0], [2.0, 0.0], [4.0, 0.0], [16.0, 0.0]]
    assert [[round(v, 2) for v in m.tolist()] for m in middle] == expected


def test_features_that_say_nothing_mean_no_motion() -> None:
    flat = torch.ones(1, 4, 9, 9)

    flow, best = match_globally(flat, flat, torch.tensor(1.0))

    assert flow[0, :, 4, 4].abs().max() < 1e-4
    assert best.max() < 0.9


def test_upsampling_keeps_a_constant_and_means_the_neighbours_without_weights() -> None:
    constant = torch.full((1, 2, 3, 4), 5.0)
    ramp = torch.arange(6.0).view(1, 1, 1, 6).expand(1, 1, 5, 6)
    random = torch.randn(1, 9 * 4, 3, 4)

    torch.testing.assert_close(convex_upsample(constant, random, 2), torch.full((1, 2, 6, 8), 5.0))
    fine = convex_upsample(ramp, torch.zeros(1, 9 * 4, 5, 6), 2)
    torch.testing.assert_close(fine[0, 0, 4, 2:10], torch.arange(1.0, 5.0).repeat_interleave(2))


def test_upsampling_takes_the_cell_that_the_weights_name() -> None:
    values = torch.arange(12.0).view(1, 1, 3, 4)
    weights = torch.zeros(1, 9, 2, 2, 3, 4)
    weights[:, 5] = 100.0  # the right-hand neighbour

    fine = convex_upsample(values, weights.flatten(1, 3), 2)

    torch.testing.assert_close(fine[0, 0, 2:4, 2:4], torch.full((2, 2), 6.0))


def test_samples_at_cell_centres_are_the_cells() -> None:
    maps = features(4, 5)
    places = torch.tensor([[[3.0, 1.0], [0.5, 2.0], [-3.0, 0.0]]])

    found = sample_points(maps, places)

    torch.testing.assert_close(found[0, 0], maps[0, :, 1, 3])
    torch.testing.assert_close(found[0, 1], maps[0, :, 2, :2].mean(-1))
    torch.testing.assert_close(found[0, 2], maps[0, :, 0, 0])  # the edge


def pose(translation: list[float], quaternion: list[float], fov: float) -> torch.Tensor:
    return torch.tensor([[*translation, *quaternion, fov, fov]])


def test_rigid_flow_of_a_sideways_camera_is_focal_times_shift_over_depth() -> None:
    fov = 2 * torch.pi / 4  # 90 degrees: focal length is half the width
    depth = torch.full((1, 4, 8), 5.0)
    depth[0, 2] = 10.0
    still = pose(IDENTITY[:3], IDENTITY[3:], fov)
    # x_cam = x_world + 1: the camera went 1 to the left, the image moves right
    moved = pose([1.0, 0.0, 0.0], IDENTITY[3:], fov)

    flow = rigid_flow(depth, still, moved)

    expected = torch.full((4, 8), 4 / 5.0)
    expected[2] = 4 / 10.0
    torch.testing.assert_close(flow[0, 0], expected)
    torch.testing.assert_close(flow[0, 1], torch.zeros(4, 8), atol=1e-6, rtol=0)


def test_rigid_flow_knows_which_field_of_view_is_which() -> None:
    """Encodings hold the vertical angle first; here it is the smaller one."""
    wide = 2 * float(torch.tensor(2.0).atan())  # focal length 4 / 2
    still = torch.tensor([[*IDENTITY, torch.pi / 2, wide]])
    moved = torch.tensor([[1.0, 1.0, 0.0, *IDENTITY[3:], torch.pi / 2, wide]])

    flow = rigid_flow(torch.full((1, 4, 8), 4.0), still, moved)

    torch.testing.assert_close(flow[0, 0], torch.full((4, 8), 2.0 / 4))
    torch.testing.assert_close(flow[0, 1], torch.full((4, 8), 2.0 / 4))
    narrow = torch.tensor([[*IDENTITY, torch.pi / 2, torch.pi / 2]])
    shifted = torch.tensor([[1.0, 1.0, 0.0, *IDENTITY[3:], torch.pi / 2, torch.pi / 2]])
    flow = rigid_flow(torch.full((1, 4, 8), 4.0), narrow, shifted)
    torch.testing.assert_close(flow[0, 0], torch.full((4, 8), 4.0 / 4))
    torch.testing.assert_close(flow[0, 1], torch.full((4, 8), 2.0 / 4))


def test_rigid_flow_of_a_turning_camera_is_a_homography() -> None:
    angle = 0.1
    turned = pose(
        [0.0, 0.0, 0.0],
        [0.0, float(torch.tensor(angle / 2).sin()), 0.0, float(torch.tensor(angle / 2).cos())],
        torch.pi / 2,
    )
    still = pose(IDENTITY[:3], IDENTITY[3:], torch.pi / 2)
    depth = torch.rand(1, 9, 9) + 1  # any: a turn has no parallax

    flow = rigid_flow(depth, still, turned)

    middle = 4.5 * torch.tensor(angle).tan()  # the ray ahead, focal length 4.5
    torch.testing.assert_close(flow[0, :, 4, 4], torch.stack([middle, torch.tensor(0.0)]))


def test_degenerate_poses_give_finite_cues() -> None:
    zero = torch.zeros(1, 9)
    cues = motion_cues(
        torch.zeros(1, 2, 4, 4), torch.zeros(1, 1, 4, 4), torch.zeros(1, 4, 4), zero, zero
    )

    assert torch.isfinite(cues).all()


@pytest.mark.parametrize(("config", "scale"), [(tiny_motion(), 14 / 16), (small_compact(), 1.0)])
def test_flow_is_in_pixels_of_the_network_image(
    config: object, scale: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = lively(config)  # type: ignore[arg-type]

    def one_cell(self: FlowHead, source: object, target: object) -> FlowEstimate:
        count, height, width = len(source.patch), *source.patch.shape[-2:]  # type: ignore
        fine = torch.ones(count, 2, 16 * height, 16 * width)
        coarse = torch.ones(count, 2, height, width)
        quarter = torch.ones(count, 2, 4 * height, 4 * width)
        return FlowEstimate(fine, fine[:, :1], quarter, quarter[:, :1], [coarse])

    monkeypatch.setattr(FlowHead, "forward", one_cell)
    images = grid_images(model, 2, 1)
    with torch.inference_mode():
        field = model(images).motion.forward

    assert field.flow.shape[3:5] == images.shape[-2:]
    torch.testing.assert_close(field.flow, torch.full_like(field.flow, scale))
    # one cell of the coarse map is a patch
    patch = torch.full_like(field.stages[0], model.config.patch_size)
    torch.testing.assert_close(field.stages[0], patch)


@BOTH
def test_flow_forward_and_backward_swap_when_two_steps_swap(kind: str) -> None:
    model = lively(CONFIGS[kind]())
    model.cross_view_global_fusion.camera_token.data[:, 0] = 0.0
    model.cross_view_global_fusion.camera_token.data[:, 1] = 0.0
    model.cross_view_global_fusion.register_token.data[:] = 0.0  # no frame is the reference
    for name, parameter in model.named_parameters():
        if name.endswith("relative_time_bias"):
            parameter.data[:] = 0.0  # no direction of time
    images = grid_images(model, 2, 1)

    with torch.inference_mode():
        straight, turned = model(images).motion, model(images.flip(1)).motion

    torch.testing.assert_close(straight.forward.flow, turned.backward.flow, rtol=1e-3, atol=1e-3)
    assert (straight.forward.flow - straight.backward.flow).abs().max() > 1e-2


@BOTH
def test_a_query_is_where_it_was_asked_in_its_own_step(kind: str) -> None:
    model = lively(CONFIGS[kind]())
    queries = torch.tensor([[[0, 0, 3, 9], [2, 1, 20, 31]]])

    with torch.inference_mode():
        motion = model(grid_images(model, 3, 2), queries=queries).motion

    assert motion.tracks.shape == (1, 2, 3, 2)
    assert motion.tracks[0, 0, 0].tolist() == [9.0, 3.0]
    assert motion.tracks[0, 1, 2].tolist() == [31.0, 20.0]
    assert torch.isfinite(motion.tracks).all()


@BOTH
def test_queries_do_not_influence_each_other(kind: str) -> None:
    model = lively(CONFIGS[kind]())
    images = grid_images(model, 3, 2)
    queries = torch.tensor([[[0, 0, 3, 9], [2, 1, 20, 31], [1, 0, 8, 8]]])

    with torch.inference_mode():
        every = model(images, queries=queries).motion
        alone = model(images, queries=queries[:, 1:2]).motion

    torch.testing.assert_close(every.tracks[:, 1:2], alone.tracks, rtol=1e-4, atol=1e-3)


@BOTH
def test_tracks_follow_features_that_move(kind: str) -> None:
    """With features that are the picture itself, the match finds a pattern that moved a patch."""
    model = lively(CONFIGS[kind]())
    head = model.motion_head
    patch = model.config.patch_size
    for part in (head.tracks.eighth, head.tracks.quarter):
        torch.nn.init.zeros_(part.mlp.fc2.weight)
        torch.nn.init.zeros_(part.mlp.fc2.bias)
    shape_model = model.config.motion
    codes = 30 * torch.nn.functional.one_hot(torch.arange(6), shape_model.match_dim).float()
    first = codes.T.reshape(1, -1, 2, 3)  # two rows of three patches
    moved = torch.roll(first, shifts=1, dims=3)
    width = shape_model.feature_dim
    seen = MotionFeatures(
        torch.cat([first, moved]), torch.zeros(2, width, 4, 6), torch.zeros(2, width, 8, 12)
    )
    centre = patch // 2
    queries = torch.tensor([[[0, 0, centre, centre]]])
    tracks, _ = head.tracks(seen, queries, GridShape(1, 2, 1, 2, 3), torch.tensor(0.01))

    expected = torch.tensor([1.5 * patch - 0.5, 0.5 * patch - 0.5])
    torch.testing.assert_close(tracks[0, 0, 1], expected, atol=0.5, rtol=0)


def test_a_model_without_motion_heads_has_none_of_their_tensors_and_says_so() -> None:
    model = VGGT4D(tiny())

    assert not any(name.startswith("motion") for name in model.state_dict())
    with torch.inference_mode():
        assert model(grid_images(model, 2, 1)).motion is None


def test_motion_heads_may_lack_mask_and_tracks() -> None:
    config = small_compact()
    assert config.motion is not None
    model = lively(replace(config, motion=replace(config.motion, dynamic=False, tracks=False)))

    with torch.inference_mode():
        motion = model(grid_images(model, 2, 1), queries=torch.tensor([[[0, 0, 1, 1]]])).motion

    assert motion.dynamic is None
    assert motion.tracks is None
    assert motion.forward is not None


def test_one_step_has_no_flow_but_a_mask() -> None:
    model = lively(small_compact())

    with torch.inference_mode():
        motion = model(grid_images(model, 1, 2)).motion

    assert motion.forward is None
    assert motion.backward is None
    assert torch.isfinite(motion.dynamic).all()
