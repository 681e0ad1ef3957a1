# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Files of weights: the public release's ``.pt`` and our own safetensors.

Nothing is ever unpickled beyond tensors and plain values. Tensors are mapped from the file, so
that a model never needs its memory twice.
"""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from vggt4d_ros.model.config import ModelConfig
from vggt4d_ros.model.errors import CheckpointError
from vggt4d_ros.model.release_format import ARCHITECTURE, SCHEMA_VERSION, config_from_release
from vggt4d_ros.model.vggt4d import VGGT4D

FORMAT = "vggt4d_ros"
FORMAT_VERSION = "1"


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds; the tensors are mapped, not read."""

    path: Path
    kind: str  # 'release' or 'vggt4d_ros'
    config: ModelConfig
    tensors: Mapping[str, Tensor]
    extra: Mapping[str, Any]  # what its maker wrote: training steps, metrics, ...


def save(path: Path | str, model: VGGT4D, extra: Mapping[str, Any] | None = None) -> Path:
    """Writes a model as float16 safetensors with its configuration inside, atomically.

    Args:
        path: file to write.
        model: the model.
        extra: JSON values that describe how it came about.

    Raises:
        ValueError: a weight is not finite in float16.
    """
    path = Path(path)
    tensors = {}
    for name, tensor in model.state_dict().items():
        half = tensor.detach().to("cpu", torch.float16).contiguous()
        if not torch.isfinite(half).all():
            raise ValueError(f"{name} is not finite in float16")
        tensors[name] = half
    metadata = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "config": json.dumps(model.config.to_dict()),
        "extra": json.dumps(dict(extra or {})),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        save_file(tensors, part, metadata=metadata)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path


def read(path: Path | str) -> Checkpoint:
    """Opens a checkpoint of either kind.

    Raises:
        CheckpointError: there is no such file, or it is damaged, foreign or of another version.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint file")
    with path.open("rb") as file:
        magic = file.read(4)
    return _read_release(path) if magic == b"PK\x03\x04" else _read_own(path)


def _read_own(path: Path) -> Checkpoint:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path}: damaged or truncated, or no checkpoint at all ({_line(error)})"
        ) from error
    if metadata.get("format") != FORMAT:
        raise CheckpointError(f"{path}: a safetensors file, but of another program")
    if metadata.get("version") != FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: format version {metadata.get('version')}, this program reads {FORMAT_VERSION}"
        )
    try:
        config = ModelConfig.from_dict(json.loads(metadata["config"]))
        extra = json.loads(metadata.get("extra", "{}"))
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"{path}: its configuration is not readable ({error})") from error
    return Checkpoint(path, FORMAT, config, tensors, extra)


def _read_release(path: Path) -> Checkpoint:
    try:
        payload = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, OSError, EOFError, ValueError) as error:
        raise CheckpointError(
            f"{path}: damaged, truncated or not a plain-tensor checkpoint ({_line(error)})"
        ) from error
    if not isinstance(payload, Mapping) or "architecture" not in payload:
        raise CheckpointError(f"{path}: a torch file, but not a {ARCHITECTURE} checkpoint")
    for key, expected in (
        ("architecture", ARCHITECTURE),
        ("architecture_schema_version", SCHEMA_VERSION),
    ):
        if payload.get(key) != expected:
            raise CheckpointError(f"{path}: {key} is {payload.get(key)!r}, must be {expected!r}")
    # the release does not say what its state dict is called: it is the one mapping of tensors
    states = [value for value in payload.values() if _is_state(value)]
    if len(states) != 1:
        raise CheckpointError(f"{path}: has {len(states)} state dicts, must have one")
    try:
        config = config_from_release(payload["model_config"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: its model_config does not fit ({error})") from error
    plain = (str, int, float, bool)
    extra = {str(key): value for key, value in payload.items() if isinstance(value, plain)}
    return Checkpoint(path, "release", config, states[0], extra)


def _is_state(value: object) -> bool:
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(item, Tensor) for item in value.values())
    )


def _line(error: Exception) -> str:
    """The first line of an error, shortened."""
    text = str(error).strip().splitlines()
    return text[0][:120] if text else type(error).__name__
