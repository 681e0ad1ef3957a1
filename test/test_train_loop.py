# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The training loop: learns, stops and goes on exactly, refuses nonsense."""

from __future__ import annotations

import json
import logging
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from vggt4d_ros.model import checkpoint
from vggt4d_ros.train import loop as loop_module
from vggt4d_ros.train.config import Phase, TrainConfig, TrainConfigError, from_dict, load_config
from vggt4d_ros.train.loop import NonFiniteLoss, Trainer, learning_rate
from vggt4d_ros.train.losses import LossWeights
from vggt4d_ros.train.sampler import held_out, training_batch

CONFIG_FOLDER = Path(__file__).parent.parent / "config"


def tiny(**changes: object) -> TrainConfig:
    phase = Phase(until=100, batch=1, grids=((2, 1),), sizes=((56, 56),), drop_share=0.0)
    base = TrainConfig(
        model="tiny_motion",
        phases=(phase,),
        warm_up=5,
        threads=1,
        log_every=1,
        evaluate_windows=2,
        evaluate_grid=(2, 1),
        evaluate_size=(56, 56),
    )
    return replace(base, **changes)


def losses_of(folder: Path) -> list[float]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if line["kind"] == "train"]


def test_one_window_can_be_learnt_by_heart(tmp_path: Path) -> None:
    phase = Phase(until=300, batch=1, grids=((2, 1),), sizes=((56, 56),), drop_share=0.0)
    config = tiny(phases=(phase,), learning_rate=3e-3, warm_up=10, weight_decay=0.0)
    trainer = Trainer(config, tmp_path)
    window = training_batch(config, 0)
    trainer.phase = phase

    losses = []
    for step in range(phase.until):
        for group in trainer.state.optimizer.param_groups:
            group["lr"] = learning_rate(config, step)
        trainer.state.optimizer.zero_grad()
        total, _ = trainer.losses(window)
        total.backward()
        torch.nn.utils.clip_grad_norm_(trainer.model.parameters(), 1.0)
        trainer.state.optimizer.step()
        losses.append(float(total.detach()))
        if losses[-1] < losses[0] / 20:
            break

    assert losses[-1] < losses[0] / 20


def test_interrupted_run_gives_the_same_losses(tmp_path: Path) -> None:
    config = tiny()

    Trainer(config, tmp_path / "whole").run(6, progress=False)
    Trainer(config, tmp_path / "parts").run(3, progress=False)
    again = Trainer(config, tmp_path / "parts")
    again.run(6, progress=False)

    assert losses_of(tmp_path / "parts") == losses_of(tmp_path / "whole")
    assert again.state.step == 6
    assert len(set(losses_of(tmp_path / "whole"))) == 6


def test_stopped_run_saves_what_it_has(tmp_path: Path) -> None:
    trainer = Trainer(tiny(), tmp_path)
    trainer.stopping = True
    trainer.step()

    trainer.run(progress=False)

    assert Trainer(tiny(), tmp_path).state.step == 1


def test_replayed_batches_resume_exactly_too(tmp_path: Path) -> None:
    config = tiny(replay=3)

    Trainer(config, tmp_path / "whole").run(5, progress=False)
    Trainer(config, tmp_path / "parts").run(4, progress=False)
    Trainer(config, tmp_path / "parts").run(5, progress=False)

    assert losses_of(tmp_path / "parts") == losses_of(tmp_path / "whole")


def test_saved_model_is_the_running_mean_in_the_packages_format(tmp_path: Path) -> None:
    trainer = Trainer(tiny(ema_decay=0.5), tmp_path)

    trainer.run(3, progress=False)
    saved = checkpoint.load(tmp_path / "model.safetensors").state_dict()

    for name, value in trainer.state.ema.items():
        torch.testing.assert_close(saved[name], value.half().float())
    own = trainer.model.state_dict()
    assert any(not torch.equal(own[name], value) for name, value in trainer.state.ema.items())


def test_a_failed_write_leaves_the_old_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = Trainer(tiny(), tmp_path)
    trainer.run(1, progress=False)
    before = (tmp_path / "state.pt").read_bytes()

    def fail(*_: object) -> None:
        raise OSError("disk full")

    trainer.step()
    monkeypatch.setattr(loop_module.save_state.__globals__["os"], "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        trainer.save()

    assert (tmp_path / "state.pt").read_bytes() == before


def test_damaged_state_is_named(tmp_path: Path) -> None:
    (tmp_path / "state.pt").write_bytes(b"nothing")

    with pytest.raises(TrainConfigError, match="damaged"):
        Trainer(tiny(), tmp_path)


def test_loss_that_is_not_finite_stops_and_keeps_the_batch(tmp_path: Path) -> None:
    trainer = Trainer(tiny(), tmp_path)
    with torch.no_grad():
        next(trainer.model.spatial_head.parameters()).fill_(math.nan)

    with pytest.raises(NonFiniteLoss, match="step 0: loss is not finite"):
        trainer.run(2, progress=False)

    broken = torch.load(tmp_path / "broken_step0.pt", weights_only=True)
    assert broken["batch"]["images"].shape[:3] == (1, 2, 1)
    assert not (tmp_path / "state.pt").exists()


def test_camera_head_can_be_kept_from_pulling_at_the_trunk(tmp_path: Path) -> None:
    only = LossWeights(
        depth=0.0, points=0.0, dynamic=0.0, flow=0.0, flow_confidence=0.0, tracks=0.0
    )
    phase = Phase(until=1, batch=1, grids=((2, 1),), sizes=((56, 56),), weights=only)
    norms = {}
    for share in (1.0, 0.1):
        trainer = Trainer(tiny(phases=(phase,), camera_gradient=share), tmp_path / str(share))
        trainer.phase = phase
        trainer.losses(training_batch(trainer.config, 0))[0].backward()
        trunk = trainer.model.cross_view_global_fusion.camera_token.grad
        head = trainer.model.spatial_head.token_norm.weight.grad
        assert trunk is not None
        assert head is not None
        norms[share] = float(trunk.norm()), float(head.norm())

    assert norms[0.1][0] == pytest.approx(0.1 * norms[1.0][0], rel=1e-3)
    assert norms[0.1][1] == pytest.approx(norms[1.0][1], rel=1e-3)


def test_phase_trains_only_what_it_names(tmp_path: Path) -> None:
    phase = Phase(
        until=2,
        batch=1,
        grids=((2, 1),),
        sizes=((56, 56),),
        trains=("spatial_head",),
        weights=LossWeights(depth=0.0, points=0.0, dynamic=0.0, flow=0.0, flow_confidence=0.0),
    )
    trainer = Trainer(tiny(phases=(phase,)), tmp_path)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}

    trainer.run(2, progress=False)

    changed = {
        name for name, value in trainer.model.state_dict().items() if not value.equal(before[name])
    }
    assert changed
    assert all(name.startswith("spatial_head") for name in changed)


def test_new_heads_start_fresh_and_the_rest_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # where the ROS launch library is imported, loggers do not pass records on to the root
    monkeypatch.setattr(logging.getLogger("vggt4d_ros.train.loop"), "handlers", [caplog.handler])
    Trainer(tiny(model="tiny"), tmp_path).run(2, progress=False)
    saved = torch.load(tmp_path / "state.pt", weights_only=True)["model"]

    larger = Trainer(tiny(), tmp_path)
    own = larger.model.state_dict()

    assert larger.state.step == 2
    assert all(torch.equal(own[name], value) for name, value in saved.items())
    assert set(own) - set(saved)
    assert all(name.startswith("motion_head") for name in set(own) - set(saved))
    assert "start fresh, first motion_head" in caplog.text
    # the optimiser remembers what it had
    moments = larger.state.optimizer.state
    parameters = dict(larger.model.named_parameters())
    assert {name for name, value in parameters.items() if value in moments} == {
        name for name in saved if parameters[name].requires_grad
    }
    larger.step()


def test_unknown_network_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainConfigError, match="model must be one of"):
        Trainer(tiny(model="huge"), tmp_path)


def test_learning_rate_rises_then_follows_the_cosine() -> None:
    config = TrainConfig(
        phases=(Phase(until=1100),), warm_up=100, learning_rate=1.0, final_rate=0.1
    )

    assert learning_rate(config, 0) == pytest.approx(0.01)
    assert learning_rate(config, 99) == pytest.approx(1.0)
    assert learning_rate(config, 600) == pytest.approx(0.55)  # half way: the middle of 1 and 0.1
    assert learning_rate(config, 1100) == pytest.approx(0.1)


def test_learning_rate_stays_up_to_hold() -> None:
    config = TrainConfig(
        phases=(Phase(until=1100),), warm_up=100, hold=500, learning_rate=1.0, final_rate=0.1
    )

    assert learning_rate(config, 500) == pytest.approx(1.0)
    assert learning_rate(config, 800) == pytest.approx(0.55)
    assert learning_rate(config, 1100) == pytest.approx(0.1)


def test_bold_batches_come_as_often_as_asked_and_change_no_others() -> None:
    usual = Phase(until=100, batch=1, grids=((2, 1),), sizes=((32, 48),))
    none, some = (tiny(phases=(replace(usual, bold_share=share),)) for share in (0.0, 0.5))

    same = [
        bool(torch.equal(training_batch(none, step).depth, training_batch(some, step).depth))
        for step in range(12)
    ]

    assert 2 <= sum(same) <= 10


def test_steps_of_poses_alone_have_their_grids_and_train_no_dense_head(tmp_path: Path) -> None:
    phase = Phase(
        until=100, batch=1, grids=((2, 1),), sizes=((56, 56),), pose_every=2, pose_grids=((1, 3),)
    )
    config = tiny(phases=(phase,))
    trainer = Trainer(config, tmp_path)
    trainer._enter(phase)
    shapes, trained = [], []

    for step in range(2):
        trainer.state.step = step
        trainer.model.zero_grad()
        batch = training_batch(config, step)
        shapes.append(batch.shape[1:3])
        total, losses = trainer.losses(batch)
        total.backward()
        head = trainer.model.dense_head.parameters()
        trained.append(any(p.grad is not None for p in head))

    assert shapes == [(2, 1), (1, 3)]
    assert trained == [True, False]
    assert "camera" in losses
    assert "depth" not in losses


def test_motion_heads_do_not_run_where_no_loss_asks_for_them(tmp_path: Path) -> None:
    still = LossWeights(dynamic=0, tracks=0, flow=0, flow_confidence=0)
    phase = Phase(until=100, batch=1, grids=((2, 1),), sizes=((56, 56),), weights=still)
    config = tiny(phases=(phase,))
    found = []

    for own in (phase, replace(phase, weights=LossWeights())):
        trainer = Trainer(config, tmp_path)
        trainer._enter(own)
        _, losses = trainer.losses(training_batch(config, 0))
        found.append(set(losses))

    assert "depth" in found[0]
    assert not {"flow", "dynamic"} & found[0]
    assert {"flow", "dynamic"} <= found[1]


def test_held_out_windows_are_fixed_and_not_those_of_training() -> None:
    config = tiny()

    first, again = (list(held_out(config, 3, (2, 1), (56, 56), 2)) for _ in range(2))

    assert [len(batch.images) for batch in first] == [2, 1]
    assert all(torch.equal(a.images, b.images) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0].images[:1], training_batch(config, 0).images[:1])


def test_evaluation_reports_every_metric(tmp_path: Path) -> None:
    numbers = Trainer(tiny(), tmp_path).evaluate()

    assert {"abs_rel", "delta125", "epe", "epe_zero", "rotation_deg", "fov_deg"} <= set(numbers)
    assert all(math.isfinite(value) for value in numbers.values())


@pytest.mark.parametrize("path", sorted(CONFIG_FOLDER.glob("train_*.yaml")), ids=lambda p: p.name)
def test_shipped_configurations_are_valid(path: Path) -> None:
    assert load_config(path).steps > 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"phases": [{"until": 2, "pose_every": 2}]}, "pose_every and pose_grids need each other"),
        ({"lerning_rate": 1.0}, "unknown key 'lerning_rate'"),
        ({"seed": "x"}, "seed must be of type int"),
        ({"phases": [{"until": 10}, {"until": 5}]}, "until must rise"),
        ({"phases": [{"batch": 2}]}, "until"),
        ({"phases": [{"until": 5, "grids": [[1, 2, 3]]}]}, "must have 2 entries"),
        ({"phases": [{"until": 5, "weights": {"dept": 1}}]}, "unknown key 'dept'"),
        ({"phases": [{"until": 5, "sizes": [[30, 30]]}]}, "multiples"),
        ([1], "must be a mapping"),
    ],
)
def test_wrong_configuration_is_named(values: object, message: str) -> None:
    with pytest.raises(TrainConfigError, match=message):
        from_dict(values)
