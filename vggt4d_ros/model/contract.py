# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What every engine offers: predictions of windows. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from vggt4d_ros.datatypes import Prediction, Window


@dataclass(frozen=True)
class EngineDescription:
    """What runs, for logs and status."""

    name: str
    parameters: int
    device: str
    precision: str
    checkpoint: str  # file, or what stands in for one


class Engine(Protocol):
    """Predicts windows; owned by one thread."""

    warnings: tuple[str, ...]  # what a user must know, once
    image_size: int  # longer side of the network's image, pixels; may change between windows

    @property
    def image_sizes(self) -> tuple[int, ...]:
        """Image sizes to choose from under pressure, largest first; the first is what was set."""
        ...

    @property
    def description(self) -> EngineDescription:
        """What runs."""
        ...

    @property
    def memory_bytes(self) -> int:
        """Memory in use: of the process on a CPU, of the device otherwise."""
        ...

    def largest_window(self, views: int) -> int:
        """Time steps of the largest window of so many cameras that fits into the memory."""
        ...

    def warm_up(self, window_shape: tuple[int, int], sizes: Sequence[tuple[int, int]]) -> None:
        """Runs one made-up window of (T, V) with images of (height, width), one size a view."""
        ...

    def predict(
        self,
        window: Window,
        dense_steps: Sequence[int] | None = None,
        *,
        points: bool = False,
        motion: str = "all",
        view_pairs: Sequence[tuple[int, int]] = (),
    ) -> Prediction:
        """Predicts a window; dense outputs of the given steps, None: of the newest.

        ``view_pairs`` of cameras: what they both see at the newest dense step is wanted too.
        """
        ...

    def close(self) -> None:
        """Frees the device."""
        ...


def resolve_steps(steps: Sequence[int] | None, count: int) -> tuple[int, ...]:
    """Dense steps as rising indices 0..count-1; negative ones count from the end.

    Raises:
        ValueError: a step is out of range.
    """
    if steps is None:
        return (count - 1,)
    for step in steps:
        if not -count <= step < count:
            raise ValueError(f"dense step {step} is out of range for {count} time steps")
    return tuple(sorted({step % count for step in steps}))
