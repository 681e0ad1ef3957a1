# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The sliding window: which sets it gives together, and which frames it holds."""

from __future__ import annotations

import pytest
from stream_frames import frame_set, window_ms

from vggt4d_ros.config import WindowConfig
from vggt4d_ros.datatypes import FrameSet, Window
from vggt4d_ros.stream import FrameLedger, SlidingWindow
from vggt4d_ros.stream.window import present


class WindowRun:
    """A sliding window fed with sets of two cameras."""

    def __init__(self, config: WindowConfig) -> None:
        self.ledger = FrameLedger(2)
        self.window = SlidingWindow(config, self.ledger)

    def push(self, new: FrameSet) -> Window | None:
        for one in present(new):
            self.ledger.receive(one)
        return self.window.push(new)

    def push_all(self, *ms: float) -> list[list[float]]:
        """Pushes full sets; gives camera 0's stamps of each window."""
        windows = [self.push(frame_set(one, one)) for one in ms]
        return [
            [stamps[0] for stamps in window_ms(window) if stamps[0] is not None]
            for window in windows
            if window is not None
        ]


@pytest.mark.parametrize(
    ("length", "stride", "windows"),
    [
        (1, 1, [[0], [1], [2], [3], [4], [5], [6]]),
        (3, 1, [[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5], [4, 5, 6]]),
        (3, 2, [[0, 1, 2], [2, 3, 4], [4, 5, 6]]),
        (3, 3, [[0, 1, 2], [3, 4, 5]]),
        (2, 3, [[0, 1], [3, 4]]),
        (8, 1, []),
    ],
)
def test_windows_are_full_and_a_stride_apart(
    length: int, stride: int, windows: list[list[float]]
) -> None:
    run = WindowRun(WindowConfig(length=length, stride=stride))

    assert run.push_all(0, 1, 2, 3, 4, 5, 6) == windows


def test_windows_are_numbered() -> None:
    run = WindowRun(WindowConfig(length=1))

    windows = [run.push(frame_set(ms, ms)) for ms in (0, 1)]

    assert [window.index for window in windows if window is not None] == [0, 1]


def test_a_missing_camera_shows_in_the_validity_mask() -> None:
    run = WindowRun(WindowConfig(length=2))
    run.push(frame_set(0, None))

    window = run.push(frame_set(None, 40))

    assert window is not None
    assert window.shape == (2, 2)
    assert window.valid.tolist() == [[True, False], [False, True]]


def test_a_gap_starts_a_new_window_and_a_new_epoch() -> None:
    run = WindowRun(WindowConfig(length=2, max_gap_s=1.0))

    windows = run.push_all(0, 1000, 2001, 3000)

    assert windows == [[0, 1000], [2001, 3000]]
    assert run.window.gaps == 1
    assert run.window.epoch == 1


def test_frames_cut_off_by_a_gap_before_their_window_was_full_are_counted() -> None:
    run = WindowRun(WindowConfig(length=3, max_gap_s=1.0))

    run.push_all(0, 100, 5000)

    assert run.ledger.counts().dropped == {"incomplete_window": 4}
    assert run.ledger.counts().pending == 2


def test_no_gap_is_too_long_where_the_limit_is_zero() -> None:
    run = WindowRun(WindowConfig(length=2, max_gap_s=0.0))

    assert run.push_all(0, 1e7) == [[0, 1e7]]


def test_sets_between_windows_are_counted() -> None:
    run = WindowRun(WindowConfig(length=1, stride=3))

    run.push_all(0, 1, 2, 3)

    # 0 is held by its window and 3 by its own and as the newest set
    assert run.ledger.counts().dropped == {"stride": 4}
    assert run.ledger.counts().pending == 4


def test_frames_stay_pending_until_window_and_buffer_have_let_go() -> None:
    run = WindowRun(WindowConfig(length=1))
    first = frame_set(0, 0)
    window = run.push(first)
    assert window is not None

    run.push(frame_set(40, 40))
    held_by_window = run.ledger.counts()
    run.ledger.release(present(first), "superseded")

    assert held_by_window.pending == 4
    assert run.ledger.counts().dropped == {"superseded": 2}


def test_clear_lets_go_and_the_next_window_has_new_sets_alone() -> None:
    run = WindowRun(WindowConfig(length=2))
    run.push_all(0)

    run.window.clear("reset")

    assert run.ledger.counts().dropped == {"reset": 2}
    assert run.push_all(40, 80) == [[40, 80]]
    assert run.window.epoch == 1


@pytest.mark.parametrize(("length", "stride"), [(0, 1), (1, 0)])
def test_a_window_of_nothing_is_refused(length: int, stride: int) -> None:
    with pytest.raises(ValueError, match=f"got {length} and {stride}"):
        SlidingWindow(WindowConfig(length=length, stride=stride), FrameLedger(1))
