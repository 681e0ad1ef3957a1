# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Metric depth and its limits."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from vggt4d_ros.config import GeometryConfig
from vggt4d_ros.datatypes import FramePrediction
from vggt4d_ros.geometry.depth import (
    DepthLimits,
    confidence_threshold,
    depth_to_millimetres,
    metric_depth,
)

NAN = float("nan")


def frame(depth: list[float], confidence: list[float]) -> FramePrediction:
    return FramePrediction(
        depth=np.array([depth], np.float32), depth_confidence=np.array([confidence], np.float32)
    )


def test_depth_is_scaled_and_limits_make_it_nan():
    seen = frame([1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 3.0, 3.0, 3.0, 3.0])
    limits = DepthLimits(confidence_min=2.0, range_min=3.0, range_max=9.0)

    depth = metric_depth(seen, 2.0, limits)

    assert depth.dtype == np.float32
    assert_allclose(depth, [[NAN, 4.0, 6.0, 8.0, NAN]])  # unsure, ok, ok, ok, too far


def test_what_is_no_depth_is_nan_without_any_limit():
    seen = frame([0.0, -1.0, NAN, float("inf"), 1.0], [2.0, 2.0, 2.0, 2.0, NAN])

    assert np.isnan(metric_depth(seen, 1.0, DepthLimits())).all()


@pytest.mark.parametrize("depth", [0.0, -1.0, NAN, float("inf"), 0.4, 9.1])
@pytest.mark.parametrize("confidence", [2.0, NAN])
def test_one_bad_pixel_among_good_ones_is_found(depth, confidence):
    limits = DepthLimits(confidence_min=1.0, range_min=0.5, range_max=9.0)
    seen = frame([1.0] * 5 + [depth, 1.0], [2.0] * 5 + [confidence, 1.0])

    found = metric_depth(seen, 1.0, limits)

    assert np.isnan(found).tolist() == [[False] * 5 + [True, False]]


def test_input_is_left_as_it_was_and_buffer_is_used():
    seen = frame([1.0, 2.0], [1.0, 5.0])
    buffer = np.zeros((1, 2), np.float32)

    depth = metric_depth(seen, 3.0, DepthLimits(confidence_min=2.0), out=buffer)

    assert depth is buffer
    assert_array_equal(seen.depth, [[1.0, 2.0]])


def test_percentile_takes_its_share_of_pixels_away():
    confidence = np.random.default_rng(0).gamma(2.0, 3.0, (480, 640)).astype(np.float32) + 1
    confidence[:40] = np.nan
    seen = FramePrediction(depth=np.ones_like(confidence), depth_confidence=confidence)

    depth = metric_depth(seen, 1.0, DepthLimits(confidence_percentile=30.0))

    assert np.isnan(depth[40:]).mean() == pytest.approx(0.30, abs=0.01)


def test_stricter_of_percentile_and_absolute_limit_holds():
    confidence = np.linspace(1, 11, 101, dtype=np.float32).reshape(1, 101)

    loose = confidence_threshold(confidence, DepthLimits(2.0, 50.0))
    strict = confidence_threshold(confidence, DepthLimits(8.0, 50.0))

    assert loose == pytest.approx(6.0, abs=0.1)
    assert strict == 8.0


def test_frame_without_any_confidence_has_no_valid_depth():
    seen = frame([1.0, 2.0], [NAN, NAN])

    assert np.isnan(metric_depth(seen, 1.0, DepthLimits(1.0, 50.0))).all()


def test_limits_come_from_the_parameters_of_the_node():
    limits = DepthLimits.from_config(
        GeometryConfig(confidence_min=2.0, confidence_percentile=5.0, range_min=0.5, range_max=20.0)
    )

    assert limits == DepthLimits(2.0, 5.0, 0.5, 20.0)


@pytest.mark.parametrize("scale", [0.0, -1.0, NAN, float("inf")])
def test_a_scale_that_is_none_is_refused(scale):
    with pytest.raises(ValueError, match="scale must be positive"):
        metric_depth(frame([1.0], [1.0]), scale, DepthLimits())


def test_millimetres_are_rounded_and_zero_where_there_is_none():
    depth = np.array([[1.2344, 1.2346, NAN, 65.535, 65.54, 0.0]], np.float32)

    millimetres = depth_to_millimetres(depth)

    assert millimetres.dtype == np.uint16
    assert_array_equal(millimetres, [[1234, 1235, 0, 65535, 0, 0]])
