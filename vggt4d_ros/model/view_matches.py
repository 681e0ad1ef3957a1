# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What two cameras both see at one time step, in their own pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vggt4d_ros.datatypes import Array, ViewMatches
from vggt4d_ros.model.correlation import cell_grid
from vggt4d_ros.model.pair_head import PairHead
from vggt4d_ros.model.pair_output import PairOutput
from vggt4d_ros.model.preprocess import Placement
from vggt4d_ros.model.window_grid import WindowGrid

LEAST = 0.1  # probability below which a match is left out
# cells, standard deviation of a right match's place: twice what corrected ones have in the middle,
# for their tails are long, and wrong ones that agree by chance cost more than right ones left out
NOISE = 0.3


def match_views(
    head: PairHead,
    pairs: PairOutput,
    grid: WindowGrid,
    step: int,
    view_pairs: Sequence[tuple[int, int]],
) -> tuple[ViewMatches, ...]:
    """Matches of pairs of cameras at a step of the window; none where a frame is missing."""
    wanted = [(a, b) for a, b in view_pairs if {(step, a), (step, b)} <= grid.frames.keys()]
    if not wanted:
        return ()

    def frames(views: list[int]) -> list[int]:
        slots = [grid.index((step, view)) for view in views]
        return [row * len(grid.views) + column for row, column in slots]

    size = (pairs.log_depth.shape[-2], pairs.log_depth.shape[-1])
    found, sure = head.find(pairs, frames([a for a, _ in wanted]), frames([b for _, b in wanted]))
    cells = cell_grid(*size, found.device).flatten(1).T.cpu().numpy().astype(np.float64)
    places, weights = found.double().cpu().numpy(), sure.double().cpu().numpy()
    pixels = grid.size[1] / size[1]  # of the network's image, a cell
    matches = []
    for number, (a, b) in enumerate(wanted):
        used = weights[number] >= LEAST
        there = grid.placements[step, b]
        matches.append(
            ViewMatches(
                step=step,
                views=(a, b),
                first=_to_camera(cells[used], pixels, grid.placements[step, a]),
                second=_to_camera(places[number][used], pixels, there),
                weight=weights[number][used],
                noise_px=NOISE * pixels / there.scale_x,
            )
        )
    return tuple(matches)


def _to_camera(cells: Array, pixels: float, placement: Placement) -> Array:
    """Pixels (N, 2) of a camera's image of cells (N, 2) of the network's (``preprocess``)."""
    corner = (cells + 0.5) * pixels - [placement.left, placement.top]
    return np.asarray(corner / [placement.scale_x, placement.scale_y] - 0.5, dtype=np.float64)
