# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where a run computes: without Accelerate, with it, and in two processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from vggt4d_ros.train import compute
from vggt4d_ros.train.compute import Accelerated, OneDevice, choose_compute
from vggt4d_ros.train.config import Phase, TrainConfig, TrainConfigError
from vggt4d_ros.train.half_layers import halve_layers
from vggt4d_ros.train.loop import Trainer
from vggt4d_ros.train.sampler import training_batch

PHASE = Phase(until=4, batch=1, grids=((2, 1),), sizes=((56, 56),), drop_share=0.0)
TINY = TrainConfig(model="tiny_motion", phases=(PHASE,), warm_up=2, threads=1, log_every=1)
WORKER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_train_compute import TINY
from vggt4d_ros.train.loop import Trainer
trainer = Trainer(TINY, Path(sys.argv[1]))
trainer.run(2, progress=False)
first = next(trainer.model.parameters()).detach().flatten()[:4].tolist()
print("RANK", trainer.compute.rank, trainer.compute.processes, first, flush=True)
"""


@pytest.fixture
def without_accelerate(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(compute, "import_module", refuse)


@pytest.mark.usefixtures("without_accelerate")
def test_plain_torch_serves_one_device() -> None:
    assert isinstance(choose_compute(TINY), OneDevice)


@pytest.mark.usefixtures("without_accelerate")
def test_mixed_precision_without_accelerate_is_one_clear_line() -> None:
    with pytest.raises(TrainConfigError, match=r"mixed precision need .*vggt4d_ros\[train\]"):
        choose_compute(replace(TINY, precision="bf16"))


@pytest.mark.usefixtures("without_accelerate")
def test_several_processes_without_accelerate_are_one_clear_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")

    with pytest.raises(TrainConfigError, match="several processes"):
        choose_compute(TINY)


def test_unknown_precision_is_named() -> None:
    with pytest.raises(
        TrainConfigError, match="precision must be one of no, bf16, fp16, bf16_layers, got 'int8'"
    ):
        choose_compute(replace(TINY, precision="int8"))


def losses_of(folder: Path) -> list[float]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if line["kind"] == "train"]


def test_accelerate_and_plain_torch_give_the_same_losses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("accelerate")
    config = replace(TINY, accumulate=2)
    with_it = Trainer(config, tmp_path / "with")
    assert isinstance(with_it.compute, Accelerated)
    with_it.run(2, progress=False)

    monkeypatch.setattr("vggt4d_ros.train.loop.choose_compute", OneDevice)
    Trainer(config, tmp_path / "plain").run(2, progress=False)

    assert losses_of(tmp_path / "with") == pytest.approx(losses_of(tmp_path / "plain"), rel=1e-6)


def test_each_process_sees_its_own_windows() -> None:
    first, second = (training_batch(TINY, 0, part) for part in range(2))

    assert not torch.equal(first.images, second.images)


@pytest.mark.slow
def test_two_processes_share_their_gradients(tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    here = Path(__file__).parent
    paths = [str(here.parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc_per_node", "2", str(script), str(tmp_path / "out"), str(here)),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "CUDA_VISIBLE_DEVICES": "",
            "OMP_NUM_THREADS": "1",
        },
        check=False,
    )

    assert ran.returncode == 0, ran.stderr[-2000:]
    lines = sorted(line for line in ran.stdout.splitlines() if line.startswith("RANK"))
    assert [line.split()[1:3] for line in lines] == [["0", "2"], ["1", "2"]]
    # other windows, yet the same weights: gradients were averaged
    assert lines[0].split("[")[1] == lines[1].split("[")[1]
    # only the first process writes
    assert len(losses_of(tmp_path / "out")) == 2
    assert torch.load(tmp_path / "out" / "state.pt", weights_only=True)["step"] == 2


@pytest.mark.usefixtures("without_accelerate")
def test_layers_in_bfloat16_need_no_accelerate() -> None:
    assert isinstance(choose_compute(replace(TINY, precision="bf16_layers")), OneDevice)


def test_layers_in_bfloat16_give_float32_near_that_of_full_precision() -> None:
    torch.manual_seed(0)
    layers = torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 3),
        torch.nn.Conv2d(16, 8, 3),
        torch.nn.LayerNorm(6),
        torch.nn.Linear(6, 4),
    )
    images = torch.rand(2, 3, 10, 10)
    full = layers(images)

    count = halve_layers(layers)
    half = layers(images)
    half.sum().backward()

    assert count == 2  # not the convolution of 3 channels, which does not gain, nor the norm
    assert half.dtype == torch.float32
    assert not torch.equal(half, full)
    torch.testing.assert_close(half, full, atol=0.05, rtol=0.05)
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in layers.parameters())


def test_run_with_layers_in_bfloat16_saves_full_weights(tmp_path: Path) -> None:
    trainer = Trainer(replace(TINY, precision="bf16_layers"), tmp_path)

    trainer.run(2, progress=False)

    again = Trainer(TINY, tmp_path)
    assert again.state.step == 2
    assert {v.dtype for v in again.state.ema.values()} == {torch.float32}
