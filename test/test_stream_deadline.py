# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Deadline control against a simulated machine: it meets targets, settles, and comes back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from vggt4d_ros.config import SyncConfig, WindowConfig
from vggt4d_ros.datatypes import Frame, FrameSet, LazyImage, Prediction, Rig, Window
from vggt4d_ros.processor import Processed
from vggt4d_ros.ros.worker import Worker
from vggt4d_ros.stream.deadline import DeadlineControl, Rung, ladder
from vggt4d_ros.stream.pipeline import StreamPipeline

SIZES = (160, 128, 96)
FULL = Rung(6, 160)


@dataclass
class Seen:
    """What became of the windows of a simulated run."""

    starts: list[float]
    latencies: list[float]
    rungs: list[Rung]

    def changes(self) -> int:
        return sum(a != b for a, b in zip(self.rungs, self.rungs[1:], strict=False))


class Machine:
    """Costs windows as a real one: by what is done, how busy it is, and by chance."""

    def __init__(self, per_step_s: float, seed: int = 0, exponent: float = 2.0) -> None:
        self.rng = np.random.default_rng(seed)
        self.per_step_s = per_step_s
        self.exponent = exponent  # how cost rises with the image: not as the ladder expects

    def cost(self, rung: Rung, load: float) -> float:
        size = (rung.image_size / SIZES[0]) ** self.exponent
        noise = self.rng.lognormal(0.0, 0.05)
        return (0.5 + rung.steps) * self.per_step_s * size * load * float(noise)


def simulate(
    control: DeadlineControl,
    machine: Machine,
    *,
    period_s: float,
    seconds: float,
    load: Callable[[float], float] = lambda _: 1.0,
    start_s: float = 0.0,
) -> Seen:
    """A camera, a mailbox that keeps the newest window, and a network."""
    seen = Seen([], [], [])
    free = start_s
    index = int(start_s / period_s)
    while free < start_s + seconds:
        index = max(index + 1, int(free / period_s))  # the newest that has come, or the next
        arrival = index * period_s
        now = max(free, arrival)
        if not control.admits(index, arrival):
            free = now
            continue
        rung = control.plan.rung
        cost = machine.cost(rung, load(now))
        control.observe(cost)
        free = now + cost
        seen.starts.append(now)
        seen.latencies.append(free - arrival)
        seen.rungs.append(rung)
    return seen


def test_ladder_gives_up_steps_first_then_pixels_then_time() -> None:
    rungs = ladder(4, (160, 112))

    assert [(r.steps, r.image_size) for r in rungs] == [
        (4, 160),
        (3, 160),
        (2, 160),
        (2, 112),
        (1, 112),
    ]
    assert [r.share for r in rungs] == sorted((r.share for r in rungs), reverse=True)
    assert ladder(1, (0,)) == (Rung(1, 0),)
    with pytest.raises(ValueError, match="length must be at least 1"):
        ladder(0, (160,))


def test_without_a_target_every_window_runs_whole_however_slow() -> None:
    control = DeadlineControl(6, SIZES)

    seen = simulate(control, Machine(1.0), period_s=0.1, seconds=200)

    assert set(seen.rungs) == {FULL}
    assert control.describe() == ""


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("exponent", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("target_s", [0.12, 0.2, 0.35, 0.6])
def test_latency_is_kept_by_the_most_that_fits(target_s: float, exponent: float, seed: int) -> None:
    machine = Machine(0.1, seed, exponent)
    control = DeadlineControl(6, SIZES)
    control.aim(target_s, 0.0)

    simulate(control, machine, period_s=1 / 15, seconds=60)  # learns
    seen = simulate(control, machine, period_s=1 / 15, seconds=60, start_s=100)

    assert np.mean(np.array(seen.latencies) < 1.25 * target_s) > 0.95
    quiet = Machine(0.1, exponent=exponent)
    quiet.rng = np.random.default_rng(1)
    fits = [r for r in control.rungs if quiet.cost(r, 1.0) < 0.7 * target_s]
    fits.append(control.rungs[-1])
    # nothing much better was left unused
    assert max(r.share for r in seen.rungs) >= fits[0].share
    assert seen.changes() <= 8


@pytest.mark.parametrize("seed", range(4))
def test_rate_is_kept_and_no_faster_than_asked(seed: int) -> None:
    machine = Machine(0.025, seed)
    control = DeadlineControl(6, SIZES)
    control.aim(0.0, 5.0)

    simulate(control, machine, period_s=1 / 30, seconds=30)
    seen = simulate(control, machine, period_s=1 / 30, seconds=30, start_s=100)

    rate = len(seen.starts) / 30
    assert 4.5 < rate < 5.5
    assert set(seen.rungs) == {FULL}  # 0.16 s each


def test_rate_out_of_reach_of_the_whole_window_costs_steps() -> None:
    machine = Machine(0.06)
    control = DeadlineControl(6, SIZES)
    control.aim(0.0, 5.0)

    simulate(control, machine, period_s=1 / 30, seconds=30)
    seen = simulate(control, machine, period_s=1 / 30, seconds=30, start_s=100)

    assert len(seen.starts) / 30 > 4.5
    assert all(rung.steps < 6 and rung.image_size == 160 for rung in seen.rungs)


@pytest.mark.parametrize("seed", range(4))
def test_quality_returns_when_the_load_falls(seed: int) -> None:
    machine = Machine(0.03, seed)
    control = DeadlineControl(6, SIZES)
    control.aim(0.3, 0.0)

    def load(now: float) -> float:
        return 4.0 if 20 < now < 60 else 1.0

    before = simulate(control, machine, period_s=0.1, seconds=20)
    during = simulate(control, machine, period_s=0.1, seconds=40, load=load, start_s=20.0)
    after = simulate(control, machine, period_s=0.1, seconds=120, load=load, start_s=60.0)

    assert before.rungs[-1] == FULL
    assert during.rungs[-1].share < FULL.share
    assert np.median(during.latencies) < 0.3
    assert after.rungs[-1] == FULL


def test_a_rung_that_never_fits_is_tried_ever_less_often() -> None:
    # steps cost twice what the ladder expects of them beyond the third
    class Odd(Machine):
        def cost(self, rung: Rung, load: float) -> float:
            return super().cost(rung, load) * (2.0 if rung.steps > 3 else 1.0)

    control = DeadlineControl(6, SIZES)
    control.aim(0.35, 0.0)

    seen = simulate(control, Odd(0.07), period_s=0.05, seconds=600)

    assert seen.changes() < 40
    assert np.mean(np.array(seen.latencies) < 0.44) > 0.95


def test_target_out_of_reach_is_said() -> None:
    control = DeadlineControl(6, SIZES)
    control.aim(0.001, 0.0)

    seen = simulate(control, Machine(0.1), period_s=0.1, seconds=60)

    assert seen.rungs[-1] == control.rungs[-1] == Rung(1, 96)
    assert "deadline 0.001 s: 1 time steps of 96 px" in control.describe()
    assert control.describe().endswith("the target is out of reach")


def test_target_may_change_while_it_runs() -> None:
    machine, control = Machine(0.1), DeadlineControl(6, SIZES)
    control.aim(0.2, 0.0)
    tight = simulate(control, machine, period_s=0.1, seconds=60)
    control.aim(0.0, 0.0)
    loose = simulate(control, machine, period_s=0.1, seconds=20, start_s=60.0)

    assert tight.rungs[-1] != FULL
    assert set(loose.rungs) == {FULL}
    with pytest.raises(ValueError, match="must not be negative"):
        control.aim(-1.0, 0.0)


def test_a_pause_of_the_stream_is_not_taken_for_a_slower_camera() -> None:
    """5 Hz wanted of a camera of 10 Hz, then of one that has become slower for good."""
    control = DeadlineControl(6, SIZES)
    control.aim(0.0, 5.0)
    simulate(control, Machine(0.01), period_s=0.1, seconds=10)
    strides = []
    for index, arrival_s in enumerate((100.0, 100.1, 160.0, 160.1), start=1000):
        control.admits(index, arrival_s)
        strides.append(control.plan.stride)
    for index in range(20):
        control.admits(1004 + index, 161.0 + index)

    assert strides == [2, 2, 2, 2]
    assert control.plan.stride == 1


@pytest.mark.parametrize("target", [(0.3, 0.0), (0.0, 5.0), (0.3, 5.0)])
def test_waiting_for_others_costs_no_quality(target: tuple[float, float]) -> None:
    """Windows of 0.1 s of work, between which 0.25 s go by for motion that is late."""
    control = DeadlineControl(6, SIZES)
    control.aim(*target)

    for index in range(200):
        if control.admits(index, index * 0.1):
            control.observe(0.1, waited_s=0.25)

    assert control.plan.rung == FULL
    assert control.plan.meets_target
    # a window that comes while another waits would start late
    assert control.plan.stride == (4 if target[0] else 2)


def test_cut_keeps_the_newest_steps() -> None:
    image = LazyImage.from_array(np.zeros((2, 2, 3), dtype=np.uint8))
    sets = tuple(FrameSet((Frame(0, step, image),)) for step in range(6))
    control = DeadlineControl(6, SIZES)
    whole = Window(sets, 3, 1)

    assert control.cut(whole) is whole
    control.aim(0.001, 0.0)
    simulate(control, Machine(0.1), period_s=0.1, seconds=60)
    cut = control.cut(whole)

    assert cut.sets == sets[-1:]
    assert (cut.index, cut.epoch) == (3, 1)


def test_worker_does_not_count_the_wait_for_late_motion(monkeypatch: pytest.MonkeyPatch) -> None:
    """20 ms of work on a window, 100 ms of waiting, 50 ms wanted."""
    clock, waited = SimpleNamespace(ns=0), SimpleNamespace(s=0.0)
    monkeypatch.setattr("vggt4d_ros.ros.worker.time.monotonic_ns", lambda: clock.ns)
    shapes: list[tuple[int, int]] = []

    def process(window: Window, rig: Rig, hints: object) -> Processed:
        clock.ns += 120_000_000
        waited.s += 0.1
        shapes.append(window.shape)
        prediction = Prediction(window.valid, np.empty(0), np.empty(0), {})
        return Processed(window, rig, prediction, None, {}, (), True, ())  # type: ignore[arg-type]

    pipeline = StreamPipeline(1, SyncConfig(), WindowConfig(length=4), every_window=True)
    worker = Worker(
        pipeline=pipeline,
        processor=SimpleNamespace(process=process, engine=SimpleNamespace(image_size=160)),  # type: ignore[arg-type]
        rig=lambda _: Rig((None,)),
        hints=None,  # type: ignore[arg-type]
        wanted=lambda: True,
        publish=lambda *_: None,
        on_empty=lambda _: None,
        on_fatal=lambda _: None,
        deadline=DeadlineControl(4, (160, 80)),
        targets=lambda: (0.05, 0.0),
        waited_s=lambda: waited.s,
    )
    image = LazyImage.from_array(np.zeros((2, 2, 3), dtype=np.uint8))

    for step in range(40):
        ns = (step + 1) * 10**8
        pipeline.receive(Frame(0, ns, image, received_ns=ns))
        for window in pipeline.windows():
            worker._work(window)

    assert len(shapes) > 10
    assert set(shapes) == {(4, 1)}


def test_worker_runs_what_the_deadline_lets_it() -> None:
    """A latency that nothing can keep, then a rate far below the camera's."""
    targets = (1e-9, 0.0)
    engine = SimpleNamespace(image_size=160)
    published: list[Processed] = []

    def process(window: Window, rig: Rig, hints: object) -> Processed:
        prediction = Prediction(window.valid, np.empty(0), np.empty(0), {})
        return Processed(window, rig, prediction, None, {}, (), True, ())  # type: ignore[arg-type]

    pipeline = StreamPipeline(1, SyncConfig(), WindowConfig(length=4), every_window=True)
    worker = Worker(
        pipeline=pipeline,
        processor=SimpleNamespace(process=process, engine=engine),  # type: ignore[arg-type]
        rig=lambda _: Rig((None,)),
        hints=None,  # type: ignore[arg-type]
        wanted=lambda: True,
        publish=lambda processed, _: published.append(processed),
        on_empty=lambda _: None,
        on_fatal=lambda _: None,
        deadline=DeadlineControl(4, (160, 80)),
        targets=lambda: targets,
    )
    image = LazyImage.from_array(np.zeros((2, 2, 3), dtype=np.uint8))

    def show(steps: range) -> None:
        for step in steps:
            ns = (step + 1) * 10**8
            pipeline.receive(Frame(0, ns, image, received_ns=ns))
            for window in pipeline.windows():
                worker._work(window)

    show(range(40))
    assert published[0].window.shape == (4, 1)
    assert published[-1].window.shape == (1, 1)
    assert engine.image_size == 80
    assert "the target is out of reach" in published[-1].warnings[-1]

    targets = (0.0, 2.0)
    published.clear()
    show(range(40, 90))
    assert len(published) == 10  # of 50 at 10 Hz
    assert pipeline.counts().windows_dropped == {"paced": 40}
    # of each window one step runs: what lies between them was never seen
    frames = pipeline.counts().frames
    assert frames.dropped["paced"] >= 35
    assert frames.received == 90 == frames.used + sum(frames.dropped.values()) + frames.pending
