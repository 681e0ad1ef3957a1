# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The training loop."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from vggt4d_ros.data.windows import WindowBatch
from vggt4d_ros.model import checkpoint
from vggt4d_ros.model.config import CONFIGS, ModelConfig
from vggt4d_ros.model.vggt4d import VGGT4D
from vggt4d_ros.train.baselines import evaluate_dis
from vggt4d_ros.train.compute import choose_compute
from vggt4d_ros.train.config import Phase, TrainConfig, TrainConfigError
from vggt4d_ros.train.half_layers import halve_layers
from vggt4d_ros.train.losses import compute_losses
from vggt4d_ros.train.metrics import evaluate
from vggt4d_ros.train.sampler import batch_at, held_out, is_calibrated, presented
from vggt4d_ros.train.state import TrainState, read_state, restore, save_state, update_ema
from vggt4d_ros.train.targets import make_targets

logger = logging.getLogger(__name__)
CHECKED = 12  # held-out windows that an exported model is checked on


class NonFiniteLoss(RuntimeError):
    """Loss or gradient is not finite; the batch was saved."""


def model_config(config: TrainConfig) -> ModelConfig:
    """The network that a run trains.

    Raises:
        TrainConfigError: there is no such network.
    """
    if config.model not in CONFIGS:
        raise TrainConfigError(f"model must be one of {', '.join(CONFIGS)}, got {config.model!r}")
    chosen = CONFIGS[config.model]()
    changes: dict[str, Any] = {
        name: value
        for name in ("arrangement", "temporal_mixer", "mlp_ratio")
        if (value := getattr(config, name))
    }
    try:
        return replace(chosen, **changes)
    except ValueError as error:
        raise TrainConfigError(str(error)) from error


def learning_rate(config: TrainConfig, step: int) -> float:
    """Linear warm-up, constant up to ``hold``, then a cosine down to ``final_rate``."""
    if step < config.warm_up:
        return config.learning_rate * (step + 1) / config.warm_up
    start = max(config.warm_up, config.hold)
    way = max(step - start, 0) / max(config.steps - start, 1)
    low = config.final_rate
    fall = low + (1 - low) * 0.5 * (1 + math.cos(math.pi * min(way, 1.0)))
    return config.learning_rate * fall


def _has_fused_adamw(device: str) -> bool:
    """One kernel for all weights is three times as fast; on a CPU torch 2.4 and later have it."""
    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    return torch.device(device).type == "cuda" or version >= (2, 4)


class Trainer:
    """Trains one network in one folder; takes up what is there."""

    def __init__(self, config: TrainConfig, folder: Path) -> None:
        self.compute = choose_compute(config)
        config = replace(config, device=str(self.compute.device))
        self.config, self.folder = config, Path(folder)
        if config.threads:
            torch.set_num_threads(config.threads)
        torch.manual_seed(config.seed)
        model = VGGT4D(model_config(config)).to(config.device)
        model.to(memory_format=torch.channels_last)  # convolutions are a tenth faster so
        if config.precision == "bf16_layers":
            halve_layers(model)
        if config.camera_gradient != 1.0:
            model.spatial_head.register_forward_pre_hook(self._soften)
        decayed = [p for p in model.parameters() if p.dim() > 1]
        plain = [p for p in model.parameters() if p.dim() <= 1]
        optimizer = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": config.weight_decay},
                {"params": plain, "weight_decay": 0.0},
            ],
            lr=config.learning_rate,
            betas=(0.9, 0.98),
            fused=_has_fused_adamw(config.device),
        )
        ema = {name: value.detach().clone() for name, value in model.state_dict().items()}
        self.model: VGGT4D = model
        # what computes and steps: they may be wrapped to share gradients between processes
        self.ready, self.stepper = self.compute.prepare(model, optimizer)
        self.state = TrainState(model, ema, optimizer)
        self.kept: list[WindowBatch | None] = [None] * config.accumulate
        self.data_seconds = 0.0
        self.phase: Phase | None = None
        self.stopping = False  # set from outside (a signal): end after this step, and save
        self._take_up()

    def _take_up(self) -> None:
        payload = read_state(self.folder)
        if payload is None:
            return
        fresh = restore(self.state, payload)
        if fresh:
            logger.warning("%d tensors start fresh, first %s", len(fresh), fresh[0])
        logger.info("takes up at step %d", self.state.step)

    def run(self, until: int | None = None, progress: bool = True) -> None:
        """Trains up to a step (None: the end), logging, evaluating and saving by the clock.

        Raises:
            NonFiniteLoss: see there.
        """
        end = self.config.steps if until is None else min(until, self.config.steps)
        saved = evaluated = started = time.monotonic()
        before = self.state.seconds
        first = self.compute.rank == 0  # only this process writes and evaluates
        board = self._board() if first else None
        quiet = not (progress and first)
        bar = tqdm(total=end, initial=self.state.step, disable=quiet, mininterval=5.0)
        while self.state.step < end and not self.compute.anywhere(self.stopping):
            numbers = self.step()
            now = time.monotonic()
            self.state.seconds = before + now - started
            bar.update()
            if not first:
                continue
            if self.state.step % self.config.log_every == 0:
                numbers["data_share"] = self.data_seconds / (now - started)
                self._log("train", numbers, board)
                bar.set_postfix(loss=f"{numbers['loss']:.3f}")
            if now - evaluated > self.config.evaluate_every_s:
                self._log("held_out", self.evaluate(), board)
                evaluated = time.monotonic()
            if now - saved > self.config.checkpoint_every_s:
                self.save()
                saved = time.monotonic()
        bar.close()
        if first:
            self.save()

    def step(self) -> dict[str, float]:
        """One optimiser step; gives the losses."""
        config, state = self.config, self.state
        self._enter(config.phase(state.step))
        assert self.phase is not None
        for group in state.optimizer.param_groups:
            group["lr"] = learning_rate(config, state.step)
        self.stepper.zero_grad(set_to_none=True)
        numbers: dict[str, float] = {}
        for part in range(config.accumulate):
            started = time.monotonic()
            own_part = self.compute.rank * config.accumulate + part
            kept = batch_at(config, state.step, self.kept[part], own_part)
            self.kept[part] = kept
            batch = presented(config, state.step, kept)
            self.data_seconds += time.monotonic() - started
            with self.compute.part(self.ready):
                total, losses = self.losses(batch)
                if self.compute.anywhere(not torch.isfinite(total)):
                    raise self._broken(batch, losses, "loss")
                self.compute.backward(total)
            for name, value in {"loss": total, **losses}.items():
                numbers[name] = numbers.get(name, 0.0) + float(value.detach()) / config.accumulate
        norm = self.compute.clip(self.model, config.clip_norm)
        # a scaler of half precision meets overflows as it finds its scale, and skips those steps
        if config.precision != "fp16" and not torch.isfinite(norm):
            raise self._broken(batch, losses, "gradient")
        self.stepper.step()
        state.step += 1
        update_ema(state.ema, self.model, config.ema_decay, state.step)
        numbers["gradient_norm"] = float(norm)
        return numbers

    def losses(self, batch: WindowBatch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Losses of one batch in the present phase."""
        assert self.phase is not None
        steps = tuple(range(batch.shape[1]))
        most = self.phase.dense_steps
        if most and len(steps) > most:
            first = self.state.step % (len(steps) - most + 1)
            steps = steps[first : first + most]
        valid = None if bool(batch.valid.all()) else batch.valid
        queries = batch.queries if self.phase.weights.tracks else None
        targets = make_targets(batch)
        calibrated = is_calibrated(self.config, self.state.step)
        output = self.ready(
            batch.images,
            valid,
            dense_steps=steps,
            points=bool(self.phase.weights.points),
            queries=queries,
            poses_only=self.phase.is_pose_step(
                self.state.step - self.state.step % self.config.replay
            ),
            motion_of="all" if self.phase.weights.see_motion else "none",
            known_view=targets.pose_encoding[..., 7:] if calibrated else None,
        )
        return compute_losses(output, targets, self.phase.weights, steps)

    def _soften(self, _: nn.Module, inputs: tuple[Tensor, Tensor | None]) -> tuple[Any, ...]:
        """Lets less of the camera head's gradient into the layers that all tasks share."""
        tokens, bias = inputs
        share = self.config.camera_gradient
        return share * tokens + (1 - share) * tokens.detach(), bias

    def _enter(self, phase: Phase) -> None:
        """Freezes what the phase does not train."""
        if phase is self.phase:
            return
        self.phase = phase
        self.kept = [None] * self.config.accumulate
        names = [name for name, _ in self.model.named_parameters()]
        for prefix in phase.trains:
            if not any(name.startswith(prefix) for name in names):
                raise TrainConfigError(f"trains: no parameter begins with {prefix!r}")
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(not phase.trains or name.startswith(phase.trains))

    def averaged(self) -> VGGT4D:
        """A model with the running mean of the weights, for evaluation and release."""
        model = VGGT4D(self.model.config).to(self.config.device)
        model.load_state_dict(self.state.ema)
        return model.eval()

    def evaluate(self) -> dict[str, float]:
        """Metrics on the held-out windows."""
        return evaluate(self.averaged(), self._held_out())

    def baselines(self) -> dict[str, float]:
        """What DIS flow reaches on the held-out windows."""
        return evaluate_dis(self._held_out())

    def _held_out(self) -> Iterator[WindowBatch]:
        config = self.config
        return held_out(config, config.evaluate_windows, config.evaluate_grid, config.evaluate_size)

    def export(self, path: Path, metrics: Mapping[str, float]) -> None:
        """Writes the averaged model with how it came about, for the package.

        The metrics on the first CHECKED windows go along: a quick test can repeat them.
        """
        config = self.config
        few = held_out(config, CHECKED, config.evaluate_grid, config.evaluate_size)
        check = evaluate(self.averaged(), few)
        extra: dict[str, Any] = {
            "step": self.state.step,
            "hours": round(self.state.seconds / 3600, 2),
            "train_config": self.config.to_dict(),
            "held_out": {name: round(value, 5) for name, value in metrics.items()},
            "check": {name: round(value, 5) for name, value in check.items()},
            "licence": "Apache-2.0",
        }
        checkpoint.save(path, self.averaged(), extra)

    def save(self) -> None:
        """Saves the state, and the averaged model in the package's format beside it."""
        save_state(self.folder, self.state, self.config)
        extra: dict[str, Any] = {"step": self.state.step, "hours": self.state.seconds / 3600}
        checkpoint.save(self.folder / "model.safetensors", self.averaged(), extra)

    def _log(self, kind: str, numbers: Mapping[str, float], board: Any) -> None:
        step = self.state.step
        line = {
            "kind": kind,
            "step": step,
            "hours": round(self.state.seconds / 3600, 4),
            **{name: float(f"{value:.5g}") for name, value in numbers.items()},
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
        if board is not None:
            for name, value in numbers.items():
                board.add_scalar(f"{kind}/{name}", value, step)

    def _board(self) -> Any:
        """A TensorBoard writer where that is installed."""
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return None
        return SummaryWriter(str(self.folder / "tensorboard"))

    def _broken(self, batch: WindowBatch, losses: Mapping[str, Tensor], what: str) -> NonFiniteLoss:
        """Saves the batch that broke the run."""
        rank = f"_rank{self.compute.rank}" if self.compute.processes > 1 else ""
        path = self.folder / f"broken_step{self.state.step}{rank}.pt"
        self.folder.mkdir(parents=True, exist_ok=True)
        values = {name: getattr(batch, name) for name in batch.__dataclass_fields__}
        torch.save({"batch": values, "model": self.model.state_dict()}, path)
        found = ", ".join(f"{name} {float(value.detach()):.3g}" for name, value in losses.items())
        return NonFiniteLoss(f"step {self.state.step}: {what} is not finite ({found}); see {path}")
