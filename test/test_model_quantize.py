# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Matrices kept as 8-bit integers: less memory, near results, one clear line where it cannot be."""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from model_cases import lively, small_compact, tiny_motion  # noqa: E402
from test_model_reuse import assert_same, one_thread, stream  # noqa: E402, F401

from vggt4d_ros.model.config import ModelConfig  # noqa: E402
from vggt4d_ros.model.errors import EngineError  # noqa: E402
from vggt4d_ros.model.memory import weight_bytes  # noqa: E402
from vggt4d_ros.model.predictor import Predictor  # noqa: E402
from vggt4d_ros.model.speed import Speed  # noqa: E402

INT8 = Speed(weights="int8")


def make(speed: Speed, config: ModelConfig | None = None, precision: str = "fp32") -> Predictor:
    model = lively(config or small_compact())
    return Predictor(model, device="cpu", precision=precision, speed=speed)


def test_without_torchao_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchao", None)
    monkeypatch.setitem(sys.modules, "torchao.quantization", None)

    with pytest.raises(
        EngineError, match=r"needs .* torchao, .* \(pip install torchao\)"
    ) as caught:
        make(INT8)

    assert "\n" not in str(caught.value)


def test_a_torchao_without_what_is_needed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchao", ModuleType("torchao"))
    monkeypatch.setitem(sys.modules, "torchao.quantization", ModuleType("quantization"))

    with pytest.raises(EngineError, match="not work with the torchao that .*'Int8WeightOnly"):
        make(INT8)


def test_other_kinds_of_weights_are_refused() -> None:
    with pytest.raises(EngineError, match="weights must be one of precision, int8, got 'int4'"):
        make(Speed(weights="int4"))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(
    "config", [small_compact(pairs=True), tiny_motion()], ids=["compact-like", "release-like"]
)
def test_int8_weights_are_smaller_and_near(config: ModelConfig, precision: str) -> None:
    pytest.importorskip("torchao")
    shown = next(stream(3))
    exact, rounded = make(Speed(), config, precision), make(INT8, config, precision)

    assert "model.weights: int8" in rounded.warnings[0]
    assert weight_bytes(rounded.model) < 0.96 * weight_bytes(exact.model)
    kept = rounded.model.cross_view_global_fusion.frame_blocks[0].mlp.fc1
    names, _ = kept.weight.__tensor_flatten__()
    assert torch.int8 in {getattr(kept.weight, name).dtype for name in names}
    wanted, found = exact.predict(shown), rounded.predict(shown)
    for slot, frame in found.frames.items():
        error = np.abs(np.log(frame.depth / wanted.frames[slot].depth))
        assert 0 < np.median(error) < 0.02
        assert error.max() < 0.2
    there = wanted.valid
    np.testing.assert_array_equal(found.valid, there)
    assert np.abs(found.cam_from_world[there] - wanted.cam_from_world[there]).max() < 0.02
    rounded.close()


def test_int8_weights_slide_as_others_do() -> None:
    pytest.importorskip("torchao")
    kept, fresh = make(INT8), make(INT8)

    for shown in stream(3):
        fresh.trunk.clear()
        assert_same(kept, fresh, shown, (-1,))
