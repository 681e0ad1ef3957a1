# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Models from checkpoints. Strict: a file is loaded whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vggt4d_ros.model import config as configs
from vggt4d_ros.model.catalogue import CATALOGUE, PACKAGED
from vggt4d_ros.model.checkpoint_file import FORMAT, Checkpoint, read, save
from vggt4d_ros.model.config import ModelConfig
from vggt4d_ros.model.errors import CheckpointError
from vggt4d_ros.model.precision import cast_trunk
from vggt4d_ros.model.vggt4d import VGGT4D

__all__ = [
    "Checkpoint",
    "Loaded",
    "assign",
    "build",
    "check_tensors",
    "describe",
    "load",
    "load_engine_model",
    "read",
    "resolve",
    "save",
    "untrained",
    "weakness",
]

CPU = torch.device("cpu")
WEAK_ABS_REL = 0.15
UNTRAINED = (
    "NO TRAINED WEIGHTS: the compact network runs with random weights and its output means "
    "nothing; give model.checkpoint or build the package with its weights"
)


@dataclass(frozen=True)
class Loaded:
    """A model with its weights, and where they came from."""

    model: VGGT4D
    source: str
    warnings: tuple[str, ...] = ()


def build(checkpoint: Checkpoint, precision: str = "fp32", device: torch.device = CPU) -> VGGT4D:
    """The model of a checkpoint, in evaluation mode.

    Each tensor goes from the file to its place and number format by itself, so that at no time
    there are two models in memory.

    Args:
        checkpoint: what ``read`` gave.
        precision: of the trunk's matrices, as for ``cast_trunk``.
        device: where the model goes.

    Raises:
        CheckpointError: tensors are missing, too many, of another shape or not finite.
    """
    with torch.device("meta"):
        model = cast_trunk(VGGT4D(checkpoint.config), precision)
    check_tensors(model, checkpoint.tensors, str(checkpoint.path))
    state = {}
    for name, wanted in model.state_dict().items():
        # a copy, even of the same type: a tensor that stays mapped would change with its file
        state[name] = checkpoint.tensors[name].to(device, wanted.dtype, copy=True)
        if checkpoint.kind == FORMAT and not torch.isfinite(state[name]).all():
            raise CheckpointError(f"{checkpoint.path}: {name} is not finite")
    return assign(model, state).to(device)


def assign(model: VGGT4D, state: Mapping[str, Tensor]) -> VGGT4D:
    """Puts tensors into a model that was built on the meta device, without copying them."""
    trains = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    model.load_state_dict(state, strict=True, assign=True)
    model.restore_constants()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(trains[name])
    return model.eval()


def check_tensors(model: VGGT4D, tensors: Mapping[str, Tensor], source: str) -> None:
    """Compares names and shapes with what the model needs.

    Raises:
        CheckpointError: names the first that does not fit, and how many there are.
    """
    wanted = {name: tensor.shape for name, tensor in model.state_dict().items()}
    for what, names in (
        ("missing", sorted(wanted.keys() - tensors.keys())),
        ("unknown", sorted(tensors.keys() - wanted.keys())),
    ):
        if names:
            raise CheckpointError(f"{source}: {len(names)} {what} tensors, first {names[0]}")
    for name, shape in wanted.items():
        if tensors[name].shape != shape:
            raise CheckpointError(
                f"{source}: {name} has shape {tuple(tensors[name].shape)}, must be {tuple(shape)}"
            )
        if not tensors[name].is_floating_point():
            raise CheckpointError(f"{source}: {name} is of type {tensors[name].dtype}, not float")


def describe(checkpoint: Checkpoint) -> list[str]:
    """Names of the outputs of a checkpoint's model, after checking its tensors.

    Raises:
        CheckpointError: tensors are missing, too many or of another shape.
    """
    with torch.device("meta"):
        model = VGGT4D(checkpoint.config)
    check_tensors(model, checkpoint.tensors, str(checkpoint.path))
    config = checkpoint.config
    motion = config.motion
    there = {
        "pose": True,
        "depth": config.dense.depth,
        "points": config.dense.points,
        "flow": motion is not None,
        "dynamic": motion is not None and motion.dynamic,
        "tracks": motion is not None and motion.tracks,
    }
    return [name for name, here in there.items() if here]


def load(path: Path | str) -> VGGT4D:
    """The model of a checkpoint file, float32, in evaluation mode.

    Raises:
        CheckpointError: it does not load; one line that says why.
    """
    return build(read(path))


def resolve(name: str) -> Path:
    """The file of a checkpoint name: a path, or an entry of the catalogue that was downloaded.

    Raises:
        CheckpointError: there is no such file.
    """
    if name in CATALOGUE:
        path = CATALOGUE[name].path
        if not path.is_file():
            raise CheckpointError(
                f"checkpoint {name!r} is not there: run `vggt4d download {name}` first"
            )
        return path
    path = Path(name).expanduser()
    if not path.is_file():
        raise CheckpointError(
            f"checkpoint {name!r} is neither a file nor one of: {', '.join(CATALOGUE)}"
        )
    return path


def load_engine_model(name: str, precision: str = "fp32", device: torch.device = CPU) -> Loaded:
    """The model that ``model.checkpoint`` names; empty: the packaged one.

    Args:
        name: file or catalogue name.
        precision: as for ``build``.
        device: as for ``build``.

    Raises:
        CheckpointError: it does not load.
    """
    if name or PACKAGED.is_file():
        path = resolve(name) if name else PACKAGED
        found = read(path)
        return Loaded(build(found, precision, device), str(path), weakness(found.extra))
    return Loaded(untrained(configs.compact()), "untrained", (UNTRAINED,))


def weakness(extra: Mapping[str, Any]) -> tuple[str, ...]:
    """What a user must know of weights whose own held-out depth error is large.

    Args:
        extra: as saved beside the weights; ``held_out.abs_rel`` is the median-scaled error.
    """
    error = extra.get("held_out", {}).get("abs_rel")
    if error is None or error <= WEAK_ABS_REL:
        return ()
    return (
        f"WEAK WEIGHTS: on held-out scenes depth is off by {error:.0%} on average; do not drive "
        "by it (vggt4d_ros/weights/README.md)",
    )


def untrained(config: ModelConfig, seed: int = 0) -> VGGT4D:
    """A model with random weights that depend on the seed only."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return VGGT4D(config).eval()
