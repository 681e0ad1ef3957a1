# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Windows of which the truth is known, as the node would see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.datatypes import Array, CameraModel, Frame, FrameSet, LazyImage, Rig, Window
from vggt4d_ros.evaluation.sources import FrameTruth
from vggt4d_ros.geometry import se3
from vggt4d_ros.geometry.pinhole import model_from_matrix

if TYPE_CHECKING:
    from vggt4d_ros.data.readers.recording import RawFrame, Recording
    from vggt4d_ros.data.windows import WindowBatch

Slot = tuple[int, int]  # (step, view)
STEP_NS = 100_000_000


@dataclass(frozen=True, slots=True, eq=False)
class KnownWindow:
    """A window and what is true of its frames."""

    window: Window
    rig: Rig  # the base is the first camera whose place is known
    truth: dict[Slot, FrameTruth]
    metric: bool  # lengths are metres

    def rgb(self, slot: Slot) -> NDArray[np.uint8]:
        """The image (H, W, 3) of a slot that holds a frame."""
        return self._frame(slot).image.rgb()

    def model(self, slot: Slot) -> CameraModel | None:
        """The intrinsics of a slot that holds a frame."""
        return self._frame(slot).model

    def _frame(self, slot: Slot) -> Frame:
        frame = self.window.frame(*slot)
        if frame is None:
            raise ValueError(f"no frame in slot {slot}")
        return frame


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """One frame on its way into a window."""

    rgb: NDArray[np.uint8]
    model: CameraModel | None
    truth: FrameTruth


def window_of_batch(batch: WindowBatch, row: int) -> KnownWindow:
    """One window of a rendered batch; images become 8-bit, as a camera gives them."""
    _, steps, views, _, _ = batch.shape
    grid: list[list[_Known | None]] = [[None] * views for _ in range(steps)]
    for step, view in np.ndindex(steps, views):
        if bool(batch.valid[row, step, view]):
            grid[step][view] = _frame_of_batch(batch, row, step, view)
    return _assemble(grid, batch.metric)


def window_of_recording(recording: Recording, steps: Sequence[int]) -> KnownWindow:
    """These steps of all cameras, at the cameras' own resolution."""
    grid: list[list[_Known | None]] = []
    for step in steps:
        frames = [recording.read(step, view) for view in range(len(recording.cameras))]
        grid.append([None if frame is None else _frame_of_recording(frame) for frame in frames])
    return _assemble(grid, recording.metric)


def _assemble(grid: list[list[_Known | None]], metric: bool) -> KnownWindow:
    # a step without any frame is none to the node either
    kept = [(number, row) for number, row in enumerate(grid) if any(f is not None for f in row)]
    sets, truth = [], {}
    for step, (number, row) in enumerate(kept):
        frames: list[Frame | None] = []
        for view, known in enumerate(row):
            if known is None:
                frames.append(None)
                continue
            image = LazyImage.from_array(known.rgb)
            frames.append(Frame(view, number * STEP_NS, image, f"camera_{view}", known.model))
            truth[step, view] = known.truth
        sets.append(FrameSet(tuple(frames)))
    views = len(grid[0])
    return KnownWindow(Window(tuple(sets)), _rig(truth, views), truth, metric)


def _rig(truth: dict[Slot, FrameTruth], views: int) -> Rig:
    """Extrinsics by the first step that shows each camera together with the first one."""
    base_from_cam: list[Array | None] = [None] * views
    placed = {slot: t.world_from_cam for slot, t in truth.items() if t.world_from_cam is not None}
    if not placed:
        return Rig(tuple(base_from_cam))
    base = min(view for _, view in placed)
    for (step, view), world_from_cam in sorted(placed.items()):
        world_from_base = placed.get((step, base))
        if world_from_base is not None and base_from_cam[view] is None:
            base_from_cam[view] = se3.inverse(world_from_base) @ world_from_cam
    return Rig(tuple(base_from_cam))


def _frame_of_batch(batch: WindowBatch, row: int, step: int, view: int) -> _Known:
    def take(name: str) -> NDArray[np.generic]:
        value: NDArray[np.generic] = getattr(batch, name)[row, step, view].cpu().numpy()
        return value

    def masked(name: str) -> NDArray[np.float32]:
        values, valid = take(name), take(f"{name}_valid")
        valid = valid.reshape(valid.shape + (1,) * (values.ndim - valid.ndim))
        return np.where(valid, values, np.nan).astype(np.float32)

    rgb = np.round(take("images").astype(np.float32) * 255).astype(np.uint8).transpose(1, 2, 0)
    height, width = rgb.shape[:2]
    is_placed = bool(take("pose_valid"))
    model = model_from_matrix(take("intrinsics").astype(np.float64), width, height)
    truth = FrameTruth(
        depth=masked("depth"),
        flow_forward=masked("flow_forward"),
        flow_backward=masked("flow_backward"),
        occluded_forward=take("occluded_forward").astype(bool),
        dynamic=take("dynamic").astype(bool) if take("dynamic_valid").all() else None,
        world_from_cam=_rigid_inverse(take("cam_from_world")) if is_placed else None,
        step=step,
    )
    return _Known(np.ascontiguousarray(rgb), model if is_placed else None, truth)


def _frame_of_recording(frame: RawFrame) -> _Known:
    height, width = frame.rgb.shape[:2]
    model, world_from_cam = None, None
    if frame.intrinsics is not None:
        model = model_from_matrix(frame.intrinsics, width, height)
        if frame.cam_from_world is not None:
            world_from_cam = _rigid_inverse(frame.cam_from_world)
    return _Known(frame.rgb, model, truth_of_raw(frame, world_from_cam))


def truth_of_raw(frame: RawFrame, world_from_cam: Array | None) -> FrameTruth:
    """What a recording knows of an image, with the pose in the world that the caller means."""
    return FrameTruth(
        depth=frame.depth,
        sparse=frame.sparse,
        flow_forward=frame.flow_forward,
        flow_backward=frame.flow_backward,
        occluded_forward=frame.occluded_forward,
        dynamic=frame.dynamic,
        world_from_cam=world_from_cam,
    )


def _rigid_inverse(pose: NDArray[np.generic]) -> Array:
    """The inverse of a (4, 4) that was stored as float32 or as text, exactly rigid."""
    rigid = pose.astype(np.float64)
    rigid[:3, :3] = se3.nearest_rotation(rigid[:3, :3])
    return se3.inverse(rigid)
