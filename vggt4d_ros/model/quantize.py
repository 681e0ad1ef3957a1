# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Matrices of the trunk as 8-bit integers with a scale per row, by torchao (an optional package).

Only weights are rounded: each product turns its matrix back into the precision of the network. That
saves memory, not arithmetic.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import Any

from torch import nn

from vggt4d_ros.model.encoder import PositionCode
from vggt4d_ros.model.errors import EngineError
from vggt4d_ros.model.precision import trunk_parts
from vggt4d_ros.model.vggt4d import VGGT4D

WEIGHTS = ("precision", "int8")  # as EngineConfig.weights


def quantize_trunk(model: VGGT4D, weights: str) -> tuple[str, ...]:
    """Rounds the matrices of encoder and fusions if asked for, in place, where they are.

    Their biases, the heads and all that is no matrix product stay as they are.

    Returns:
        What a user must know.

    Raises:
        EngineError: unknown kind of weights, or torchao is missing or too old.
    """
    if weights not in WEIGHTS:
        raise EngineError(f"weights must be one of {', '.join(WEIGHTS)}, got {weights!r}")
    if weights == "precision":
        return ()
    quantize_, config = _torchao()
    # 18 columns: nothing to save, and its weight is read in other ways than by a product
    codes = [module.project for module in model.modules() if isinstance(module, PositionCode)]

    def is_wanted(module: nn.Module, _: str) -> bool:
        return isinstance(module, nn.Linear) and not any(module is code for code in codes)

    for part in trunk_parts(model):
        quantize_(part, config, filter_fn=is_wanted)
    return ("APPROXIMATE: the trunk's matrices are rounded to 8 bits (model.weights: int8)",)


def _torchao() -> tuple[Any, object]:
    """``quantize_`` and the configuration for it."""
    # on import it has torch warn of how it registers itself, which no user can change
    log = logging.getLogger("torch.utils._pytree")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        quantization = import_module("torchao.quantization")
        # else it changes options of the compiler for the whole process
        config = quantization.Int8WeightOnlyConfig(set_inductor_config=False)
    except ModuleNotFoundError as error:
        raise EngineError(
            "model.weights: int8 needs the Python package torchao, which is not installed "
            "(pip install torchao)"
        ) from error
    except (AttributeError, ImportError, TypeError) as error:
        raise EngineError(
            f"model.weights: int8 does not work with the torchao that is installed: {error}"
        ) from error
    finally:
        log.setLevel(level)
    return quantization.quantize_, config
