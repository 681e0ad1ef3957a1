# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Matches made sharp at 1/2, and how far they are trusted."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))
from model_cases import grid_images, lively, small_full  # noqa: E402

from vggt4d_ros.data.scenes import SceneConfig  # noqa: E402
from vggt4d_ros.data.synthetic import SyntheticWindows  # noqa: E402
from vggt4d_ros.model import pair_head  # noqa: E402
from vggt4d_ros.model.correlation import cell_grid  # noqa: E402
from vggt4d_ros.model.initialise import initialise  # noqa: E402
from vggt4d_ros.model.pair_geometry import fit_pairs  # noqa: E402
from vggt4d_ros.model.pair_refine import EXACT, FineMatches  # noqa: E402
from vggt4d_ros.model.pair_sharpen import RADIUS, SCALE, SIDE, PairSharpener, look_around  # noqa: E402
from vggt4d_ros.train.losses import LossWeights, compute_losses  # noqa: E402
from vggt4d_ros.train.matches import (  # noqa: E402
    MatchTargets,
    fine_loss,
)
from vggt4d_ros.train.targets import make_targets  # noqa: E402

SKIP, COARSE = 8, 16


def sharpener() -> PairSharpener:
    torch.manual_seed(0)
    made = PairSharpener(SKIP, COARSE)
    initialise(made)
    return made.eval()


def given(found: Tensor, sure: Tensor) -> FineMatches:
    likeness = torch.zeros(*sure.shape, SIDE**2)
    return FineMatches([found, found], sure, torch.zeros_like(sure), [likeness])


def places(count: int, height: int, width: int) -> Tensor:
    extent = torch.tensor([width + 1.0, height + 1.0])
    return torch.rand(count, height * width, 2) * extent - 1


def test_what_is_around_a_place_is_read_at_half_resolution() -> None:
    # each cell at 1/2 tells its own column and row, in pixels of the image
    height, width = 5, 6
    grid = cell_grid(SCALE * height, SCALE * width, torch.device("cpu"))
    pixels = 2 * grid[None] + 0.5  # the middle of two pixels
    inner = torch.tensor([[2.0, 2.0], [2.25, 2.5]])
    place = inner.T[None, :, None, :].expand(1, 2, 1, 2)

    for axis in (0, 1):
        cells = torch.zeros(1, 2, 1, 2)
        cells[:, axis] = 1.0
        near = look_around(cells, pixels, place).flatten(2)[0]  # (SIDE^2, 2)
        middle = near[SIDE * RADIUS + RADIUS]
        torch.testing.assert_close(middle, 8 * inner[:, axis] + 3.5)  # of a cell of 8 pixels
        further = near[(SIDE * RADIUS + RADIUS + 1) if axis == 0 else SIDE * (RADIUS + 1) + RADIUS]
        torch.testing.assert_close(further - middle, torch.full((2,), 2.0))


def test_untrained_places_stay_and_uncertainty_is_counted() -> None:
    made = sharpener()
    found, sure = places(2, 4, 6), torch.rand(2, 24)
    with torch.inference_mode():
        maps = made.features(torch.randn(2, SKIP, 16, 24), torch.randn(2, COARSE, 4, 6))
        matches = made(*maps, given(found, sure))

    torch.testing.assert_close(matches.stages[0], found)
    assert (matches.stages[-1] - found).abs().max() < 0.25
    _, weight = matches.settled()
    half = matches._replace(spreads=(torch.full_like(sure, math.log(EXACT)),))
    torch.testing.assert_close(half.settled()[1], sure.sqrt() / 2)
    vague = matches._replace(spreads=(matches.spreads[-1] + 1,))
    assert (vague.settled()[1] < weight).all()


def test_a_pair_does_not_depend_on_those_beside_it() -> None:
    made = sharpener()
    found, sure = places(3, 4, 6), torch.rand(3, 24)
    with torch.inference_mode():
        maps = made.features(torch.randn(3, SKIP, 16, 24), torch.randn(3, COARSE, 4, 6))
        every = made(*maps, given(found, sure))
        alone = made(*(x[1:2] for x in maps), given(found[1:2], sure[1:2]))

    torch.testing.assert_close(every.stages[-1][1:2], alone.stages[-1])
    torch.testing.assert_close(every.spreads[-1][1:2], alone.spreads[-1])


def test_cost_of_uncertainty_is_least_where_it_is_the_error() -> None:
    place = places(1, 4, 6)
    known = torch.ones(1, 24, dtype=torch.bool)
    near = torch.zeros(1, 24, SIDE**2)
    off = FineMatches([place, place + 0.1], known.float(), torch.zeros(1, 24), [near])

    def cost(scale: float) -> float:
        told = off._replace(spreads=(torch.full((1, 24), math.log(scale)),))
        return float(fine_loss(told, MatchTargets(place, known, known), SCALE))

    # Laplace in two dimensions: 0.2 / b + 2 ln b is least at b = 0.1
    assert cost(0.1) < min(cost(0.07), cost(0.14))


def test_all_of_it_learns_from_a_window() -> None:
    model = lively(small_full())
    batch = SyntheticWindows(replace(SceneConfig(), drop_share=0.0), 3).batch([1], 2, 2, 64, 96)
    output = model(batch.images, poses_only=True)
    weights = LossWeights(**dict.fromkeys(("camera", "matches", "coarse_depth"), 0.0))

    total, losses = compute_losses(output, make_targets(batch), weights, ())
    total.backward()

    assert "closer" in losses
    for name, parameter in model.pair_head.sharpen.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


def test_losses_without_weight_are_not_computed() -> None:
    model = lively(small_full())
    batch = SyntheticWindows(replace(SceneConfig(), drop_share=0.0), 3).batch([1], 2, 2, 64, 96)
    output = model(batch.images, poses_only=True)
    targets = make_targets(batch)

    _, every = compute_losses(output, targets, LossWeights(), ())
    _, some = compute_losses(output, targets, LossWeights(matches=0.0, closer=0.0), ())

    assert every.keys() - some.keys() == {"matches", "closer"}


def test_features_learn_the_cell_at_half_resolution_that_shows_the_point() -> None:
    place = torch.full((1, 1, 2), 3.0)
    known = torch.ones(1, 1, dtype=torch.bool)
    right = place + torch.tensor([0.5, -0.25])  # 2 cells at 1/2 to the right, 1 up

    def cost(column: int, row: int) -> float:
        near = torch.full((1, 1, SIDE**2), -30.0)
        near[..., SIDE * (RADIUS + row) + RADIUS + column] = 30.0
        found = FineMatches([place, right], known.float(), torch.full((1, 1), 30.0), [near])
        return float(fine_loss(found, MatchTargets(right, known, known), SCALE))

    assert cost(2, -1) == pytest.approx(0.0, abs=1e-4)
    assert min(cost(1, -1), cost(2, 0), cost(-1, 2)) > 10


def test_only_fields_of_view_that_nobody_knows_may_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = lively(small_full())
    given = []
    monkeypatch.setattr(
        pair_head,
        "fit_pairs",
        lambda points, unsure, yaws: given.append(unsure) or fit_pairs(points),
    )
    known = torch.full((1, 1, 3, 2), 0.8)
    known[0, 0, 1, 0] = torch.nan  # one of two is not enough

    with torch.inference_mode():
        model(grid_images(model, 1, 3), known_view=known)
        known[0, 0, 0] = torch.nan
        model(grid_images(model, 1, 3), known_view=known)
        model(grid_images(model, 1, 3))

    # the frame's own, the reference's
    assert given[0].tolist() == [[False, False], [True, False], [False, False]]
    assert given[1].tolist() == [[True, True], [True, True], [False, True]]
    assert given[2].all()


def test_missing_and_lonely_frames_leave_the_rest_finite() -> None:
    model = lively(small_full())
    images = grid_images(model, 2, 2)
    valid = torch.tensor([[[True, False], [False, True]]])
    with torch.inference_mode():
        output = model(images, valid)
        alone = model(images[:, :1, :1])

    assert output.pose_enc[-1][valid].isfinite().all()
    assert alone.pose_enc[-1].isfinite().all()
    torch.testing.assert_close(alone.pose_enc[-1][0, 0, 0, :7], torch.tensor([0.0] * 6 + [1.0]))
