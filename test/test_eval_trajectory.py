# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which poses of a run make a trajectory, and what is said of it: values by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from vggt4d_ros.evaluation.metrics import Trajectory
from vggt4d_ros.evaluation.score_trajectory import Estimate, TrajectoryRecord, score_trajectory
from vggt4d_ros.evaluation.sources import TruthCounts

SECOND = 1_000_000_000


def along_x(*places: float) -> np.ndarray:
    poses = np.repeat(np.eye(4)[None], len(places), axis=0)
    poses[:, 0, 3] = places
    return poses


def window(stamps: list[int], places: list[float], started: str = "", known: bool = True):
    """What of a processed window matters here; NaN where a place is."""
    poses = along_x(*places)
    poses[np.isnan(places)] = np.nan
    tracked = SimpleNamespace(
        world_from_base=poses,
        stamps_ns=np.array(stamps, dtype=np.int64) * SECOND,
        covariance=np.repeat(0.01 * np.eye(6)[None], len(places), axis=0),
        started=started,
        alignment=None if started else object(),
        scale=SimpleNamespace(known=known),
    )
    return SimpleNamespace(tracked=tracked)


def test_each_instant_is_taken_once_as_it_was_first_published():
    record = TrajectoryRecord()

    new = [
        record.add(window([1, 2, 3], [0.0, 1.0, 2.0], started="first window")),
        record.add(window([2, 3, 4], [1.5, 2.5, 3.5])),
        record.add(window([5, 6], [np.nan, np.nan])),
        record.add(window([5, 6], [np.nan, 6.0])),
    ]

    found = record.estimate()
    assert found is not None
    assert [[stamp // SECOND for stamp in stamps] for stamps in new] == [[1, 2, 3], [4], [], [6]]
    assert found.trajectory.poses[:, 0, 3].tolist() == [0.0, 1.0, 2.0, 3.5, 6.0]
    assert found.covariances.shape == (5, 6, 6)
    assert (found.starts, found.metric) == (1, True)


def test_the_longest_stretch_without_a_fresh_start_is_the_trajectory():
    record = TrajectoryRecord()
    record.add(window([1, 2], [0.0, 1.0], started="first window", known=False))
    record.add(window([3, 4, 5], [0.0, 1.0, 2.0], started="a metric scale was found"))
    record.add(window([20, 21], [2.5, 3.5], started="no frame shared: the pose was held"))
    record.add(window([1, 2, 3], [0.0, 9.0, 9.0], started="time jumped back"))

    found = record.estimate()

    assert found is not None
    # what goes on over a gap is no start: only a start is at the origin
    assert found.trajectory.poses[:, 0, 3].tolist() == [0.0, 1.0, 2.0, 2.5, 3.5]
    assert (found.starts, found.metric) == (3, True)


def test_without_a_pose_there_is_no_trajectory():
    record = TrajectoryRecord()
    record.add(window([1], [np.nan]))

    assert record.estimate() is None


def scored(places: list[float], truth: list[float], *, metric: bool = True, sigma: float = 0.1):
    stamps = np.arange(1, len(places) + 1) * SECOND
    covariances = np.repeat(sigma**2 * np.eye(6)[None], len(places), axis=0)
    estimate = Estimate(Trajectory(stamps, along_x(*places)), covariances, 1, metric)
    counts = TruthCounts("here")
    result = score_trajectory(
        estimate, Trajectory(stamps, along_x(*truth)), counts, tolerance_s=0.02, metric=True
    )
    return result, counts


def test_without_alignment_both_begin_at_the_first_pose():
    result, counts = scored([0.0, 1.0, 2.0, 3.3], [100.0, 101.0, 102.0, 103.0])

    assert (counts.matched, counts.of) == (4, 4)
    assert result.metrics["trajectory"]["none"]["ate_max"] == pytest.approx(0.3)
    assert result.baselines["trajectory"]["none"]["ate_max"] == pytest.approx(3.0)
    assert result.truth is not None
    np.testing.assert_allclose(result.truth.poses[:, 0, 3], [0, 1, 2, 3])


def test_covariance_is_judged_by_the_error_in_units_of_its_sigma():
    result, _ = scored([0.0, 1.1, 2.1], [0.0, 1.0, 2.0])

    # one sigma off in one of six directions, at the two poses after the first
    assert result.metrics["calibration"]["pose"]["nees"] == pytest.approx(1.0)
    assert result.metrics["calibration"]["pose"]["count"] == 2


def test_a_trajectory_without_scale_has_no_number_in_metres():
    result, _ = scored([0.0, 0.1, 0.2], [0.0, 1.0, 2.0], metric=False)

    assert set(result.metrics["trajectory"]) == {"se3", "sim3", "scale"}
    assert result.metrics["trajectory"]["sim3"]["scale"] == pytest.approx(10.0)
    assert "calibration" not in result.metrics


def test_what_alignment_would_make_perfect_is_not_shown():
    two, _ = scored([0.0, 5.0], [0.0, 1.0])
    still, _ = scored([0.0, 0.1, 0.0], [0.0, 0.001, 0.0])

    assert set(two.metrics["trajectory"]) == {"none", "scale"}
    assert set(still.metrics["trajectory"]) == {"none", "se3"}
    assert len(still.faults) == 1
    assert "sim3 and scale left out: the true path is shorter" in still.faults[0]


def test_an_estimate_that_only_trembles_has_no_scale_and_that_is_said():
    result, _ = scored([0.0, 1e-17, 2e-17, 3e-17], [0.0, 1.0, 2.0, 3.0])

    assert set(result.metrics["trajectory"]) == {"none", "se3"}
    assert len(result.faults) == 1
    assert "sim3 and scale left out" in result.faults[0]
    assert "stands still" in result.faults[0]


def test_truth_is_interpolated_to_the_stamp_of_the_estimate():
    stamps = np.array([1_000_000_000, 1_100_000_000, 1_200_000_000])
    estimate = Estimate(Trajectory(stamps, along_x(0.0, 0.1, 0.2)), np.zeros((3, 6, 6)), 1, True)
    # the nearest is now before, now after: what all are off by would be laid onto the first pose
    off_ms = np.array([[-5, 8], [-8, 3], [-5, 6]])
    around = (stamps[:, None] + off_ms * 1_000_000).ravel()
    truth = Trajectory(around, along_x(*((around - SECOND) / SECOND)))
    counts = TruthCounts("here")

    result = score_trajectory(estimate, truth, counts, tolerance_s=0.02, metric=True)

    assert counts.matched == 3
    assert result.metrics["trajectory"]["none"]["ate_max"] == pytest.approx(0.0, abs=1e-9)
