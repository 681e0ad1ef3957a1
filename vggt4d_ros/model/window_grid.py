# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The part of a window that holds images, as a grid for the network."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

from vggt4d_ros.datatypes import DecodeError, Frame, Window
from vggt4d_ros.model.batch_cache import blank, join
from vggt4d_ros.model.grid import GridShape
from vggt4d_ros.model.preprocess import Placement, fitted_size, place

Slot = tuple[int, int]  # (step, view) of the window
V = TypeVar("V")


class WindowGrid:
    """Frames that decode, where they lie in the common network image, and the grid they span.

    Steps at both ends and cameras that hold no image are left out. An empty step in between
    stays: it is a distance in time. ``reasons`` says why a slot holds no image.
    """

    def __init__(self, window: Window, target: int, patch: int) -> None:
        self.reasons: dict[Slot, str] = {}
        self.frames: dict[Slot, Frame] = {}
        self.window_shape = window.shape
        self._patch = patch
        sizes: dict[Slot, tuple[int, int]] = {}
        steps, views = window.shape
        for slot in ((step, view) for step in range(steps) for view in range(views)):
            frame = window.frame(*slot)
            if frame is None:
                self.reasons[slot] = "missing"
                continue
            try:
                height, width = frame.image.rgb().shape[:2]
            except DecodeError as error:
                self.reasons[slot] = f"not decoded: {error.cause}"
                continue
            self.frames[slot] = frame
            sizes[slot] = (height, width)
        fitted = {slot: fitted_size(*size, target, patch) for slot, size in sizes.items()}
        self.size = tuple(max((size[i] for size in fitted.values()), default=0) for i in (0, 1))
        total = (self.size[0], self.size[1])
        self.placements: dict[Slot, Placement] = {
            slot: place(*sizes[slot], size, total) for slot, size in fitted.items()
        }
        used = [step for step, _ in fitted]
        self.steps = list(range(min(used), max(used) + 1)) if used else []
        self.views = sorted({view for _, view in fitted})

    @property
    def reference(self) -> Slot:
        """The frame whose camera is the network's world."""
        return next(iter(self.frames))

    @property
    def shape(self) -> GridShape:
        """Shape for the network, one window."""
        height, width = self.size[0] // self._patch, self.size[1] // self._patch
        return GridShape(1, len(self.steps), len(self.views), height, width)

    def index(self, slot: Slot) -> Slot:
        """Where a slot of the window is in this grid."""
        return slot[0] - self.steps[0], self.views.index(slot[1])

    def mask(self, device: torch.device) -> Tensor | None:
        """(1, T', V') bool; None where every slot holds an image."""
        valid = [[(step, view) in self.frames for view in self.views] for step in self.steps]
        return None if all(map(all, valid)) else torch.tensor([valid], device=device)

    def assemble(self, values: dict[Slot, V], steps: list[int] | None = None) -> V:
        """What was made of each frame (batches of one) as one batch, zeros for missing frames.

        ``steps`` are those of the window that are wanted; None: all of the grid.
        """
        missing = blank(next(iter(values.values())))
        slots = [(step, view) for step in steps or self.steps for view in self.views]
        return join([values.get(slot, missing) for slot in slots])
