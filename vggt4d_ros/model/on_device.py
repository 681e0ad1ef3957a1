# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What surrounds all work on a device: which GPU is meant, and what happens without memory."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from vggt4d_ros.model.errors import OutOfMemory

# what torch's allocator on a CPU, CUDA itself and its libraries say
_NO_MEMORY = ("can't allocate memory", "CUDA error: out of memory", "STATUS_ALLOC_FAILED")


@contextmanager
def current_device(device: torch.device) -> Iterator[None]:
    """Makes a GPU the one that streams and events are of, which is the first one otherwise."""
    if device.type != "cuda":
        yield
        return
    with torch.cuda.device(device):
        yield


@contextmanager
def memory_errors(device: torch.device) -> Iterator[None]:
    """Turns torch's memory errors into OutOfMemory, and lets go of what filled the memory."""
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        cause: RuntimeError = error
    except RuntimeError as error:
        if not any(words in str(error) for words in _NO_MEMORY):
            raise
        cause = error
    else:
        return
    # the frames of the failed call still hold their tensors as long as the error lives
    traceback.clear_frames(cause.__traceback__)
    room = ""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        free, total = torch.cuda.mem_get_info(device)
        room = f": {free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
    raise OutOfMemory(f"{device} is out of memory{room}")
