# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Frames compared by geometry: what the option promises on any grid."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).parent))
from model_cases import grid_images, lively, small_compact, small_full  # noqa: E402

from vggt4d_ros.model.config import ModelConfig, MotionConfig, compact, tiny  # noqa: E402
from vggt4d_ros.model.correlation import found_back  # noqa: E402
from vggt4d_ros.model.dynamic_mask import fitted_flow, rigid_flow  # noqa: E402
from vggt4d_ros.model.model_output import ModelOutput  # noqa: E402
from vggt4d_ros.model.pair_head import PairHead  # noqa: E402
from vggt4d_ros.model.pair_matches import best_places  # noqa: E402
from vggt4d_ros.model.two_view import turn  # noqa: E402
from vggt4d_ros.model.vggt4d import VGGT4D  # noqa: E402

OPTIONS = {
    "one way": small_compact(pairs=True),
    "mutual": small_compact(pairs=True, mutual=True),
    "all": small_full(),
}


@pytest.fixture(scope="module", params=OPTIONS.values(), ids=OPTIONS)
def model(request: pytest.FixtureRequest) -> VGGT4D:
    return lively(request.param).eval()


def run(
    model: VGGT4D, images: Tensor, valid: Tensor | None = None, **options: object
) -> ModelOutput:
    with torch.no_grad():
        output: ModelOutput = model(images, valid, **options)
    return output


def test_last_pose_of_the_reference_is_the_identity(model: VGGT4D) -> None:
    output = run(model, grid_images(model, 2, 2))

    assert output.pairs is not None
    torch.testing.assert_close(
        output.pose_enc[-1][0, 0, 0, :7], torch.tensor([0.0, 0, 0, 0, 0, 0, 1])
    )
    assert len(output.pose_enc) == model.config.camera.iterations + 1
    norm = output.pose_enc[-1][..., 3:7].norm(dim=-1)
    torch.testing.assert_close(norm, torch.ones_like(norm))


def test_one_frame_alone_has_finite_outputs(model: VGGT4D) -> None:
    output = run(model, grid_images(model, 1, 1))

    assert output.pairs is not None
    assert output.depth is not None
    assert not output.pairs.cues.any()  # nothing to see parallax with
    assert torch.isfinite(output.depth).all()


def test_what_a_missing_frame_shows_does_not_matter(model: VGGT4D) -> None:
    images = grid_images(model, 2, 2)
    valid = torch.tensor([[[False, True], [True, True]]])
    other = images.clone()
    other[:, 0, 0] = torch.nan

    first, second = run(model, images, valid), run(model, other, valid)

    torch.testing.assert_close(first.pose_enc[-1][valid], second.pose_enc[-1][valid])
    assert first.depth is not None
    assert second.depth is not None
    torch.testing.assert_close(first.depth[valid], second.depth[valid])
    # the first frame that is there is the reference now
    torch.testing.assert_close(
        first.pose_enc[-1][0, 0, 1, :7], torch.tensor([0.0, 0, 0, 0, 0, 0, 1])
    )


def test_fewer_dense_steps_change_nothing_of_those_that_stay(model: VGGT4D) -> None:
    images = grid_images(model, 3, 2)

    whole, last = run(model, images), run(model, images, dense_steps=(2,))

    torch.testing.assert_close(whole.pose_enc[-1], last.pose_enc[-1])
    assert whole.depth is not None
    torch.testing.assert_close(whole.depth[:, 2:], last.depth)


def test_windows_of_a_batch_do_not_see_one_another(model: VGGT4D) -> None:
    images = grid_images(model, 1, 2, batch=2)

    other = torch.cat([images[:1].flip(-1), images[1:]])

    both, alone = run(model, images), run(model, images[1:])

    # matches of random weights agree on nothing: fits of them enlarge the rounding of batches
    torch.testing.assert_close(both.pose_enc[-1][1:], alone.pose_enc[-1], atol=2e-3, rtol=2e-2)
    torch.testing.assert_close(both.pose_enc[-1][1:], run(model, other).pose_enc[-1][1:])


@pytest.mark.parametrize("mutual", [False, True])
def test_losses_of_matches_and_poses_reach_the_head(mutual: bool) -> None:
    own = lively(small_compact(pairs=True, mutual=mutual))

    output = own(grid_images(own, 2, 1))
    assert output.pairs is not None
    (output.pairs.logits.square().mean() + output.pairs.log_depth.sum()).backward(retain_graph=True)
    output.pose_enc[-1].square().sum().backward()

    silent = [
        name
        for name, value in own.pair_head.named_parameters()
        if value.grad is None or not value.grad.any()
    ]
    assert silent == []


@pytest.mark.slow  # the exporter takes half a minute of processor time
def test_network_with_pairs_can_be_exported(model: VGGT4D) -> None:
    images = grid_images(model, 2, 1)

    program = torch.export.export(model, (images,))

    torch.testing.assert_close(program.module()(images).depth, run(model, images).depth)


def test_places_are_means_around_the_best_cell() -> None:
    logits = torch.full((1, 1, 13), -50.0)  # 3 x 4 cells and the last
    logits[0, 0, 5], logits[0, 0, 6], logits[0, 0, 11] = 2.0, 1.0, 1.9  # the last is far away
    chance = logits.softmax(-1)[0, 0]

    place, sure = best_places(logits, 3, 4)

    share = float(chance[6] / (chance[5] + chance[6]))
    torch.testing.assert_close(place[0, 0], torch.tensor([1 + share, 1.0]), atol=1e-3, rtol=0)
    assert float(sure) == pytest.approx(float(chance[5] + chance[6]), abs=1e-4)


def test_flow_of_the_fitted_motion_is_that_of_the_static_scene() -> None:
    generator = torch.Generator().manual_seed(3)
    depth = 1 + torch.rand(2, 12, 16, generator=generator)
    source = torch.tensor([[0.0, 0, 0, 0, 0, 0, 1, 0.9, 1.1]]).expand(2, 9)
    target = source.clone()
    target[:, :3] = torch.tensor([0.05, 0.0, -0.04])
    target[:, 3:7] = functional.normalize(torch.tensor([0.01, -0.02, 0.005, 1.0]), dim=0)
    true = rigid_flow(depth, source, target)
    moving = torch.zeros_like(depth, dtype=torch.bool)
    moving[:, 3:7, 5:10] = True
    flow = torch.where(moving[:, None], true + 3.0, true)

    found, rest = fitted_flow(flow, torch.ones_like(depth), depth, source, target)

    error = (found - true).norm(dim=1)
    assert error.median() < 0.05
    assert (flow - found).norm(dim=1)[moving].median() > 3.0
    # of a motion across the epipolar lines something is left whatever the depth
    assert rest[:, 2][moving].median() > 1.0
    assert rest[:, 2][~moving].median() < 0.05


def test_what_another_depth_explains_is_no_motion() -> None:
    depth = torch.full((1, 12, 16), 2.0)
    source = torch.tensor([[0.0, 0, 0, 0, 0, 0, 1, 0.9, 1.1]])
    target = source.clone()
    target[:, :3] = torch.tensor([0.3, 0.0, 0.0])  # sideways: a nearer point moves along u
    near = depth.clone()
    near[:, 4:8, 6:10] = 1.4
    wrong = near != depth
    flow = rigid_flow(near, source, target)

    found, rest = fitted_flow(flow, torch.ones_like(depth), depth, source, target)

    plain = (flow - found).norm(dim=1)[wrong].median()
    assert plain > 0.5  # cells
    assert rest[:, 2][wrong].median() < 0.5 * plain


def test_turns_add_up_to_the_quaternion_they_are_made_of() -> None:
    vector = torch.tensor([[0.1, -0.3, 0.2]])

    back = turn(-vector) @ turn(vector)

    torch.testing.assert_close(back[0], torch.eye(3))


def test_older_configurations_have_no_pairs() -> None:
    values = compact().to_dict()
    for name in ("pairs", "mutual", "fine_matches", "sharp_matches", "sweep"):
        del values[name]
    for name in ("choice", "sharp_flow", "wide_mask"):
        del values["motion"][name]

    older = ModelConfig.from_dict(values)

    assert older.pairs is False
    assert older.motion == MotionConfig()


def test_older_configurations_with_pairs_match_one_way() -> None:
    values = small_compact(pairs=True).to_dict()
    del values["mutual"]

    assert ModelConfig.from_dict(values).mutual is False
    # so their tensors are those that such a checkpoint has
    assert not any(
        "hidden" in name for name, _ in PairHead(small_compact(pairs=True)).named_parameters()
    )


@pytest.mark.parametrize("option", ["mutual", "fine_matches"])
def test_options_of_matches_need_pairs(option: str) -> None:
    with pytest.raises(ValueError, match="matches need pairs"):
        small_compact(**{option: True})


def test_options_that_need_others_say_so() -> None:
    with pytest.raises(ValueError, match="sharp matches need fine matches"):
        small_compact(pairs=True, mutual=True, sharp_matches=True)
    with pytest.raises(ValueError, match="a wide mask needs pairs"):
        small_compact(motion=MotionConfig(wide_mask=True))


def test_a_match_counts_only_where_it_leads_back() -> None:
    likeness = torch.zeros(1, 12, 12)  # 3 x 4 cells each
    # cell 0 is found at 7, whose own best is 1, beside 0; cell 10 is found there too
    likeness[0, 0, 7], likeness[0, 1, 7], likeness[0, 10, 7] = 2.0, 3.0, 1.0

    back = found_back(likeness, 3, 4)

    assert back[0, [0, 1]].all()
    assert not back[0, 10]


def test_head_gives_no_weight_to_a_match_that_does_not_lead_back() -> None:
    head = PairHead(small_compact(pairs=True, mutual=True))
    plain = PairHead(small_compact(pairs=True))
    logits = torch.zeros(1, 12, 13)
    logits[0, 0, 7], logits[0, 1, 7], logits[0, 10, 7] = 8.0, 9.0, 7.0

    _, sure = head._places(logits, (3, 4))
    _, believed = plain._places(logits, (3, 4))

    assert float(believed[0, 10].detach()) > 0.9
    assert float(sure[0, 10].detach()) == 0.0
    assert float(sure[0, 0].detach()) == float(believed[0, 0].detach())


def test_cells_on_both_ends_of_two_rows_are_not_beside_each_other() -> None:
    likeness = torch.zeros(1, 12, 12)
    likeness[0, 3, 5], likeness[0, 4, 5] = 1.0, 2.0  # 3 ends the first row, 4 begins the second

    assert not found_back(likeness, 3, 4)[0, 3]


def test_products_of_features_are_the_logits(model: VGGT4D) -> None:
    pairs = run(model, grid_images(model, 2, 2)).pairs

    assert pairs is not None
    product = pairs.features[:, 3].transpose(1, 2) @ pairs.features[:, 0]
    torch.testing.assert_close(product, pairs.logits[:, 3, :, :-1], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(
        pairs.features[:, 0].transpose(1, 2) @ pairs.features[:, 1],
        pairs.partner[..., :-1],
        atol=1e-4,
        rtol=1e-4,
    )


def test_poses_alone_are_those_beside_dense_outputs(model: VGGT4D) -> None:
    images = grid_images(model, 2, 2)

    whole, alone = run(model, images), run(model, images, poses_only=True)

    assert alone.depth is None
    assert alone.motion is None
    torch.testing.assert_close(alone.pose_enc[-1], whole.pose_enc[-1])


def test_pairs_need_the_stem_encoder() -> None:
    with pytest.raises(ValueError, match="stem encoder"):
        ModelConfig.from_dict({**tiny().to_dict(), "pairs": True})
