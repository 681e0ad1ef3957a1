# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pairs of frames compared by geometry: matches, the motion they tell, and depth by parallax.

An option of the compact network (``ModelConfig.pairs``), in neither the paper nor the release: a
small network that has seen little learns to recognise the same place in two images long before it
learns to tell a pose from tokens. Every frame is compared with the window's reference frame; the
reference with the first other frame that is there.

With ``ModelConfig.mutual``, which older checkpoints lack, a match counts only where it leads back,
cells may tell that they are hidden, the field of view is corrected, and the fit has several starts.
With ``ModelConfig.fine_matches``, which older ones lack too, places are corrected on finer maps,
with ``ModelConfig.sharp_matches`` once more;
with ``ModelConfig.sweep`` the depth that motion is fitted to has a decoder of its own.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from vggt4d_ros.model.camera_head import matrix_to_quaternion
from vggt4d_ros.model.coarse_depth import CoarseDepth
from vggt4d_ros.model.config import ModelConfig
from vggt4d_ros.model.correlation import around_cells, enlarge, found_back
from vggt4d_ros.model.encoder import ResidualConv
from vggt4d_ros.model.grid import GridShape, is_reference
from vggt4d_ros.model.layers import LayerNorm, Mlp
from vggt4d_ros.model.pair_geometry import (
    START_YAWS,
    depth_cues,
    fit_pairs,
    pair_points,
    pick,
    tangents_of,
    turned_round,
)
from vggt4d_ros.model.pair_output import PairOutput
from vggt4d_ros.model.pair_refine import FineMaps, FineMatches, PairRefiner
from vggt4d_ros.model.pair_sharpen import PairSharpener
from vggt4d_ros.model.two_view import Motion

WIDTH = 64  # channels of the features that are compared
CUES = 3  # inverse depth by parallax, parallax, certainty of the match
# share of a frame's cells whose matches agree with its motion, from which on the pose is taken for
# right: on renderings 94 of 100 poses within 2 degrees are above, 90 of 100 off by over 8 below
LEAST_AGREED = 0.1
STATS = 4 + 6 + 14  # of a fitted motion: quality, curvature, both poses


class PairHead(nn.Module):
    """Matches at 1/8, robust motion from them, and how far to trust it against the camera head."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.norm = LayerNorm(2 * config.embed_dim)
        self.project = nn.Linear(2 * config.embed_dim, WIDTH)
        self.detail = nn.Conv2d(config.encoder.channels[2], WIDTH, 1)
        self.refine = ResidualConv(WIDTH)
        self.match = nn.Conv2d(WIDTH, WIDTH, 1)
        self.unseen = nn.Parameter(torch.zeros(()))
        self.sharpness = nn.Parameter(torch.tensor(2.0))
        # how likely another frame does not show a cell; else that is the same everywhere
        self.hidden = nn.Conv2d(WIDTH, 1, 1) if config.mutual else None
        # what all patches of a frame say of its field of view, for the fit hangs on it
        self.sight = Mlp(2 * config.embed_dim, WIDTH, 2) if config.mutual else None
        self.finer = None
        if config.fine_matches:
            self.finer = PairRefiner(config.encoder.channels[1], WIDTH)
        self.sharpen = None
        if config.sharp_matches:
            self.sharpen = PairSharpener(config.encoder.channels[0], WIDTH)
        self.depth = CoarseDepth(config, WIDTH) if config.sweep else nn.Conv2d(WIDTH, 1, 1)
        self.trust = Mlp(STATS, 32, 2)

    def start(self) -> None:
        """Untrained, depth is near 1 and the fitted motion counts little."""
        if isinstance(self.depth, nn.Conv2d):
            nn.init.normal_(self.depth.weight, std=1e-3)
        if self.hidden is not None and self.sight is not None:
            nn.init.normal_(self.hidden.weight, std=1e-3)
            nn.init.normal_(self.sight.fc2.weight, std=1e-3)
        nn.init.normal_(self.trust.fc2.weight, std=1e-3)
        nn.init.constant_(self.trust.fc2.bias, -2.0)

    def forward(
        self,
        tokens: Tensor,
        skips: tuple[Tensor, ...],
        pose: Tensor,
        shape: GridShape,
        valid: Tensor | None,
        known_view: Tensor | None = None,
    ) -> PairOutput:
        """Compares all frames with the reference.

        Args:
            tokens: (B*S, h*w, 2C) patch tokens of the space branch.
            skips: the encoder's maps at 1/4, (B*S, K, 4h, 4w), and 1/8; with ``sharp_matches``
                that at 1/2 before them.
            pose: (B, S, 9) of the camera head.
            shape: of the grid.
            valid: (B, S) bool, None where all are there.
            known_view: (B, S, 2) fields of view as in pose encodings, NaN where not known; they
                take the place of the network's own. None: none is known.
        """
        frames = (shape.batch, shape.frames)
        height, width = 2 * shape.height, 2 * shape.width
        tokens = self.norm(tokens)
        if self.sight is not None:
            correction = self.sight(tokens.mean(1)).float().unflatten(0, frames)
            pose = torch.cat([pose[..., :7], pose[..., 7:] + correction], dim=-1)
        own_view = pose[..., 7:]
        if known_view is not None:
            view = torch.where(known_view.isfinite(), known_view, own_view)
            pose = torch.cat([pose[..., :7], view], dim=-1)
        patch = self.project(tokens.to(self.project.weight.dtype))
        patch = patch.transpose(1, 2).unflatten(2, (shape.height, shape.width))
        maps = self.refine(enlarge(patch, 2) + self.detail(skips[-1].to(patch.dtype))).float()
        if isinstance(self.depth, CoarseDepth):
            log_depth = self.depth(tokens, skips[-1], maps)
        else:
            log_depth = self.depth(functional.relu(maps))
        log_depth = log_depth.float().clamp(-5, 5)
        log_depth = log_depth.view(*frames, height, width)
        features = functional.normalize(self.match(maps).flatten(2).float(), dim=1)
        features = features * (8.0 * self.sharpness.abs()).sqrt()
        features = features.unflatten(0, frames)  # (B, S, D, P)
        unseen = (8.0 * self.unseen).expand(*frames, height * width)
        if self.hidden is not None:
            unseen = unseen + self.hidden(maps).float().flatten(2).view_as(unseen)

        if valid is None:
            valid = torch.ones(frames, dtype=torch.bool, device=tokens.device)
        first = is_reference(valid)
        second = is_reference(valid & ~first)
        reference = pick(features, first)
        logits = _logits(features, reference[:, None].expand_as(features), unseen)
        # the reference is compared with another frame, for its own depth
        partner = _logits(reference, pick(features, second), pick(unseen, first))
        # the fit takes what it is given: its inputs learn from losses of their own
        size, known = (height, width), valid & ~first
        found, sure = self._places(logits.detach().flatten(0, 1), size)
        back, back_sure = self._places(partner.detach(), size)
        fine = sharp = closer = sharper = None
        if self.finer is not None:
            fine = self.finer.features(skips[-2], maps)
            closer = _look_again(self.finer, fine, (found, sure), (back, back_sure), first, second)
            if self.sharpen is not None:
                sharp = self.sharpen.features(skips[0], maps)
                every, own = ((matches,) for matches in closer)
                sharper = _look_again(self.sharpen, sharp, every, own, first, second)
            (found, sure), (back, back_sure) = (match.settled() for match in closer)
        weight = sure
        if sharper is not None:
            found, weight = sharper[0].settled()
            back, _ = sharper[1].settled()
        sight = tangents_of(pose[..., 7:9].detach())  # (B, S, 2)
        points = pair_points(
            found, weight, log_depth.detach(), sight, pick(sight, first), known, size
        )
        unsure = torch.ones_like(first)
        if known_view is not None:
            unsure = ~known_view.isfinite().all(-1)
        both = torch.stack([unsure, (unsure & first).any(1)[:, None].expand_as(unsure)], dim=-1)
        motion = fit_pairs(points, both.flatten(0, 1), () if self.hidden is None else START_YAWS)
        motion = turned_round(motion)
        better = self._blend(pose, motion, first)
        cues = depth_cues(found, sure, back, back_sure, better.detach(), first, second, size)
        agreed = (motion.inliers * sure.mean(1)).unflatten(0, frames)
        placed = first | (known & (agreed > LEAST_AGREED))
        return PairOutput(
            better,
            logits,
            log_depth,
            cues,
            partner,
            features,
            unseen,
            own_view,
            fine,
            closer,
            placed,
            sharp,
            sharper,
        )

    def find(self, pairs: PairOutput, first: list[int], second: list[int]) -> tuple[Tensor, Tensor]:
        """Where the cells of some frames lie in as many others, of one window, and how sure it is.

        That is the first match's probability. How exact the place is, which corrections tell, is
        not asked here: on photographs they trust themselves little, and matches would be lost.

        Args:
            pairs: of a single window.
            first: frames, counted time-major.
            second: frames to look in, one for each.
        """
        found = self.match_frames(pairs, first, second)
        return found.stages[-1], found.sure

    def match_frames(self, pairs: PairOutput, first: list[int], second: list[int]) -> FineMatches:
        """Matches of the cells of B*len(first) frames with as many others.

        Args:
            pairs: of B windows.
            first: frames, counted time-major.
            second: frames to look in, one for each.
        """
        lead, size = (
            pairs.log_depth.shape[:2],
            (pairs.log_depth.shape[-2], pairs.log_depth.shape[-1]),
        )
        features = pairs.features
        logits = _logits(features[:, first], features[:, second], pairs.unseen[:, first])
        found = self._places(logits.flatten(0, 1), size)
        if self.finer is None or pairs.fine is None:
            return FineMatches([found[0]], found[1], found[1].clamp(0.02, 0.98).logit(), [])

        def maps(both: FineMaps) -> tuple[Tensor, Tensor]:
            cells, around = (x.unflatten(0, lead) for x in both)
            return cells[:, first].flatten(0, 1), around[:, second].flatten(0, 1)

        matches: FineMatches = self.finer(*maps(pairs.fine), *found)
        if self.sharpen is not None and pairs.sharp is not None:
            matches = self.sharpen(*maps(pairs.sharp), matches)
        return matches

    def _places(self, logits: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """``_places``; with ``mutual`` a match counts only where it leads back."""
        found, sure = _places(logits, *size)
        if self.hidden is None:
            return found, sure
        return found, torch.where(found_back(logits[..., :-1], *size), sure, 0.0)

    def _blend(self, pose: Tensor, motion: Motion, first: Tensor) -> Tensor:
        """Poses between the camera head's and the fitted ones; the reference's is the identity."""
        lead = pose.shape[:2]
        quaternion = matrix_to_quaternion(motion.rotation).unflatten(0, lead)
        shift = motion.shift.unflatten(0, lead)
        own = functional.normalize(pose[..., 3:7], dim=-1, eps=1e-3)
        own = torch.where(own[..., 3:] < 0, -own, own)
        quality = torch.stack(
            [motion.inliers, 10 * motion.error, motion.sure[:, :3].mean(1), motion.sure[:, 3]], -1
        )
        stats = torch.cat(
            [
                quality.unflatten(0, lead),
                motion.sure.clamp(min=1e-6).log().unflatten(0, lead) / 4,
                quaternion,
                shift.clamp(-3, 3),
                own.detach(),
                pose[..., :3].detach(),
            ],
            dim=-1,
        )
        trust = self.trust(stats).sigmoid()
        blended = torch.cat(
            [
                torch.lerp(pose[..., :3], shift, trust[..., :1]),
                functional.normalize(torch.lerp(own, quaternion, trust[..., 1:]), dim=-1, eps=1e-3),
            ],
            dim=-1,
        )
        origin = blended.new_tensor([0.0, 0, 0, 0, 0, 0, 1])
        blended = torch.where(first[..., None], origin, blended)
        return torch.cat([blended, pose[..., 7:]], dim=-1)


def _look_again(
    corrector: PairRefiner | PairSharpener,
    maps: FineMaps,
    found: tuple[Any, ...],
    back: tuple[Any, ...],
    first: Tensor,
    second: Tensor,
) -> tuple[FineMatches, FineMatches]:
    """Corrects matches of all frames with the reference, and the reference's own."""
    cells, around = (x.unflatten(0, first.shape) for x in maps)
    target = pick(around, first)[:, None].expand_as(around)
    every = corrector(cells.flatten(0, 1), target.flatten(0, 1), *found)
    own = corrector(pick(cells, first), pick(around, second), *back)
    return every, own


def _logits(features: Tensor, target: Tensor, unseen: Tensor) -> Tensor:
    """(..., P, P + 1) of features (..., D, P) and logits (..., P) of not being seen."""
    return torch.cat([features.transpose(-1, -2) @ target, unseen[..., None]], dim=-1)


def _places(logits: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Mean place (N, P, 2) in cells around the best cell, and its probability (N, P)."""
    best = logits[..., :-1].max(-1).indices
    columns, rows, inside, near = around_cells(best, height, width)
    close = torch.where(inside, logits.softmax(-1).gather(-1, near), 0.0)
    sure = close.sum(-1)
    place = torch.stack([(close * columns).sum(-1), (close * rows).sum(-1)], dim=-1)
    return place / sure[..., None].clamp(min=1e-9), sure
