# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which cell of the reference shows a point: labels against exact geometry, loss by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from vggt4d_ros.data.scenes import SceneConfig
from vggt4d_ros.data.synthetic import SyntheticWindows
from vggt4d_ros.data.windows import WindowBatch
from vggt4d_ros.model.pair_output import PairOutput
from vggt4d_ros.train.matches import (
    CELL,
    MatchTargets,
    coarse_depth_loss,
    match_loss,
    match_targets,
    pair_loss,
)
from vggt4d_ros.train.targets import Targets, make_targets


@pytest.fixture(scope="module")
def batch() -> WindowBatch:
    return SyntheticWindows(SceneConfig(drop_share=0.0), seed=4).batch(range(4), 2, 1, 64, 96)


def labels(place: list[float], seen: bool = True, known: bool = True) -> MatchTargets:
    return MatchTargets(
        torch.tensor([[[place]]]), torch.tensor([[[seen]]]), torch.tensor([[[known]]])
    )


def test_places_are_where_backward_flow_leads(batch: WindowBatch) -> None:
    found = match_targets(make_targets(batch))
    half = CELL // 2

    flow = batch.flow_backward[:, 1, 0, half::CELL, half::CELL].flatten(1, 2)
    hidden = batch.occluded_backward[:, 1, 0, half::CELL, half::CELL].flatten(1)
    v, u = torch.meshgrid(torch.arange(8), torch.arange(12), indexing="ij")
    cell = torch.stack([u, v], -1).flatten(0, 1)
    both = found.seen[:, 1] & found.known[:, 1] & ~hidden
    error = (found.place[:, 1] - (cell + flow / CELL)).norm(dim=-1)[both]

    assert both.float().mean() > 0.3
    assert error.max() * CELL < 0.1  # pixels
    # what flow calls seen, the match calls seen, but for edges
    known = found.known[:, 1]
    assert (found.seen[:, 1] == ~hidden)[known].float().mean() > 0.95


def test_reference_and_moving_points_have_no_label(batch: WindowBatch) -> None:
    found = match_targets(make_targets(batch))
    half = CELL // 2
    moving = batch.dynamic[:, 1, 0, half::CELL, half::CELL].flatten(1)

    assert not found.known[:, 0].any()
    assert moving.any()
    assert not found.known[:, 1][moving].any()


def test_loss_of_a_place_between_two_cells() -> None:
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0, 0.5]).view(1, 1, 1, 5)  # 2x2 cells and the last
    score = logits.log_softmax(-1).flatten().tolist()

    value = match_loss(logits, labels([0.25, 0.0]), (2, 2))

    assert float(value) == pytest.approx(-(0.75 * score[0] + 0.25 * score[1]))


def test_loss_of_a_hidden_point_asks_for_the_last_logit() -> None:
    logits = torch.zeros(1, 1, 1, 5)

    value = match_loss(logits, labels([0.0, 0.0], seen=False), (2, 2))

    assert float(value) == pytest.approx(math.log(5))


def test_without_a_logit_of_not_being_seen_only_what_is_seen_costs() -> None:
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0]).view(1, 1, 1, 4)
    score = logits.log_softmax(-1).flatten().tolist()

    assert float(match_loss(logits, labels([0.0, 0.0], seen=False), (2, 2))) == 0.0
    found = float(match_loss(logits, labels([1.0, 0.0]), (2, 2)))
    assert found == pytest.approx(-score[1])


def test_pairs_with_little_in_common_count_as_much_as_others() -> None:
    logits = torch.zeros(1, 2, 4, 5)
    logits[0, 1, :, 0] = 3.0
    known = torch.ones(1, 2, 4, dtype=torch.bool)
    known[0, 1, 1:] = False  # one cell against four
    place = torch.zeros(1, 2, 4, 2)
    score = logits.log_softmax(-1)

    value = match_loss(logits, MatchTargets(place, torch.ones_like(known), known), (2, 2))

    mean = (-score[0, 0, 0, 0] - score[0, 1, 0, 0]) / 2
    assert float(value) == pytest.approx(float(mean))


@pytest.fixture(scope="module")
def rig() -> Targets:
    scenes = SceneConfig(drop_share=0.0)
    return make_targets(SyntheticWindows(scenes, seed=4).batch(range(4), 2, 2, 64, 96))


def frame(targets: Targets, number: int) -> Tensor:
    chosen = torch.zeros_like(targets.batch.valid.flatten(1))
    chosen[:, number] = True
    return chosen


def test_places_in_any_frame_are_where_flow_leads(rig: Targets) -> None:
    found = match_targets(rig, frame(rig, 3))
    half = CELL // 2

    # frames 1 and 3 are the second camera's
    flow = rig.batch.flow_forward[:, 0, 1, half::CELL, half::CELL].flatten(1, 2)
    hidden = rig.batch.occluded_forward[:, 0, 1, half::CELL, half::CELL].flatten(1)
    v, u = torch.meshgrid(torch.arange(8), torch.arange(12), indexing="ij")
    cell = torch.stack([u, v], -1).flatten(0, 1)
    both = found.seen[:, 1] & found.known[:, 1] & ~hidden
    error = (found.place[:, 1] - (cell + flow / CELL)).norm(dim=-1)[both]

    assert both.float().mean() > 0.3
    assert error.max() * CELL < 0.1  # pixels
    assert not found.known[:, 3].any()


def test_nothing_is_known_of_a_frame_that_is_missing(rig: Targets) -> None:
    valid = rig.batch.valid.clone()
    valid[0, 1, 1] = False
    batch = replace(
        rig.batch,
        valid=valid,
        pose_valid=valid,
        depth_valid=rig.batch.depth_valid & valid[..., None, None],
    )

    found = match_targets(make_targets(batch), frame(rig, 3))

    assert not found.known[0].any()
    assert found.known[1].any()


def test_every_kind_of_pair_has_its_part_in_the_loss(rig: Targets) -> None:
    count, frames, cells = 4, 4, 8 * 12
    pairs = PairOutput(
        pose=torch.zeros(count, frames, 9),
        logits=torch.zeros(count, frames, cells, cells + 1, requires_grad=True),
        log_depth=torch.zeros(count, frames, 8, 12),
        cues=torch.zeros(count, frames, 3, 8, 12),
        partner=torch.zeros(count, cells, cells + 1, requires_grad=True),
        features=torch.randn(count, frames, 5, cells, requires_grad=True),
        unseen=torch.zeros(count, frames, cells),
        field_of_view=torch.ones(count, frames, 2),
        placed=torch.ones(count, frames, dtype=torch.bool),
    )

    pair_loss(pairs, rig).backward()

    assert pairs.logits.grad is not None
    assert not pairs.logits.grad[:, 0].any()  # the reference is not compared with itself
    assert pairs.logits.grad[:, 1:].flatten(2).any(-1).all()
    assert pairs.partner.grad is not None
    assert pairs.partner.grad.any()
    assert pairs.features.grad is not None
    assert pairs.features.grad.flatten(2).any(-1).all()


def test_nothing_known_costs_nothing() -> None:
    logits = torch.randn(1, 1, 1, 5, requires_grad=True)

    value = match_loss(logits, labels([math.nan, 0.0], known=False), (2, 2))
    value.backward()

    assert float(value) == 0.0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_coarse_depth_is_judged_in_the_middle_of_a_cell(batch: WindowBatch) -> None:
    targets = make_targets(batch)
    half = CELL // 2

    def cost(shift: float) -> Tensor:
        truth = targets.depth[..., half::CELL, half::CELL].clamp(min=1e-4).log()
        return coarse_depth_loss(truth.flatten(1, 2) + shift, targets)

    assert float(cost(0.0)) == pytest.approx(0.0, abs=1e-6)
    assert float(cost(0.5)) == pytest.approx(0.5, rel=1e-4)
