# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a CUDA device changes: numbers a little, memory errors, where the weights are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from model_cases import lively, small_compact, window  # noqa: E402

from vggt4d_ros.benchmark_reference import NaiveReference, largest_differences  # noqa: E402
from vggt4d_ros.datatypes import Window  # noqa: E402
from vggt4d_ros.model import checkpoint  # noqa: E402
from vggt4d_ros.model.errors import OutOfMemory  # noqa: E402
from vggt4d_ros.model.predictor import Predictor  # noqa: E402
from vggt4d_ros.model.speed import Speed  # noqa: E402
from vggt4d_ros.model.stage_clock import StageClock  # noqa: E402
from vggt4d_ros.model.window_grid import WindowGrid  # noqa: E402

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
SIZES = [(48, 64)] * 3


def predictor(device: str, precision: str) -> Predictor:
    return Predictor(lively(small_compact()), device=device, precision=precision)


@pytest.mark.parametrize(("precision", "bound"), [("fp32", 2e-3), ("bf16", 0.05), ("fp16", 0.02)])
def test_gpu_says_what_the_cpu_says(precision: str, bound: float) -> None:
    shown = window(3, SIZES, missing=frozenset({(1, 2)}))

    ours = predictor("cuda", precision).predict(shown)
    exact = predictor("cpu", "fp32").predict(shown)

    assert np.array_equal(ours.valid, exact.valid)
    for slot, frame in exact.frames.items():
        ratio = ours.frames[slot].depth / frame.depth
        assert np.abs(np.log(ratio)).max() < bound
    difference = ours.cam_from_world[ours.valid] - exact.cam_from_world[exact.valid]
    assert np.abs(difference).max() < bound


def test_reused_tokens_on_a_gpu_equal_fresh_ones() -> None:
    kept = predictor("cuda", "fp32")
    long = window(5, SIZES)

    for start in range(3):
        shown = Window(long.sets[start : start + 3], start)
        reused, fresh = kept.predict(shown), predictor("cuda", "fp32").predict(shown)
        for slot, frame in fresh.frames.items():
            np.testing.assert_array_equal(reused.frames[slot].depth, frame.depth)


@pytest.mark.parametrize("compiled", [False, True])
def test_sliding_windows_on_a_gpu_give_what_whole_windows_give(compiled: bool) -> None:
    sliding = Predictor(
        lively(small_compact()), device="cuda", precision="fp32", speed=Speed(compile=compiled)
    )
    naive = NaiveReference(lively(small_compact()).cuda(), "fp32", 64)
    missing = frozenset({(2, 1), (3, 0)})
    long = window(7, SIZES, missing=missing)

    for start in range(4):
        shown = Window(long.sets[start : start + 4], start)
        found = sliding.predict(shown)
        errors = largest_differences(found, naive.predict(shown))
        assert errors["slots"] == 0
        assert errors["depth"] < 1e-2
        assert errors["rotation_deg"] < 0.1
        assert all(value > 0 for value in found.stage_ms.values())


def test_automatic_choice_takes_the_gpu() -> None:
    assert predictor("auto", "auto").device.type == "cuda"


def test_window_that_does_not_fit_is_typed_and_a_smaller_one_runs() -> None:
    small = predictor("cuda", "fp32")
    shown = window(2, SIZES)
    small.predict(shown)
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(torch.cuda.memory_reserved() / total + 1e-6)
    try:
        large = Predictor(lively(small_compact()), device="cuda", image_size=512)
        with pytest.raises(OutOfMemory, match="out of memory"):
            large.predict(window(8, [(512, 512)] * 6))
    except OutOfMemory:
        pytest.skip("not even the second model fits")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)

    assert small.predict(shown).valid.all()


def test_checkpoint_goes_to_the_device_in_its_precision(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path / "small.safetensors", lively(small_compact()))

    model = checkpoint.build(checkpoint.read(path), "bf16", torch.device("cuda"))

    assert {tensor.device.type for tensor in model.state_dict().values()} == {"cuda"}
    assert model.mean.device.type == "cuda"
    assert model.cross_view_global_fusion.frame_blocks[0].attn.qkv.weight.dtype == torch.bfloat16


def test_bf16_attention_with_missing_frames_uses_a_fused_kernel() -> None:
    from torch.nn.attention import SDPBackend, sdpa_kernel

    from vggt4d_ros.model.layers import attend

    query, key, value = (
        torch.randn(1, 2, 64, 64, device="cuda", dtype=torch.bfloat16) for _ in "qkv"
    )
    bias = torch.zeros(1, 1, 64, 1, device="cuda")
    bias[:, :, 32:] = -1e4

    with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION]):
        found = attend(query, key, value, bias.new_ones(1, 1, 1, 1), bias)

    expected = torch.nn.functional.scaled_dot_product_attention(
        query, key[:, :, :32], value[:, :, :32]
    )
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0.02)


def test_nothing_waits_for_the_gpu_before_the_heads() -> None:
    engine, long = predictor("cuda", "bf16"), window(4, SIZES, missing=frozenset({(2, 1)}))
    engine.predict(Window(long.sets[:3], 0))
    grid = WindowGrid(Window(long.sets[1:], 1), 64, 16)
    clock = StageClock(engine.device)

    torch.cuda.set_sync_debug_mode("error")
    try:
        with torch.inference_mode():
            engine.trunk.run(grid, (2,), "all", clock)
    finally:
        torch.cuda.set_sync_debug_mode("default")

    clock.wait()
    assert clock.stages["cross_view"] > 0


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="one GPU")
def test_the_second_gpu_says_what_the_first_says() -> None:
    first, second = (predictor(f"cuda:{index}", "fp32") for index in (0, 1))

    for shown in (window(3, SIZES, seed=seed) for seed in range(3)):
        found, wanted = second.predict(shown), first.predict(shown)
        for slot, frame in wanted.frames.items():
            np.testing.assert_allclose(found.frames[slot].depth, frame.depth, rtol=1e-4)
        assert all(value > 0 for value in found.stage_ms.values())
