# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which stamps are believed: late frames, wild stamps, foreign clocks and time jumps."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from stream_frames import MS, START_NS, SetMs, SyncRun

from vggt4d_ros.config import SyncConfig
from vggt4d_ros.stream import TimeJump

ALL = SyncConfig(tolerance_s=0.02, queue_size=10)
Arrivals = list[tuple[int, float]]


def steps(cameras: int, start_ms: float, count: int, period_ms: float = 40) -> Iterator[SetMs]:
    """The sets of a healthy rig: camera c is stamped c ms after camera 0."""
    for step in range(count):
        yield tuple(start_ms + step * period_ms + camera for camera in range(cameras))


def arrivals_of(sets: list[SetMs]) -> Arrivals:
    return [(camera, ms) for one in sets for camera, ms in enumerate(one) if ms is not None]


@pytest.mark.parametrize("cameras", [1, 2, 4])
@pytest.mark.parametrize("length", [14, 23, 200])  # 0.56 s, 0.92 s, 8 s
def test_a_bag_that_loops_gives_every_set_of_every_loop(cameras: int, length: int) -> None:
    run = SyncRun(cameras, ALL)
    loop = list(steps(cameras, 0, length))
    end_ns = START_NS + ((length - 1) * 40 + cameras - 1) * MS

    for _ in range(4):
        run.add_all(arrivals_of(loop))

    assert run.sets == loop * 4
    assert run.jumps == [TimeJump(end_ns, START_NS)] * 3
    assert run.dropped == {}


def test_a_loop_as_short_as_a_late_frame_is_late_is_noticed_after_two_frames() -> None:
    run = SyncRun(2, ALL)
    loop = list(steps(2, 0, 11))  # 0.44 s

    for _ in range(4):
        run.add_all(arrivals_of(loop))

    assert run.sets == loop + loop[2:] * 3
    assert run.dropped == {"out_of_order": 3 * 2 * 2}


def test_a_jump_back_drops_what_waits_from_before() -> None:
    run = SyncRun(2, ALL)
    run.add(0, 9000)

    run.add_all(arrivals_of(list(steps(2, 0, 3))))

    assert run.sets == list(steps(2, 0, 3))
    assert run.dropped == {"time_jump": 1}


@pytest.mark.parametrize("late_ms", [40, 450, 3000, 3_600_000])
def test_one_late_frame_is_no_time_jump(late_ms: float) -> None:
    run = SyncRun(2, ALL)
    healthy = list(steps(2, 0, 20))
    run.add_all(arrivals_of(healthy[:10]))

    run.add(0, 400 - late_ms - 1)
    run.add_all(arrivals_of(healthy[10:]))

    assert run.jumps == []
    assert run.sets == healthy
    assert run.dropped == {"out_of_order": 1}


def test_now_and_then_a_late_frame_is_no_time_jump_however_many_come() -> None:
    run = SyncRun(1, ALL)

    run.add_all([(0, 100), (0, 60), (0, 140), (0, 61), (0, 180), (0, 62), (0, 63), (0, 220)])

    assert run.jumps == []
    assert run.sets == [(100,), (140,), (180,), (220,)]
    assert run.dropped == {"out_of_order": 4}


def test_late_frames_of_all_cameras_at_once_are_no_time_jump() -> None:
    run = SyncRun(3, ALL)
    healthy = list(steps(3, 0, 60))
    run.add_all(arrivals_of(healthy[:50]))

    run.add_all([(0, 81), (1, 82), (2, 83)])
    run.add_all(arrivals_of(healthy[50:]))

    assert run.jumps == []
    assert run.sets == healthy
    assert run.dropped == {"out_of_order": 3}


@pytest.mark.parametrize("min_cameras", [0, 1])
@pytest.mark.parametrize("off_ms", [6000, 3_600_000, 1e12])
def test_one_stamp_in_the_future_disturbs_nothing(min_cameras: int, off_ms: float) -> None:
    run = SyncRun(2, SyncConfig(tolerance_s=0.02, min_cameras=min_cameras, deadline_s=10.0))
    healthy = list(steps(2, 0, 10))
    run.add_all(arrivals_of(healthy[:5]))

    run.add(0, 200 + off_ms)
    run.add_all(arrivals_of(healthy[5:]))

    assert run.jumps == []
    assert run.sets == healthy
    assert run.dropped == {"stray_stamp": 1}


@pytest.mark.parametrize("off_ms", [10_000, 1e8, -10_000, -1e8])
@pytest.mark.parametrize("first", [False, True])
def test_one_camera_with_a_wrong_clock_does_not_stop_the_others(off_ms: float, first: bool) -> None:
    run = SyncRun(3, SyncConfig(tolerance_s=0.02, min_cameras=2, deadline_s=0.05))
    healthy = list(steps(2, 0, 100))
    wrong = [off_ms + 40 * step for step in range(100)]

    for one, stamp in zip(healthy, wrong, strict=True):
        if first:
            run.add(2, stamp)
        run.add_all(arrivals_of([one]))
        if not first:
            run.add(2, stamp)

    assert [one[:2] for one in run.sets] == healthy[:-2]  # the last two wait for their deadline
    assert {one[2] for one in run.sets} == {None}
    assert len(run.jumps) <= 1  # at the start, where the wrong clock may have come first
    assert run.ledger.counts().cameras[2].pending <= 4


def test_a_camera_whose_clock_is_put_right_is_taken_up_at_once() -> None:
    run = SyncRun(3, SyncConfig(tolerance_s=0.02, min_cameras=2, deadline_s=0.05))
    for step in range(20):
        run.add_all([(0, 40 * step), (1, 40 * step), (2, 1e8 + 40 * step)])

    run.add_all([(0, 800), (1, 800), (2, 800)])

    assert run.sets[-1] == (800, 800, 800)


def test_frames_sent_before_a_jump_that_come_after_it_are_dropped() -> None:
    run = SyncRun(3, ALL)
    loop = list(steps(3, 0, 23))
    run.add_all(arrivals_of(loop[:-1]))
    run.add_all([(0, 880), (1, 881)])

    # camera 2's last frame of the first loop is overtaken by the others' first of the second
    run.add_all([(0, 0), (1, 1), (0, 40), (1, 41), (2, 882), (2, 2), (2, 42)])
    run.add_all(arrivals_of(loop[2:]))

    assert len(run.jumps) == 1
    assert run.sets == loop[:-1] + loop
    assert run.dropped == {"time_jump": 3}


def test_a_camera_still_on_the_old_time_holds_the_jump_up_until_outvoted() -> None:
    run = SyncRun(2, ALL)
    run.add_all(arrivals_of(list(steps(2, 10_000, 5))))

    run.add_all([(0, 0), (1, 10_201), (0, 40), (1, 10_241)])
    held_up = list(run.jumps)
    run.add_all([(1, 1), (1, 41), (0, 80), (1, 81)])

    assert held_up == []
    assert len(run.jumps) == 1
    assert run.sets[5:] == [(40, 41), (80, 81)]
    assert run.dropped == {"out_of_order": 1, "time_jump": 2, "unmatched": 1}


def test_a_dead_camera_has_no_vote_against_a_jump() -> None:
    run = SyncRun(2, SyncConfig(tolerance_s=0.02, min_cameras=1, deadline_s=0.05))
    run.add(1, 10_000)
    run.add_all([(0, 10_000 + 40 * step) for step in range(5)])

    run.add_all([(0, 40 * step) for step in range(5)])

    assert len(run.jumps) == 1
    assert run.sets[-3:] == [(0, None), (40, None), (80, None)]


def test_the_jump_is_told_with_the_frames_from_after_it() -> None:
    run = SyncRun(1, ALL)
    run.add_all([(0, 9000), (0, 0)])
    assert run.sets == [(9000,)]

    new = run.add(0, 40)

    assert run.jumps == [TimeJump(START_NS + 9000 * MS, START_NS)]
    assert new == [(0,), (40,)]


def test_clear_drops_what_is_kept_aside() -> None:
    run = SyncRun(1, ALL)
    run.add_all([(0, 9000), (0, 0)])

    run.sync.clear("shutdown")

    assert run.dropped == {"shutdown": 1}
