# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Camera images to batches of network images on the device."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from vggt4d_ros.datatypes import Frame
from vggt4d_ros.model.preprocess import WHITE, Pixels, Placement, resample, to_rgb

MOST_THREADS = 4  # scaling an image is short; more threads would only wait for each other


class FrameLoader:
    """Scales images as the release does, several at a time, and sends them to the device.

    Pillow lets other threads run while it scales. On a GPU the batch lies in pinned memory, so
    that the copy runs beside what the host does next, and becomes float only there.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pinned = device.type == "cuda"
        workers = min(MOST_THREADS, torch.get_num_threads())
        self._pool = ThreadPoolExecutor(workers, "scaling") if workers > 1 else None

    def load(self, frames: Sequence[tuple[Frame, Placement]], size: int) -> Tensor:
        """Network images (size, 3, H, W), RGB in [0, 1]; black beyond the frames.

        All placements must be on a network image of the same size.
        """
        total = (frames[0][1].total_height, frames[0][1].total_width)
        batch = torch.zeros(size, *total, 3, dtype=torch.uint8, pin_memory=self._pinned)
        targets: Pixels = batch.numpy()
        jobs = [(frame, placement, targets[i]) for i, (frame, placement) in enumerate(frames)]
        if self._pool is None or len(jobs) == 1:
            for job in jobs:
                _scale_into(*job)
        else:
            list(self._pool.map(lambda job: _scale_into(*job), jobs))
        images = batch.to(self._device, non_blocking=self._pinned)
        return images.permute(0, 3, 1, 2).float() / 255  # channels last in memory

    def close(self) -> None:
        """Ends the threads."""
        if self._pool is not None:
            self._pool.shutdown()


def _scale_into(frame: Frame, placement: Placement, target: Pixels) -> None:
    """Scales an image into the middle of white."""
    pixels = resample(to_rgb(frame.image.rgb()), placement.height, placement.width)
    if pixels.shape != target.shape:
        target[:] = WHITE
    rows = slice(placement.top, placement.top + placement.height)
    columns = slice(placement.left, placement.left + placement.width)
    target[rows, columns] = pixels
