# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The part of a window that holds images, as a grid for the network."""

from __future__ import annotations

import math
from typing import TypeVar

import torch
from torch import Tensor

from vggt4d_ros.datatypes import DecodeError, Frame, Window
from vggt4d_ros.model.batch_cache import blank, join
from vggt4d_ros.model.fetch import send
from vggt4d_ros.model.grid import GridShape
from vggt4d_ros.model.preprocess import Placement, fitted_size, place

Slot = tuple[int, int]  # (step, view) of the window
V = TypeVar("V")


class WindowGrid:
    """Frames that decode, where they lie in the common network image, and the grid they span.

    Steps at both ends and cameras that hold no image are left out. An empty step in between
    stays: it is a distance in time. ``reasons`` says why a slot holds no image.

    Args:
        window: what is to be shown.
        target: longer side of the network's image, pixels.
        patch: both sides are multiples of it.
        known: sizes of the cameras' images in the network's, by view, of earlier windows; this
            window's are added. The grid then always is as large as the window, and its image as
            the largest of them needs, so that no shape changes when cameras come and go.
    """

    def __init__(
        self,
        window: Window,
        target: int,
        patch: int,
        known: dict[int, tuple[int, int]] | None = None,
    ) -> None:
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
        seen = list(fitted.values())
        if known is not None:
            known |= {view: size for (_, view), size in fitted.items()}
            seen = list(known.values())
        self.size = tuple(max((size[i] for size in seen), default=0) for i in (0, 1))
        total = (self.size[0], self.size[1])
        self.placements: dict[Slot, Placement] = {
            slot: place(*sizes[slot], size, total) for slot, size in fitted.items()
        }
        used = [step for step, _ in fitted]
        self.steps = list(range(min(used), max(used) + 1)) if used else []
        self.views = sorted({view for _, view in fitted})
        self.is_fixed = known is not None  # shapes do not depend on which frames are there
        if self.is_fixed:
            self.steps, self.views = list(range(steps)), list(range(views))

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
        """(1, T', V') bool; None where every slot holds an image, unless shapes are fixed."""
        valid = [[(step, view) in self.frames for view in self.views] for step in self.steps]
        if all(map(all, valid)) and not self.is_fixed:
            return None
        return send(torch.tensor([valid]), device)

    def known_views(self, device: torch.device) -> Tensor | None:
        """(1, T', V', 2) fields of view as in pose encodings, NaN where not known; None: nowhere.

        Of the network's image, as a camera without distortion has it. That of a fisheye lens is
        left open: no pinhole has it.
        """
        values = torch.full((len(self.steps), len(self.views), 2), math.nan)
        for slot, frame in self.frames.items():
            model = frame.model
            if model is not None and model.distortion_model != "equidistant":
                at = self.placements[slot]
                wide = at.total_width / 2 / at.scale_x * model.width / at.camera_width
                high = at.total_height / 2 / at.scale_y * model.height / at.camera_height
                values[self.index(slot)] = torch.tensor(
                    [2 * math.atan(high / model.fy), 2 * math.atan(wide / model.fx)]
                )
        if not values.isfinite().any():
            return None
        return send(values[None], device)

    def assemble(self, values: dict[Slot, V], steps: list[int] | None = None) -> V:
        """What was made of each frame (batches of one) as one batch, zeros for missing frames.

        ``steps`` are those of the window that are wanted; None: all of the grid.
        """
        missing = blank(next(iter(values.values())))
        slots = [(step, view) for step in steps or self.steps for view in self.views]
        return join([values.get(slot, missing) for slot in slots])
