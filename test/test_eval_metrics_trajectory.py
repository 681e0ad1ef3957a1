# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Trajectory errors against values by hand and against evo on the same poses."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vggt4d_ros.evaluation.metrics.trajectory import (
    Trajectory,
    associate,
    rotation_angle_deg,
    trajectory_metrics,
)

STATISTICS = ("rmse", "mean", "median", "max")


def straight(xs: list[float], step_s: float = 1.0) -> Trajectory:
    poses = np.tile(np.eye(4), (len(xs), 1, 1))
    poses[:, 0, 3] = xs
    return Trajectory((np.arange(len(xs)) * step_s * 1e9).astype(np.int64), poses)


def wandering(seed: int = 0, count: int = 60) -> tuple[Trajectory, Trajectory]:
    """A true path with turns and one found: noisy, moved, turned and scaled."""
    rng = np.random.default_rng(seed)
    truth = np.tile(np.eye(4), (count, 1, 1))
    truth[:, :3, :3] = Rotation.from_rotvec(
        np.cumsum(rng.normal(0, 0.1, (count, 3)), 0)
    ).as_matrix()
    truth[:, :3, 3] = np.cumsum(rng.normal(0, 0.3, (count, 3)), 0)
    found = truth.copy()
    found[:, :3, :3] = (
        truth[:, :3, :3] @ Rotation.from_rotvec(rng.normal(0, 0.02, (count, 3))).as_matrix()
    )
    found[:, :3, 3] = 0.4 * (truth[:, :3, 3] + rng.normal(0, 0.05, (count, 3)))
    shift = np.eye(4)
    shift[:3, :3] = Rotation.from_rotvec([0.4, -1.0, 2.0]).as_matrix()
    shift[:3, 3] = [5.0, -3.0, 1.0]
    stamps = (np.arange(count) * 100_000_000).astype(np.int64)
    return Trajectory(stamps, shift @ found), Trajectory(stamps, truth)


def test_unaligned_errors_equal_those_by_hand() -> None:
    truth, found = straight([0.0, 1.0, 2.0]), straight([0.0, 1.5, 2.0])

    result = trajectory_metrics(found, truth, "none", ("1f", "2f"))

    # away by 0, 0.5, 0; steps found 1.5 and 0.5 where 1 and 1 are true
    assert result["ate_rmse"] == pytest.approx(np.sqrt(0.25 / 3), abs=1e-12)
    assert result["ate_mean"] == pytest.approx(0.5 / 3, abs=1e-12)
    assert (result["ate_median"], result["ate_max"]) == (0.0, 0.5)
    assert result["rpe_trans_rmse_1f"] == pytest.approx(0.5, abs=1e-12)
    assert result["rpe_trans_max_2f"] == pytest.approx(0.0, abs=1e-12)
    assert result["rpe_rot_deg_max_1f"] == pytest.approx(0.0, abs=1e-9)
    assert (result["matched"], result["length_m"]) == (3.0, 2.0)
    assert "scale" not in result


def test_relative_rotation_is_in_degrees() -> None:
    truth, found = straight([0.0, 1.0]), straight([0.0, 1.0])
    found.poses[1, :3, :3] = Rotation.from_euler("z", 90, degrees=True).as_matrix()

    result = trajectory_metrics(found, truth, "none")

    assert result["rpe_rot_deg_mean_1f"] == pytest.approx(90.0, abs=1e-9)


def test_alignments_undo_what_they_may() -> None:
    _, truth = wandering()
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_rotvec([0.3, 0.2, -2.0]).as_matrix()
    turn[:3, 3] = [1.0, 2.0, 3.0]
    half = truth.poses.copy()
    half[:, :3, 3] *= 0.5
    moved = Trajectory(truth.stamps_ns, turn @ truth.poses)
    scaled = Trajectory(truth.stamps_ns, half)
    both = Trajectory(truth.stamps_ns, turn @ half)

    def error(found: Trajectory, alignment: str) -> float:
        return trajectory_metrics(found, truth, alignment)["ate_rmse"]

    assert error(moved, "none") > 1
    assert error(moved, "se3") < 1e-9
    assert error(scaled, "se3") > 0.1
    assert error(scaled, "scale") < 1e-9
    assert error(both, "scale") > 1
    assert error(both, "sim3") < 1e-9
    assert trajectory_metrics(both, truth, "sim3")["scale"] == pytest.approx(2.0, abs=1e-9)


@pytest.mark.parametrize("alignment", ["none", "se3", "sim3", "scale"])
@pytest.mark.parametrize("delta", ["1f", "7f", "2m"])
def test_numbers_equal_those_of_evo(alignment: str, delta: str) -> None:
    metrics = pytest.importorskip("evo.core.metrics")
    trajectory = pytest.importorskip("evo.core.trajectory")
    found, truth = wandering()
    theirs = trajectory.PosePath3D(poses_se3=list(truth.poses))
    ours = trajectory.PosePath3D(poses_se3=[pose.copy() for pose in found.poses])
    if alignment != "none":
        ours.align(
            theirs, correct_scale=alignment == "sim3", correct_only_scale=alignment == "scale"
        )
    unit = metrics.Unit.frames if delta[-1] == "f" else metrics.Unit.meters
    expected = {}
    parts = metrics.PoseRelation
    for name, relation in (
        ("rpe_trans", parts.translation_part),
        ("rpe_rot_deg", parts.rotation_angle_deg),
    ):
        number = int(delta[:-1]) if delta[-1] == "f" else float(delta[:-1])
        rpe = metrics.RPE(relation, number, unit, all_pairs=True, pairs_from_reference=True)
        rpe.process_data((theirs, ours))
        for statistic in STATISTICS:
            expected[f"{name}_{statistic}_{delta}"] = rpe.get_all_statistics()[statistic]
    ape = metrics.APE(parts.translation_part)
    ape.process_data((theirs, ours))
    for statistic in STATISTICS:
        expected[f"ate_{statistic}"] = ape.get_all_statistics()[statistic]

    result = trajectory_metrics(found, truth, alignment, (delta,))

    for name, value in expected.items():
        assert result[name] == pytest.approx(value, abs=1e-6), name


def test_a_mirrored_path_is_turned_but_not_mirrored_back() -> None:
    trajectory = pytest.importorskip("evo.core.trajectory")
    metrics = pytest.importorskip("evo.core.metrics")
    _, truth = wandering()
    found = truth.poses.copy()
    found[:, 2, 3] *= -1
    theirs = trajectory.PosePath3D(poses_se3=list(truth.poses))
    ours = trajectory.PosePath3D(poses_se3=[pose.copy() for pose in found])
    _, _, scale = ours.align(theirs, correct_scale=True)
    ape = metrics.APE(metrics.PoseRelation.translation_part)
    ape.process_data((theirs, ours))

    result = trajectory_metrics(Trajectory(truth.stamps_ns, found), truth, "sim3")

    assert result["ate_rmse"] > 0.05
    assert result["ate_rmse"] == pytest.approx(ape.get_all_statistics()["rmse"], abs=1e-6)
    assert result["scale"] == pytest.approx(scale, abs=1e-6)


def test_association_equals_that_of_evo() -> None:
    sync = pytest.importorskip("evo.core.sync")
    rng = np.random.default_rng(0)
    truth_s = np.sort(rng.uniform(0, 10, 200))
    found_s = truth_s[5:150:3] + rng.uniform(-0.004, 0.004, 49)
    found, truth = (
        Trajectory(np.round(s * 1e9).astype(np.int64), np.tile(np.eye(4), (len(s), 1, 1)))
        for s in (np.sort(found_s), truth_s)
    )
    index, partner = sync.matching_time_indices(found.stamps_ns / 1e9, truth.stamps_ns / 1e9, 0.003)
    assert len(set(partner)) == len(partner)
    assert 0 < len(index) < len(found)

    matched, true = associate(found, truth, 0.003)

    np.testing.assert_array_equal(matched.stamps_ns, found.stamps_ns[index])
    np.testing.assert_array_equal(true.stamps_ns, truth.stamps_ns[partner])


def test_a_true_pose_goes_to_the_nearest_found_one_only() -> None:
    truth = straight([0.0, 1.0], step_s=1.0)
    found = Trajectory(
        np.array([-20_000_000, 10_000_000, 30_000_000], dtype=np.int64),
        np.tile(np.eye(4), (3, 1, 1)),
    )

    matched, true = associate(found, truth, 0.05)

    np.testing.assert_array_equal(matched.stamps_ns, [10_000_000])
    np.testing.assert_array_equal(true.stamps_ns, [0])


def test_nothing_matched_says_which_ranges_did_not_overlap() -> None:
    found, truth = straight([0.0, 1.0]), straight([0.0, 1.0])
    late = Trajectory(truth.stamps_ns + 100_000_000_000, truth.poses)

    with pytest.raises(
        ValueError, match=r"within 0.02 s: found 0.000 to 1.000 s, truth 100.000 to 101.000 s"
    ):
        associate(found, late, 0.02)


def test_pairs_in_seconds_are_those_of_the_truth() -> None:
    truth, found = straight([0.0, 1.0, 2.0, 3.0], 0.5), straight([0.0, 1.0, 2.0, 4.0], 0.5)

    result = trajectory_metrics(found, truth, "none", ("1s", "0.5s", "9s"))

    # pairs 0-2 and 1-3 are 1 s apart: errors 0 and 1
    assert result["rpe_trans_mean_1s"] == pytest.approx(0.5, abs=1e-12)
    assert result["rpe_trans_mean_0p5s"] == pytest.approx(1 / 3, abs=1e-12)
    assert not any(name.endswith("_9s") for name in result)


def test_a_straight_line_and_a_standing_robot_have_errors_too() -> None:
    line = straight([0.0, 1.0, 2.0])
    still = straight([4.0, 4.0, 4.0])

    assert trajectory_metrics(straight([0.0, 2.0, 4.0]), line, "sim3")["ate_max"] < 1e-9
    assert trajectory_metrics(still, straight([0.0, 0.0, 0.0]), "se3")["ate_max"] < 1e-9
    with pytest.raises(ValueError, match="stands still"):
        trajectory_metrics(still, line, "scale")
    for trembling in (straight([0.0, 1e-17, 2e-17]), straight([5e6, 5e6 + 1e-9, 5e6])):
        for found, truth in ((trembling, line), (line, trembling)):
            with pytest.raises(ValueError, match="stands still"):
                trajectory_metrics(found, truth, "sim3")


def test_angles_are_exact_near_none_and_near_half_a_turn() -> None:
    for degrees in (0.0, 1e-5, 1.0, 90.0, 179.999, 180.0):
        turned = Rotation.from_rotvec([0.0, np.radians(degrees), 0.0]).as_matrix()
        assert float(rotation_angle_deg(turned)) == pytest.approx(degrees, abs=1e-9)


def test_what_is_no_trajectory_or_no_delta_is_named() -> None:
    line = straight([0.0, 1.0])
    with pytest.raises(ValueError, match="must rise strictly"):
        Trajectory(np.array([5, 5]), np.tile(np.eye(4), (2, 1, 1)))
    with pytest.raises(ValueError, match=r"got \(2,\) and \(3, 4, 4\)"):
        Trajectory(np.array([5, 6]), np.tile(np.eye(4), (3, 1, 1)))
    with pytest.raises(ValueError, match="not finite"):
        Trajectory(np.array([5]), np.full((1, 4, 4), np.nan))
    with pytest.raises(ValueError, match="'0.5f'"):
        trajectory_metrics(line, line, "none", ("0.5f",))
    with pytest.raises(ValueError, match="2 found and 3 true"):
        trajectory_metrics(line, straight([0.0, 1.0, 2.0]), "none")
    with pytest.raises(ValueError, match="0 found and 2 true"):
        associate(Trajectory(np.zeros(0, dtype=np.int64), np.zeros((0, 4, 4))), line, 1.0)
