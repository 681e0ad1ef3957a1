# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Sliding windows: what is kept or left out changes nothing, whatever the cameras do."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

torch = pytest.importorskip("torch")

from model_cases import lively, small_compact, small_full, tiny_motion, torch_threads  # noqa: E402

from vggt4d_ros.benchmark_reference import NaiveReference, largest_differences  # noqa: E402
from vggt4d_ros.datatypes import Frame, FramePrediction, FrameSet, LazyImage, Window  # noqa: E402
from vggt4d_ros.model import pair_head  # noqa: E402
from vggt4d_ros.model.config import ModelConfig  # noqa: E402
from vggt4d_ros.model.predictor import Predictor  # noqa: E402

VIEWS = 3
CONFIGS = {
    "compact-like": small_compact(),
    "release-like": tiny_motion(),
    "step-scope": small_compact(cross_view_scope="step"),
    "deep-and-narrow": small_compact(depth=3, taps=(0, 1, 2), window_size=3),
    "temporal-conv": small_compact(temporal_mixer="conv", depth=3, taps=(0, 2)),
    "serial": small_compact(arrangement="serial"),
    "unified": small_compact(arrangement="unified"),
    "spatial": small_compact(arrangement="spatial"),
    "pairs": small_compact(pairs=True, mutual=True),
    "fine matches": small_compact(pairs=True, mutual=True, fine_matches=True),
    "sweep": small_full(),
}


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # frames are compared though what is random does not agree
    monkeypatch.setattr(pair_head, "LEAST_AGREED", -1.0)
    with torch_threads(1):
        yield


def frame_set(step: int, missing: set[int], size: tuple[int, int], rng: np.random.Generator):
    def frame(view: int) -> Frame | None:
        own = size if view == VIEWS - 1 else (48, 64)
        pixels = rng.integers(0, 256, (*own, 3), dtype=np.uint8)
        return None if view in missing else Frame(view, step, LazyImage.from_array(pixels))

    return FrameSet(tuple(frame(view) for view in range(VIEWS)))


def stream(length: int) -> Iterator[Window]:
    """Windows of a rig with everything that happens to one."""
    rng = np.random.default_rng(3)
    missing = {2: {1}, 3: {0}, 4: {0, 1}, 5: {0}, 6: {0}, 7: {0}, 8: {2}}
    sizes = {10: (96, 64)}  # the last camera turns upright from there on
    size, sets = (48, 64), []
    for step in range(14):
        size = sizes.get(step, size)
        if step == 12:  # a time jump: nothing of before is seen again
            sets = [frame_set(step + i, set(), size, rng) for i in range(length)]
        sets = [*sets, frame_set(step, missing.get(step, set()), size, rng)][-length:]
        if len(sets) == length:
            yield Window(tuple(sets), step)


def assert_same(found: Predictor, fresh: Predictor, shown: Window, steps: tuple[int, ...]) -> None:
    a, b = found.predict(shown, steps), fresh.predict(shown, steps)
    assert_array_equal(a.cam_from_world, b.cam_from_world)
    assert a.frames.keys() == b.frames.keys()
    for slot, frame in a.frames.items():
        for name in FramePrediction.__dataclass_fields__:
            ours, theirs = getattr(frame, name), getattr(b.frames[slot], name)
            assert (ours is None) == (theirs is None), name
            if ours is not None:
                assert_array_equal(ours, theirs, err_msg=f"{name} of {slot}")


@pytest.mark.parametrize("name", CONFIGS)
def test_sliding_windows_give_what_whole_windows_give(name: str) -> None:
    config: ModelConfig = CONFIGS[name]
    predictor = Predictor(lively(config), device="cpu")
    # with convolutions in the predictor's memory layout, which round otherwise
    model = lively(config).to(memory_format=torch.channels_last)
    naive = NaiveReference(model, "fp32", config.img_size)

    for shown in stream(4):
        errors = largest_differences(predictor.predict(shown), naive.predict(shown))
        assert errors["slots"] == 0
        assert errors["rotation_deg"] < 0.02, shown.index
        assert all(value < 3e-4 for value in errors.values()), (shown.index, errors)


@pytest.mark.parametrize("steps", [(-1,), (-2, -1), ()])
@pytest.mark.parametrize("name", ["compact-like", "step-scope", "pairs", "sweep"])
def test_kept_results_have_the_bits_of_fresh_ones(name: str, steps: tuple[int, ...]) -> None:
    kept = Predictor(lively(CONFIGS[name]), device="cpu")
    fresh = Predictor(lively(CONFIGS[name]), device="cpu")

    for shown in stream(3):
        fresh.trunk.clear()
        assert_same(kept, fresh, shown, steps)


@pytest.mark.parametrize("threads", [2, 3])
def test_kept_results_have_the_bits_of_fresh_ones_where_two_threads_share_the_work(
    threads: int,
) -> None:
    torch.set_num_threads(threads)
    kept = Predictor(lively(CONFIGS["sweep"]), device="cpu")
    fresh = Predictor(lively(CONFIGS["sweep"]), device="cpu")

    for shown in stream(3):
        fresh.trunk.clear()
        assert_same(kept, fresh, shown, (-1,))


def test_only_the_newest_window_is_kept() -> None:
    predictor = Predictor(lively(CONFIGS["step-scope"]), device="cpu")

    for shown in stream(3):
        predictor.predict(shown)
        assert len(predictor.trunk) == int(shown.valid.sum())
        kept = [len(cache) for cache in predictor.trunk.caches]
        assert max(kept) <= 3 * VIEWS


def test_steps_that_see_only_themselves_are_not_fused_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    predictor = Predictor(lively(CONFIGS["step-scope"]), device="cpu")
    plain = predictor.model.finish_views
    runs: list[int] = []

    def count(start: object, shape: object, *rest: object) -> object:
        runs.append(shape.steps)  # type: ignore[attr-defined]
        return plain(start, shape, *rest)

    monkeypatch.setattr(predictor.model, "finish_views", count)
    rng = np.random.default_rng(0)
    sets = [frame_set(step, set(), (48, 64), rng) for step in range(5)]
    predictor.predict(Window(tuple(sets[:4])))
    runs.clear()
    predictor.predict(Window(tuple(sets[1:])))

    assert runs == [1, 1]  # the new step, and the one whose first camera is the reference now


def test_late_layers_run_for_the_steps_that_are_asked_for_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    predictor = Predictor(lively(CONFIGS["deep-and-narrow"]), device="cpu")
    sizes: list[int] = []
    for block in predictor.model.cross_time_local_fusion.temporal_blocks:
        block.mlp.register_forward_pre_hook(lambda _, x: sizes.append(x[0].shape[1]))
    rng = np.random.default_rng(0)
    sets = tuple(frame_set(step, set(), (48, 64), rng) for step in range(8))

    predictor.predict(Window(sets))

    # newest step and its neighbour for flow; each earlier layer one step more (window of 3)
    assert sizes == [4, 3, 2]


@pytest.mark.parametrize("name", ["compact-like", "release-like"])
def test_flow_of_the_newest_step_is_the_same_without_the_rest(name: str) -> None:
    whole, part, none = (Predictor(lively(CONFIGS[name]), device="cpu") for _ in range(3))

    for shown in stream(4):
        every = whole.predict(shown, (-2, -1))
        some = part.predict(shown, (-2, -1), motion="flow")
        nothing = none.predict(shown, (-2, -1), motion="none")
        for (step, view), frame in some.frames.items():
            known = every.frames[step, view]
            assert frame.dynamic is None
            if step == 3 and known.flow_backward is not None:
                assert frame.flow_backward is not None
                np.testing.assert_allclose(frame.flow_backward, known.flow_backward, atol=0.01)
            if step == 2 and known.flow_forward is not None:
                assert frame.flow_forward is not None
                np.testing.assert_allclose(frame.flow_forward, known.flow_forward, atol=0.01)
            assert step == 3 or frame.flow_backward is None
            np.testing.assert_allclose(frame.depth, known.depth, rtol=1e-4)
        for slot, frame in nothing.frames.items():
            assert frame.flow_forward is frame.flow_backward is frame.dynamic is None
            np.testing.assert_allclose(frame.depth, every.frames[slot].depth, rtol=1e-4)


def test_poses_alone_need_no_time_branch(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = Predictor(lively(CONFIGS["compact-like"]), device="cpu")
    whole = predictor.predict(next(stream(3)))
    monkeypatch.delattr(predictor.model.cross_time_local_fusion, "temporal_blocks")

    found = predictor.predict(next(stream(3)), ())

    assert not found.frames
    np.testing.assert_allclose(found.cam_from_world, whole.cam_from_world, atol=1e-5)


@pytest.mark.slow
def test_memory_stays_where_it_is_while_cameras_come_and_go() -> None:
    predictor = Predictor(lively(replace(small_compact(), depth=2)), device="cpu")
    rng = np.random.default_rng(5)
    sets = [frame_set(step, set(), (48, 64), rng) for step in range(4)]

    def run(count: int) -> int:
        nonlocal sets
        for step in range(count):
            missing = {view for view in range(VIEWS) if rng.random() < 0.2}
            sets = [*sets[1:], frame_set(step, missing, (48, 64), rng)]
            predictor.predict(Window(tuple(sets)))
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * resource.getpagesize()

    early = run(100)
    late = run(300)

    assert late - early < 8 * 2**20, f"{(late - early) / 2**20:.1f} MiB more"
