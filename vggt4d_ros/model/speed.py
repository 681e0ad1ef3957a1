# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a network may trade for time; by default nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from vggt4d_ros.model.errors import EngineError
from vggt4d_ros.model.vggt4d import VGGT4D

MOST_SHAPES = 64  # that a stage is compiled for
COMPILED = ("encode", "begin", "finish_views", "finish_steps", "apply_heads")


@dataclass(frozen=True, slots=True)
class Speed:
    """Choices of ``EngineConfig``, which says what each means."""

    head_precision: str = "fp32"
    cross_view: str = "checkpoint"
    frame_wise_layers: int = 0
    compile: bool = False
    weights: str = "precision"


def approximate(model: VGGT4D, speed: Speed) -> tuple[str, ...]:
    """Sets the model's approximations, in place; gives what a user must know of them.

    Raises:
        EngineError: there are not so many layers.
    """
    views = model.cross_view_global_fusion
    said = []
    if speed.cross_view not in ("checkpoint", views.scope):
        said.append(
            f"APPROXIMATE: model.cross_view is {speed.cross_view!r}, the weights were trained "
            f"with {views.scope!r}"
        )
        views.scope = speed.cross_view
    if speed.frame_wise_layers >= model.config.depth:
        raise EngineError(
            f"frame_wise_layers must be below {model.config.depth}, the layers of the "
            f"{model.config.name} model, got {speed.frame_wise_layers}"
        )
    if speed.frame_wise_layers:
        said.append(
            f"APPROXIMATE: the first {speed.frame_wise_layers} of {model.config.depth} layers of "
            "the space branch see one frame each (model.frame_wise_layers)"
        )
        views.frame_wise = speed.frame_wise_layers
    return tuple(said)


def cast_heads(model: VGGT4D, precision: str) -> VGGT4D:
    """Gives the matrices of the dense heads bfloat16 where asked for, in place.

    Norms, poses and motion stay float32: they are a small share, and what they say is summed up.
    """
    if precision == "bf16":
        for module in model.dense_head.modules():
            if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
                module.to(torch.bfloat16)
    return model


@contextmanager
def float32_products(device: torch.device, precision: str) -> Iterator[None]:
    """Whether a GPU may round the factors of float32 products to TF32, inside.

    Otherwise cuDNN does so by its own default, and float32 would not be what was asked for.
    """
    if device.type != "cuda":
        yield
        return
    matmul, cudnn = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    # not by cudnn.flags: what is not named there is turned off, cuDNN itself too
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(matmul)
        torch.backends.cudnn.allow_tf32 = cudnn


def compile_stages(model: VGGT4D, device: torch.device, backend: object = "inductor") -> None:
    """Compiles each stage for the shapes it will see; on a GPU as CUDA graphs.

    Every grid of the deadline's ladder, with and without flow, is a shape of its own: torch would
    give up after the eighth, without a word. What it allows is raised for the whole process.
    """
    limits = torch._dynamo.config
    name = "recompile_limit" if hasattr(limits, "recompile_limit") else "cache_size_limit"
    setattr(limits, name, max(getattr(limits, name), MOST_SHAPES))
    mode = "reduce-overhead" if device.type == "cuda" and backend == "inductor" else None
    for name in COMPILED:
        stage = torch.compile(getattr(model, name), dynamic=False, mode=mode, backend=backend)  # type: ignore[call-overload]
        setattr(model, name, stage)


def forget_compiled(model: VGGT4D) -> None:
    """Frees what ``compile_stages`` made: graphs and, on a GPU, the memory they hold."""
    for name in COMPILED:
        model.__dict__.pop(name, None)
    torch.compiler.reset()
