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

import torch
from torch import Tensor, nn
from torch.nn import functional

from vggt4d_ros.model.camera_head import matrix_to_quaternion
from vggt4d_ros.model.coarse_depth import CoarseDepth
from vggt4d_ros.model.config import ModelConfig
from vggt4d_ros.model.correlation import enlarge, found_back
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
from vggt4d_ros.model.pair_matches import (
    best_places,
    from_first,
    match_logits,
    towards_first,
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
        frames, size = (shape.batch, shape.frames), (2 * shape.height, 2 * shape.width)
        tokens = self.norm(tokens)
        pose, own_view = self._see_fields(tokens, pose, known_view)
        maps, log_depth = self._decode(tokens, skips[-1], shape)
        log_depth = log_depth.view(*frames, *size)
        features = functional.normalize(self.match(maps).flatten(2).float(), dim=1)
        features = features * (8.0 * self.sharpness.abs()).sqrt()
        features = features.unflatten(0, frames)  # (B, S, D, P)
        unseen = (8.0 * self.unseen).expand(*frames, size[0] * size[1])
        if self.hidden is not None:
            unseen = unseen + self.hidden(maps).float().flatten(2).view_as(unseen)

        if valid is None:
            valid = torch.ones(frames, dtype=torch.bool, device=tokens.device)
        first = is_reference(valid)
        second = is_reference(valid & ~first)
        known = valid & ~first
        reference = pick(features, first)
        logits = match_logits(features, reference[:, None].expand_as(features), unseen)
        # the reference is compared with another frame, for its own depth
        partner = match_logits(reference, pick(features, second), pick(unseen, first))
        # the fit takes what it is given: its inputs learn from losses of their own
        found, sure = self._places(logits.detach().flatten(0, 1), size)
        back, back_sure = self._places(partner.detach(), size)
        weight = sure
        finer = self._finer_maps(skips, maps)
        every = self._correct([towards_first(x, first) for x in finer], found, sure)
        own = self._correct([from_first(x, first, second) for x in finer], back, back_sure)
        if every:
            (_, sure), (_, back_sure) = every[0].settled(), own[0].settled()
            (found, weight), (back, _) = every[-1].settled(), own[-1].settled()
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
            placed,
            tuple(finer),
            tuple(zip(every, own, strict=True)),
        )

    def _see_fields(
        self, tokens: Tensor, pose: Tensor, known_view: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Pose encodings with the best fields of view, known ones first; and the network's own."""
        if self.sight is not None:
            correction = self.sight(tokens.mean(1)).float().unflatten(0, pose.shape[:2])
            pose = torch.cat([pose[..., :7], pose[..., 7:] + correction], dim=-1)
        own_view = pose[..., 7:]
        if known_view is not None:
            view = torch.where(known_view.isfinite(), known_view, own_view)
            pose = torch.cat([pose[..., :7], view], dim=-1)
        return pose, own_view

    def _decode(self, tokens: Tensor, skip: Tensor, shape: GridShape) -> tuple[Tensor, Tensor]:
        """Maps (N, WIDTH, 2h, 2w) of all frames, and the logarithm of coarse depth (N, 1, 2h, 2w).

        Args:
            tokens: (N, h*w, 2C), normalised.
            skip: (N, K, 2h, 2w) the encoder's map at 1/8.
            shape: of the grid.
        """
        patch = self.project(tokens.to(self.project.weight.dtype))
        patch = patch.transpose(1, 2).unflatten(2, (shape.height, shape.width))
        maps = self.refine(enlarge(patch, 2) + self.detail(skip.to(patch.dtype))).float()
        if isinstance(self.depth, CoarseDepth):
            log_depth = self.depth(tokens, skip, maps)
        else:
            log_depth = self.depth(functional.relu(maps))
        return maps, log_depth.float().clamp(-5, 5)

    def _finer_maps(self, skips: tuple[Tensor, ...], maps: Tensor) -> list[FineMaps]:
        """Of all frames, what matches are corrected by: at 1/4, at 1/2, or less of it."""
        finer = []
        if self.finer is not None:
            finer.append(self.finer.features(skips[-2], maps))
            if self.sharpen is not None:
                finer.append(self.sharpen.features(skips[0], maps))
        return finer

    def _correct(self, maps: list[FineMaps], found: Tensor, sure: Tensor) -> list[FineMatches]:
        """Matches of N pairs corrected on one map after the other: as many as there are maps.

        Args:
            maps: at 1/4, at 1/2: cells of the first frames, what is around in the second ones.
            found: (N, P, 2) places.
            sure: (N, P) their probability.
        """
        corrected: list[FineMatches] = []
        for level, (cells, around) in enumerate(maps):
            before = corrected or (found, sure)
            corrector = self.sharpen if level else self.finer
            assert corrector is not None
            corrected.append(corrector(cells, around, *before))
        return corrected

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
        size = (pairs.log_depth.shape[-2], pairs.log_depth.shape[-1])
        features = pairs.features
        logits = match_logits(features[:, first], features[:, second], pairs.unseen[:, first])
        found = self._places(logits.flatten(0, 1), size)
        lead = pairs.log_depth.shape[:2]

        def chosen(maps: FineMaps) -> FineMaps:
            cells, around = (x.unflatten(0, lead) for x in maps)
            return FineMaps(cells[:, first].flatten(0, 1), around[:, second].flatten(0, 1))

        corrected = self._correct([chosen(maps) for maps in pairs.finer], *found)
        if corrected:
            return corrected[-1]
        return FineMatches([found[0]], found[1], found[1].clamp(0.02, 0.98).logit(), [])

    def _places(self, logits: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """``best_places``; with ``mutual`` a match counts only where it leads back."""
        found, sure = best_places(logits, *size)
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
