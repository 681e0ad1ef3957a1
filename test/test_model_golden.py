# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The network against inputs and outputs of the released code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402

from vggt4d_ros.model import golden  # noqa: E402
from vggt4d_ros.model.config import release  # noqa: E402
from vggt4d_ros.model.release_format import config_from_release, config_to_release  # noqa: E402
from vggt4d_ros.model.vggt4d import VGGT4D  # noqa: E402

GOLDEN = Path(__file__).parent / "data" / "golden"


def worst(name: str) -> dict[str, golden.Difference]:
    found = golden.compare_case(GOLDEN / f"{name}.json")
    return {difference.output: difference for difference in found}


@pytest.mark.parametrize("name", ["tiny", "tiny_rect", "dino_mini", "vits"])
def test_outputs_equal_the_released_code(name: str) -> None:
    found = worst(name)

    assert {"pose_enc", "depth", "depth_conf", "world_points", "world_points_conf"} <= set(found)
    assert [f for f in found.values() if not f.ok] == []


@pytest.mark.parametrize("name", ["tiny", "tiny_rect", "dino_mini"])
def test_tokens_between_the_stages_equal_the_released_code(name: str) -> None:
    taps = {output for output in worst(name) if "_tap_" in output}

    assert len(taps) == 12  # four of each branch and of their fusion


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_full_size_network_equals_the_released_code() -> None:
    assert [f for f in worst("full").values() if not f.ok] == []


@pytest.mark.parametrize("name", ["preprocess", "pose"])
def test_preprocessing_and_poses_equal_the_released_code(name: str) -> None:
    found = worst(name)

    assert len(found) >= 3
    assert [f for f in found.values() if not f.ok] == []


def test_a_skip_that_adds_x_instead_of_relu_x_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch.nn import functional

    from vggt4d_ros.model.dpt_head import ResidualConvUnit

    def plain(self: ResidualConvUnit, x: torch.Tensor) -> torch.Tensor:
        return self.conv2(functional.relu(self.conv1(functional.relu(x)))) + x

    monkeypatch.setattr(ResidualConvUnit, "forward", plain)

    assert not worst("tiny")["depth"].ok


def test_weights_rule_gives_the_stored_weights() -> None:
    about = json.loads((GOLDEN / "tiny.json").read_text())
    tensors = load_file(GOLDEN / "tiny.safetensors")
    stored = {k.removeprefix("state/"): v for k, v in tensors.items() if k.startswith("state/")}

    assert len(stored) > 300
    for name, weight in stored.items():
        made = golden.rule_weight(name, weight.shape, about["seed"])
        assert torch.equal(made, weight.float()), name


def test_damaged_golden_file_is_refused(tmp_path: Path) -> None:
    for suffix in (".json", ".safetensors"):
        shutil.copy(GOLDEN / f"vits{suffix}", tmp_path)
    data = tmp_path / "vits.safetensors"
    data.write_bytes(data.read_bytes()[:-4] + b"\0\0\0\1")

    with pytest.raises(ValueError, match="sha256 differs"):
        golden.compare_case(tmp_path / "vits.json")


def test_release_has_every_tensor_of_the_public_file_on_the_meta_device() -> None:
    lines = (GOLDEN / "state_dict_full.txt").read_text().splitlines()
    listed = dict(line.split("\t")[:2] for line in lines if not line.startswith("#"))

    with torch.device("meta"):
        model = VGGT4D(release())

    ours = {name: str(list(tensor.shape)) for name, tensor in model.state_dict().items()}
    assert ours == listed
    assert len(ours) == 2296
    assert sum(tensor.numel() for tensor in model.state_dict().values()) == 1_803_726_236


@pytest.mark.parametrize("name", ["tiny", "tiny_rect", "vits", "full"])
def test_released_configuration_survives_a_round_trip(name: str) -> None:
    arguments = json.loads((GOLDEN / f"{name}.json").read_text())["model_config"]

    assert config_to_release(config_from_release(arguments)) == arguments


def test_released_default_is_our_release_configuration() -> None:
    arguments = json.loads((GOLDEN / "full.json").read_text())["model_config"]

    assert config_from_release(arguments) == release()
