# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How much memory a window needs, and how large a window fits; an estimate from shapes alone."""

from __future__ import annotations

import torch

from vggt4d_ros.model import pair_sharpen, sharp_flow
from vggt4d_ros.model.config import ModelConfig
from vggt4d_ros.model.grid import GridShape
from vggt4d_ros.model.pair_refine import WIDTH
from vggt4d_ros.model.plane_sweep import PLANES, SOURCES

FLOAT = 4  # bytes of what stays float32: residual stream, taps, norms
LIKENESSES = 5  # tables of all pairs of cells that are alive at once
SPARE = 0.9  # of the free memory; the rest is for what an allocator cannot use
UNKNOWN = 2**62  # a machine that does not say how much is free: nothing is held back
MOST_STEPS = 64  # as window.length


def free_memory(device: torch.device) -> int:
    """Bytes that can still be used: of the device, or of the machine for a CPU.

    A Jetson's GPU shares the machine's memory, and what CUDA calls free there lacks all that the
    system would give back, such as pages of files that were read.
    """
    if device.type != "cuda":
        return _available()
    held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    free = torch.cuda.mem_get_info(device)[0]
    if getattr(torch.cuda.get_device_properties(device), "is_integrated", False):
        available = _available()
        free = max(free, available if available < UNKNOWN else 0)
    return free + held


def _available() -> int:
    """Bytes of the machine that nobody needs."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return UNKNOWN


def window_bytes(
    config: ModelConfig, shape: GridShape, *, element: int, dense_steps: int = 2, chunk: int = 8
) -> int:
    """Bytes that a window needs at most beside the weights.

    Args:
        config: the network.
        shape: of the window.
        element: bytes of a number in the trunk's precision.
        dense_steps: steps whose dense outputs are made.
        chunk: frames that a dense head sees at once.
    """
    pixels = shape.height * shape.width * config.patch_size**2
    tokens = 1 + config.num_register_tokens + shape.height * shape.width
    width, branches = config.embed_dim, 1 if config.arrangement == "spatial" else 2
    taps = len(config.taps) * branches * 2 * width * FLOAT
    kept = (1 + branches) * width * FLOAT  # tokens, first blocks
    attention = 4 * element + 2 * FLOAT  # q, k, v, out; q and k normalised
    block = width * (2 * FLOAT + max(attention, 2 * round(config.mlp_ratio) * element))
    per_frame = tokens * (taps + kept + block)
    if config.encoder.kind == "stem":  # skip maps, kept
        areas = zip(config.encoder.channels, (4, 16, 64), strict=True)
        per_frame += sum(channels * pixels // area for channels, area in areas) * FLOAT
    if config.pairs:  # likeness of each cell at 1/8 of a frame to each of the reference
        cells = 4 * shape.height * shape.width
        per_frame += LIKENESSES * cells * cells * FLOAT
    if config.sharp_matches:  # maps at 1/2, what is around each place on them, and its products
        near = 2 * cells * pair_sharpen.SIDE**2
        per_frame += pair_sharpen.WIDTH * (pixels // 4 + near) * FLOAT
    if config.motion is not None and config.motion.choice:  # likeness of cells at 1/8, both ways
        per_frame += 2 * LIKENESSES * (4 * shape.height * shape.width) ** 2 * FLOAT
    dense = shape.views * min(dense_steps, shape.steps)
    if config.dense.kind == "dpt":  # three maps of half the features at full resolution
        head = min(dense, chunk) * pixels * 3 * (config.dense.features // 2) * FLOAT
    else:
        head = dense * pixels * 3 * config.dense.out_channels[0] // 4 * FLOAT
    if config.sweep:  # one source's features at all depths, and their likeness to each source
        cells = 4 * shape.height * shape.width
        head += dense * cells * PLANES * (2 * WIDTH + 4 * SOURCES) * FLOAT
    if config.motion is not None and config.motion.sharp_flow:  # maps at 1/2, flow goes both ways
        near = (2 * sharp_flow.RADIUS + 1) ** 2 + sharp_flow.WIDTH
        seen = near + sharp_flow.WIDTH + 3  # a copy of ``near`` among it
        pairs = 2 * shape.views * min(dense_steps, shape.steps - 1)
        per_frame += sharp_flow.WIDTH * (pixels // 4) * FLOAT
        head += pairs * (near + seen) * (pixels // 4) * FLOAT
    outputs = dense * pixels * 16 * FLOAT
    return shape.batch * (shape.frames * per_frame + head + outputs)


def largest_steps(config: ModelConfig, shape: GridShape, *, element: int, free: int) -> int:
    """The most time steps of a window like ``shape`` that fit into ``free`` bytes, 0..64."""
    fitting = (
        steps
        for steps in range(MOST_STEPS, 0, -1)
        if window_bytes(config, shape._replace(steps=steps), element=element) <= SPARE * free
    )
    return next(fitting, 0)
