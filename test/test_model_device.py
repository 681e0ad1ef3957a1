# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What would go wrong on a GPU and can be seen without one: devices, waits, global settings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")

from model_cases import lively, small_compact, small_full, tiny_motion, window  # noqa: E402

from vggt4d_ros.model import capacity, predictor, window_grid  # noqa: E402
from vggt4d_ros.model.config import ModelConfig  # noqa: E402
from vggt4d_ros.model.errors import OutOfMemory  # noqa: E402
from vggt4d_ros.model.fetch import send  # noqa: E402
from vggt4d_ros.model.precision import cast_trunk  # noqa: E402
from vggt4d_ros.model.predictor import Predictor  # noqa: E402
from vggt4d_ros.model.speed import (  # noqa: E402
    COMPILED,
    cast_heads,
    compile_stages,
    float32_products,
    forget_compiled,
)
from vggt4d_ros.model.stage_clock import StageClock  # noqa: E402
from vggt4d_ros.model.trunk import Trunk  # noqa: E402
from vggt4d_ros.model.vggt4d import VGGT4D  # noqa: E402
from vggt4d_ros.model.window_grid import WindowGrid  # noqa: E402

CUDA = torch.device("cuda")
NOWHERE = torch.device("meta")  # has shapes and types, no values, and does not mix with others
CASES = {
    "compact-like": (small_full(), "bf16"),
    "release-like": (tiny_motion(), "fp16"),
    "step-scope": (small_compact(cross_view_scope="step"), "fp32"),
}


class NoImages:
    """Images that are on no device."""

    def load(self, frames: Sequence[tuple[object, object]], size: int) -> object:
        placement = frames[0][1]
        return torch.empty(size, 3, placement.total_height, placement.total_width, device=NOWHERE)


@pytest.mark.parametrize(("config", "precision"), CASES.values(), ids=CASES)
def test_all_happens_on_the_networks_device_and_no_value_is_looked_at(
    config: ModelConfig, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window_grid, "send", lambda tensor, device: tensor.to(device))
    with NOWHERE:
        model = VGGT4D(config).eval()
    model.restore_constants()
    head_precision = "bf16" if precision == "bf16" else "fp32"
    model = cast_heads(cast_trunk(model, precision), head_precision).to(NOWHERE)
    trunk = Trunk(model, NoImages())  # type: ignore[arg-type]

    # shapes that change with what is there, and that do not
    for missing, known in ((frozenset(), None), (frozenset({(0, 0), (2, 1)}), {})):
        shown = window(3, [(48, 64)] * 2, missing=missing)
        grid = WindowGrid(shown, config.img_size, config.patch_size, known)
        with torch.inference_mode():
            seen = trunk.run(grid, (1, 2), "all", StageClock(torch.device("cpu")))
            found = model.apply_heads(
                seen.encoded,
                seen.taps,
                seen.shape,
                seen.valid,
                steps=(1, 2),
                points=True,
                held=seen.held,
                compared=seen.compared,
            )
        assert found.depth.device == NOWHERE
        assert found.depth.shape[:3] == (1, 2, 2)
        # what is summed up, compared or given away stays float32
        assert {x.dtype for x in (found.depth, *found.pose_enc)} == {torch.float32}


def test_tf32_is_decided_without_turning_cudnn_off() -> None:
    before = (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32)

    for precision, allowed in (("fp32", False), ("tf32", True)):
        with float32_products(CUDA, precision):
            assert torch.backends.cudnn.enabled
            assert torch.backends.cudnn.allow_tf32 == allowed
            assert torch.get_float32_matmul_precision() == ("high" if allowed else "highest")

    assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == before


def test_every_window_runs_with_its_own_gpu_as_the_current_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entered: list[object] = []

    @contextmanager
    def note(device: object) -> Iterator[None]:
        entered.append(device)
        yield

    monkeypatch.setattr(torch.cuda, "device", note)
    with predictor.current_device(torch.device("cuda:1")):
        assert entered == [torch.device("cuda:1")]
    with predictor.current_device(torch.device("cpu")):
        assert len(entered) == 1
    monkeypatch.setattr(predictor, "current_device", note)
    engine = Predictor(lively(small_compact()), device="cpu")
    entered.clear()

    engine.predict(window(1, [(48, 64)]))

    assert entered == [torch.device("cpu")]


def test_what_is_sent_is_equal() -> None:
    tensor = torch.tensor([[True, False]])

    assert torch.equal(send(tensor, torch.device("cpu")), tensor)


@pytest.mark.parametrize(
    "words",
    [
        "CUDA error: out of memory\nCUDA kernel errors might be reported later",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory",
    ],
)
def test_memory_that_ran_out_in_a_library_is_typed_too(
    words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Predictor(lively(small_compact()), device="cpu")

    def full(*_: object) -> None:
        raise RuntimeError(words)

    monkeypatch.setattr(engine.model, "finish_views", full)

    with pytest.raises(OutOfMemory):
        engine.predict(window(1, [(48, 64)]))


def test_a_stage_may_be_compiled_for_every_rung_of_the_deadline() -> None:
    limits = torch._dynamo.config
    before = limits.recompile_limit
    model = lively(small_compact())
    try:
        compile_stages(model, torch.device("cpu"), backend="eager")
        assert limits.recompile_limit >= 64
        limits.recompile_limit = 1000
        compile_stages(model, torch.device("cpu"), backend="eager")
        assert limits.recompile_limit == 1000  # what somebody chose is not lowered
    finally:
        limits.recompile_limit = before

    assert set(COMPILED) <= model.__dict__.keys()
    forget_compiled(model)
    assert not set(COMPILED) & model.__dict__.keys()


@pytest.mark.parametrize(("is_integrated", "expected"), [(True, 7000 + 30), (False, 500 + 30)])
def test_a_gpu_that_shares_the_machines_memory_counts_what_can_be_freed(
    is_integrated: bool, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 50)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 20)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (500, 8000))
    properties = SimpleNamespace(is_integrated=is_integrated)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    monkeypatch.setattr(capacity, "_available", lambda: 7000)

    assert capacity.free_memory(CUDA) == expected
