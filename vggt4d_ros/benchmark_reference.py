# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What ``vggt4d bench model`` compares with: each window whole, as the released code runs it.

Nothing is kept from the window before: every frame is scaled and encoded anew, every layer sees
every frame, all heads decode all frames, in float32 over float32 weights that autocast rounds on
each use. Only the attention kernels are the package's own (the release gathers the keys of the
temporal attention and gives it a mask, which is slower). For the benchmark alone.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from vggt4d_ros.datatypes import FramePrediction, Prediction, Window
from vggt4d_ros.model.model_output import ModelOutput
from vggt4d_ros.model.outcome import to_prediction
from vggt4d_ros.model.precision import DTYPES
from vggt4d_ros.model.preprocess import Pixels, pad_to, resample, to_rgb
from vggt4d_ros.model.stage_clock import StageClock
from vggt4d_ros.model.vggt4d import VGGT4D
from vggt4d_ros.model.window_grid import Slot, WindowGrid


class NaiveReference:
    """Predicts windows with nothing saved.

    Args:
        model: float32, on its device.
        precision: of the trunk's arithmetic.
        image_size: longer side of the network's image, pixels.
    """

    def __init__(self, model: VGGT4D, precision: str, image_size: int) -> None:
        self.model = model.requires_grad_(False)
        self.device = next(model.parameters()).device
        self._dtype = DTYPES[precision]
        self._size = image_size

    def predict(self, window: Window, meter: Callable[[], float] | None = None) -> Prediction:
        """The outputs of the newest step, as ``Predictor.predict`` gives them, and points."""
        clock = StageClock(self.device, meter)
        with torch.inference_mode():
            with clock.stage("preprocess"):
                grid = WindowGrid(window, self._size, self.model.config.patch_size)
                images = self._images(grid)
            output = self._forward(images, grid, clock)
            clock.wait()
            with clock.stage("postprocess"):
                every = tuple(grid.steps)
                return to_prediction(output, grid, every, every[-1:], clock.stages)

    def _images(self, grid: WindowGrid) -> torch.Tensor:
        """All frames of the grid (T, V, 3, H, W), black where one is missing."""
        return torch.stack(
            [torch.stack([self._image(grid, (s, v)) for v in grid.views]) for s in grid.steps]
        )

    def _image(self, grid: WindowGrid, slot: Slot) -> torch.Tensor:
        if slot not in grid.frames:
            return torch.zeros(3, *grid.size, device=self.device)
        placement = grid.placements[slot]
        pixels: Pixels = to_rgb(grid.frames[slot].image.rgb())
        pixels = resample(pixels, placement.height, placement.width)
        pixels = pad_to(pixels, placement.total_height, placement.total_width)
        image = torch.from_numpy(np.ascontiguousarray(pixels)).to(self.device)
        return image.permute(2, 0, 1).float() / 255

    def _forward(self, images: torch.Tensor, grid: WindowGrid, clock: StageClock) -> ModelOutput:
        model, shape, valid = self.model, grid.shape, grid.mask(self.device)
        trunk = torch.autocast(
            self.device.type, self._dtype, enabled=self._dtype is not torch.float32
        )
        with trunk:
            with clock.stage("encoder"):
                encoded = model.encode(images.flatten(0, 1))
                tokens = model.cross_view_global_fusion.add_specials(encoded.tokens, shape, valid)
            with clock.stage("cross_view"):
                spatial = model.fuse_views(tokens, shape, valid)
            with clock.stage("cross_time"):
                taps = model.fuse_steps(tokens, spatial, shape, valid)
        with clock.stage("heads"):
            steps = tuple(range(shape.steps))
            return model.apply_heads(encoded, taps, shape, valid, steps=steps, points=True)


def largest_differences(found: Prediction, wanted: Prediction) -> dict[str, float]:
    """The largest error of each output that both hold.

    Relative for depth, points and their confidences; degrees for rotations; camera pixels for
    flow; absolute for probabilities; relative to the largest distance between cameras for
    translations. ``slots`` counts those that only one of them holds valid.
    """
    both = found.valid & wanted.valid
    errors = {"slots": float((found.valid != wanted.valid).sum())}
    ours, theirs = found.cam_from_world[both], wanted.cam_from_world[both]
    turn = np.einsum("nij,nkj->nik", ours[:, :3, :3], theirs[:, :3, :3])
    skew = np.stack([turn[:, i, j] - turn[:, j, i] for i, j in ((2, 1), (0, 2), (1, 0))], -1)
    errors["rotation_deg"] = _largest(
        np.degrees(np.arcsin(np.minimum(np.linalg.norm(skew, axis=-1) / 2, 1.0)))
    )
    span = max(_largest(theirs[:, :3, 3] - theirs[:1, :3, 3]), 1e-6)
    errors["translation"] = _largest((ours - theirs)[:, :3, 3]) / span
    for slot, frame in found.frames.items():
        if slot in wanted.frames:
            for name, error in _frame_errors(frame, wanted.frames[slot]):
                errors[name] = max(errors.get(name, 0.0), error)
    return errors


def _frame_errors(found: FramePrediction, wanted: FramePrediction) -> list[tuple[str, float]]:
    errors = []
    for name in FramePrediction.__dataclass_fields__:
        ours, theirs = getattr(found, name), getattr(wanted, name)
        if ours is None or theirs is None:
            continue
        difference = ours - theirs
        if name in ("depth", "depth_confidence", "points", "points_confidence"):
            difference = difference / np.maximum(np.abs(theirs), 1e-3)
        errors.append((name, _largest(difference)))
    return errors


def _largest(values: NDArray[np.floating]) -> float:
    return float(np.nanmax(np.abs(values), initial=0.0))
