# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which cell of the reference shows a point: labels against exact geometry, loss by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from vggt4d_ros.data.scenes import SceneConfig
from vggt4d_ros.data.synthetic import SyntheticWindows
from vggt4d_ros.data.windows import WindowBatch
from vggt4d_ros.train.matches import (
    CELL,
    MatchTargets,
    coarse_depth_loss,
    match_loss,
    match_targets,
)
from vggt4d_ros.train.targets import make_targets


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

    # its small weight is in the numerator and the floor of the denominator
    assert float(value) == pytest.approx(0.3 * math.log(5))


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
