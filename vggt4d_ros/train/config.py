# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Everything that decides a training run; a YAML file names what differs from these defaults."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import yaml

from vggt4d_ros.train.losses import LossWeights


class TrainConfigError(ValueError):
    """A training configuration that cannot be used; one line for a user."""


@dataclass(frozen=True)
class Phase:
    """A stretch of a run: what windows it sees and what it trains.

    The published schedule is two phases after each other: task by task (``weights`` of the others
    0, their heads not among ``trains``), then all heads with the trunk frozen (``trains`` names
    the heads only).
    """

    until: int  # last step of this phase, counted from the start of the run
    batch: int = 2  # windows per step
    grids: tuple[tuple[int, int], ...] = ((2, 2),)  # (T, V), one is drawn at each step
    sizes: tuple[tuple[int, int], ...] = ((80, 112),)  # (height, width), one is drawn at each step
    most_pixels: int = 0  # of a batch: fewer windows, or a smaller grid, where it has more; 0: any
    calibrated_share: float = 0.0  # batches whose fields of view the network is told
    trains: tuple[str, ...] = ()  # name prefixes of the trained parameters; empty: all
    weights: LossWeights = LossWeights()
    drop_share: float = 0.15  # windows with missing frames
    speed: float = 1.0  # of cameras and things
    bold_share: float = 0.0  # batches with large, fast things before cameras that mostly stand
    furnished_share: float = 0.0  # batches with rooms full of furniture, in lamplight, ill exposed
    flying_share: float = 0.0  # batches with chairs and the like that fly; none in pose steps
    dense_steps: int = 0  # at most this many steps get dense outputs; 0: all
    pose_every: int = 0  # each so many steps one sees poses and matches alone, which is cheap
    pose_grids: tuple[tuple[int, int], ...] = ()  # (T, V) of those steps

    def is_pose_step(self, step: int) -> bool:
        """Whether only poses and matches are trained at this step."""
        return self.pose_every > 0 and step % self.pose_every == self.pose_every - 1


@dataclass(frozen=True)
class TrainConfig:
    """A training run."""

    model: str = "compact"
    arrangement: str = ""  # empty: the model's own; see ModelConfig
    temporal_mixer: str = ""
    mlp_ratio: float = 0.0  # 0: the model's own
    camera_gradient: float = 1.0  # share of the camera head's gradient that reaches the trunk
    phases: tuple[Phase, ...] = (Phase(until=20000),)
    seed: int = 0
    held_out_seed: int = 1_000_003
    learning_rate: float = 5e-4
    final_rate: float = 0.02  # of the learning rate, at the end of the cosine
    warm_up: int = 300  # steps
    hold: int = 0  # step at which the learning rate begins to fall; 0: after the warm-up
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    ema_decay: float = 0.999
    accumulate: int = 1  # batches per optimiser step
    device: str = "cpu"
    precision: str = "no"  # no | bf16 | fp16: mixed precision | bf16_layers: see half_layers
    threads: int = 0  # of torch; 0: its own choice
    replay: int = 1  # times that a rendered batch is used, mirrored and recoloured in between
    log_every: int = 20  # steps
    checkpoint_every_s: float = 300.0
    evaluate_every_s: float = 600.0
    evaluate_windows: int = 48
    evaluate_grid: tuple[int, int] = (3, 2)
    evaluate_size: tuple[int, int] = (112, 160)

    @property
    def steps(self) -> int:
        """Length of the run."""
        return self.phases[-1].until

    def phase(self, step: int) -> Phase:
        """The phase that step (from 0) belongs to."""
        return next((p for p in self.phases if step < p.until), self.phases[-1])

    def to_dict(self) -> dict[str, Any]:
        """Nested plain values, for JSON."""
        return asdict(self)


def load_config(path: Path | str) -> TrainConfig:
    """Reads a YAML file.

    Raises:
        TrainConfigError: no such file, not YAML, unknown key or wrong type.
    """
    path = Path(path)
    try:
        values = yaml.safe_load(path.read_text())
    except OSError as error:
        raise TrainConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except yaml.YAMLError as error:
        raise TrainConfigError(f"{path}: not YAML ({error})".splitlines()[0]) from error
    return from_dict(values or {}, str(path))


def from_dict(values: object, source: str = "config") -> TrainConfig:
    """Builds a configuration; what is not named keeps its default.

    Raises:
        TrainConfigError: unknown key or wrong type.
    """
    config = _build(TrainConfig, values, source)
    assert isinstance(config, TrainConfig)
    ends = [phase.until for phase in config.phases]
    if not ends or ends != sorted(set(ends)) or ends[0] < 1:
        raise TrainConfigError(f"{source}.phases: until must rise from phase to phase, got {ends}")
    for phase in config.phases:
        if (phase.pose_every > 0) != bool(phase.pose_grids):
            raise TrainConfigError(f"{source}.phases: pose_every and pose_grids need each other")
        if not 0 <= phase.calibrated_share <= 1:
            raise TrainConfigError(
                f"{source}.phases.calibrated_share must be in [0, 1], got {phase.calibrated_share}"
            )
        if any(side % 16 for size in phase.sizes for side in size):
            raise TrainConfigError(
                f"{source}.phases.sizes must be multiples of 16, got {list(phase.sizes)}"
            )
    return config


def _build(kind: type, values: object, path: str) -> object:
    if not isinstance(values, Mapping):
        raise TrainConfigError(f"{path} must be a mapping, got {values!r}")
    names = [spec.name for spec in fields(kind)]
    unknown = sorted(set(map(str, values)) - set(names))
    if unknown:
        raise TrainConfigError(f"{path}: unknown key {unknown[0]!r}; known: {', '.join(names)}")
    hints = get_type_hints(kind)
    try:
        return kind(**{k: _convert(hints[k], v, f"{path}.{k}") for k, v in values.items()})
    except TypeError as error:
        raise TrainConfigError(f"{path}: {error}") from error


def _convert(hint: Any, value: Any, path: str) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        hint = next(part for part in get_args(hint) if part is not type(None))
    if is_dataclass(hint):
        return _build(typing.cast(type, hint), value, path)
    if get_origin(hint) is tuple:
        if not isinstance(value, (list, tuple)):
            raise TrainConfigError(f"{path} must be a list, got {value!r}")
        inner = get_args(hint)
        kinds = [inner[0]] * len(value) if inner[-1] is Ellipsis else list(inner)
        if len(kinds) != len(value):
            raise TrainConfigError(f"{path} must have {len(kinds)} entries, got {value!r}")
        return tuple(_convert(k, v, path) for k, v in zip(kinds, value, strict=True))
    if hint is float and type(value) is int:
        value = float(value)
    if type(value) is not hint:
        raise TrainConfigError(f"{path} must be of type {hint.__name__}, got {value!r}")
    return value
