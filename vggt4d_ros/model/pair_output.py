# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the comparison of frames gives."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from vggt4d_ros.model.pair_refine import FineMaps, FineMatches


class PairOutput(NamedTuple):
    """What the comparison of S frames with the reference gives; P cells at 1/8 of the image."""

    pose: Tensor  # (B, S, 9) better pose encodings
    logits: Tensor  # (B, S, P, P + 1) of the reference's cell; the last: it is not seen there
    log_depth: Tensor  # (B, S, 2h, 2w), coarse
    cues: Tensor  # (B, S, CUES, 2h, 2w) of depth by parallax
    partner: Tensor  # (B, P, P + 1) as ``logits``: the reference's cells in the second frame
    features: Tensor  # (B, S, D, P): products of two frames' are logits, of any frame's cells
    unseen: Tensor  # (B, S, P) logits of a frame's cells of not being seen in another
    field_of_view: Tensor  # (B, S, 2) vertical, horizontal, radians, as the network sees them
    placed: Tensor  # (B, S) bool: so many matches agree that the pose can be built upon
    finer: tuple[FineMaps, ...] = ()  # of all B*S frames, by which matches are corrected: 1/4, 1/2
    # matches corrected on these maps, one after the other: of B*S pairs as ``logits``, B as
    # ``partner``
    corrected: tuple[tuple[FineMatches, FineMatches], ...] = ()
