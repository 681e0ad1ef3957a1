# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Depth and poses made to fit each other, for frames whose depth is asked for.

Poses are fitted to the dense depth, which is better than the coarse one they came from, and depth
is swept with the better poses; then again. Frames without dense depth keep their poses, so what is
asked for changes a little of what is found.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vggt4d_ros.model.grid import GridShape
from vggt4d_ros.model.model_output import ModelOutput
from vggt4d_ros.model.pair_head import PairHead

ROUNDS = 2


def correct(
    output: ModelOutput,
    pair_head: PairHead,
    dense_head: nn.ModuleDict,
    quarter: Tensor,
    shape: GridShape,
    valid: Tensor | None,
    steps: tuple[tuple[int, ...], tuple[int, ...]],
) -> ModelOutput:
    """The output with better depth and poses of some steps.

    Args:
        output: with depth (B, D, V, H, W) and compared pairs.
        pair_head: fits poses.
        dense_head: its ``sweep`` corrects depth; without one only poses are fitted.
        quarter: (B*C*V, K, H/4, W/4) the encoder's maps of the C steps.
        shape: of the grid.
        valid: (B, T, V) bool, None where all frames are there.
        steps: the C steps, rising, counted among the D dense ones and among all.
    """
    pairs, own, there = output.pairs, list(steps[0]), None if valid is None else valid.flatten(1)
    assert pairs is not None
    assert output.depth is not None
    assert output.depth_conf is not None
    depth, conf = output.depth[:, own].flatten(0, 2), output.depth_conf[:, own].flatten(0, 2)
    pairs = pair_head.refit(pairs, depth, shape, steps[1])
    for _ in range(ROUNDS if "sweep" in dense_head else 0):
        assert pairs.fine is not None
        depth, conf = dense_head["sweep"](
            depth, conf, quarter, pairs.fine, pairs.pose, there, shape, steps[1]
        )
        pairs = pair_head.refit(pairs, depth, shape, steps[1])
    pose = pairs.pose.unflatten(1, (shape.steps, shape.views))
    lead = (shape.batch, len(own), shape.views)
    index = torch.tensor(own, device=depth.device)
    return output._replace(
        pairs=pairs,
        pose_enc=[*output.pose_enc, pose],
        depth=output.depth.index_copy(1, index, depth.unflatten(0, lead)),
        depth_conf=output.depth_conf.index_copy(1, index, conf.unflatten(0, lead)),
    )
