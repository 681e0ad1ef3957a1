# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Motion heads on the spatiotemporal features: flow both ways, dynamic mask, point tracks.

They are not in the public release; a model without them has none of their tensors.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from vggt4d_ros.model.config import ModelConfig
from vggt4d_ros.model.dynamic_mask import CUES, MORE_CUES, DynamicMaskHead, motion_cues
from vggt4d_ros.model.flow import (
    CELLS,
    DetailStem,
    FeatureExtractor,
    FlowEstimate,
    FlowHead,
    MotionFeatures,
)
from vggt4d_ros.model.grid import GridShape, select_steps
from vggt4d_ros.model.tracks import TrackHead
from vggt4d_ros.model.two_view import Motion
from vggt4d_ros.model.wide_mask import WideMaskHead


class FlowField(NamedTuple):
    """Flow of F source steps in one direction of time, network pixels (du, dv)."""

    steps: tuple[int, ...]  # source steps; the target is the next or the previous one
    flow: Tensor  # (B, F, V, H, W, 2)
    logits: Tensor  # (B, F, V, H, W), of being right
    stages: list[Tensor]  # earlier estimates (B, F, V, h_k, w_k, 2), coarsest first


class MotionOutput(NamedTuple):
    """Raw motion outputs; those with a missing frame on either side are finite and mean nothing."""

    forward: FlowField | None  # t -> t+1; None where no dense step has a successor
    backward: FlowField | None  # t -> t-1
    dynamic: Tensor | None  # (B, D, V, H, W) logits
    tracks: Tensor | None  # (B, N, T, 2) network pixels (u, v)
    track_logits: Tensor | None  # (B, N, T), of being visible


class Matched(NamedTuple):
    """What is compared of frames, and flow: all that does not depend on poses and depth."""

    features: MotionFeatures  # of the steps ``used``
    used: tuple[int, ...]  # rising
    ahead: tuple[int, ...]  # sources of forward flow
    behind: tuple[int, ...]  # of backward flow
    estimate: FlowEstimate | None  # of both, in this order

    @property
    def compared(self) -> tuple[tuple[int, int], ...]:
        """Sources and targets of the flow, steps."""
        return (*((s, s + 1) for s in self.ahead), *((s, s - 1) for s in self.behind))


class MotionInput(NamedTuple):
    """What the motion heads see of other heads."""

    fused: Tensor  # (B*D*V, h*w, 2C) fused patch tokens of the dense frames
    pose: Tensor  # (B, T, V, 9)
    depth: Tensor | None  # (B, D, V, H, W)
    queries: Tensor | None  # (B, N, 4)
    skips: tuple[Tensor, ...]  # the encoder's maps of the dense frames, the first at 1/2
    camera: Motion | None = None  # of the frames that are compared; None: flow is to tell it


class MotionHead(nn.Module):
    """All motion heads; they share the matching features."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        assert config.motion is not None
        stem = config.encoder.kind == "stem"
        self.patch = config.patch_size
        self.fitted = config.pairs
        self.detail = None if stem else DetailStem(config.patch_size)
        channels = config.encoder.channels if stem else DetailStem.channels
        self.features = FeatureExtractor(config, channels)
        self.flow = FlowHead(config)
        self.wide = config.motion.wide_mask
        mask = WideMaskHead if self.wide else DynamicMaskHead
        self.dynamic = mask(config) if config.motion.dynamic else None
        self.tracks = TrackHead(config) if config.motion.tracks else None

    def match(
        self,
        temporal: Tensor,
        skips: tuple[Tensor, ...],
        shape: GridShape,
        steps: tuple[int, ...],
        *,
        held: tuple[int, ...] | None = None,
        newest_flow: bool = False,
        tracking: bool = False,
    ) -> Matched:
        """Compares the dense steps with their neighbours.

        Args:
            temporal: (B*S, h*w, 2C) patch tokens of the time branch.
            skips: maps of all B*S frames, or of those of the steps ``held``.
            shape: of the grid.
            steps: the dense ones, rising.
            held: rising; None: all.
            newest_flow: only the flow between the last dense step and its neighbours, either way.
            tracking: points are to be tracked over all steps.
        """
        last = steps[-1] if steps else 0
        ahead = tuple(
            s for s in steps if s + 1 < shape.steps and (not newest_flow or s >= last - 1)
        )
        behind = tuple(s for s in steps if s > 0 and (not newest_flow or s == last))
        needed = {*steps, *(step + 1 for step in ahead), *(step - 1 for step in behind)}
        tracking = tracking and self.tracks is not None
        used = tuple(range(shape.steps)) if tracking else tuple(sorted(needed))
        held = held or tuple(range(shape.steps))
        here, own = shape._replace(steps=len(held)), tuple(held.index(step) for step in used)
        features = self.features(
            select_steps(temporal, shape, used),
            tuple(select_steps(skip, here, own) for skip in skips),
        )
        within = shape._replace(steps=len(used))
        pairs = [(used.index(s), used.index(s + 1)) for s in ahead]
        pairs += [(used.index(s), used.index(s - 1)) for s in behind]
        estimate = None
        if pairs:
            estimate = self.flow(
                _pick(features, within, tuple(a for a, _ in pairs)),
                _pick(features, within, tuple(b for _, b in pairs)),
            )
        return Matched(features, used, ahead, behind, estimate)

    def forward(
        self,
        matched: Matched,
        seen: MotionInput,
        shape: GridShape,
        valid: Tensor | None,
        steps: tuple[int, ...],
        newest_flow: bool = False,
    ) -> MotionOutput:
        """Motion of the dense steps, and tracks of the queries over all steps.

        ``newest_flow``: as for ``match``, and no mask.
        """
        features, used, ahead, behind, estimate = matched
        forward = backward = dynamic = None
        if estimate is not None:
            lead = (shape.batch, len(ahead) + len(behind), shape.views)
            forward = self._field(estimate, lead, ahead, slice(0, len(ahead)))
            backward = self._field(estimate, lead, behind, slice(len(ahead), lead[1]))
        if self.dynamic is not None and not newest_flow:
            within = shape._replace(steps=len(used))
            quarter = select_steps(features.quarter, within, tuple(used.index(s) for s in steps))
            depth = self._small_depth(seen, shape, len(steps))
            cues = self._cues(estimate, seen, depth, shape, valid, steps, (ahead, behind))
            more = (depth.flatten(0, 2), seen.skips[0]) if self.wide else ()
            logits = self.dynamic(seen.fused, quarter, cues, *more)[:, None]
            dynamic = self._resize(logits)[:, 0].unflatten(0, (shape.batch, -1, shape.views))
        tracks = track_logits = None
        if seen.queries is not None and self.tracks is not None:
            tracks, track_logits = self.tracks(
                features, seen.queries, shape, self.flow.closeness.abs()
            )
        return MotionOutput(forward, backward, dynamic, tracks, track_logits)

    def _resize(self, x: Tensor) -> Tensor:
        """From 16 cells a patch to the patch's own pixels, (N, K, H, W)."""
        if self.patch == CELLS:
            return x
        size = [n // CELLS * self.patch for n in x.shape[-2:]]
        return functional.interpolate(x, size=size, mode="bilinear", align_corners=False)

    def _field(
        self,
        estimate: FlowEstimate,
        lead: tuple[int, int, int],
        steps: tuple[int, ...],
        part: slice,
    ) -> FlowField | None:
        """The pairs ``part`` of an estimate, in network pixels; None where there are none."""
        if not steps:
            return None

        def own(x: Tensor, scale: float) -> Tensor:
            x = x.unflatten(0, lead)[:, part]
            return x.permute(0, 1, 2, 4, 5, 3) * scale

        pixels = self.patch / CELLS  # per finest cell
        height = estimate.fine.shape[-2]
        stages = [own(x, pixels * (height // x.shape[-2])) for x in estimate.stages]
        flow = own(self._resize(estimate.fine), pixels)
        return FlowField(steps, flow, own(self._resize(estimate.logits), 1.0)[..., 0], stages)

    def _small_depth(self, seen: MotionInput, shape: GridShape, steps: int) -> Tensor:
        """Depth of the dense frames at 1/4, (B, D, V, 4h, 4w); no path for gradients."""
        size = (4 * shape.height, 4 * shape.width)
        lead = (shape.batch, steps, shape.views)
        if seen.depth is None:
            return seen.fused.new_ones(*lead, *size)
        small = functional.interpolate(seen.depth.flatten(0, 1), size=size, mode="area")
        return small.detach().unflatten(0, lead[:2])

    def _cues(
        self,
        estimate: FlowEstimate | None,
        seen: MotionInput,
        depth: Tensor,
        shape: GridShape,
        valid: Tensor | None,
        steps: tuple[int, ...],
        directions: tuple[tuple[int, ...], tuple[int, ...]],
    ) -> list[Tensor]:
        """Motion cues of the dense frames, forward and backward; zeros without a neighbour."""
        lead, size = depth.shape[:3], depth.shape[3:]
        pose = seen.pose.detach()
        cues = []
        for sign, sources in zip((1, -1), directions, strict=True):
            found = seen.fused.new_zeros(*lead, CUES + MORE_CUES * self.wide, *size)
            if estimate is not None and sources:
                first = 0 if sign > 0 else len(directions[0])
                part = slice(first, first + len(sources))
                count = (shape.batch, len(directions[0]) + len(directions[1]), shape.views)
                own = [steps.index(s) for s in sources]
                cue = motion_cues(
                    estimate.quarter.unflatten(0, count)[:, part].flatten(0, 2),
                    estimate.quarter_logits.unflatten(0, count)[:, part].flatten(0, 2),
                    depth[:, own].flatten(0, 2),
                    pose[:, list(sources)].flatten(0, 2),
                    pose[:, [s + sign for s in sources]].flatten(0, 2),
                    self.fitted,
                    self.wide,
                    _part(seen.camera, count, part),
                ).unflatten(0, (shape.batch, len(sources), shape.views))
                if valid is not None:
                    there = valid[:, [s + sign for s in sources]][..., None, None, None]
                    cue = torch.where(there, cue, cue.new_zeros(()))
                found = found.index_copy(1, torch.tensor(own, device=cue.device), cue)
            cues.append(found.flatten(0, 2))
        return cues


def _part(camera: Motion | None, count: tuple[int, int, int], part: slice) -> Motion | None:
    """Of the motions of (B, F, V) pairs those of the sources ``part``."""
    if camera is None:
        return None
    return Motion(*(x.unflatten(0, count)[:, part].flatten(0, 2) for x in camera))


def _pick(features: MotionFeatures, shape: GridShape, steps: tuple[int, ...]) -> MotionFeatures:
    """Features of the given steps, in the given order: (B*len(steps)*V, ...)."""

    def pick(x: Tensor) -> Tensor:
        frames = x.unflatten(0, (shape.batch, shape.steps, shape.views))
        return frames[:, list(steps)].flatten(0, 2)

    sharp = None if features.sharp is None else pick(features.sharp)
    patch, eighth, quarter = (pick(x) for x in features[:3])
    return MotionFeatures(patch, eighth, quarter, sharp)
