# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which waiting frames make a set with the one that has just come; stamps in ns."""

from __future__ import annotations

import time

import pytest

from vggt4d_ros.stream.match import find_set, nearest


@pytest.mark.parametrize(
    ("stamp", "index"), [(0, 0), (10, 0), (14, 0), (15, 0), (16, 1), (20, 1), (99, 2)]
)
def test_the_nearest_stamp_is_found_and_of_two_the_older(stamp: int, index: int) -> None:
    assert nearest([10, 20, 30], stamp) == index


@pytest.mark.parametrize(
    ("queues", "found"),
    [
        ([[5], [0]], [0, 0]),
        ([[20], [0]], [0, 0]),  # just within the tolerance
        ([[21], [0]], None),
        ([[5], []], None),
        ([[20], [0, 10, 19, 45]], [0, 2]),
        ([[20], [10], [31]], None),  # each within the tolerance of the new frame, not together
        ([[20], [10, 35], [31]], [0, 1, 0]),
        ([[20], [10, 35], [28, 31]], [0, 0, 0]),
    ],
)
def test_a_set_has_the_nearest_frames_that_fit_together(
    queues: list[list[int]], found: list[int] | None
) -> None:
    assert find_set(queues, camera=0, tolerance_ns=20) == found


def test_the_search_for_a_set_does_not_explode_with_cameras() -> None:
    # all but two cameras offer ten frames each; the last two are too far apart for any set
    queues = [list(range(1, 20, 2)) for _ in range(12)] + [[0], [20], [10]]

    start = time.perf_counter()
    found = find_set(queues, camera=14, tolerance_ns=19)

    assert found is None
    assert time.perf_counter() - start < 1.0
    assert find_set(queues, camera=14, tolerance_ns=20) is not None
