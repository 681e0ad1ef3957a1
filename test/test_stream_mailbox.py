# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The mailbox between the thread that makes windows and the one that works on them."""

from __future__ import annotations

import threading
import time

import pytest
from stream_frames import frame_set

from vggt4d_ros.datatypes import Window
from vggt4d_ros.stream import Mailbox

DEADLINE_S = 10.0


def window(index: int) -> Window:
    return Window((frame_set(index),), index)


def test_the_newest_window_wins_and_the_replaced_one_comes_back() -> None:
    mailbox = Mailbox()
    first, second = window(0), window(1)

    replaced = [mailbox.post(first), mailbox.post(second)]

    assert replaced == [[], [first]]
    assert mailbox.take(0.0) is second
    assert mailbox.take(0.0) is None


def test_every_window_is_kept_in_order_where_asked() -> None:
    mailbox = Mailbox(every=True)
    posted = [window(index) for index in range(3)]

    replaced = [mailbox.post(one) for one in posted]

    assert replaced == [[], [], []]
    assert [mailbox.take(0.0) for _ in range(4)] == [*posted, None]


def test_take_gives_up_when_the_time_is_up() -> None:
    start = time.monotonic()

    assert Mailbox().take(0.05) is None

    assert 0.05 <= time.monotonic() - start < DEADLINE_S


def test_take_wakes_up_when_a_window_is_posted() -> None:
    mailbox = Mailbox()
    posted = window(7)
    threading.Timer(0.05, mailbox.post, (posted,)).start()

    assert mailbox.take(DEADLINE_S) is posted


def test_close_wakes_every_waiting_taker_and_gives_back_what_was_left() -> None:
    mailbox = Mailbox()
    taken: list[Window | None] = []
    takers = [threading.Thread(target=lambda: taken.append(mailbox.take(None))) for _ in range(2)]
    for taker in takers:
        taker.start()

    left = mailbox.close()
    for taker in takers:
        taker.join(DEADLINE_S)

    assert not any(taker.is_alive() for taker in takers)
    assert (left, taken) == ([], [None, None])
    assert mailbox.closed


def test_a_closed_mailbox_takes_nothing_and_gives_nothing() -> None:
    mailbox = Mailbox()
    first, second = window(0), window(1)
    mailbox.post(first)

    left = mailbox.close()

    assert left == [first]
    assert mailbox.post(second) == [second]
    assert mailbox.take(None) is None


def test_clear_gives_back_what_was_not_taken() -> None:
    mailbox = Mailbox(every=True)
    posted = [window(0), window(1)]
    for one in posted:
        mailbox.post(one)

    assert mailbox.clear() == posted
    assert mailbox.take(0.0) is None


@pytest.mark.parametrize("every", [False, True])
def test_between_two_threads_each_window_is_taken_or_given_back_once(every: bool) -> None:
    mailbox = Mailbox(every)
    taken: list[int] = []
    given_back: list[int] = []

    def work() -> None:
        while (one := mailbox.take(DEADLINE_S)) is not None:
            taken.append(one.index)

    worker = threading.Thread(target=work)
    worker.start()
    for index in range(5000):
        given_back += [one.index for one in mailbox.post(window(index))]
        if index % 100 == 0:
            time.sleep(0.0005)  # lets the worker in
    given_back += [one.index for one in mailbox.close()]
    worker.join(DEADLINE_S)

    assert not worker.is_alive()
    assert sorted(taken + given_back) == list(range(5000))
    assert taken == sorted(taken)
    assert len(taken) > 10
