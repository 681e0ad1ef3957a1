# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Small networks and windows for the tests of the model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from vggt4d_ros.datatypes import DecodeError, Frame, FrameSet, LazyImage, Window
from vggt4d_ros.model.checkpoint import untrained
from vggt4d_ros.model.config import (
    CameraConfig,
    DenseConfig,
    EncoderConfig,
    ModelConfig,
    MotionConfig,
    tiny_motion,
)
from vggt4d_ros.model.vggt4d import VGGT4D


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """So many threads of torch inside."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def small_compact(**changes: object) -> ModelConfig:
    """The compact architecture at test size."""
    config = ModelConfig(
        name="small",
        img_size=64,
        patch_size=16,
        embed_dim=32,
        depth=2,
        num_heads=2,
        mlp_ratio=2.0,
        init_values=0.5,
        taps=(0, 1),
        alpha_init=1.0,
        encoder=EncoderConfig("stem", depth=1, num_heads=2, name="stem", channels=(8, 8, 16)),
        camera=CameraConfig(trunk_depth=1, num_heads=2, iterations=2, mlp_ratio=2.0),
        dense=DenseConfig("pyramid", features=16, out_channels=(8, 8, 16)),
        motion=MotionConfig(match_dim=16, feature_dim=8, hidden_dim=16, radius=2),
    )
    return replace(config, **changes)  # type: ignore[arg-type]


def small_full(**changes: object) -> ModelConfig:
    """``small_compact`` with all that the compact network compares frames by."""
    options = dict.fromkeys(("pairs", "mutual", "fine_matches", "sharp_matches", "sweep"), True)
    config = small_compact(**options, **changes)
    if config.motion is None:
        return config
    motion = replace(config.motion, choice=True, sharp_flow=True, wide_mask=True)
    return replace(config, motion=motion)


def lively(config: ModelConfig, seed: int = 0) -> VGGT4D:
    """A model whose every weight matters: random, none at its neutral start value."""
    model = untrained(config, seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if name.endswith("gamma"):
                parameter += 0.3  # a fresh residual branch hardly counts
            spread = {"relative_time_bias": 0.7, "camera_token": 0.5}.get(name.rpartition(".")[2])
            parameter += noise * (spread or (0.02 if parameter.ndim > 1 else 0.1))
    return model


def grid_images(
    model: VGGT4D, steps: int, views: int, *, batch: int = 1, size: tuple[int, int] = (2, 3)
) -> torch.Tensor:
    """Random images (B, T, V, 3, H, W) of ``size`` patches."""
    patch = model.config.patch_size
    generator = torch.Generator().manual_seed(7)
    shape = (batch, steps, views, 3, size[0] * patch, size[1] * patch)
    return torch.rand(shape, generator=generator)


CONFIGS = {"release-like": tiny_motion, "compact-like": small_compact}


def window(
    steps: int,
    sizes: list[tuple[int, int]],
    *,
    missing: frozenset[tuple[int, int]] = frozenset(),
    corrupt: frozenset[tuple[int, int]] = frozenset(),
    seed: int = 0,
) -> Window:
    """A window of random images, one (height, width) a camera."""
    rng = np.random.default_rng(seed)
    sets = []
    for step in range(steps):
        frames: list[Frame | None] = []
        for view, size in enumerate(sizes):
            pixels: NDArray[np.uint8] = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
            image = LazyImage.from_array(pixels)
            if (step, view) in corrupt:
                image = LazyImage(_fail)
            frames.append(None if (step, view) in missing else Frame(view, step * 10**8, image))
        sets.append(FrameSet(tuple(frames)))
    return Window(tuple(sets))


def _fail() -> NDArray[np.uint8]:
    raise DecodeError("corrupt", "not an image")
