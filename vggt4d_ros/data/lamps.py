# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Lamps in rooms: bright pools around them, dark corners away from them. They cast no shadows."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from vggt4d_ros.data.primitives import Array

BEHIND = 0.2  # of its light reaches what looks away, by way of the walls


def sample_lamps(rng: np.random.Generator, count: int, center: Array, half: Array) -> Array:
    """Lamps (L, 5) in the upper half of a room: place (x, y, z), reach, strength.

    At its reach (metres) a lamp gives half the light that it gives nearby.
    """
    lamps = np.zeros((count, 5))
    for lamp in lamps:
        lamp[:3] = center + half * rng.uniform([-0.9, -0.9, -0.9], [0.9, 0.0, 0.9])
        lamp[3], lamp[4] = rng.uniform(0.5, 2.0), rng.uniform(0.5, 4.0)
    return lamps


def lamp_light(lamps: Tensor, point: Tensor, normal: Tensor, length: Tensor) -> Tensor:
    """Light of lamps (N, L, 5) on points (N, 3) with normals of some length, (N,)."""
    away = lamps[..., :3] - point[:, None]
    square = away.square().sum(-1)
    facing = (away * normal[:, None]).sum(-1) / (square.sqrt() * length[:, None]).clamp(min=1e-6)
    near = lamps[..., 4] / (1 + square / lamps[..., 3].square())
    return (near * (BEHIND + (1 - BEHIND) * facing.clamp(min=0))).sum(-1)
