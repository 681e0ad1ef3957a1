# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From frames to windows and their fate, in one thread."""

from __future__ import annotations

import pytest
from stream_frames import MS, START_NS, frame, window_ms

from vggt4d_ros.config import SyncConfig, WindowConfig
from vggt4d_ros.datatypes import Window
from vggt4d_ros.stream import StreamPipeline, TimeJump

PAIRS = WindowConfig(length=2, stride=1)


def pipeline(
    cameras: int = 2, *, every_window: bool = False, min_cameras: int = 0
) -> StreamPipeline:
    sync = SyncConfig(tolerance_s=0.02, min_cameras=min_cameras, deadline_s=0.1)
    return StreamPipeline(cameras, sync, PAIRS, every_window=every_window)


def feed(stream: StreamPipeline, *ms: float, cameras: int = 2) -> None:
    """A full set of frames at each time."""
    for one in ms:
        for camera in range(cameras):
            stream.receive(frame(camera, one))


def take(stream: StreamPipeline) -> Window:
    window = stream.take(0.0)
    assert window is not None
    return window


def test_frames_of_a_window_that_is_done_are_used() -> None:
    stream = pipeline()
    feed(stream, 0, 40)

    stream.done(take(stream))

    frames = stream.counts().frames
    assert (frames.received, frames.used, frames.pending, frames.dropped) == (4, 4, 0, {})


def test_the_newest_window_is_taken_and_the_replaced_one_counted() -> None:
    stream = pipeline()
    feed(stream, 0, 40, 80, 120)

    window = take(stream)
    stream.done(window)

    assert window_ms(window) == [(80, 80), (120, 120)]
    counts = stream.counts()
    assert (counts.sets, counts.partial_sets) == (4, 0)
    assert (counts.windows, counts.windows_done) == (3, 1)
    assert counts.windows_dropped == {"superseded": 2}
    assert counts.frames.dropped == {"superseded": 4}  # those of 0 and 40; the rest was used


def test_offline_gives_every_window_in_order() -> None:
    stream = pipeline(every_window=True)
    stamps = []

    for ms in (0, 40, 80, 120):
        feed(stream, ms)
        for window in stream.windows():
            stamps.append(window_ms(window))
            stream.done(window)
    stream.close()

    assert stamps == [[(a, a), (a + 40, a + 40)] for a in (0, 40, 80)]
    assert stream.counts().frames.used == 8
    assert stream.counts().windows_dropped == {}


def test_frames_the_network_could_not_see_are_dropped_with_their_cause() -> None:
    stream = pipeline(every_window=True)
    feed(stream, 0, 40)
    bad = frame(0, 80)
    stream.receive(bad)
    stream.receive(frame(1, 80))
    feed(stream, 120)

    for window in stream.windows():
        unusable = {bad: "corrupt_image"} if any(bad in one.frames for one in window.sets) else None
        stream.done(window, unusable)
    stream.close()

    assert stream.counts().frames.dropped == {"corrupt_image": 1}
    assert stream.counts().frames.used == 7


def test_frames_of_a_failed_window_may_be_used_by_the_next() -> None:
    stream = pipeline()
    feed(stream, 0, 40)
    stream.drop(take(stream), "network_failed")
    feed(stream, 80)
    stream.done(take(stream))
    stream.close()

    counts = stream.counts()
    assert counts.windows_dropped == {"network_failed": 1}
    assert counts.frames.dropped == {"network_failed": 2}
    assert counts.frames.used == 4


def test_frames_refused_before_the_stream_are_counted() -> None:
    stream = pipeline()

    stream.reject(1, "unknown_encoding")

    assert stream.counts().frames.cameras[1].dropped == {"unknown_encoding": 1}


def test_a_time_jump_empties_all_and_begins_a_new_epoch() -> None:
    stream = pipeline()
    feed(stream, 9000, 9040)
    before = stream.epoch

    jumps = [stream.receive(frame(camera, ms)) for ms in (0, 40) for camera in (0, 1)]

    window = take(stream)
    assert [jump for jump in jumps if jump] == [TimeJump(START_NS + 9040 * MS, START_NS)]
    assert window_ms(window) == [(0, 0), (40, 40)]
    assert (window.epoch, stream.epoch) == (before + 1, before + 1)
    counts = stream.counts()
    assert counts.time_jumps == 1
    assert counts.windows_dropped == {"time_jump": 1}
    assert counts.frames.dropped == {"time_jump": 4}


def test_reset_drops_what_waits_and_lets_the_window_at_work_end() -> None:
    stream = pipeline()
    feed(stream, 0, 40)
    at_work = take(stream)
    feed(stream, 80)
    stream.receive(frame(0, 120))

    stream.reset()
    dropped = stream.counts().frames.dropped
    stream.done(at_work)

    assert at_work.epoch < stream.epoch
    assert dropped == {"reset": 3}  # 80 of both cameras and the lone frame at 120
    assert stream.counts().frames.used == 4
    assert stream.counts().frames.pending == 0
    feed(stream, 0, 40)
    assert window_ms(take(stream)) == [(0, 0), (40, 40)]


def test_close_leaves_nothing_pending_whatever_was_going_on() -> None:
    stream = pipeline(every_window=True)
    feed(stream, 0, 40, 80)
    at_work = take(stream)
    stream.receive(frame(0, 120))  # waits for its set
    stream.receive(frame(1, 1e9))  # kept aside as a wild stamp

    stream.close()
    stream.close()
    stream.done(at_work)
    stream.receive(frame(0, 160))

    counts = stream.counts()
    assert stream.closed
    assert stream.take(None) is None
    assert (counts.frames.received, counts.frames.pending, counts.frames.used) == (9, 0, 0)
    assert counts.frames.dropped == {"shutdown": 9}
    assert (counts.windows_open, counts.windows_dropped) == (0, {"shutdown": 2})


def test_a_tick_passes_the_deadline_of_a_live_stream() -> None:
    stream = pipeline(min_cameras=1)
    stream.receive(frame(0, 0))
    stream.receive(frame(0, 40))

    stream.tick(0)
    stream.tick(100 * MS)

    assert window_ms(take(stream)) == [(0, None), (40, None)]
    assert stream.counts().partial_sets == 2


def test_the_report_speaks_of_every_camera() -> None:
    stream = pipeline()
    stream.receive(frame(0, 5))

    report = stream.report()

    assert [camera.last_stamp_ns for camera in report.cameras] == [START_NS + 5 * MS, None]
    assert [camera.waiting for camera in report.cameras] == [1, 0]


def test_ending_a_window_twice_is_an_error() -> None:
    stream = pipeline()
    feed(stream, 0, 40)
    window = take(stream)
    stream.done(window)

    with pytest.raises(ValueError, match="window 0 is not open"):
        stream.done(window)
    with pytest.raises(ValueError, match="window 0 is not open"):
        stream.drop(window, "network_failed")


def test_a_frame_of_an_unknown_camera_is_an_error_and_counts_nowhere() -> None:
    stream = pipeline()

    with pytest.raises(ValueError, match=r"0\.\.1, got 2"):
        stream.receive(frame(2, 0))

    assert stream.counts().frames.received == 0
