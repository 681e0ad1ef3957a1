# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Losses of all tasks. Every one masks first, means over what is known, and is 0 where nothing is.

The confidence form c * e - alpha * log(c) is VGGT's (Wang et al. 2025, eq. 3): the best confidence
is alpha / e, so it is an inverse error. It is at least 1: where errors are larger than alpha, as
those of small models are, nothing is learned of it. With ``LossWeights.apart`` as a larger alpha it
learns from the error and does not weigh it, else those pixels would count most that are best.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from vggt4d_ros.model.model_output import ModelOutput
from vggt4d_ros.model.motion import FlowField
from vggt4d_ros.train.matches import closer_loss, coarse_depth_loss, pair_loss
from vggt4d_ros.train.targets import Targets

ITERATION_DECAY = 0.6  # weight of an earlier camera estimate against the next
STAGE_DECAY = 0.7  # weight of a coarser flow estimate against the next
ALPHA = 0.2  # of the confidence terms
FLOW_UNIT = 8.0  # pixels that cost as much as one unit of another task
MOVING = 6.0  # most weight of a moving pixel against a still one: few move
HUBER = 0.02  # where the camera loss turns from square to straight
FAR = 1.0  # logarithm of a depth too far by so much that its relative error goes on straight


@dataclass(frozen=True)
class LossWeights:
    """Weights of the tasks; those of the first five are the paper's."""

    camera: float = 1.0
    depth: float = 0.8
    points: float = 0.9
    dynamic: float = 0.8
    tracks: float = 0.1
    flow: float = 0.3
    flow_confidence: float = 0.1
    matches: float = 0.3  # this and the next two only where the network compares pairs (ours)
    closer: float = 1.0  # of matches corrected on finer maps
    coarse_depth: float = 0.5
    sight: float = 0.0  # the last fields of view once more: the fit of motion hangs on them
    relative: float = 0.0  # share of relative error in the depth's; the rest is of its logarithm
    apart: float = 0.0  # alpha of confidences that weigh nothing; 0: those of depth and points do

    @property
    def see_motion(self) -> bool:
        """Whether any of the motion heads' outputs counts."""
        return any((self.dynamic, self.tracks, self.flow, self.flow_confidence))


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of the values where the mask is True; 0 (with gradient 0) where it never is."""
    return torch.where(mask, values, 0.0).sum() / mask.sum().clamp(min=1)


def camera_loss(poses: list[Tensor], target: Tensor, valid: Tensor) -> Tensor:
    """Huber loss of all iterations' pose encodings (B, T, V, 9), later ones weigh more."""
    total = target.new_zeros(())
    for number, pose in enumerate(poses):
        error = functional.smooth_l1_loss(pose, target, beta=HUBER, reduction="none").sum(-1)
        weight = ITERATION_DECAY ** (len(poses) - 1 - number)
        total = total + weight * masked_mean(error, valid)
    return total


def confident_loss(
    error: Tensor,
    confidence: Tensor,
    valid: Tensor,
    apart: float = 0.0,
    told: Tensor | None = None,
) -> Tensor:
    """Mean of c * error - alpha * log(c), alpha being ALPHA.

    With ``apart`` as alpha it is the mean of error + c * told - alpha * log(c), and nothing of
    ``told``, the error that confidence is to tell (None: the same), is learned but c.
    """
    if not apart:
        return masked_mean(confidence * error - ALPHA * confidence.log(), valid)
    told = (error if told is None else told).detach()
    return masked_mean(error + confidence * told - apart * confidence.log(), valid)


def without_scale(difference: Tensor, valid: Tensor) -> Tensor:
    """Differences of log depth (B, ...) less each window's median: a rig tells what it is."""
    known = torch.where(valid, difference, torch.nan).flatten(1)
    middle = known.nanmedian(dim=1).values.nan_to_num()
    return difference - middle.view(-1, *[1] * (difference.dim() - 1))


def gradient_loss(difference: Tensor, valid: Tensor, strides: tuple[int, ...] = (1, 4)) -> Tensor:
    """Mean change of a signed difference (..., H, W) between neighbours, at several distances."""
    total = difference.new_zeros(())
    for stride in strides:
        for axis in (-1, -2):
            length = max(difference.shape[axis] - stride, 0)
            start = min(stride, difference.shape[axis])
            here, there = difference.narrow(axis, 0, length), difference.narrow(axis, start, length)
            both = valid.narrow(axis, 0, length) & valid.narrow(axis, start, length)
            total = total + masked_mean((there - here).abs(), both)
    return total / (2 * len(strides))


def relative_error(difference: Tensor) -> Tensor:
    """|depth / truth - 1| of the logarithm of that ratio, straight beyond FAR.

    Where a thing or what is behind it may be seen, it asks for the nearer one sooner than the
    error of the logarithm does: a robot hits what is said to be farther than it is.
    """
    beyond = (difference - FAR).clamp(min=0) * math.exp(FAR)
    return difference.clamp(max=FAR).expm1().abs() + beyond


def depth_loss(
    depth: Tensor,
    confidence: Tensor,
    target: Tensor,
    valid: Tensor,
    relative: float = 0.0,
    apart: float = 0.0,
) -> Tensor:
    """Error of depth with confidence, and of the gradient of its log; all (B, D, V, H, W).

    The error is that of log depth, for a share of ``relative`` the relative one. A confidence
    ``apart`` (see ``confident_loss``) is told the error of log depth once the window has its scale.
    """
    goal = torch.where(valid, target, 1.0).clamp(min=1e-4).log()
    difference = depth.clamp(min=1e-6).log() - goal
    error = difference.abs()
    if relative:
        error = torch.lerp(error, relative_error(difference), relative)
    told = without_scale(difference.detach(), valid).abs() if apart else None
    slope = gradient_loss(difference, valid)
    return confident_loss(error, confidence, valid, apart, told) + slope


def points_loss(
    points: Tensor,
    confidence: Tensor,
    target: Tensor,
    depth: Tensor,
    valid: Tensor,
    apart: float = 0.0,
) -> Tensor:
    """Distance of world points (..., 3) over the target's depth, with confidence and gradient."""
    safe = torch.where(valid, depth, 1.0).clamp(min=1e-2)[..., None]
    difference = (points - torch.where(valid[..., None], target, points.detach())) / safe
    error = (difference.square().sum(-1) + 1e-8).sqrt()
    smooth = torch.stack([gradient_loss(difference[..., i], valid) for i in range(3)]).mean()
    return confident_loss(error, confidence, valid, apart) + smooth


def widen(stage: Tensor, size: tuple[int, int]) -> Tensor:
    """A coarse map (..., h, w, 2) at (..., H, W, 2): each pixel has its cell's value."""
    flat = stage.flatten(0, -4).permute(0, 3, 1, 2)
    wide = functional.interpolate(flat, size=size, mode="nearest").permute(0, 2, 3, 1)
    return wide.unflatten(0, stage.shape[:-3])


def flow_losses(
    field: FlowField, flow: Tensor, valid: Tensor, hidden: Tensor
) -> tuple[Tensor, Tensor]:
    """Loss of the flow and of its confidence.

    A coarse cell is compared with all of its pixels, not with their mean: best is then the motion
    that most of them have, while the mean of a thing and of what stands behind it is neither's.

    Args:
        field: prediction.
        flow: (B, F, V, H, W, 2) pixels.
        valid: (B, F, V, H, W) bool, where it is known.
        hidden: (B, F, V, H, W) bool: the target is not seen; costs half.
    """
    share = torch.where(hidden, 0.5, 1.0)
    error = (field.flow - flow).abs().sum(-1)
    total = masked_mean(error * share, valid)
    count = len(field.stages)
    for number, stage in enumerate(field.stages):
        weight = STAGE_DECAY ** (count - number)
        error = (widen(stage, (flow.shape[-3], flow.shape[-2])) - flow).abs().sum(-1)
        total = total + weight * masked_mean(error * share, valid)
    distance = (field.flow - flow).detach().norm(dim=-1)
    right = (distance < 1.0 + 0.05 * flow.norm(dim=-1)) & ~hidden
    confidence = functional.binary_cross_entropy_with_logits(
        field.logits, right.to(field.logits.dtype), reduction="none"
    )
    return total / FLOW_UNIT, masked_mean(confidence, valid)


def dynamic_loss(logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Cross-entropy of the mask, and one minus its soft overlap, so that small things count."""
    goal = target.to(logits.dtype)
    entropy = functional.binary_cross_entropy_with_logits(logits, goal, reduction="none")
    share = torch.where(valid, goal, 0.0).sum() / valid.sum().clamp(min=1)
    more = (0.5 * (1 - share) / share.clamp(min=1e-3)).sqrt().clamp(1.0, MOVING)
    entropy = torch.where(target, more * entropy, entropy)
    chance = torch.where(valid, logits.sigmoid(), 0.0)
    goal = torch.where(valid, goal, 0.0)
    both = (chance * goal).sum()
    overlap = (2 * both + 1.0) / (chance.sum() + goal.sum() + 1.0)
    return masked_mean(entropy, valid) + (1 - overlap)


def track_loss(
    tracks: Tensor, logits: Tensor, target: Tensor, seen: Tensor, known: Tensor
) -> Tensor:
    """Distance of tracks (B, N, T, 2) where the point is seen, and cross-entropy of being seen."""
    error = (tracks - target).abs().sum(-1) / FLOW_UNIT
    entropy = functional.binary_cross_entropy_with_logits(
        logits, seen.to(logits.dtype), reduction="none"
    )
    return masked_mean(error, seen & known) + 0.2 * masked_mean(entropy, known)


def compute_losses(
    output: ModelOutput, targets: Targets, weights: LossWeights, steps: tuple[int, ...]
) -> tuple[Tensor, Mapping[str, Tensor]]:
    """Gives the weighted sum, and each task's own loss; ``steps`` are the dense ones."""
    batch, index = targets.batch, list(steps)
    losses = {"camera": camera_loss(output.pose_enc, targets.pose_encoding, targets.pose_valid)}
    if weights.sight:
        own = output.pose_enc[-1][..., 7:]
        if output.pairs is not None:  # not what the network may have been told
            own = output.pairs.field_of_view.view_as(own)
        sight = functional.smooth_l1_loss(
            own, targets.pose_encoding[..., 7:], beta=HUBER, reduction="none"
        )
        losses["sight"] = masked_mean(sight.sum(-1), targets.pose_valid)
    known = targets.depth_valid[:, index]
    if output.depth is not None and output.depth_conf is not None:
        losses["depth"] = depth_loss(
            output.depth,
            output.depth_conf,
            targets.depth[:, index],
            known,
            weights.relative,
            weights.apart,
        )
    if output.world_points is not None and output.world_points_conf is not None:
        losses["points"] = points_loss(
            output.world_points,
            output.world_points_conf,
            targets.points[:, index],
            targets.depth[:, index],
            targets.points_valid[:, index],
            weights.apart,
        )
    if output.motion is not None:
        fields = []
        for name in ("forward", "backward"):
            field = getattr(output.motion, name)
            if field is not None:
                at = list(field.steps)
                truth = (f"flow_{name}", f"flow_{name}_valid", f"occluded_{name}")
                fields.append(flow_losses(field, *(getattr(batch, key)[:, at] for key in truth)))
        if fields:
            losses["flow"] = torch.stack([pair[0] for pair in fields]).mean()
            losses["flow_confidence"] = torch.stack([pair[1] for pair in fields]).mean()
        if output.motion.dynamic is not None and batch.dynamic_valid.any():
            losses["dynamic"] = dynamic_loss(
                output.motion.dynamic, batch.dynamic[:, index], batch.dynamic_valid[:, index]
            )
    if output.motion is not None and output.motion.tracks is not None and batch.tracks is not None:
        assert output.motion.track_logits is not None
        assert batch.tracks_seen is not None
        assert batch.tracks_known is not None
        losses["tracks"] = track_loss(
            output.motion.tracks,
            output.motion.track_logits,
            batch.tracks,
            batch.tracks_seen,
            batch.tracks_known,
        )
    if output.pairs is not None:
        if weights.matches:  # this one is dear
            losses["matches"] = pair_loss(output.pairs, targets)
        if output.pairs.corrected and weights.closer:
            losses["closer"] = closer_loss(output.pairs, targets)
        losses["coarse_depth"] = coarse_depth_loss(output.pairs.log_depth, targets)
    total = sum(getattr(weights, name) * value for name, value in losses.items())
    return total, losses
