# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The network up to its heads, for windows that slide: nothing is computed twice or in vain.

All of it is exact. Kept from the last window: what the encoder and the first block of each branch
make of a frame, and, where frames attend within their step only, all that the space branch makes
of a step. Left out: what no head that is asked for can see of the last layers.
"""

from __future__ import annotations

from collections.abc import Callable, Sized
from typing import NamedTuple

import torch
from torch import Tensor

from vggt4d_ros.datatypes import Frame
from vggt4d_ros.model.batch_cache import BatchCache, filled, join, pick
from vggt4d_ros.model.beside import Beside
from vggt4d_ros.model.branches import Start, Taps
from vggt4d_ros.model.encoder import Encoded
from vggt4d_ros.model.grid import GridShape
from vggt4d_ros.model.loader import FrameLoader
from vggt4d_ros.model.preprocess import Placement
from vggt4d_ros.model.stage_clock import StageClock
from vggt4d_ros.model.vggt4d import VGGT4D
from vggt4d_ros.model.window_grid import Slot, WindowGrid

Key = tuple[Frame, Placement]
MAX_ROWS = 32  # index tensors kept, one a shape of grid and dense steps


class Trunk:
    """Owns what is kept from window to window.

    Args:
        model: on its device.
        loader: makes network images.
    """

    def __init__(self, model: VGGT4D, loader: FrameLoader) -> None:
        self.model = model
        self._loader = loader
        self._encoded: BatchCache[Key, Encoded] = BatchCache()
        self._started: BatchCache[Key, Start] = BatchCache()  # not as reference
        self._reference: BatchCache[Key, Start] = BatchCache()
        self._steps: BatchCache[tuple[object, ...], list[Tensor]] = BatchCache()
        self._rows: dict[tuple[GridShape, tuple[int, ...]], Tensor | None] = {}
        self._beside = Beside()

    def __len__(self) -> int:
        return len(self._encoded)

    @property
    def caches(self) -> tuple[Sized, ...]:
        """All that is kept."""
        return (self._encoded, self._started, self._reference, self._steps, self._rows)

    def clear(self) -> None:
        """Forgets the last window, and ends what runs beside it."""
        self._beside.close()
        for cache in (self._encoded, self._started, self._reference, self._steps):
            cache.clear()

    def run(
        self, grid: WindowGrid, steps: tuple[int, ...], motion_of: str, clock: StageClock
    ) -> Seen:
        """What the heads see of a grid, if they are asked for these of its own steps."""
        keys = {slot: (frame, grid.placements[slot]) for slot, frame in grid.frames.items()}
        model, shape, size = self.model, grid.shape, grid.window_shape[1]
        device = next(model.parameters()).device
        # not where stages are compiled: those are for all threads
        split = device.type == "cpu" and not grid.is_fixed and torch.get_num_threads() > 1
        beside = self._beside if split and clock.is_timing else None
        encoded = self._encode(list(keys.values()), size, clock, beside)
        with clock.stage("encoder"):
            started = self._begin(grid, keys, encoded)
            valid = grid.mask(device)
            held = model.with_neighbours(steps, shape.steps, motion_of)
            frames = {slot: encoded[key].skips for slot, key in keys.items()}
            skips = _skips(grid, frames, held)
            compared = None
            if model.config.pairs:
                compared = grid.assemble(
                    {slot: maps[model.compared :] for slot, maps in frames.items()}
                )
            start = grid.assemble(started)

        def views() -> list[Tensor]:
            if model.cross_view_global_fusion.scope == "step":
                return self._views_by_step(grid, keys, started, valid)
            rows = self._used_rows(shape, steps, device)
            return model.finish_views(start.spatial, shape, valid, rows)

        def times(spatial: list[Tensor]) -> Taps:
            return model.finish_steps(start, spatial, shape, valid, steps, motion_of)

        apart = start.temporal is not None and bool(held)
        taps = self._fuse(views, times, clock, beside if apart else None)
        encoded_frames = Encoded(taps.spatial[-1], skips)
        return Seen(encoded_frames, taps, shape, valid, held, compared, beside)

    def _fuse(
        self,
        views: Callable[[], list[Tensor]],
        times: Callable[[list[Tensor]], Taps],
        clock: StageClock,
        beside: Beside | None,
    ) -> Taps:
        """Both branches; at once with ``beside``, where one does not see the other's taps."""
        if beside is None:
            with clock.stage("cross_view"):
                spatial = views()
            with clock.stage("cross_time"):
                return times(spatial)
        with beside.run(lambda: times([])) as rest:
            with clock.stage("cross_view"):
                spatial = views()
            with clock.stage("cross_time"):  # what it takes longer than the other
                temporal = rest().temporal
        return Taps(spatial, temporal or spatial)

    def _encode(
        self, keys: list[Key], size: int, clock: StageClock, beside: Beside | None
    ) -> dict[Key, Encoded]:
        """Tokens and skip maps of all frames; new ones in batches of one a camera."""

        def make(part: list[Key]) -> Encoded:
            with clock.stage("preprocess"):
                images = self._loader.load(part, size)
            with clock.stage("encoder"):
                if beside is None or size == 1:
                    return self.model.encode(images)
                # a frame must give the same bits in either half
                half = size - size // 2
                second = filled(images[half:], half)
                with beside.run(lambda: self.model.encode(second), alike=True) as rest:
                    first = self.model.encode(images[:half])
                    return join([first, rest()])

        return self._encoded.take(keys, size, make)

    def _begin(
        self, grid: WindowGrid, keys: dict[Slot, Key], encoded: dict[Key, Encoded]
    ) -> dict[Slot, Start]:
        """What depends on each frame alone; the first is marked as the window's reference."""

        def make(part: list[Key], size: int, reference: bool) -> Start:
            patches = filled(torch.cat([encoded[key].tokens for key in part]), size)
            return self.model.begin(patches, grid.shape, reference=reference)

        size = grid.window_shape[1]
        first = keys[grid.reference]
        others = [key for slot, key in keys.items() if slot != grid.reference]
        found = self._started.take(others, size, lambda part: make(part, size, False))
        mark = self._reference.take([first], 1, lambda part: make(part, 1, True))
        return {s: mark[first] if s == grid.reference else found[key] for s, key in keys.items()}

    def _views_by_step(
        self,
        grid: WindowGrid,
        keys: dict[Slot, Key],
        started: dict[Slot, Start],
        valid: Tensor | None,
    ) -> list[Tensor]:
        """Taps of the space branch where no frame sees another step: kept step by step."""
        names: dict[int, tuple[object, ...]] = {
            step: (grid.reference[0] == step, *(keys.get((step, view)) for view in grid.views))
            for step in grid.steps
        }
        index = {name: grid.steps.index(step) for step, name in names.items()}
        shape = grid.shape._replace(steps=1)
        start = grid.assemble({slot: begun.spatial for slot, begun in started.items()})

        def make(part: list[tuple[object, ...]]) -> list[Tensor]:
            at = index[part[0]]
            within = pick(start, at * shape.views, shape.views)
            mask = None if valid is None else valid[:, at : at + 1]
            if None not in part[0] and not grid.is_fixed:
                mask = None  # whatever the other steps lack, a whole step gives the same bits
            return self.model.finish_views(within, shape, mask)

        made = self._steps.take(list(names.values()), 1, make)
        return join([made[name] for name in names.values()])

    def _used_rows(
        self, shape: GridShape, steps: tuple[int, ...], device: torch.device
    ) -> Tensor | None:
        key = (shape, steps)
        if key not in self._rows:
            if len(self._rows) >= MAX_ROWS:
                self._rows.clear()
            rows = self.model.used_rows(shape, steps)
            self._rows[key] = None if rows is None else rows.to(device)
        return self._rows[key]


class Seen(NamedTuple):
    """All that the heads see of a window."""

    encoded: Encoded  # only its skip maps matter, those of the steps ``held``
    taps: Taps
    shape: GridShape
    valid: Tensor | None
    held: tuple[int, ...]
    compared: tuple[Tensor, ...] | None  # skip maps of all frames, for pairs of them
    beside: Beside | None  # for heads that do not wait for one another


def _skips(
    grid: WindowGrid, maps: dict[Slot, tuple[Tensor, ...]], held: tuple[int, ...]
) -> tuple[Tensor, ...]:
    """Skip maps of the frames of some of the grid's own steps."""
    if not held or not next(iter(maps.values())):
        return ()
    return grid.assemble(maps, [grid.steps[step] for step in held])
