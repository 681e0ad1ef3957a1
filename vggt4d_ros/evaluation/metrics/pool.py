# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Averages of measures: of frames to a scene, of scenes to a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

# what counts something is added up, not averaged
COUNTS = ("pixels", "true_pixels", "points", "matched", "count", "length_m", "windows")
# roots of a mean square: weighted averages are taken of the squares
ROOTS = ("rmse", "rmse_log", "ate_rmse")


def pool(metrics: Sequence[Mapping[str, float]], weight: str = "") -> dict[str, float]:
    """One dict of many, key by key, over those that have the key.

    Without ``weight`` every dict counts the same, as depth is averaged over images (Eigen et al.
    2014 and after). With ``weight``, say ``"pixels"``, each counts by that key of its own, so the
    result is that of all pixels together, as KITTI's Fl and DAVIS-like shares want it; root mean
    squares are then pooled as mean squares. Counts are added up either way. Medians and maxima come
    out as averages of medians and of maxima.

    Raises:
        ValueError: nothing to pool, or a dict lacks the weight or has none.
    """
    if not metrics:
        raise ValueError("no metrics to pool: got none")
    if weight and any(m.get(weight, 0.0) <= 0 for m in metrics):
        raise ValueError(f"all metrics need a positive {weight!r} to be weighted by")
    result = {}
    for name in dict.fromkeys(name for m in metrics for name in m):
        having = [m for m in metrics if name in m]
        values = np.array([m[name] for m in having], dtype=np.float64)
        if name in COUNTS:
            result[name] = float(values.sum())
        elif not weight:
            result[name] = float(values.mean())
        else:
            by = np.array([m[weight] for m in having], dtype=np.float64)
            power = 2 if name in ROOTS else 1
            result[name] = float(np.average(values**power, weights=by) ** (1 / power))
    return result


def pool_scenes(
    scenes: Mapping[str, Sequence[Mapping[str, float]]], weight: str = ""
) -> dict[str, float]:
    """Frames are pooled to scenes (``weight`` as in ``pool``); the mean of the scenes is given.

    So a long scene counts no more than a short one.

    Raises:
        ValueError: no scenes, or one without frames.
    """
    empty = [name for name, frames in scenes.items() if not frames]
    if empty:
        raise ValueError(f"no metrics to pool: scene {empty[0]!r} has no frame")
    return pool([pool(frames, weight) for frames in scenes.values()])
