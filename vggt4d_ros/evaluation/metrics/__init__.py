# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Measures of depth, flow, masks, points, poses and of their confidences, as functions on arrays.

numpy and scipy only. In what comes in, NaN is invalid; a result is a ``dict[str, float]`` that
holds no NaN: what is not defined on the given data is left out. Empty input raises ``ValueError``.
"""

from vggt4d_ros.evaluation.metrics.calibration import (
    Sparsification,
    depth_sparsification,
    nees,
    sparsification,
)
from vggt4d_ros.evaluation.metrics.depth import depth_metrics
from vggt4d_ros.evaluation.metrics.flow import flow_metrics
from vggt4d_ros.evaluation.metrics.mask import mask_metrics
from vggt4d_ros.evaluation.metrics.points import point_metrics
from vggt4d_ros.evaluation.metrics.pool import pool, pool_scenes
from vggt4d_ros.evaluation.metrics.scene_flow import scene_flow_metrics
from vggt4d_ros.evaluation.metrics.temporal import temporal_metrics
from vggt4d_ros.evaluation.metrics.trajectory import Trajectory, associate, trajectory_metrics

__all__ = [
    "Sparsification",
    "Trajectory",
    "associate",
    "depth_metrics",
    "depth_sparsification",
    "flow_metrics",
    "mask_metrics",
    "nees",
    "point_metrics",
    "pool",
    "pool_scenes",
    "scene_flow_metrics",
    "sparsification",
    "temporal_metrics",
    "trajectory_metrics",
]
