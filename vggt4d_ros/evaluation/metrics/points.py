# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Errors of point clouds and point maps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from vggt4d_ros.evaluation.metrics.inputs import Array, require_same_shape, require_vectors


def point_metrics(
    found: NDArray[np.floating],
    truth: NDArray[np.floating],
    threshold: float,
    found_normals: NDArray[np.floating] | None = None,
    truth_normals: NDArray[np.floating] | None = None,
) -> dict[str, float]:
    """Distances of two clouds in one frame, metres.

    ``accuracy``, ``accuracy_median``: from each point found to the nearest true one;
    ``completeness``, ``completeness_median``: from each true point to the nearest one found (DTU:
    Jensen et al., CVPR 2014, section 4). ``precision`` and ``recall``: shares of these distances
    below the threshold (ETH3D: Schoeps et al., CVPR 2017, section 5, calls them accuracy and
    completeness), ``f_score``: their harmonic mean (Knapitsch et al., TOG 2017).
    ``normal_consistency``: |cosine| between the normals of such nearest pairs, averaged over each
    direction, then over both (Mescheder et al., CVPR 2019). ``points``: how many were found.

    Args:
        found: (..., 3); not finite is invalid.
        truth: (..., 3), of any other number; likewise.
        threshold: metres.
        found_normals: as ``found``, of any length > 0.
        truth_normals: as ``truth``; both are needed for the consistency.

    Raises:
        ValueError: shapes do not fit, the threshold is not positive, a cloud is empty.
    """
    if not threshold > 0:
        raise ValueError(f"the threshold must be positive, got {threshold} m")
    cloud, normals = _valid("found", found, found_normals)
    true_cloud, true_normals = _valid("truth", truth, truth_normals)
    away, partner = cKDTree(true_cloud).query(cloud)
    missed, true_partner = cKDTree(cloud).query(true_cloud)
    precision, recall = float(np.mean(away < threshold)), float(np.mean(missed < threshold))
    both = precision + recall
    result = {
        "accuracy": float(away.mean()),
        "accuracy_median": float(np.median(away)),
        "completeness": float(missed.mean()),
        "completeness_median": float(np.median(missed)),
        "precision": precision,
        "recall": recall,
        "f_score": 2 * precision * recall / both if both else 0.0,
        "points": float(len(cloud)),
    }
    if normals is not None and true_normals is not None:
        forth = np.abs(np.sum(normals * true_normals[partner], axis=-1)).mean()
        back = np.abs(np.sum(true_normals * normals[true_partner], axis=-1)).mean()
        result["normal_consistency"] = float(forth + back) / 2
    return result


def _valid(
    name: str, points: NDArray[np.floating], normals: NDArray[np.floating] | None
) -> tuple[Array, Array | None]:
    """The finite points (N, 3) and their normals (N, 3) of length 1."""
    cloud = require_vectors(name, points, 3).reshape(-1, 3)
    use = np.isfinite(cloud).all(-1)
    if normals is not None:
        require_same_shape(points=points, normals=normals)
        directions = require_vectors(f"{name}_normals", normals, 3).reshape(-1, 3)
        length = np.linalg.norm(directions, axis=-1, keepdims=True)
        use &= (length[:, 0] > 0) & np.isfinite(length[:, 0])
    if not use.any():
        raise ValueError(f"{name} holds no valid point: none of {len(cloud)} is finite")
    if normals is None:
        return cloud[use], None
    return cloud[use], directions[use] / length[use]
