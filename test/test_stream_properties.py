# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What must hold for any stream: counts that add up, order, bounded memory and cost."""

from __future__ import annotations

import gc
import threading
import time
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from stream_frames import IMAGE, MS, START_NS, SyncRun

from vggt4d_ros.config import SyncConfig, WindowConfig
from vggt4d_ros.datatypes import Frame
from vggt4d_ros.stream import CameraCounts, LedgerCounts, StreamCounts, StreamPipeline

DEADLINE_S = 60.0


def bad_day(rng: np.random.Generator, cameras: int, steps: int) -> Iterator[Frame]:
    """A stream where everything goes wrong at times: loss, disorder, dead cameras, jumps."""
    clock_ns = START_NS
    alive = [True] * cameras
    held_back: list[Frame] = []
    for _ in range(steps):
        clock_ns += 33 * MS
        event = rng.uniform()
        if event < 0.01:
            clock_ns += round(rng.choice([-30_000, -900, 700, 60_000]) * MS)
        elif event < 0.03:
            alive[int(rng.integers(cameras))] ^= True
        for camera in rng.permutation(cameras).tolist():
            luck = rng.uniform()
            stamp = clock_ns + int(rng.integers(0, 12 * MS))
            if not alive[camera] or luck < 0.03:
                continue
            if luck < 0.05:
                stamp = int(rng.choice([0, -1, stamp + 10**13, stamp - 10**9, stamp - 40 * MS]))
            new = Frame(camera, stamp, IMAGE)
            if luck < 0.08:
                held_back.append(new)
                continue
            yield new
            if luck < 0.10:
                yield Frame(camera, stamp, IMAGE)
        if held_back and rng.uniform() < 0.5:
            yield held_back.pop()


def adds_up(counts: StreamCounts) -> bool:
    """Whether frames and windows are all accounted for, per camera and in total."""
    frames = counts.frames
    parts: list[CameraCounts | LedgerCounts] = [frames, *frames.cameras]
    return (
        all(one.received == one.used + sum(one.dropped.values()) + one.pending for one in parts)
        and all(one.pending >= 0 for one in parts)
        and counts.windows
        == counts.windows_done + sum(counts.windows_dropped.values()) + counts.windows_open
    )


class Threads:
    """A receiver and a worker at one pipeline, as in the node; both look at the counts."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.cameras = int(rng.integers(1, 6))
        self.stream = StreamPipeline(
            self.cameras,
            SyncConfig(
                tolerance_s=0.015,
                min_cameras=int(rng.integers(0, self.cameras + 1)),
                deadline_s=float(rng.choice([0.0, 0.05, 0.2])),
                queue_size=int(rng.integers(1, 8)),
            ),
            WindowConfig(length=int(rng.integers(1, 6)), stride=int(rng.integers(1, 4))),
            every_window=bool(rng.integers(2)),
        )
        self.seed = seed
        self.received: Counter[int] = Counter()
        self.seen: set[Frame] = set()  # by the network, in windows that ended before the close
        self.wrong: list[StreamCounts] = []

    def receive(self) -> None:
        rng = np.random.default_rng([self.seed, 1])
        for number, new in enumerate(bad_day(rng, self.cameras, 400)):
            self.received[new.camera] += 1
            luck = rng.uniform()
            if luck < 0.01:
                self.stream.reject(new.camera, "unknown_encoding")
                continue
            self.stream.receive(new)
            self.look()
            if luck < 0.02:
                self.stream.tick(number * 10 * MS)
            elif luck < 0.025:
                self.stream.reset()
            elif luck < 0.1:
                time.sleep(0.0002)  # lets the others in

    def work(self) -> None:
        rng = np.random.default_rng([self.seed, 2])
        while (window := self.stream.take(DEADLINE_S)) is not None:
            self.look()
            frames = [one for held in window.sets for one in held.frames if one is not None]
            luck = rng.uniform()
            if luck < 0.2:
                self.stream.drop(window, "network_failed")
                continue
            bad = {one: "corrupt_image" for one in frames if rng.uniform() < 0.05}
            self.stream.done(window, bad)
            self.seen.update(one for one in frames if one not in bad)

    def look(self) -> None:
        counts = self.stream.counts()
        if not adds_up(counts):
            self.wrong.append(counts)

    def run(self) -> None:
        receiver = threading.Thread(target=self.receive)
        worker = threading.Thread(target=self.work)
        receiver.start()
        worker.start()
        receiver.join(DEADLINE_S)
        # the worker's last window ends before the close, so that `seen` is exact
        deadline = time.monotonic() + DEADLINE_S
        while self.stream.counts().windows_open and time.monotonic() < deadline:
            time.sleep(0.001)
        self.stream.close()
        worker.join(DEADLINE_S)
        assert not receiver.is_alive()
        assert not worker.is_alive()


@pytest.mark.parametrize("seed", range(12))
def test_every_frame_is_accounted_for_at_every_instant_between_threads(seed: int) -> None:
    run = Threads(seed)

    run.run()

    frames = run.stream.counts().frames
    assert run.wrong == []
    assert [one.received for one in frames.cameras] == [run.received[c] for c in range(run.cameras)]
    assert frames.pending == 0
    assert frames.received == frames.used + sum(frames.dropped.values())
    assert frames.used == len(run.seen)


def test_the_bad_days_have_seen_it_all() -> None:
    causes: Counter[str] = Counter()
    used = 0
    for seed in range(12):
        run = Threads(seed)
        run.run()
        frames = run.stream.counts().frames
        causes.update(frames.dropped)
        used += frames.used

    assert used > 1000
    assert {
        "zero_stamp", "duplicate_stamp", "out_of_order", "stray_stamp", "late", "unmatched",
        "queue_full", "time_jump", "incomplete_window", "superseded", "reset", "network_failed",
        "corrupt_image", "unknown_encoding",
    } <= set(causes)  # fmt: skip


@pytest.mark.parametrize("seed", range(20))
def test_sets_increase_in_time_hold_together_and_share_no_frame(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cameras = int(rng.integers(1, 6))
    config = SyncConfig(
        tolerance_s=float(rng.choice([0.0, 0.005, 0.015, 0.05])),
        min_cameras=int(rng.integers(0, cameras + 1)),
        deadline_s=float(rng.choice([0.0, 0.05, 0.2])),
        queue_size=int(rng.integers(1, 12)),
    )
    run = SyncRun(cameras, config)
    jumps_before_set: list[int] = []

    for new in bad_day(rng, cameras, 600):
        run.feed(new)
        jumps_before_set += [len(run.jumps)] * (len(run.frame_sets) - len(jumps_before_set))

    frames = [one for ready in run.frame_sets for one in ready.frames if one is not None]
    assert len(frames) == len(set(frames))
    for ready in run.frame_sets:
        assert ready.spread_ns <= round(config.tolerance_s * 1e9)
        assert len(ready.stamps_ns) >= (config.min_cameras or cameras)
    newest: dict[tuple[int, int], int] = {}  # (jumps so far, camera or -1 for the set) -> stamp
    for jumps, ready in zip(jumps_before_set, run.frame_sets, strict=True):
        stamps = {-1: ready.stamp_ns}
        stamps |= {one.camera: one.stamp_ns for one in ready.frames if one is not None}
        for key, stamp in stamps.items():
            assert stamp > newest.get((jumps, key), 0)
            newest[jumps, key] = stamp


def test_two_offline_runs_give_the_same_windows() -> None:
    def stamps() -> list[tuple[int, ...]]:
        stream = StreamPipeline(
            3, SyncConfig(min_cameras=1), WindowConfig(length=3), every_window=True
        )
        found = []
        for new in bad_day(np.random.default_rng(5), 3, 300):
            stream.receive(new)
            for window in stream.windows():
                found.append(tuple(stamp for one in window.sets for stamp in one.stamps_ns))
                stream.done(window)
        return found

    first = stamps()

    assert len(first) > 100
    assert stamps() == first


@pytest.mark.parametrize("min_cameras", [0, 1])
def test_memory_is_bounded_over_a_hundred_thousand_frames(min_cameras: int) -> None:
    config = SyncConfig(min_cameras=min_cameras)
    stream = StreamPipeline(4, config, WindowConfig(length=4))
    count = 0
    most_pending = 0

    for round_number in range(1000):
        for new in bad_day(np.random.default_rng(round_number), 4, 30):
            stream.receive(new)
            count += 1
        most_pending = max(most_pending, stream.counts().frames.pending)
    gc.collect()
    alive = sum(isinstance(one, Frame) for one in gc.get_objects())

    assert count > 100_000
    # per camera: the queue, two kept aside, the window's sets and those of the posted window
    bound = 4 * (config.queue_size + 2 + 4 + 4)
    assert most_pending <= bound
    assert alive <= bound + 50  # frames other tests may have left


def cost_us(cameras: int, min_cameras: int) -> float:
    """Time of one receive, of a healthy stream."""
    rng = np.random.default_rng(0)
    frames = [
        Frame(camera, START_NS + step * 33 * MS + int(rng.integers(0, 5 * MS)), IMAGE)
        for step in range(2000 // cameras)
        for camera in rng.permutation(cameras).tolist()
    ]
    stream = StreamPipeline(cameras, SyncConfig(min_cameras=min_cameras), WindowConfig())
    start = time.perf_counter()
    for new in frames:
        stream.receive(new)
    return (time.perf_counter() - start) / len(frames) * 1e6


@pytest.mark.parametrize("cameras", [4, 16])
@pytest.mark.parametrize("min_cameras", [0, 1])
def test_a_frame_costs_microseconds(cameras: int, min_cameras: int) -> None:
    best_us = min(cost_us(cameras, min_cameras) for _ in range(3))

    print(f"{best_us:.1f} us per frame, {cameras} cameras, min_cameras {min_cameras}")
    assert best_us < 300  # an order above what was measured, for slow machines
