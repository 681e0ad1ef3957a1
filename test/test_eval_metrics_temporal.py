# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Steadiness of depth on a slanted plane that a moving camera sees."""

from __future__ import annotations

import numpy as np
import pytest

from vggt4d_ros.evaluation.metrics.temporal import temporal_metrics

K = np.array([[50.0, 0.0, 19.5], [0.0, 50.0, 14.5], [0.0, 0.0, 1.0]])
SHAPE = (30, 40)


def pixels() -> tuple[np.ndarray, np.ndarray]:
    v, u = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    return u, v


def plane_depth(forward: float) -> np.ndarray:
    """Depth of the plane z = 10 + 0.5 x seen from (0, 0, forward)."""
    u, _ = pixels()
    ray_x = (u - K[0, 2]) / K[0, 0]
    return (10.0 - forward) / (1.0 - 0.5 * ray_x)


def moved(forward: float) -> np.ndarray:
    transform = np.eye(4)
    transform[2, 3] = forward
    return transform


def flow_to_before(forward: float) -> np.ndarray:
    u, v = pixels()
    z = plane_depth(forward)
    scale = z / (z + forward)  # of the offset from the principal point
    return np.stack([(u - K[0, 2]) * (scale - 1), (v - K[1, 2]) * (scale - 1)], axis=-1)


def test_depth_that_the_motion_explains_is_steady() -> None:
    before, now = plane_depth(0.0), plane_depth(1.0)

    by_pose = temporal_metrics(before, now, intrinsics=K, previous_from_current=moved(1.0))
    by_flow = temporal_metrics(
        before,
        now,
        intrinsics=K,
        previous_from_current=moved(1.0),
        flow_backward=flow_to_before(1.0),
    )

    # what is left is the plane's bend in depth between two pixels
    for result in (by_pose, by_flow):
        assert result["change"] < 1e-3
        assert (result["steady"], result["pixels"]) == (1.0, 1200.0)


def test_flicker_shows_as_it_is() -> None:
    before, now = plane_depth(0.0), plane_depth(0.0)

    result = temporal_metrics(1.1 * before, now, intrinsics=K, previous_from_current=np.eye(4))

    assert result["change"] == pytest.approx(0.1, abs=1e-9)
    assert result["change_median"] == pytest.approx(0.1, abs=1e-9)
    assert result["steady"] == 0.0


def test_motion_left_out_shows_as_change() -> None:
    result = temporal_metrics(
        plane_depth(0.0), plane_depth(1.0), intrinsics=K, previous_from_current=np.eye(4)
    )

    assert result["change"] == pytest.approx(1.0 / 9.0, abs=1e-3)


def test_moving_pixels_are_left_out_by_the_mask() -> None:
    before, now = plane_depth(0.0), plane_depth(0.0)
    before[:, :20] *= 2.0
    static = np.zeros(SHAPE, dtype=bool)
    static[:, 21:] = True

    result = temporal_metrics(
        before, now, intrinsics=K, previous_from_current=np.eye(4), static=static
    )

    assert result["change"] == pytest.approx(0.0, abs=1e-9)
    assert result["pixels"] == 30 * 19


def test_pixels_that_leave_the_image_or_have_no_depth_are_left_out() -> None:
    before, now = plane_depth(0.0), plane_depth(0.0)
    now[0, 0], now[0, 1] = np.nan, 0.0
    flow = np.zeros((*SHAPE, 2))
    flow[5] = 1000.0
    flow[6, 0] = np.nan

    result = temporal_metrics(
        before, now, intrinsics=K, previous_from_current=np.eye(4), flow_backward=flow
    )

    assert result["pixels"] == 1200 - 2 - 40 - 1
    assert result["change"] == pytest.approx(0.0, abs=1e-9)


def test_no_depth_is_no_depth_wherever_the_camera_goes() -> None:
    with pytest.raises(ValueError, match="no depth over time to compare"):
        temporal_metrics(
            plane_depth(0.0), np.zeros(SHAPE), intrinsics=K, previous_from_current=moved(1.0)
        )


def test_intrinsics_may_differ_between_the_images() -> None:
    zoomed = K * np.array([[2.0], [2.0], [1.0]])
    u, _ = pixels()
    before = 10.0 / (1.0 - 0.5 * (u - zoomed[0, 2]) / zoomed[0, 0])

    result = temporal_metrics(
        before,
        plane_depth(0.0),
        intrinsics=np.stack([zoomed, K]),
        previous_from_current=np.eye(4),
    )

    assert result["change"] < 1e-3
    assert 200 < result["pixels"] < 1200


def test_what_does_not_fit_is_named() -> None:
    depth = plane_depth(0.0)
    with pytest.raises(ValueError, match="no depth over time to compare"):
        temporal_metrics(
            np.full(SHAPE, np.nan), depth, intrinsics=K, previous_from_current=np.eye(4)
        )
    with pytest.raises(ValueError, match=r"and \(4, 4\)"):
        temporal_metrics(depth, depth, intrinsics=np.eye(4), previous_from_current=np.eye(4))
    with pytest.raises(ValueError, match=r"must be \(30, 40, 2\), got \(30, 40\)"):
        temporal_metrics(
            depth, depth, intrinsics=K, previous_from_current=np.eye(4), flow_backward=depth
        )
