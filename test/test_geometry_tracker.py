# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Windows chained into a trajectory: what must work, and what must never come out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from vggt4d_ros.data.analytic_drive import (
    SMALL_CAMERA,
    AnalyticDrive,
    Noise,
    outward_rig,
    stereo_rig,
)
from vggt4d_ros.datatypes import CameraModel, FramePrediction, Prediction, Rig
from vggt4d_ros.geometry import se3
from vggt4d_ros.geometry.scale import GivenScale, ScaleSource
from vggt4d_ros.geometry.tracked import FIRST_WINDOW, TrackedWindow
from vggt4d_ros.geometry.tracker import Tracker

SMALL = CameraModel(64, 48, 40.0, 40.4, 32.1, 23.7)
REALISTIC = Noise(depth=0.02, centre_m=0.003, rotation_rad=0.002)


def follow(
    drive: AnalyticDrive,
    newest: list[int],
    tracker: Tracker | None = None,
    *,
    rig: bool = True,
    flow: bool = False,
    odom: bool = False,
) -> list[TrackedWindow]:
    tracker = tracker or Tracker()
    result = []
    for index in newest:
        window = drive.window(index)
        prediction = drive.predict(index, tracker.dense_steps(window, flow=flow))
        poses = odometry(drive, index) if odom else None
        result.append(
            tracker.update(window, prediction, drive.rig if rig else None, odom_from_cam=poses)
        )
    return result


def odometry(drive: AnalyticDrive, newest: int) -> np.ndarray:
    """Platform motion of a wheel odometry whose frame is somewhere else."""
    odom_from_world = se3.exp(np.array([7.0, -3.0, 0.0, 0.0, 0.0, 1.0]))
    first = newest - drive.length + 1
    return np.array(
        [
            [odom_from_world @ drive.world_from_cam(first + t, v) for v in range(drive.views)]
            for t in range(drive.length)
        ]
    )


def errors(windows: list[TrackedWindow], drive: AnalyticDrive, newest: list[int]) -> np.ndarray:
    """Twists (N, 6) from the true pose of the platform to the tracked one, newest step."""
    fixed_from_world = se3.inverse(drive.base(newest[0] - drive.length + 1))
    true = np.stack([fixed_from_world @ drive.base(index) for index in newest])
    found = np.stack([window.world_from_base[-1] for window in windows])
    return se3.log(se3.inverse(true) @ found)


def test_exact_predictions_give_the_exact_trajectory_whatever_the_windows_own_world():
    drive, newest = AnalyticDrive(model=SMALL), list(range(3, 23))

    windows = follow(drive, newest)

    assert np.abs(errors(windows, drive, newest)).max() < 1e-5
    assert all(window.scale.source is ScaleSource.RIG for window in windows)
    assert [window.started for window in windows] == [FIRST_WINDOW] + [""] * 19
    assert all(window.warnings == () for window in windows)
    for window, index in zip(windows, newest, strict=True):
        expected = [se3.inverse(drive.base(0)) @ drive.world_from_cam(index, v) for v in range(4)]
        assert_allclose(window.world_from_cam[-1], expected, atol=2e-5)


def test_depth_in_metres_is_scale_times_network_depth():
    drive = AnalyticDrive(model=SMALL)
    window = drive.window(3)
    prediction = drive.predict(3, (3,))

    tracked = Tracker().update(window, prediction, drive.rig)

    metres = prediction.frames[3, 2].depth * tracked.scale.value
    assert_allclose(metres, drive.view(3, 2).depth, rtol=1e-5)


def test_fixed_frame_is_the_platform_at_the_first_step_with_z_up():
    drive = AnalyticDrive(model=SMALL)

    (tracked,) = follow(drive, [3])

    assert_allclose(tracked.world_from_base[0], np.eye(4), atol=1e-9)
    # all cameras sit 0.3 m above the platform and look level: optical y points down
    assert_allclose(tracked.world_from_cam[0, :, 2, 3], 0.3, atol=1e-6)
    assert_allclose(tracked.world_from_cam[0, :, 2, 1], -1.0, atol=1e-6)


def test_stamps_and_motion_are_those_of_the_platform():
    drive = AnalyticDrive(model=SMALL)

    (tracked,) = follow(drive, [3])

    assert tracked.stamps_ns.tolist() == [drive.stamp_ns(i, 0) for i in range(4)]
    assert_allclose(tracked.twist[1, 0], 1.0, atol=0.01)  # m/s ahead
    assert_allclose(tracked.twist[1, 5], 0.5, atol=0.01)  # rad/s to the left


def test_cameras_triggered_at_different_times_do_not_bend_the_trajectory():
    jitter = (0.0, 0.012, 0.02, 0.007)
    drive, newest = AnalyticDrive(model=SMALL, jitter_s=jitter), list(range(3, 15))

    windows = follow(drive, newest)

    # world_from_cam is at each camera's own stamp, world_from_base at the newest of the set; the
    # stand-in scene is not exactly of constant velocity
    late = replace_time(drive, 0.02)
    assert np.abs(errors(windows, late, newest)).max() < 1e-3
    start = se3.inverse(late.base(0))
    for view in range(4):
        expected = start @ drive.world_from_cam(newest[-1], view)
        assert_allclose(windows[-1].world_from_cam[-1, view], expected, atol=2e-3)


def replace_time(drive: AnalyticDrive, shift_s: float) -> AnalyticDrive:
    """The same drive, looked at ``shift_s`` later."""

    class Later(AnalyticDrive):
        def base(self, index: float) -> np.ndarray:
            return super().base(index + shift_s / self.step_s)

    return Later(model=drive.model)


def test_covariance_and_twist_read_late_are_those_of_their_own_window():
    drive = AnalyticDrive(noise=REALISTIC, jitter_s=(0.0, 0.005, -0.004, 0.002))
    at_once, late = Tracker(), Tracker()

    read, unread = [], []
    for newest in range(3, 9):
        window, prediction = drive.window(newest), drive.predict(newest, (2, 3))
        tracked = at_once.update(window, prediction, drive.rig)
        read.append((tracked.covariance, tracked.twist))
        unread.append(late.update(window, prediction, drive.rig))

    for (covariance, twist), tracked in zip(read, unread, strict=True):
        assert_array_equal(tracked.covariance, covariance)
        assert_array_equal(tracked.twist, twist)


def test_dense_outputs_are_asked_for_only_where_they_are_needed():
    drive, tracker = AnalyticDrive(model=SMALL), Tracker()

    assert tracker.dense_steps(drive.window(3), flow=False) == (3,)
    assert tracker.dense_steps(drive.window(3), flow=True) == (2, 3)
    follow(drive, [3], tracker, flow=True)
    assert tracker.dense_steps(drive.window(4), flow=True) == (2, 3)  # steady, one set a window
    assert tracker.dense_steps(drive.window(5), flow=True) == (1, 2, 3)  # a window was skipped
    assert tracker.dense_steps(drive.window(5), flow=False) == (1, 3)
    assert tracker.dense_steps(drive.window(20), flow=False) == (3,)  # nothing shared


def test_skipped_windows_are_bridged_by_the_frames_still_shared():
    drive, newest = AnalyticDrive(model=SMALL), [3, 4, 7, 9, 10]

    windows = follow(drive, newest)

    assert np.abs(errors(windows, drive, newest)).max() < 1e-5
    assert windows[2].alignment.frames == 4  # one step of four cameras
    assert windows[2].alignment.points > 1000  # which was the newest, so dense in both


def test_poses_alone_join_windows_without_any_dense_output():
    drive, tracker = AnalyticDrive(model=SMALL, base_from_cam=outward_rig(1)), Tracker()
    newest, windows = list(range(3, 15)), []

    for index in newest:
        prediction = drive.predict(index, ())
        poses = odometry(drive, index)
        windows.append(
            tracker.update(drive.window(index), prediction, drive.rig, odom_from_cam=poses)
        )

    assert windows[-1].alignment.points == 0
    assert windows[-1].alignment.frames == 3
    assert np.abs(errors(windows, drive, newest)).max() < 1e-5


def test_one_camera_missing_for_a_while_leaves_the_trajectory_whole():
    missing = {(i, 0) for i in range(6, 14)} | {(i, 2) for i in range(9, 11)}
    drive, newest = AnalyticDrive(model=SMALL, missing=missing), list(range(3, 20))

    windows = follow(drive, newest)

    assert np.abs(errors(windows, drive, newest)).max() < 1e-5
    assert np.isnan(windows[5].world_from_cam[-1, 0]).all()
    assert not windows[5].valid[-1, 0]
    assert windows[-1].valid.all()


def test_all_cameras_but_one_missing_holds_the_scale_and_says_so():
    missing = {(i, v) for i in range(6, 16) for v in (1, 2, 3)}
    drive, newest = AnalyticDrive(model=SMALL, missing=missing), list(range(3, 16))

    windows = follow(drive, newest)

    assert windows[-1].scale.known
    assert "held for" in windows[-1].scale.reason
    assert windows[-1].scale.sigma > windows[3].scale.sigma
    assert np.abs(errors(windows, drive, newest)).max() < 1e-4


def test_robot_that_stands_still_stays_where_it_is():
    drive = AnalyticDrive(
        model=SMALL, speed=0.0, turn=0.0, noise=REALISTIC, base_from_cam=stereo_rig(0.3)
    )
    newest = list(range(3, 40))

    windows = follow(drive, newest)

    assert windows[-1].scale.value > 0
    moved = errors(windows, drive, newest)
    assert np.abs(moved[:, :3]).max() < 0.03
    assert np.abs(moved[:, 3:]).max() < 0.02


def test_turn_on_the_spot_is_followed():
    drive = AnalyticDrive(model=SMALL, speed=0.0, turn=0.8)
    newest = list(range(3, 20))

    assert np.abs(errors(follow(drive, newest), drive, newest)).max() < 1e-4


def test_single_camera_with_platform_motion_is_metric():
    drive = AnalyticDrive(model=SMALL, base_from_cam=outward_rig(1))
    newest = list(range(3, 20))

    windows = follow(drive, newest, odom=True)

    assert windows[0].scale.source is ScaleSource.MOTION
    assert np.abs(errors(windows, drive, newest)).max() < 1e-4


def test_single_camera_without_any_source_is_unscaled_and_says_so():
    drive = AnalyticDrive(model=SMALL, base_from_cam=outward_rig(1))
    newest = list(range(3, 12))

    windows = follow(drive, newest)

    assert all(not window.scale.known for window in windows)
    assert "no metric scale" in windows[0].warnings[0]
    # one unit all along: the path is the true one up to a factor
    path = np.stack([window.world_from_base[-1, :3, 3] for window in windows])
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    assert_allclose(steps / steps[0], 1.0, atol=0.02)
    assert (steps[0] < 0.09) or (steps[0] > 0.11)  # the unit is not the metre by luck


def test_camera_height_makes_a_single_camera_metric():
    # tilted down so that the floor is most of the view
    tilt = se3.exp(np.array([0, 0, 0, 0, 0.5, 0.0]))
    mount = se3.make_transform(np.eye(3), np.array([0.2, 0.0, 0.3])) @ tilt @ se3.BODY_FROM_OPTICAL
    drive = AnalyticDrive(model=SMALL, base_from_cam=mount[None])
    tracker, window = Tracker(), drive.window(3)

    tracked = tracker.update(
        window, drive.predict(3, (3,)), drive.rig, given=GivenScale(camera_height_m={0: 0.9})
    )

    depth = tracked.scale.value * drive_depth(drive, tracked)
    assert tracked.scale.source is ScaleSource.GIVEN
    assert np.median(depth) == pytest.approx(1.0, abs=0.05)


def drive_depth(drive: AnalyticDrive, tracked: TrackedWindow) -> np.ndarray:
    """Metres per network unit, as the stand-in network had it, inverted: 1 if scale is right."""
    again = AnalyticDrive(model=drive.model, base_from_cam=drive.base_from_cam)
    prediction = again.predict(3, (3,))
    return prediction.frames[3, 0].depth / drive.view(3, 0).depth


def test_given_depth_image_makes_a_single_camera_metric():
    drive = AnalyticDrive(model=SMALL, base_from_cam=outward_rig(1))
    sparse = np.full((48, 64), np.nan, np.float32)
    sparse[::5, ::7] = drive.view(3, 0).depth[::5, ::7]

    prediction = drive.predict(3, (3,))
    tracked = Tracker().update(
        drive.window(3), prediction, drive.rig, given=GivenScale(depth_m={(3, 0): sparse})
    )

    assert_allclose(
        tracked.scale.value * prediction.frames[3, 0].depth, drive.view(3, 0).depth, rtol=1e-4
    )


def test_without_a_rig_the_first_camera_is_the_platform_with_z_up():
    drive = AnalyticDrive(model=SMALL)
    newest = list(range(3, 12))

    windows = follow(drive, newest, rig=False)

    assert not windows[-1].scale.known
    assert_allclose(windows[0].world_from_base[0], np.eye(4), atol=1e-9)
    assert_allclose(
        windows[0].world_from_cam[0, 0, :3, :3], se3.BODY_FROM_OPTICAL[:3, :3], atol=1e-9
    )
    assert np.isfinite(windows[-1].world_from_cam).all()
    # turning to the left stays turning to the left: 0.5 rad/s
    assert_allclose(windows[-1].twist[-1, 5], 0.5, atol=0.02)


def test_without_a_rig_other_cameras_stand_in_for_the_first():
    missing = {(i, 0) for i in range(7, 13)}
    drive = AnalyticDrive(model=SMALL, missing=missing)
    whole = AnalyticDrive(model=SMALL)
    newest = list(range(3, 16))

    windows = follow(drive, newest, rig=False)
    expected = follow(whole, newest, rig=False)

    assert [w.started for w in windows] == [FIRST_WINDOW] + [""] * 12
    for one, other in zip(windows, expected, strict=True):
        assert_allclose(one.world_from_base[-1], other.world_from_base[-1], atol=1e-4)


def test_extrinsics_of_some_cameras_only_are_enough():
    rig = list(outward_rig(4))
    drive, tracker = AnalyticDrive(model=SMALL), Tracker()
    partial = Rig((rig[0], None, rig[2], None))
    newest = list(range(3, 12))

    windows = []
    for index in newest:
        window = drive.window(index)
        prediction = drive.predict(index, tracker.dense_steps(window, flow=False))
        windows.append(tracker.update(window, prediction, partial))

    assert windows[0].scale.source is ScaleSource.RIG
    assert np.abs(errors(windows, drive, newest)).max() < 1e-5
    true = se3.inverse(drive.base(0)) @ drive.world_from_cam(newest[-1], 1)
    assert_allclose(windows[-1].world_from_cam[-1, 1], true, atol=1e-4)


def test_extrinsics_that_come_late_start_a_new_trajectory_and_say_why():
    drive, tracker = AnalyticDrive(model=SMALL), Tracker()
    before = follow(drive, [3, 4], tracker, rig=False)

    after = follow(drive, [5, 6], tracker)

    assert not before[-1].scale.known
    assert "a metric scale was found" in after[0].started
    assert any("a metric scale was found" in warning for warning in after[0].warnings)
    assert_allclose(after[0].world_from_base[0], np.eye(4), atol=1e-9)
    assert after[1].started == ""


def test_nothing_shared_holds_the_pose_and_grows_the_covariance():
    drive, newest = AnalyticDrive(model=SMALL), [3, 4, 20, 21]

    windows = follow(drive, newest)

    assert "the pose was held" in windows[2].started
    held = windows[1].world_from_base[-1]
    assert_allclose(windows[2].world_from_base[0], held, atol=1e-9)
    sigma = np.sqrt(np.diagonal(windows[2].covariance[-1]))
    assert (sigma[:3] > 0.9).all()
    assert (sigma[3:] > 0.4).all()
    assert windows[3].started == ""
    assert windows[2].scale.known


def test_platform_motion_bridges_windows_that_share_nothing():
    drive, newest = AnalyticDrive(model=SMALL), [3, 4, 20, 21]

    windows = follow(drive, newest, odom=True)

    assert "platform's motion bridges" in windows[2].started
    assert np.abs(errors(windows, drive, newest)).max() < 1e-4


def test_reset_starts_a_new_fixed_frame_and_names_the_reason():
    drive, tracker = AnalyticDrive(model=SMALL), Tracker()
    follow(drive, [3, 4, 5], tracker)

    tracker.reset("time jumped back")
    (tracked,) = follow(drive, [4], tracker)

    assert tracked.started == "time jumped back"
    assert tracked.alignment is None
    assert_allclose(tracked.world_from_base[0], np.eye(4), atol=1e-9)


def test_contradicting_extrinsics_are_named():
    drive = AnalyticDrive(model=SMALL)
    wrong = list(outward_rig(4))
    wrong[2] = wrong[2] @ se3.exp(np.array([0, 0, 0, 0, 0.3, 0]))
    window = drive.window(3)

    tracked = Tracker().update(window, drive.predict(3, (3,)), Rig(tuple(wrong)))

    assert any("contradicts the extrinsics of cam2_optical" in w for w in tracked.warnings)
    assert tracked.rig_residual_rad > 0.1


def test_predicted_intrinsics_stand_in_for_missing_ones_and_are_marked():
    drive = AnalyticDrive(model=SMALL)
    window = drive.window(3, models=False)

    tracked = Tracker().update(window, drive.predict(3, (2, 3)), drive.rig)

    assert tracked.predicted_intrinsics == {(t, v) for t in (2, 3) for v in range(4)}
    assert tracked.models[3, 1].fx == pytest.approx(SMALL.fx)
    assert np.isnan(tracked.focal_ratio)


def test_focal_length_that_contradicts_camera_info_is_reported():
    drive = AnalyticDrive(model=SMALL)
    prediction = drive.predict(3, (3,))
    prediction.intrinsics[..., 0, 0] *= 1.4

    tracked = Tracker().update(drive.window(3), prediction, drive.rig)

    assert tracked.focal_ratio == pytest.approx(1.4)
    assert any("1.40 times that of CameraInfo" in warning for warning in tracked.warnings)


def test_frame_without_usable_intrinsics_is_invalid_with_a_reason():
    drive = AnalyticDrive(model=SMALL)
    prediction = drive.predict(3, (3,))
    prediction.intrinsics[3, 1] = np.nan

    tracked = Tracker().update(drive.window(3, models=False), prediction, drive.rig)

    assert not tracked.valid[3, 1]
    assert "no usable intrinsics" in tracked.invalid_reasons[3, 1]
    assert (3, 1) not in tracked.models
    assert (3, 2) in tracked.models


def test_window_without_a_usable_pose_says_so_and_the_next_goes_on():
    drive, tracker = AnalyticDrive(model=SMALL), Tracker()
    before = follow(drive, [3, 4], tracker)
    prediction = drive.predict(5, (2, 3))
    prediction.valid[:] = False

    nothing = tracker.update(drive.window(5), prediction, drive.rig)
    after = follow(drive, [6], tracker)

    assert np.isnan(nothing.world_from_base).all()
    assert not nothing.scale.known
    assert nothing.warnings == ("no usable pose in the window",)
    assert after[0].started == ""
    assert np.abs(errors(before + after, drive, [3, 4, 6])).max() < 1e-5


def garbage(drive: AnalyticDrive, newest: int, kind: str, rng: np.random.Generator) -> Prediction:
    """What a network that was never trained, or has gone wrong, may give."""
    prediction = drive.predict(newest, (2, 3))
    shape = prediction.valid.shape
    poses = se3.exp(rng.normal(0, 1, (*shape, 6)))
    frames = {
        slot: replace(dense, depth=np.exp(rng.normal(0, 2, dense.depth.shape)).astype(np.float32))
        for slot, dense in prediction.frames.items()
    }
    if kind == "nan depth":
        for dense in frames.values():
            dense.depth[:] = np.nan
    elif kind == "infinite depth":
        for dense in frames.values():
            dense.depth[::2] = np.inf
            dense.depth_confidence[::3] = np.nan
    elif kind == "nan poses":
        poses[rng.random(shape) < 0.5] = np.nan
    elif kind == "not rigid":
        poses[..., :3, :3] *= rng.uniform(0.5, 2, (*shape, 1, 1))
    elif kind == "huge":
        poses[..., :3, 3] = 1e300
    elif kind == "same pose":
        poses[:] = np.eye(4)
    elif kind == "zero depth":
        for dense in frames.values():
            dense.depth[:] = 0.0
    return replace(prediction, cam_from_world=poses, frames=frames)


KINDS = [
    "random", "nan depth", "infinite depth", "nan poses", "not rigid", "huge", "same pose",
    "zero depth",
]  # fmt: skip


@pytest.mark.parametrize("rig", [True, False], ids=["rig", "no rig"])
@pytest.mark.parametrize("kind", KINDS)
def test_garbage_never_comes_out_as_a_valid_nan(kind, rig):
    drive, tracker, rng = AnalyticDrive(model=SMALL), Tracker(), np.random.default_rng(0)

    for newest in range(3, 15):
        window = drive.window(newest)
        # real windows in between: garbage must not break what follows either
        real = newest in (6, 7, 12)
        prediction = drive.predict(newest, (2, 3)) if real else garbage(drive, newest, kind, rng)
        tracked = tracker.update(window, prediction, drive.rig if rig else None)

        assert np.isfinite(tracked.world_from_cam[tracked.valid]).all()
        assert np.isnan(tracked.world_from_cam[~tracked.valid]).all()
        assert se3.is_rigid(tracked.world_from_cam[tracked.valid]).all()
        placed = np.isfinite(tracked.world_from_base).all(axis=(1, 2))
        assert np.isfinite(tracked.covariance[placed]).all()
        assert (np.linalg.eigvalsh(tracked.covariance[placed]) > -1e-9).all()
        assert 0 < tracked.scale.value < np.inf
        assert np.isfinite(tracked.scale.sigma) == tracked.scale.known
        for slot in zip(*np.nonzero(window.valid & ~tracked.valid), strict=True):
            assert slot in tracked.invalid_reasons or not prediction.valid[slot]


def test_random_poses_of_an_untrained_network_are_not_called_metric():
    drive, rng = AnalyticDrive(model=SMALL), np.random.default_rng(0)

    verdicts = [
        Tracker().update(drive.window(3), garbage(drive, 3, "random", rng), drive.rig).scale.known
        for _ in range(20)
    ]

    assert sum(verdicts) <= 1


def test_scale_jump_of_the_network_is_followed_and_said():
    # from one window on the depth of the network is 30 % off its camera centres
    drive, tracker = AnalyticDrive(model=SMALL), Tracker()
    follow(drive, list(range(3, 10)), tracker)
    prediction = drive.predict(10, (2, 3))
    frames = {
        slot: FramePrediction(dense.depth * np.float32(1.3), dense.depth_confidence)
        for slot, dense in prediction.frames.items()
    }

    tracked = tracker.update(drive.window(10), replace(prediction, frames=frames), drive.rig)

    assert tracked.scale.jumped
    assert any("the scale jumped by" in warning for warning in tracked.warnings)


def test_wrong_shapes_are_refused():
    drive = AnalyticDrive(model=SMALL)
    window, prediction = drive.window(3), drive.predict(3, (3,))
    mirror = outward_rig(4)
    mirror[1, :3, 0] *= -1

    with pytest.raises(ValueError, match="does not fit a window"):
        Tracker().update(drive.window(3), AnalyticDrive(length=3).predict(3, (2,)))
    with pytest.raises(ValueError, match="rig of 2 cameras for a window of 4"):
        Tracker().update(window, prediction, Rig(tuple(outward_rig(4)[:2])))
    with pytest.raises(ValueError, match="extrinsics of camera 1 are no rigid transform"):
        Tracker().update(window, prediction, Rig(tuple(mirror)))
    with pytest.raises(ValueError, match=r"odom_from_cam must be \(T, V, 4, 4\)"):
        Tracker().update(window, prediction, odom_from_cam=np.zeros((4, 4)))


def test_a_rig_that_changes_is_checked_and_used_anew():
    drive, tracker = AnalyticDrive(model=SMALL), Tracker()
    good = outward_rig(4)
    moved, mirror = good.copy(), good.copy()
    moved[:, :3, 3] *= 2.0
    mirror[1, :3, 0] *= -1

    def scale_of(step, mounts):
        window, prediction = drive.window(step), drive.predict(step, (step,))
        return tracker.update(window, prediction, Rig(tuple(mounts))).scale

    scale_of(3, good)

    assert "jumped by +100.0 %" in scale_of(4, moved).reason
    with pytest.raises(ValueError, match="no rigid transform"):
        scale_of(5, mirror)


def test_covariance_grows_along_the_way_and_holds_the_error():
    scores = []
    for seed in range(2):
        drive = AnalyticDrive(model=SMALL, noise=REALISTIC, seed=seed)
        newest = list(range(3, 33))

        windows = follow(drive, newest)

        fixed_from_world = se3.inverse(drive.base(0))
        for window, index in zip(windows, newest, strict=True):
            true = fixed_from_world @ drive.base(index)
            found, covariance = window.world_from_base[-1], window.covariance[-1]
            turn = se3.rotation_vector(found[:3, :3] @ true[:3, :3].T)
            error = np.concatenate([found[:3, 3] - true[:3, 3], turn])
            scores.append(error @ np.linalg.solve(covariance, error) / 6)
        first, last = windows[1].covariance[-1], windows[-1].covariance[-1]
        assert np.trace(last) > np.trace(first)

    assert 0.2 < np.mean(scores) < 4.0


def test_inputs_are_left_as_they_were():
    drive = AnalyticDrive(model=SMALL_CAMERA)
    window, prediction = drive.window(3), drive.predict(3, (2, 3))
    poses, depth = prediction.cam_from_world.copy(), prediction.frames[3, 0].depth.copy()
    rig = outward_rig(4)

    Tracker().update(window, prediction, Rig(tuple(rig)))

    assert_allclose(prediction.cam_from_world, poses, atol=0)
    assert_allclose(prediction.frames[3, 0].depth, depth, atol=0)
    assert_allclose(rig, outward_rig(4), atol=0)


def test_gap_without_extrinsics_loses_the_metre_and_says_so():
    drive, tracker = AnalyticDrive(model=SMALL), Tracker()
    follow(drive, [3, 4], tracker)

    (after,) = follow(drive, [20], tracker, rig=False)

    assert not after.scale.known
    assert after.started == "the metric scale was lost"
    assert_allclose(after.world_from_base[0], np.eye(4), atol=1e-9)


def test_extrinsics_found_under_a_metric_scale_redefine_the_platform():
    drive, tracker = AnalyticDrive(model=SMALL), Tracker()
    first = follow(drive, [3, 4], tracker, rig=False, odom=True)

    second = follow(drive, [5, 6], tracker, odom=True)

    assert all(window.scale.known for window in first + second)
    assert "places on the platform became known" in second[0].started
    assert second[1].started == ""


def test_first_camera_with_known_turn_gives_the_axes_while_nothing_is_metric():
    # extrinsics are known, but of one camera only: its lever arm is in metres, the path is not
    drive, tracker = AnalyticDrive(model=SMALL, base_from_cam=outward_rig(1)), Tracker()

    (tracked,) = follow(drive, [3], tracker)

    assert not tracked.scale.known
    assert_allclose(tracked.world_from_base[0], np.eye(4), atol=1e-9)
    assert_allclose(tracked.world_from_cam[0, 0, :3, :3], outward_rig(1)[0, :3, :3], atol=1e-9)
    assert_allclose(tracked.world_from_cam[0, 0, :3, 3], 0.0, atol=1e-9)
