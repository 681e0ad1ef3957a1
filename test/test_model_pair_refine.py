# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Matches corrected on finer maps."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from vggt4d_ros.model.correlation import cell_grid
from vggt4d_ros.model.initialise import initialise
from vggt4d_ros.model.pair_refine import RADIUS, SIDE, FineMatches, PairRefiner, _likeness
from vggt4d_ros.train.matches import MatchTargets, fine_loss

SKIP, COARSE = 12, 16


def refiner() -> PairRefiner:
    torch.manual_seed(0)
    made = PairRefiner(SKIP, COARSE)
    initialise(made)
    return made.eval()


def places(count: int, height: int, width: int) -> Tensor:
    """Random ones (count, P, 2), some a little outside."""
    extent = torch.tensor([width + 1.0, height + 1.0])
    return torch.rand(count, height * width, 2) * extent - 1


def test_likeness_is_that_of_maps_sampled_around_each_place() -> None:
    torch.manual_seed(1)
    cells, around = torch.randn(3, 8, 6, 7), torch.randn(3, 8, 12, 14)
    found = places(3, 6, 7)

    near = _likeness(cells, around, found.transpose(1, 2).unflatten(2, (6, 7)))

    side = 2 * RADIUS + 1
    offsets = cell_grid(side, side, cells.device).flatten(1).T - RADIUS
    # pixels: a cell of 8 has its centre at 8 i + 3.5, one of 4 at 4 i + 1.5
    at = ((8 * found + 3.5)[:, :, None] + 4 * offsets - 1.5) / 4
    sampled = functional.grid_sample(
        around, (2 * at + 1) / torch.tensor([14.0, 12.0]) - 1, align_corners=False
    )
    expected = (sampled * cells.flatten(2)[..., None]).sum(1)  # (N, P, side^2)
    torch.testing.assert_close(near.flatten(2).transpose(1, 2), expected, atol=1e-5, rtol=1e-5)


def test_untrained_it_leaves_places_where_they_are() -> None:
    made = refiner()
    found, sure = places(2, 4, 6), torch.rand(2, 24)
    with torch.inference_mode():
        fine = made.features(torch.randn(2, SKIP, 8, 12), torch.randn(2, COARSE, 4, 6))
        matches = made(*fine, found, sure)

    torch.testing.assert_close(matches.stages[0], found)
    assert (matches.stages[-1] - found).abs().max() < 0.25
    settled, surer = matches.settled()
    torch.testing.assert_close(settled, matches.stages[-1])
    assert (surer <= sure).all()


def test_a_pair_does_not_depend_on_those_beside_it() -> None:
    made = refiner()
    found, sure = places(3, 4, 6), torch.rand(3, 24)
    with torch.inference_mode():
        fine = made.features(torch.randn(3, SKIP, 8, 12), torch.randn(3, COARSE, 4, 6))
        every = made(*fine, found, sure)
        alone = made(fine.cells[1:2], fine.around[1:2], found[1:2], sure[1:2])

    torch.testing.assert_close(every.stages[-1][1:2], alone.stages[-1])
    torch.testing.assert_close(every.logits[1:2], alone.logits)


@pytest.mark.slow
def test_it_learns_to_find_a_shift() -> None:
    made = refiner().train()
    optimizer = torch.optim.Adam(made.parameters(), lr=3e-3)
    grid = cell_grid(8, 10, torch.device("cpu")).flatten(1).T.expand(4, -1, 2)
    every = torch.ones(4, 80, dtype=torch.bool)
    errors = []
    for _ in range(300):
        shift = torch.randint(-2, 3, (2,))
        big = torch.randn(4, SKIP, 16 + 8, 20 + 8)
        first = big[:, :, 4:20, 4:24]
        second = big[:, :, 4 - shift[1] : 20 - shift[1], 4 - shift[0] : 24 - shift[0]]
        blank = torch.zeros(4, COARSE, 8, 10)
        cells, around = made.features(first, blank).cells, made.features(second, blank).around
        matches = made(cells, around, grid, torch.ones(4, 80))
        right = grid + shift / 2  # cells of two at 1/4
        optimizer.zero_grad()
        fine_loss(matches, MatchTargets(right, every, every)).backward()
        optimizer.step()
        errors.append((matches.stages[-1] - right).norm(dim=-1).median().detach())

    assert torch.stack(errors[-20:]).mean() < 0.45  # cells; 0.9 without any correction


def test_loss_of_corrections_is_nothing_where_they_are_right_and_sure() -> None:
    place = places(1, 4, 6)
    known = torch.ones(1, 24, dtype=torch.bool)
    near = torch.full((1, 24, SIDE**2), -30.0)
    near[..., SIDE * RADIUS + RADIUS] = 30.0  # just where the place is
    right = FineMatches([place, place], known.float(), torch.full((1, 24), 30.0), [near])
    wrong = right._replace(stages=[place, place + 0.5])

    assert fine_loss(right, MatchTargets(place, known, known)) == pytest.approx(0.0, abs=1e-4)
    # half a cell off in both, and sure of it: 1.0 of distance, 0.2 * 30 of certainty
    assert fine_loss(wrong, MatchTargets(place, known, known)) == pytest.approx(7.0, abs=1e-3)
    # what is too far off to be corrected costs nothing but its certainty
    far = MatchTargets(place + 5.0, known, known)
    assert fine_loss(right, far) == pytest.approx(6.0, abs=1e-3)
