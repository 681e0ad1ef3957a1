# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Windows of random images that slide as in the node, for benchmarks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vggt4d_ros.datatypes import Frame, FrameSet, LazyImage, Window


def sliding_windows(
    steps: int, views: int, size: tuple[int, int], *, cold: bool = False
) -> Iterator[Window]:
    """Windows of random images, sliding by one step, or all new each time."""
    rng = np.random.default_rng(0)
    stamp = 0

    def frame_set() -> FrameSet:
        nonlocal stamp
        stamp += 100_000_000
        frames = (
            Frame(view, stamp, LazyImage.from_array(rng.integers(0, 256, (*size, 3), np.uint8)))
            for view in range(views)
        )
        return FrameSet(tuple(frames))

    sets = [frame_set() for _ in range(steps)]
    index = 0
    while True:
        yield Window(tuple(sets), index)
        index += 1
        sets = [frame_set() for _ in range(steps)] if cold else [*sets[1:], frame_set()]
