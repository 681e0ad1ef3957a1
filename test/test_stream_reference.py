# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Our synchroniser beside the one of message_filters, on streams that lose nothing."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from stream_frames import MS, START_NS, SetMs, SyncRun, to_ms

from vggt4d_ros.config import SyncConfig

pytest.importorskip("rclpy")
message_filters = pytest.importorskip("message_filters")

from rclpy.duration import Duration  # noqa: E402
from rclpy.time import Time  # noqa: E402

pytestmark = pytest.mark.ros

PERIOD_MS = 100 / 3
QUEUE = 10
Arrivals = list[tuple[int, int]]  # (camera, stamp in ns), in the order of arrival


def jittery_arrivals(
    rng: np.random.Generator, cameras: int, *, jitter_ms: float, delay_ms: float, count: int = 120
) -> Arrivals:
    """Every camera gives a frame per period; transport delays differ, a camera's order is kept."""
    arrivals = []
    for camera in range(cameras):
        base_delay = rng.uniform(0, delay_ms)
        newest_stamp = newest_arrival = 0.0
        for step in range(count):
            stamp = step * PERIOD_MS + rng.uniform(-jitter_ms / 2, jitter_ms / 2)
            stamp = max(stamp, newest_stamp + 0.001)
            arrival = max(stamp + base_delay + rng.exponential(delay_ms / 4), newest_arrival)
            newest_stamp, newest_arrival = stamp, arrival
            arrivals.append((arrival, camera, START_NS + round(stamp * MS)))
    return [(camera, stamp) for _, camera, stamp in sorted(arrivals)]


def sets_of_reference(cameras: int, arrivals: Arrivals, tolerance_ns: int) -> list[SetMs]:
    """What message_filters makes of the arrivals."""
    inputs = [message_filters.SimpleFilter() for _ in range(cameras)]
    reference = message_filters.ApproximateTimeSynchronizer(inputs, QUEUE, slop=1.0)
    # its test is spread < slop, ours spread <= tolerance
    reference.slop = Duration(nanoseconds=tolerance_ns + 1)
    sets: list[SetMs] = []

    def take(*messages: SimpleNamespace) -> None:
        sets.append(tuple(to_ms(message.header.stamp.nanoseconds) for message in messages))

    reference.registerCallback(take)
    for camera, stamp in arrivals:
        header = SimpleNamespace(stamp=Time(nanoseconds=stamp))
        inputs[camera].signalMessage(SimpleNamespace(header=header))
    return sets


def sets_of_ours(
    cameras: int, arrivals: Arrivals, tolerance_ns: int, min_cameras: int = 0
) -> SyncRun:
    config = SyncConfig(
        tolerance_s=tolerance_ns / 1e9, queue_size=QUEUE, min_cameras=min_cameras, deadline_s=10.0
    )
    run = SyncRun(cameras, config)
    run.add_all((camera, to_ms(stamp)) for camera, stamp in arrivals)
    return run


def increases(sets: list[SetMs]) -> bool:
    """Whether every camera's stamps increase from set to set."""
    stamps = np.array(sets, dtype=float)
    return bool(np.all(np.diff(stamps, axis=0) > 0))


@pytest.mark.parametrize("cameras", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("seed", range(8))
def test_sets_equal_those_of_message_filters_under_jitter(cameras: int, seed: int) -> None:
    rng = np.random.default_rng([cameras, seed])
    jitter_ms = rng.uniform(0.1, 14.0)
    arrivals = jittery_arrivals(rng, cameras, jitter_ms=jitter_ms, delay_ms=rng.uniform(0, 80))
    tolerance_ns = round(rng.uniform(jitter_ms, 16.0) * MS)

    expected = sets_of_reference(cameras, arrivals, tolerance_ns)

    assert len(expected) == 120  # else the streams were not complete and the test shows nothing
    assert sets_of_ours(cameras, arrivals, tolerance_ns).sets == expected


@pytest.mark.parametrize("seed", range(8))
def test_sets_stay_the_same_when_incomplete_ones_are_allowed(seed: int) -> None:
    rng = np.random.default_rng(seed)
    arrivals = jittery_arrivals(rng, 4, jitter_ms=10.0, delay_ms=60.0)

    expected = sets_of_reference(4, arrivals, 15 * MS)

    assert sets_of_ours(4, arrivals, 15 * MS, min_cameras=1).sets == expected


def test_sets_equal_those_of_message_filters_when_several_frames_would_do() -> None:
    compared = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        cameras = int(rng.integers(2, 5))
        arrivals = jittery_arrivals(
            rng, cameras, jitter_ms=rng.uniform(5, 50), delay_ms=rng.uniform(0, 120), count=40
        )
        tolerance_ns = round(rng.uniform(5, 60) * MS)
        expected = sets_of_reference(cameras, arrivals, tolerance_ns)
        if len(expected) < 10 or not increases(expected):
            continue  # it may go back in time with leftovers; ours never does
        compared += 1

        assert sets_of_ours(cameras, arrivals, tolerance_ns).sets == expected, f"seed {seed}"

    assert compared >= 40


def test_spread_equal_to_the_tolerance_still_makes_a_set() -> None:
    arrivals = [(0, START_NS), (1, START_NS + 20 * MS)]

    assert sets_of_ours(2, arrivals, 20 * MS).sets == sets_of_reference(2, arrivals, 20 * MS)
    assert sets_of_ours(2, arrivals, 20 * MS).sets == [(0.0, 20.0)]
    assert sets_of_ours(2, arrivals, 20 * MS - 1).sets == []
