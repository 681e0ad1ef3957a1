# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The windows of each training step: a function of configuration and step alone.

So a run that is taken up again sees what it would have seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from vggt4d_ros.data.scenes import BOLD, FLYING, FURNISHED, SceneConfig
from vggt4d_ros.data.synthetic import SyntheticWindows
from vggt4d_ros.data.windows import WindowBatch
from vggt4d_ros.train.config import Phase, TrainConfig, TrainConfigError


def training_batch(config: TrainConfig, step: int, part: int = 0) -> WindowBatch:
    """Renders the batch of one step.

    Args:
        config: the run.
        step: from 0.
        part: which of the batches that are accumulated, or which process.
    """
    source_step = step - step % config.replay
    phase = config.phase(source_step)
    rng = np.random.default_rng([config.seed, source_step, part])
    grids = phase.pose_grids if phase.is_pose_step(source_step) else phase.grids
    steps, views = grids[grid := int(rng.integers(len(grids)))]
    height, width = phase.sizes[int(rng.integers(len(phase.sizes)))]
    room = phase.most_pixels // (height * width) if phase.most_pixels else steps * views
    if steps * views > room:
        smaller = [(t, v) for t, v in grids if t * v <= room]
        if not smaller:
            raise TrainConfigError(
                f"most_pixels: {phase.most_pixels} are too few for any grid of {list(grids)} at "
                f"{height}x{width}"
            )
        steps, views = smaller[grid % len(smaller)]
    kind = _scene_kind(phase, float(rng.random()), phase.is_pose_step(source_step))
    scenes = replace(kind, drop_share=phase.drop_share, speed=phase.speed)
    # grids of few frames come in larger batches: about the same work at every step
    most = max(t * v for t, v in grids)
    count = max(1, round(phase.batch * most / (steps * views)))
    if phase.most_pixels:
        count = min(count, room // (steps * views))
    first = (source_step * 64 + part) * 64
    source = SyntheticWindows(scenes, config.seed, config.device)
    return source.batch(range(first, first + count), steps, views, height, width)


def _scene_kind(phase: Phase, chance: float, pose_step: bool) -> SceneConfig:
    """What a batch shows, by a number in [0, 1)."""
    shares = (phase.bold_share, phase.furnished_share, 0.0 if pose_step else phase.flying_share)
    for share, kind in zip(shares, (BOLD, FURNISHED, FLYING), strict=True):
        if chance < share:
            return kind
        chance -= share
    return SceneConfig()


def is_calibrated(config: TrainConfig, step: int) -> bool:
    """Whether the network is told the fields of view at this step."""
    share = config.phase(step).calibrated_share
    return bool(np.random.default_rng([config.seed, step, 1]).random() < share)


def vary(batch: WindowBatch, generator: torch.Generator) -> WindowBatch:
    """Another look at the same windows: mirrored left to right, colours mixed anew."""
    count = batch.shape[0]
    mixing = torch.eye(3) + 0.25 * torch.randn(count, 3, 3, generator=generator)
    mixing = mixing / mixing.sum(-1, keepdim=True).clamp(min=0.3)
    gain = torch.empty(count, 1, 1, 1, 1, 1).uniform_(0.8, 1.2, generator=generator)
    images = torch.einsum("bij,btvjhw->btvihw", mixing.to(batch.images), batch.images)
    batch = replace(batch, images=(images * gain.to(images)).clamp(0, 1))
    if torch.rand((), generator=generator) < 0.5:
        batch = mirror(batch)
    return batch


def mirror(batch: WindowBatch) -> WindowBatch:
    """The windows seen in a mirror: x of pixels, points and poses changes its sign."""
    flipped: dict[str, Any] = {}
    for name in batch.__dataclass_fields__:
        value = getattr(batch, name)
        if not isinstance(value, torch.Tensor) or value.dim() < 5 or "tracks" in name:
            continue
        if name in ("cam_from_world", "intrinsics"):
            continue
        axis = -1 if name == "images" or value.dim() == 5 else -2
        flipped[name] = value.flip(axis)
    sign = torch.tensor([-1.0, 1.0, 1.0, 1.0]).to(batch.images)
    for name in ("flow_forward", "flow_backward"):
        flipped[name] = flipped[name] * sign[:2]
    flipped["scene_flow"] = flipped["scene_flow"] * sign[:3]
    flipped["cam_from_world"] = batch.cam_from_world * sign[:, None] * sign
    intrinsics = batch.intrinsics.clone()
    intrinsics[..., 0, 2] = batch.shape[-1] - 1 - intrinsics[..., 0, 2]
    if batch.queries is not None and batch.tracks is not None:
        last = batch.shape[-1] - 1
        flipped["queries"] = batch.queries * batch.queries.new_tensor([1, 1, 1, -1])
        flipped["queries"][..., 3] += last
        flipped["tracks"] = batch.tracks * sign[:2]
        flipped["tracks"][..., 0] += last
    return replace(batch, **flipped, intrinsics=intrinsics)


def batch_at(
    config: TrainConfig, step: int, kept: WindowBatch | None, part: int = 0
) -> WindowBatch:
    """The batch of a step, from the one rendered last where it is to be used again."""
    if kept is None or step % config.replay == 0:
        kept = training_batch(config, step, part)
    return kept


def presented(config: TrainConfig, step: int, kept: WindowBatch) -> WindowBatch:
    """How a kept batch is shown at this step."""
    if step % config.replay == 0:
        return kept
    generator = torch.Generator().manual_seed(config.seed * 1_000_003 + step)
    return vary(kept, generator)


def held_out(
    config: TrainConfig, count: int, grid: tuple[int, int], size: tuple[int, int], batch: int = 4
) -> Iterator[WindowBatch]:
    """The first ``count`` held-out windows, always the same; the seed is not that of training."""
    source = SyntheticWindows(SceneConfig(), config.held_out_seed, config.device)
    for first in range(0, count, batch):
        yield source.batch(range(first, min(first + batch, count)), *grid, *size)
