# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Arrivals in, frame sets out: each row of the table is one thing that happens to cameras."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from stream_frames import MS, START_NS, SetMs, SyncRun, frame

from vggt4d_ros.config import SyncConfig
from vggt4d_ros.datatypes import Frame

ALL = SyncConfig(tolerance_s=0.02, queue_size=5)
ANY = SyncConfig(tolerance_s=0.02, min_cameras=1, deadline_s=0.1, queue_size=20)
TWO = SyncConfig(tolerance_s=0.02, min_cameras=2, deadline_s=0.1, queue_size=20)


@dataclass(frozen=True)
class Case:
    """Arrivals as (camera, stamp in ms) in order; what must come of them."""

    arrivals: list[tuple[int, float]]
    sets: list[SetMs]
    config: SyncConfig = ALL
    cameras: int = 2
    dropped: dict[str, int] = field(default_factory=dict)
    waiting: int = 0


CASES = {
    "a set goes on when its last camera has come": Case(
        [(0, 0), (1, 5), (1, 104), (0, 101)], [(0, 5), (101, 104)]
    ),
    "a frame of each camera is matched though one lags by two frames": Case(
        [(0, 0), (0, 100), (0, 200), (1, 1), (1, 101), (1, 201)],
        [(0, 1), (100, 101), (200, 201)],
    ),
    "one camera alone is a set at once": Case([(0, 0), (0, 33)], [(0,), (33,)], cameras=1),
    "frames farther apart than the tolerance are no set": Case(
        [(0, 0), (1, 50), (0, 100), (1, 150)], [], dropped={"unmatched": 3}, waiting=1
    ),
    "the nearest frame is taken": Case(
        [(0, 0), (0, 18), (1, 16)], [(18, 16)], dropped={"unmatched": 1}
    ),
    "a combination is found where the nearest frames are too far apart": Case(
        [(1, 4), (1, 27), (2, 26), (0, 15)],
        [(15, 27, 26)],
        cameras=3,
        dropped={"unmatched": 1},
    ),
    "a lost frame costs its own set alone": Case(
        [(0, 0), (1, 1), (0, 100), (0, 200), (1, 201)],
        [(0, 1), (200, 201)],
        dropped={"unmatched": 1},
    ),
    "a frame older than the one before is dropped": Case(
        [(0, 100), (0, 67), (1, 101), (0, 133), (1, 134)],
        [(100, 101), (133, 134)],
        dropped={"out_of_order": 1},
    ),
    "the same stamp again is dropped": Case(
        [(0, 0), (0, 0), (1, 0), (0, 0)], [(0, 0)], dropped={"duplicate_stamp": 2}
    ),
    "a queue keeps its newest frames": Case(
        [(0, 10 * k) for k in range(8)], [], dropped={"queue_full": 3}, waiting=5
    ),
    "an incomplete set waits for its deadline": Case(
        [(0, 0), (0, 33), (0, 66), (0, 99)], [], ANY, waiting=4
    ),
    "an incomplete set goes on when its camera has run ahead by the deadline": Case(
        [(0, 0), (0, 33), (0, 66), (0, 100)], [(0, None)], ANY, waiting=3
    ),
    "no camera is waited for that has moved past": Case(
        [(0, 0), (1, 33), (0, 34)], [(0, None), (34, 33)], ANY
    ),
    "a camera at half the rate is in every second set": Case(
        [(0, 0), (1, 1), (0, 33), (0, 66), (1, 67), (0, 100), (0, 133), (1, 134)],
        [(0, 1), (33, None), (66, 67), (100, None), (133, 134)],
        ANY,
    ),
    "a camera at half the rate halves the sets where all cameras are needed": Case(
        [(0, 0), (1, 1), (0, 33), (0, 66), (1, 67), (0, 100), (0, 133), (1, 134)],
        [(0, 1), (66, 67), (133, 134)],
        dropped={"unmatched": 2},
    ),
    "a camera that died does not stop the others": Case(
        [(c, 50 * k + c) for k in range(6) for c in range(3) if k == 0 or c != 1],
        [(0, 1, 2), (50, None, 52), (100, None, 102), (150, None, 152)],
        TWO,
        cameras=3,
        waiting=4,
    ),
    "a camera that comes back is in the set of its first frame": Case(
        [(0, 0), (0, 50), (0, 100), (0, 150), (1, 151), (0, 200), (1, 201)],
        [(0, None), (50, None), (100, None), (150, 151), (200, 201)],
        ANY,
    ),
    "with too few cameras nothing goes on and nothing piles up": Case(
        [(0, 40 * k) for k in range(50)],
        [],
        TWO,
        cameras=3,
        dropped={"unmatched": 47},
        waiting=3,
    ),
    "a frame whose set has gone on is late": Case(
        [(0, 0), (0, 100), (1, 1), (0, 140), (1, 141)],
        [(0, None), (100, None), (140, 141)],
        ANY,
        dropped={"late": 1},
    ),
    "a frame that could have been in the last set makes no set of its own": Case(
        [(0, 0), (0, 100), (1, 20), (0, 133), (0, 200), (1, 80), (1, 140)],
        [(0, None), (100, None), (133, 140)],
        ANY,
        dropped={"late": 2},
        waiting=1,
    ),
    "a frame that belongs to no set before makes its own": Case(
        [(0, 0), (0, 100), (1, 21), (1, 122)],
        [(0, None), (None, 21), (100, None)],
        ANY,
        waiting=1,
    ),
    "a full queue lets an incomplete set go on before its deadline": Case(
        [(0, 5 * k) for k in range(5)],
        [(0, None), (5, None)],
        SyncConfig(tolerance_s=0.002, min_cameras=1, deadline_s=10.0, queue_size=3),
        waiting=3,
    ),
    "stamps of zero and below are dropped": Case(
        [(0, -START_NS / MS), (1, -START_NS / MS - 1), (0, 10), (1, 11)],
        [(10, 11)],
        dropped={"zero_stamp": 2},
    ),
    "when all stop for long nothing is lost of what comes after": Case(
        [(0, 0), (1, 1), (0, 60_000), (1, 60_001), (0, 60_033), (1, 60_034)],
        [(0, 1), (60_000, 60_001), (60_033, 60_034)],
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=[name.replace(" ", "_") for name in CASES])
def test_arrivals_give_the_expected_sets(case: Case) -> None:
    run = SyncRun(case.cameras, case.config)

    run.add_all(case.arrivals)

    assert run.sets == case.sets
    assert run.dropped == case.dropped
    in_sets = sum(stamp is not None for one in run.sets for stamp in one)
    counts = run.ledger.counts()
    assert counts.received == len(case.arrivals)
    assert counts.pending - in_sets == case.waiting  # frames of sets are pending with the caller


def test_each_frame_of_a_set_keeps_its_own_stamp_to_the_nanosecond() -> None:
    run = SyncRun(2, ALL)
    first = Frame(0, START_NS + 1, frame(0, 0).image)
    second = Frame(1, START_NS + 3, frame(1, 0).image)

    run.feed(first)
    run.feed(second)

    assert run.frame_sets[0].frames == (first, second)
    assert run.frame_sets[0].stamps_ns == (START_NS + 1, START_NS + 3)


def test_a_tick_lets_a_set_go_on_when_all_cameras_have_stopped() -> None:
    run = SyncRun(2, ANY)
    run.add(0, 0)

    assert run.tick(5000) == []  # the wait counts from the first tick
    assert run.tick(5099) == []
    assert run.tick(5100) == [(0, None)]


def test_a_tick_does_not_make_each_frame_wait_anew() -> None:
    run = SyncRun(2, ANY)
    run.add(0, 0)
    run.add(0, 50)
    run.tick(5000)

    assert run.tick(5100) == [(0, None), (50, None)]


def test_a_tick_clock_that_goes_back_starts_the_wait_again() -> None:
    run = SyncRun(2, ANY)
    run.add(0, 0)
    run.tick(5000)

    assert run.tick(10) == []
    assert run.tick(109) == []
    assert run.tick(110) == [(0, None)]


def test_a_tick_changes_nothing_where_all_cameras_are_needed() -> None:
    run = SyncRun(2, ALL)
    run.add(0, 0)
    run.tick(0)

    assert run.tick(1e9) == []
    assert run.add(1, 1) == [(0, 1)]


def test_report_tells_rate_age_and_spread_of_cameras_that_never_match() -> None:
    run = SyncRun(2, ALL)

    for step in range(40):
        run.add(0, 100 * step)
        run.add(1, 100 * step + 45)
        if step == 30:
            run.add(1, 100 * step + 45)  # a duplicate alters no rate
    report = run.sync.report()

    assert run.sets == []
    assert report.best_spread_ns == 45 * MS
    assert report.tolerance_ns == 20 * MS
    assert [round(camera.rate_hz, 3) for camera in report.cameras] == [10.0, pytest.approx(10, 0.1)]
    assert [camera.last_stamp_ns for camera in report.cameras] == [
        START_NS + 3900 * MS,
        START_NS + 3945 * MS,
    ]
    assert [camera.behind_ns for camera in report.cameras] == [45 * MS, 0]


def test_report_finds_the_best_spread_though_one_camera_lags() -> None:
    run = SyncRun(2, ALL)
    run.add_all([(0, 0), (0, 100), (0, 200)])

    for step in range(10):
        run.add(1, 100 * step + 45)
        run.add(0, 100 * step + 300)

    assert run.sync.report().best_spread_ns == 45 * MS


def test_report_gives_the_rate_again_after_time_has_gone_back() -> None:
    run = SyncRun(1, ALL)
    run.add_all([(0, 9000 + 100 * step) for step in range(5)])

    run.add_all([(0, 50 * step) for step in range(5)])

    assert run.sync.report().cameras[0].rate_hz == pytest.approx(20.0)


def test_report_knows_no_spread_while_a_camera_has_never_come() -> None:
    run = SyncRun(3, ALL)
    run.add(0, 0)
    run.add(1, 1)

    report = run.sync.report()

    assert report.best_spread_ns is None
    assert report.cameras[2].last_stamp_ns is None
    assert report.cameras[2].rate_hz == 0.0


def test_report_shows_how_far_a_foreign_clock_is_off() -> None:
    run = SyncRun(3, ALL)
    for step in range(5):
        run.add(0, 33 * step)
        run.add(1, 33 * step)
        run.add(2, 3_600_000 + 33 * step)

    behind_ns = run.sync.report().cameras[2].behind_ns

    assert behind_ns == -3_600_000 * MS


def test_clear_drops_what_waits_and_lets_older_stamps_in() -> None:
    run = SyncRun(2, ALL)
    run.add(0, 1000)
    run.add(1, 1001)
    run.add(0, 1033)

    run.sync.clear("reset")

    assert run.dropped == {"reset": 1}
    run.add(0, 0)
    assert run.add(1, 1) == [(0, 1)]


@pytest.mark.parametrize("min_cameras", [-1, 3])
def test_min_cameras_beyond_the_cameras_is_refused(min_cameras: int) -> None:
    with pytest.raises(ValueError, match=rf"0\.\.2.*{min_cameras}"):
        SyncRun(2, SyncConfig(min_cameras=min_cameras))
