# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is made of truth and estimate before they are compared: sizes, pixels, clouds."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from vggt4d_ros.datatypes import CameraModel
from vggt4d_ros.evaluation.pictures import PictureBook, depth_rgb, flow_rgb, relative_error
from vggt4d_ros.evaluation.score_depth import SequenceSample, _thinned, match_size
from vggt4d_ros.evaluation.score_points import PointScorer
from vggt4d_ros.evaluation.sources import FrameTruth
from vggt4d_ros.evaluation.tally import Tally


def test_thinned_pixels_look_along_the_rays_they_had():
    model = CameraModel(640, 480, 500.0, 400.0, 321.0, 239.0)
    depth = np.arange(480 * 640, dtype=np.float32).reshape(480, 640)
    view = SimpleNamespace(depth=depth, model=model, world_from_cam=np.eye(4))

    thin = _thinned(view, 0)

    assert thin.depth.shape == (240, 320)
    assert thin.depth[7, 11] == depth[14, 22]
    ray = np.linalg.inv(thin.intrinsics) @ [11.0, 7.0, 1.0]
    np.testing.assert_allclose(ray, [(22 - 321) / 500, (14 - 239) / 400, 1.0])
    assert model.matrix[0, 0] == 500.0, "the model is unchanged"


def test_dense_truth_is_taken_at_the_nearest_pixel_and_sparse_at_the_nearest_point():
    truth = np.full((4, 8), np.nan, np.float32)
    truth[2, 2], truth[3, 3] = 5.0, 3.0
    full = np.arange(32, dtype=np.float32).reshape(4, 8)

    sparse = match_size(truth, (2, 4), sparse=True)
    dense = match_size(full, (2, 4), sparse=False)

    assert sparse is not None
    np.testing.assert_array_equal(sparse[1], [np.nan, 3.0, np.nan, np.nan])
    assert dense is not None
    assert set(dense.ravel()) < set(full.ravel())
    assert match_size(full, (4, 8), sparse=True) is full
    assert match_size(full, (4, 4), sparse=False) is None, "another shape cannot be aligned"


def test_a_sequence_that_shares_one_scale_is_told_from_frames_that_do_not():
    sample = SequenceSample()
    rng = np.random.default_rng(0)
    for factor in (1.0, 3.0):
        true = rng.uniform(1, 5, (20, 20)).astype(np.float32)
        sample.add(true * np.float32(factor), true)

    found = sample.metrics()

    assert found["median_sequence"]["abs_rel"] > 0.3
    same = SequenceSample()
    for _ in range(2):
        same.add(2 * true, true)
    assert same.metrics()["median_sequence"]["abs_rel"] == pytest.approx(0.0, abs=1e-6)
    assert SequenceSample().metrics() == {}


def test_a_long_sequence_keeps_a_bounded_and_evenly_spread_sample():
    sample = SequenceSample()
    for number in range(10_000):
        image = np.full((2, 2), 1.0 + number, np.float32)
        sample.add(image, image)

    kept = np.concatenate(sample._pairs, axis=1)[0]
    assert len(sample._pairs) <= 4096
    assert len(np.unique(np.diff(np.unique(kept)))) == 1


def points_view(depth: np.ndarray) -> SimpleNamespace:
    model = CameraModel(40, 30, 40.0, 40.0, 19.5, 14.5)
    return SimpleNamespace(
        depth=depth, model=model, world_from_cam=np.eye(4), has_pose=True, view=0
    )


def test_clouds_are_laid_over_each_other_with_and_without_scale():
    v, u = np.mgrid[:30, :40]
    true = (2.0 + 0.02 * u + 0.03 * v).astype(np.float32)
    moved = np.eye(4)
    moved[:3, 3] = 1.0, 2.0, 3.0
    truth = {0: FrameTruth(depth=true, world_from_cam=moved)}
    processed = SimpleNamespace(tracked=SimpleNamespace(scale=SimpleNamespace(known=True)))
    tally = Tally()

    columns = PointScorer(tally, metric=True).score(processed, [points_view(2 * true)], truth)

    points = tally.result()["points"]
    assert points["all"]["accuracy"] == pytest.approx(0.0, abs=1e-5)
    assert points["all"]["f_score"] == 1.0
    assert points["all"]["normal_consistency"] == pytest.approx(1.0, abs=1e-5)
    assert points["metric"]["accuracy"] > 0.1
    assert set(columns) == {"chamfer", "metric_chamfer"}


def test_windows_to_draw_are_spread_evenly_over_those_expected():
    assert PictureBook(100, 3, ["a"])._chosen == [0, 50, 99]
    assert PictureBook(2, 6, ["a"])._chosen == [0, 1]
    assert PictureBook(0, 6, ["a"])._chosen == []


def test_colours_tell_near_from_far_and_where_nothing_is_known():
    depth = np.array([[1.0, 10.0, np.nan]], np.float32)
    flow = np.array([[[5.0, 0.0], [0.0, 0.0], [np.nan, 0.0]]], np.float32)

    near, far, unknown = depth_rgb(depth, 1.0, 10.0)[0].astype(int)
    right, still, lost = flow_rgb(flow, 5.0)[0].astype(int)

    assert near[0] > near[2]  # red
    assert far[2] > far[0]  # blue
    assert unknown.tolist() == [0, 0, 0] == lost.tolist()
    assert right.tolist() == [255, 0, 0]
    assert still.tolist() == [255, 255, 255]


def test_relative_error_is_after_the_medians_agree():
    true = np.array([[1.0, 2.0, 3.0, np.nan]])

    error = relative_error(np.array([[10.0, 20.0, 60.0, 5.0]]), true)

    np.testing.assert_allclose(error, [[0.0, 0.0, 1.0, np.nan]])
    assert np.isnan(relative_error(np.full((1, 4), np.nan), true)).all()
