# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Keeps what the encoder made of the frames of the last window."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vggt4d_ros.datatypes import Frame
from vggt4d_ros.model.encoder import Encoded
from vggt4d_ros.model.preprocess import Placement


class TokenCache:
    """Encoded frames by identity: a frame seen again is not encoded again.

    A frame is the same when it is the same ``Frame`` object put in the same place of the network
    image. Every encoding runs in a batch of the same size, filled with zeros, so that a frame's
    tokens never depend on how many others were new: matrix products of another size may round
    differently. Only frames of the newest window are kept.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[Frame, Placement], Encoded] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def clear(self) -> None:
        """Forgets everything."""
        self._kept.clear()

    def has(self, frame: Frame, placement: Placement) -> bool:
        """Whether the frame need not be encoded."""
        return (frame, placement) in self._kept

    def encode(
        self,
        frames: list[tuple[Frame, Placement]],
        load: Callable[[Frame, Placement], Tensor],
        encoder: Callable[[Tensor], Encoded],
        size: int,
    ) -> list[Encoded]:
        """Encodes frames, ``size`` at a time, or takes them from the last window.

        Args:
            frames: all frames of the window, with their places.
            load: gives the image (3, H, W) of a frame.
            encoder: encodes (size, 3, H, W).
            size: of each batch.

        Returns:
            One entry a frame, each of batch 1.
        """
        fresh = [key for key in dict.fromkeys(frames) if key not in self._kept]
        kept = {key: self._kept[key] for key in frames if key in self._kept}
        for start in range(0, len(fresh), size):
            part = fresh[start : start + size]
            images = torch.stack([load(*key) for key in part])
            filler = images.new_zeros(size - len(part), *images.shape[1:])
            encoded = encoder(torch.cat([images, filler]))
            for index, key in enumerate(part):
                one = slice(index, index + 1)
                kept[key] = Encoded(
                    encoded.tokens[one].clone(), tuple(skip[one].clone() for skip in encoded.skips)
                )
        self._kept = kept
        return [kept[key] for key in frames]
