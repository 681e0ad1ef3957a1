# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: what is written is what is read, and what does not fit is one clear line."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from model_cases import grid_images, lively, small_compact  # noqa: E402
from safetensors import safe_open  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from vggt4d_ros.model import checkpoint, checkpoint_file  # noqa: E402
from vggt4d_ros.model.config import compact, release, tiny, tiny_motion  # noqa: E402
from vggt4d_ros.model.errors import CheckpointError  # noqa: E402
from vggt4d_ros.model.precision import cast_trunk  # noqa: E402
from vggt4d_ros.model.release_format import config_to_release  # noqa: E402
from vggt4d_ros.model.vggt4d import VGGT4D  # noqa: E402


def refusal(path: Path) -> str:
    """The message with which a file is refused; one line."""
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return checkpoint.save(tmp_path / "small.safetensors", lively(small_compact()), {"steps": 7})


def test_what_is_saved_is_loaded_with_its_configuration(saved: Path) -> None:
    model = lively(small_compact())

    again = checkpoint.load(saved)

    assert again.config == model.config
    assert checkpoint.read(saved).extra == {"steps": 7}
    for name, tensor in again.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name].half().float()), name
    images = grid_images(model, 2, 2)
    with torch.inference_mode():
        torch.testing.assert_close(again(images).depth, model(images).depth, rtol=0.02, atol=0.02)
    assert not again.training
    assert all(parameter.requires_grad for parameter in again.parameters())


def test_compact_has_at_most_8_million_parameters_and_16_megabytes(tmp_path: Path) -> None:
    model = checkpoint.untrained(compact())

    path = checkpoint.save(tmp_path / "compact.safetensors", model)

    assert sum(parameter.numel() for parameter in model.parameters()) <= 8_000_000
    assert path.stat().st_size < 16_000_000


def test_untrained_weights_depend_on_the_seed_only() -> None:
    torch.manual_seed(99)
    state = torch.get_rng_state()

    first, second = (
        checkpoint.untrained(small_compact(), 1),
        checkpoint.untrained(small_compact(), 1),
    )
    other = checkpoint.untrained(small_compact(), 2)

    assert torch.equal(torch.get_rng_state(), state)
    name = "cross_view_global_fusion.global_blocks.0.attn.qkv.weight"
    assert torch.equal(first.state_dict()[name], second.state_dict()[name])
    assert not torch.equal(first.state_dict()[name], other.state_dict()[name])


def test_untrained_outputs_are_sane() -> None:
    model = checkpoint.untrained(compact())

    with torch.inference_mode():
        output = model(grid_images(model, 3, 2, size=(7, 10)))

    assert 0.1 < output.depth.min() < output.depth.max() < 10
    assert output.motion.forward.flow.abs().max() < 80  # half the image
    torch.testing.assert_close(
        output.pose_enc[-1][..., 6:], torch.ones(1, 3, 2, 3), atol=0.1, rtol=0
    )


def test_interrupted_save_leaves_the_old_file(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved.read_bytes()

    def half(tensors: object, path: Path, metadata: object) -> None:
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(checkpoint_file, "save_file", half)
    with pytest.raises(OSError, match="disk full"):
        checkpoint.save(saved, lively(small_compact()))

    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_weights_that_float16_cannot_hold_are_not_saved(tmp_path: Path) -> None:
    model = lively(small_compact())
    model.cross_view_global_fusion.camera_token.data[0, 0, 0, 0] = 1e6

    with pytest.raises(ValueError, match="camera_token is not finite in float16"):
        checkpoint.save(tmp_path / "x.safetensors", model)

    assert list(tmp_path.iterdir()) == []


def test_missing_file_is_named(tmp_path: Path) -> None:
    assert "no such checkpoint" in refusal(tmp_path / "nothing.safetensors")


@pytest.mark.parametrize("keep", [0, 3, 1000, -10])
def test_truncated_file_is_refused(saved: Path, keep: int) -> None:
    saved.write_bytes(saved.read_bytes()[:keep])

    assert "damaged or truncated" in refusal(saved)


@pytest.mark.parametrize("content", [b"<html>not found</html>", b"\0" * 64, os.urandom(4096)])
def test_file_that_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)

    assert "no checkpoint at all" in refusal(path)


def rewrite(path: Path, change: Callable[[dict[str, Any], dict[str, str]], None]) -> None:
    with safe_open(path, "pt") as file:
        metadata = dict(file.metadata())
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(tensors, metadata)
    save_file(tensors, path, metadata=metadata)


def drop(tensors: dict[str, Any], metadata: dict[str, str]) -> None:
    del tensors["spatial_head.trunk_norm.weight"]


def add(tensors: dict[str, Any], metadata: dict[str, str]) -> None:
    tensors["another.weight"] = torch.zeros(2)


def reshape(tensors: dict[str, Any], metadata: dict[str, str]) -> None:
    tensors["spatial_head.trunk_norm.weight"] = torch.zeros(3)


def count(tensors: dict[str, Any], metadata: dict[str, str]) -> None:
    name = "spatial_head.trunk_norm.weight"
    tensors[name] = torch.zeros(tensors[name].shape, dtype=torch.int32)


def spoil(tensors: dict[str, Any], metadata: dict[str, str]) -> None:
    tensors["spatial_head.trunk_norm.weight"][0] = torch.nan


def rename(tensors: dict[str, Any], metadata: dict[str, str]) -> None:
    metadata["format"] = "other"


def age(tensors: dict[str, Any], metadata: dict[str, str]) -> None:
    metadata["version"] = "9"


def misconfigure(tensors: dict[str, Any], metadata: dict[str, str]) -> None:
    metadata["config"] = json.dumps(json.loads(metadata["config"]) | {"arrangement": "random"})


def extend(tensors: dict[str, Any], metadata: dict[str, str]) -> None:
    metadata["config"] = json.dumps(json.loads(metadata["config"]) | {"layers": 3})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop, "1 missing tensors, first spatial_head.trunk_norm.weight"),
        (add, "1 unknown tensors, first another.weight"),
        (reshape, r"trunk_norm.weight has shape \(3,\), must be \(64,\)"),
        (count, "trunk_norm.weight is of type torch.int32, not float"),
        (spoil, "trunk_norm.weight is not finite"),
        (rename, "of another program"),
        (age, "format version 9, this program reads 1"),
        (misconfigure, "arrangement must be one of"),
        (extend, "unknown or missing key 'layers'"),
    ],
)
def test_file_that_does_not_fit_is_one_clear_line(
    saved: Path, change: Callable[..., None], message: str
) -> None:
    rewrite(saved, change)

    with pytest.raises(CheckpointError, match=message):
        checkpoint.load(saved)
    refusal(saved)


def payload(**changes: object) -> dict[str, object]:
    """A release-like payload of the tiny network."""
    return {
        "architecture": "4d-vggt-geometry-v1",
        "architecture_schema_version": 2,
        "model_config": config_to_release(tiny()),
        "model_name": "4D-VGGT",
        "model_state": dict(lively(tiny()).state_dict()),
        **changes,
    }


@pytest.fixture
def released(tmp_path: Path) -> Callable[..., Path]:
    def write(**changes: object) -> Path:
        path = tmp_path / "release.pt"
        torch.save(payload(**changes), path)
        return path

    return write


def test_release_payload_loads_strictly(released: Callable[..., Path]) -> None:
    model = checkpoint.load(released())

    expected = lively(tiny())
    assert not hasattr(model, "motion_head")
    for name, tensor in expected.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name
    images = grid_images(model, 2, 1)
    with torch.inference_mode():
        assert torch.equal(model(images).depth, expected(images).depth)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "vggt"}, "architecture is 'vggt', must be '4d-vggt-geometry-v1'"),
        ({"architecture_schema_version": 1}, "architecture_schema_version is 1, must be 2"),
        ({"model_config": {}}, "unknown or missing key"),
        ({"model_config": None}, "model_config does not fit"),
        ({"model_state": {}}, "has 0 state dicts"),
        ({"other": {"a": torch.zeros(1)}}, "has 2 state dicts"),
        ({"model_state": {"a": torch.zeros(1)}}, "missing tensors"),
    ],
)
def test_foreign_release_payload_is_one_clear_line(
    released: Callable[..., Path], changes: dict[str, object], message: str
) -> None:
    assert message in refusal(released(**changes))


def test_release_of_another_architecture_is_named(released: Callable[..., Path]) -> None:
    arguments = config_to_release(tiny()) | {"aa_block_size": 2}

    assert "aa_block_size is 2, must be 1" in refusal(released(model_config=arguments))


def test_release_with_motion_tensors_is_not_a_release(released: Callable[..., Path]) -> None:
    state = dict(lively(tiny_motion()).state_dict())

    assert "unknown tensors, first motion_head" in refusal(released(model_state=state))


def test_plain_state_dict_is_not_a_release(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    torch.save(lively(tiny()).state_dict(), path)

    assert "not a 4d-vggt-geometry-v1 checkpoint" in refusal(path)


class Evil:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.target),))


def test_pickled_code_is_refused_and_not_run(tmp_path: Path) -> None:
    path, target = tmp_path / "evil.pt", tmp_path / "was_run"
    torch.save({"architecture": Evil(target)}, path)

    assert "not a plain-tensor checkpoint" in refusal(path)
    assert not target.exists()


def test_truncated_release_file_is_refused(released: Callable[..., Path]) -> None:
    path = released()
    path.write_bytes(path.read_bytes()[:-5000])

    assert "damaged, truncated" in refusal(path)


def test_model_is_built_in_the_precision_of_inference(saved: Path) -> None:
    model = checkpoint.build(checkpoint.read(saved), "bf16")

    state = model.state_dict()
    block = "cross_time_local_fusion.temporal_blocks.0."
    assert state[block + "attn.qkv.weight"].dtype == torch.bfloat16
    assert state[block + "norm1.weight"].dtype == torch.float32
    assert state["spatial_head.embed_pose.weight"].dtype == torch.float32


def test_release_in_bf16_needs_at_most_4_5_gigabytes() -> None:
    with torch.device("meta"):
        model = cast_trunk(VGGT4D(release()), "bf16")

    size = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
    assert 4.0e9 < size <= 4.5e9


def test_packaged_checkpoint_is_the_default(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "PACKAGED", saved)
    loaded = checkpoint.load_engine_model("")
    assert loaded.model.config.name == "small"
    assert loaded.warnings == ()

    monkeypatch.setattr(checkpoint, "PACKAGED", saved.with_name("none.safetensors"))
    loaded = checkpoint.load_engine_model("")
    assert loaded.model.config == compact()
    assert "NO TRAINED WEIGHTS" in loaded.warnings[0]


@pytest.mark.parametrize(("error", "weak"), [(0.37, True), (0.05, False), (None, False)])
def test_weights_with_a_large_held_out_error_say_so(
    tmp_path: Path, error: float | None, weak: bool
) -> None:
    extra = {} if error is None else {"held_out": {"abs_rel": error}}
    path = tmp_path / "own.safetensors"
    checkpoint.save(path, VGGT4D(tiny()), extra=extra)

    loaded = checkpoint.load_engine_model(str(path))

    assert any("WEAK" in warning for warning in loaded.warnings) == weak


def test_state_dict_of_a_model_on_the_meta_device_is_complete() -> None:
    with torch.device("meta"):
        empty = VGGT4D(small_compact())
    full = lively(small_compact())

    model = checkpoint.assign(empty, full.state_dict())

    images = grid_images(full, 2, 1)
    with torch.inference_mode():
        assert torch.equal(model(images).depth, full(images).depth)
