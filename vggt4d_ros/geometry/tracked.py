# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What geometry says of a window: poses in the fixed frame, scale, residuals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.datatypes import Array, CameraModel
from vggt4d_ros.geometry.align import Alignment
from vggt4d_ros.geometry.scale import ScaleEstimate

FIRST_WINDOW = "first window"  # TrackedWindow.started of the very first


@dataclass(frozen=True, eq=False)
class TrackedWindow:
    """One window in the fixed frame.

    The fixed frame is the platform's pose at the first valid step of the trajectory, z up. Lengths
    are metres where ``scale.known``, else units of the trajectory's first window. Without known
    extrinsics the platform is the first camera, with body axes (REP-103).

    Covariance and twist are made when they are first read: of a robot's outputs only odometry
    has them.
    """

    valid: NDArray[np.bool_]  # (T, V): a frame was there and its pose is usable
    invalid_reasons: dict[tuple[int, int], str]  # (step, view) -> why not
    world_from_cam: Array  # (T, V, 4, 4), at each frame's own stamp; NaN where not valid
    world_from_base: Array  # (T, 4, 4), at stamps_ns; NaN where no camera speaks for it
    stamps_ns: NDArray[np.int64]  # (T,) newest stamp of each frame set
    models: dict[tuple[int, int], CameraModel]  # intrinsics of the dense frames that have any
    predicted_intrinsics: frozenset[tuple[int, int]]  # dense frames without a CameraInfo
    focal_ratio: float  # predicted over known focal length; NaN: nothing known to compare with
    scale: ScaleEstimate
    alignment: Alignment | None  # to the window before; None where a trajectory starts
    rig_residual_m: float  # RMS of the cameras against the extrinsics; NaN: fewer than two
    rig_residual_rad: float
    contradicted: dict[int, tuple[float, float]]  # view -> m, rad: not where its extrinsics say
    find_covariance: Callable[[], Array]
    find_twist: Callable[[], Array]
    started: str  # why a trajectory starts with this window; "": it goes on
    warnings: tuple[str, ...]

    @cached_property
    def covariance(self) -> Array:
        """(T, 6, 6) x y z rx ry rz, axes of the fixed frame; NaN as world_from_base."""
        return self.find_covariance()

    @cached_property
    def twist(self) -> Array:
        """(T, 6) m/s, rad/s of the platform in its own axes; NaN where unknown."""
        return self.find_twist()
