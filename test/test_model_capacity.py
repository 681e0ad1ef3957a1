# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The memory estimate: near what is really allocated, and the window it allows."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from model_cases import lively, small_compact, small_full, tiny_motion  # noqa: E402

from vggt4d_ros.benchmark_windows import sliding_windows  # noqa: E402
from vggt4d_ros.model.capacity import free_memory, largest_steps, window_bytes  # noqa: E402
from vggt4d_ros.model.config import ModelConfig, compact, release  # noqa: E402
from vggt4d_ros.model.grid import GridShape  # noqa: E402
from vggt4d_ros.model.predictor import Predictor  # noqa: E402


def allocated(predictor: Predictor, steps: int, views: int) -> int:
    """The most bytes of tensors alive at once in a window, weights not counted."""
    source = sliding_windows(steps, views, (48, 64))
    predictor.predict(next(source))
    shown = next(source)
    activity = torch.profiler.ProfilerActivity.CPU
    with torch.profiler.profile(activities=[activity], profile_memory=True) as seen:
        predictor.predict(shown)
    now = most = 0
    for event in sorted(seen.profiler.kineto_results.events(), key=lambda e: e.start_ns()):
        if event.name() == "[memory]":
            now += event.nbytes()
            most = max(most, now)
    return most


@pytest.mark.parametrize(
    "config",
    [
        small_compact(),
        tiny_motion(),
        small_compact(pairs=True, img_size=192),
        small_full(img_size=192),
    ],
    ids=["stem", "dpt", "pairs", "sweep"],
)
def test_estimate_is_near_what_is_allocated(config: ModelConfig) -> None:
    predictor = Predictor(lively(config), device="cpu")
    patch = config.patch_size
    height, width = (round(48 / 64 * config.img_size / patch), config.img_size // patch)
    shape = GridShape(1, 8, 3, height, width)

    estimate = window_bytes(config, shape, element=4, dense_steps=1)
    real = allocated(predictor, 8, 3)

    assert real / 2.5 < estimate < 4 * real


def test_memory_decides_how_many_steps_fit() -> None:
    shape = GridShape(1, 1, 4, 28, 37)
    one, eight = (window_bytes(release(), shape._replace(steps=n), element=2) for n in (1, 8))

    assert largest_steps(release(), shape, element=2, free=int(eight / 0.89)) == 8
    assert largest_steps(release(), shape, element=2, free=int(eight / 0.91)) == 7
    assert largest_steps(release(), shape, element=2, free=one // 2) == 0
    assert eight > one


def test_release_needs_gigabytes_and_compact_does_not() -> None:
    # 16 frames: four taps a branch of 2 x 1024 floats for 1041 tokens alone are 1.09 GB
    assert 2e9 < window_bytes(release(), GridShape(1, 4, 4, 28, 37), element=2) < 8e9
    assert window_bytes(compact(), GridShape(1, 4, 4, 8, 10), element=4) < 0.3e9


def test_engine_says_what_fits_into_this_machine() -> None:
    predictor = Predictor(lively(small_compact()), device="cpu")

    assert free_memory(torch.device("cpu")) > 2**20
    assert predictor.largest_window(2) == 64
