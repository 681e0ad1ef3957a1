# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Both branches of the network at once: same outputs, torch's threads shared, errors not lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from model_cases import lively, small_compact, torch_threads  # noqa: E402

from vggt4d_ros.benchmark_reference import largest_differences  # noqa: E402
from vggt4d_ros.benchmark_windows import sliding_windows  # noqa: E402
from vggt4d_ros.model.beside import Beside  # noqa: E402
from vggt4d_ros.model.predictor import Predictor  # noqa: E402


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    with torch_threads(3):
        yield


@pytest.fixture
def beside() -> Iterator[Beside]:
    one = Beside()
    yield one
    one.close()


def test_work_runs_on_another_thread_with_some_of_torchs_threads(beside: Beside) -> None:
    def work() -> tuple[int, int, bool]:
        return threading.get_ident(), torch.get_num_threads(), torch.is_inference_mode_enabled()

    with beside.run(work) as result:
        left = torch.get_num_threads()
        thread, used, inference = result()

    assert thread != threading.get_ident()
    assert (used, left) == (1, 2)
    assert inference
    assert torch.get_num_threads() == 3


def test_a_thread_that_begins_afterwards_has_all_of_torchs_threads(beside: Beside) -> None:
    with beside.run(lambda: None):
        pass
    found: list[int] = []
    other = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    other.start()
    other.join(timeout=60)

    assert found == [3]


def test_an_error_of_the_work_reaches_who_waits_for_it(beside: Beside) -> None:
    def work() -> None:
        raise RuntimeError("no memory")

    with pytest.raises(RuntimeError, match="no memory"), beside.run(work) as result:
        result()

    assert torch.get_num_threads() == 3


def test_an_error_beside_the_work_waits_until_the_work_has_ended(beside: Beside) -> None:
    go, ended = threading.Event(), threading.Event()

    def work() -> None:
        go.wait(timeout=60)
        ended.set()

    with pytest.raises(ValueError, match="here"), beside.run(work):  # noqa: PT012
        go.set()
        raise ValueError("here")

    assert ended.is_set()
    assert torch.get_num_threads() == 3


def test_it_runs_again_after_it_was_closed(beside: Beside) -> None:
    for number in (1, 2):
        with beside.run(lambda number=number: number) as result:
            assert result() == number
        beside.close()


def test_branches_at_once_give_what_they_give_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # without comparing pairs: on random images that enlarges what rounding leaves
    predictor = Predictor(lively(small_compact()).eval(), device="cpu", precision="fp32")
    time = predictor.model.cross_time_local_fusion
    finish, ran_on = time.finish, []

    def spy(*arguments: object) -> object:
        ran_on.append(threading.current_thread())
        return finish(*arguments)

    monkeypatch.setattr(time, "finish", spy)
    windows = [window for window, _ in zip(sliding_windows(3, 2, (48, 64)), range(3), strict=False)]

    def run(threads: int) -> list:
        predictor.trunk.clear()
        torch.set_num_threads(threads)
        return [predictor.predict(window) for window in windows]

    at_once, in_turn = run(2), run(1)

    assert threading.current_thread() not in ran_on[:3]
    assert set(ran_on[3:]) == {threading.current_thread()}
    for found, wanted in zip(at_once, in_turn, strict=True):
        errors = largest_differences(found, wanted)
        assert errors["slots"] == 0
        assert max(errors.values()) < 5e-3
        assert np.isfinite(found.cam_from_world).all()
    predictor.close()


@pytest.mark.parametrize(
    ("steps", "motion", "views", "dense"),
    [((-1,), "all", 1, 1), ((-1,), "none", 1, 2), ((), "all", 2, 0)],
)
def test_threads_are_shared_only_while_there_is_something_beside(
    monkeypatch: pytest.MonkeyPatch, steps: tuple[int, ...], motion: str, views: int, dense: int
) -> None:
    torch.set_num_threads(2)
    predictor = Predictor(lively(small_compact()).eval(), device="cpu", precision="fp32")
    model, used = predictor.model, {"finish_views": 0, "predict_dense": 0}

    def spy(name: str) -> None:
        plain = getattr(model, name)

        def counted(*arguments: object) -> object:
            used[name] = torch.get_num_threads()
            return plain(*arguments)

        monkeypatch.setattr(model, name, counted)

    for name in used:
        spy(name)
    predictor.predict(next(sliding_windows(3, 2, (48, 64))), steps, motion=motion)

    assert used == {"finish_views": views, "predict_dense": dense}
    predictor.close()
