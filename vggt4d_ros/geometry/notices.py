# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a user should know of a tracked window, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from vggt4d_ros.geometry.align import Alignment
from vggt4d_ros.geometry.observation import Observation
from vggt4d_ros.geometry.parallax import RigParallax
from vggt4d_ros.geometry.platform import Placed
from vggt4d_ros.geometry.scale import ScaleEstimate
from vggt4d_ros.geometry.tracked import FIRST_WINDOW

# Trained networks stay below a third of these
_RIG_RESIDUAL_RAD = 0.1
_RIG_RESIDUAL_PER_DEPTH = 0.03
_FIT_RESIDUAL_PER_DEPTH = 0.1
_FIT_RESIDUAL_RAD = 0.1
_FIT_SCALE = 1.2
_FOCAL = 1.2


def notices_of(
    seen: Observation,
    scale: ScaleEstimate,
    alignment: Alignment | None,
    contradicted: Mapping[int, tuple[float, float]],
    started: str,
) -> tuple[str, ...]:
    """Gives warnings about a window; empty where all is as it should be."""
    depth_m = seen.median_depth * scale.value
    notices = []
    if not scale.known:
        notices.append(f"no metric scale: {scale.reason}")
    elif scale.jumped:
        notices.append(scale.reason)
    if started not in ("", FIRST_WINDOW):
        notices.append(f"a trajectory starts: {started}")
    notices += [
        f"the network contradicts the extrinsics of {seen.names[view]}: "
        f"{metres:.2g} m, {math.degrees(radians):.1f} degrees; it is left out of the merged cloud"
        for view, (metres, radians) in contradicted.items()
    ]
    unknown = {seen.names[view] for _, view in seen.predicted_intrinsics}
    if unknown:
        notices.append(
            f"no usable CameraInfo of {', '.join(sorted(unknown))}: the network's own field of "
            "view is used"
        )
    if not 1 / _FOCAL < _or(seen.focal_ratio, 1.0) < _FOCAL:
        notices.append(
            f"the network sees a focal length {seen.focal_ratio:.2f} times that of CameraInfo"
        )
    if alignment is not None and _is_bad(alignment, depth_m):
        notices.append(
            "the window fits badly onto the one before: "
            f"{alignment.residual_m:.2g} m, {math.degrees(alignment.residual_rad):.1f} degrees, "
            f"scale {alignment.scale_ratio:.2f}"
        )
    return tuple(notices)


def contradictions(
    seen: Observation, scale: ScaleEstimate, placed: Placed, parallax: RigParallax | None = None
) -> dict[int, tuple[float, float]]:
    """Gives view -> m, rad of the cameras that are not where their extrinsics say.

    Where cameras are compared by what they both see, either of the two explains the miss alone.
    """
    depth_m = seen.median_depth * scale.value
    if parallax is not None:
        return {v: (_or(miss * depth_m, 0.0), miss) for v, miss in parallax.contradicted.items()}
    metres, radians = placed.camera_residual_m, placed.camera_residual_rad
    if len(metres) < 2:
        return {}
    with np.errstate(invalid="ignore"):
        bad = (radians > _RIG_RESIDUAL_RAD) | (metres > _RIG_RESIDUAL_PER_DEPTH * depth_m)
    return {int(view): (float(metres[view]), float(radians[view])) for view in bad.nonzero()[0]}


def _is_bad(alignment: Alignment, depth_m: float) -> bool:
    return (
        alignment.residual_m > _FIT_RESIDUAL_PER_DEPTH * _or(depth_m, math.inf)
        or alignment.residual_rad > _FIT_RESIDUAL_RAD
        or not 1 / _FIT_SCALE < alignment.scale_ratio < _FIT_SCALE
    )


def _or(value: float, otherwise: float) -> float:
    return value if math.isfinite(value) else otherwise
