# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Two parts of a network at once on a CPU, each with half of torch's threads.

The layers of a small network are many and short. Where all threads share each of them, they wait
for one another after every one, and on a few cores that takes as long as it saves (measured in
docs/performance.md). Parts that do not depend on each other need to wait only once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import TypeVar

import torch

R = TypeVar("R")


class Beside:
    """A thread that works beside the one that owns this."""

    def __init__(self) -> None:
        self._pool: futures.ThreadPoolExecutor | None = None

    @contextmanager
    def run(self, work: Callable[[], R], *, alike: bool = False) -> Iterator[Callable[[], R]]:
        """Begins ``work``, without gradients; gives what waits for its result.

        Inside, this thread has fewer of torch's threads. It ends when the work has ended.

        Args:
            work: needs nothing that this thread makes inside.
            alike: both have the same number of threads, though one may be left over: a sum may
                round differently where its parts are others.
        """
        if self._pool is None:
            self._pool = futures.ThreadPoolExecutor(1, thread_name_prefix="beside")
        threads = torch.get_num_threads()
        share = max(1, threads // 2)

        def begin() -> R:
            torch.set_num_threads(share)  # of this thread; what new threads get is set again below
            with torch.inference_mode():
                return work()

        future = self._pool.submit(begin)
        torch.set_num_threads(share if alike else max(1, threads - share))
        try:
            yield future.result
        finally:
            futures.wait([future])
            torch.set_num_threads(threads)

    def close(self) -> None:
        """Ends the thread; the next ``run`` begins another."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
