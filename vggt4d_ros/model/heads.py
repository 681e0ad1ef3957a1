# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The heads on both branches: poses, pairs of frames, depth and points, motion; each step alone."""

from __future__ import annotations

from torch import Tensor, nn

from vggt4d_ros.model.branches import Branches, Taps
from vggt4d_ros.model.camera_head import CameraHead
from vggt4d_ros.model.config import ModelConfig
from vggt4d_ros.model.dpt_head import DptHead, activate_depth, activate_points, in_chunks
from vggt4d_ros.model.grid import GridShape, select_steps, token_bias
from vggt4d_ros.model.model_output import ModelOutput
from vggt4d_ros.model.motion import Matched, MotionHead
from vggt4d_ros.model.pair_head import PairHead
from vggt4d_ros.model.pair_output import PairOutput
from vggt4d_ros.model.plane_sweep import PlaneSweep
from vggt4d_ros.model.pyramid_head import PyramidHead
from vggt4d_ros.model.step_motion import step_motion
from vggt4d_ros.model.two_view import Motion


class Heads(Branches):
    """Camera and dense heads, optional pair and motion heads."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.dense_chunk = 8  # frames that a DPT head sees at once
        self.spatial_head = CameraHead(config)
        self.dense_head = nn.ModuleDict()
        if config.dense.kind == "pyramid":
            self.dense_head["pyramid"] = PyramidHead(config)
            if config.sweep:
                self.dense_head["sweep"] = PlaneSweep(config.encoder.channels[1])
        else:
            if config.dense.depth:
                self.dense_head["depth_head"] = DptHead(config, 2)
            if config.dense.points:
                self.dense_head["point_head"] = DptHead(config, 4)
        if config.motion is not None:
            self.motion_head = MotionHead(config)
        if config.pairs:
            self.pair_head = PairHead(config)

    @property
    def compared(self) -> int:
        """The finest of the encoder's maps that pairs are compared by: 0 at 1/2, 1 at 1/4."""
        return 0 if self.config.sharp_matches else 1

    def estimate_poses(self, taps: Taps, shape: GridShape, valid: Tensor | None) -> list[Tensor]:
        """Pose encodings of all frames, per iteration (B, T, V, 9)."""
        serial = self.config.arrangement in ("serial", "unified")
        last = (taps.temporal if serial else taps.spatial)[-1]
        tokens = last[:, 0].unflatten(0, (shape.batch, shape.frames))
        bias = token_bias(None if valid is None else valid.flatten(1), 1)
        poses = self.spatial_head(tokens, bias)
        return [pose.unflatten(1, (shape.steps, shape.views)) for pose in poses]

    def compare_pairs(
        self,
        taps: Taps,
        skips: tuple[Tensor, ...],
        pose: Tensor,
        shape: GridShape,
        valid: Tensor | None,
        known_view: Tensor | None = None,
    ) -> PairOutput:
        """Matches of all frames with the reference, by their maps, and the rest."""
        found: PairOutput = self.pair_head(
            taps.spatial[-1][:, self.specials :],
            skips,
            pose.flatten(1, 2),
            shape,
            None if valid is None else valid.flatten(1),
            None if known_view is None else known_view.flatten(1, 2),
        )
        return found

    def predict_dense(
        self,
        fused: list[Tensor],
        skips: tuple[Tensor, ...],
        shape: GridShape,
        points: bool,
        cues: Tensor | None = None,
    ) -> tuple[Tensor | None, Tensor | None]:
        """Raw depth (N, 2, H, W) and points (N, 4, H, W) of N frames; skips, cues are of these."""
        size = (shape.height, shape.width)
        if "pyramid" in self.dense_head:
            return self.dense_head["pyramid"](fused, skips, *size, points, cues)
        depth = points_raw = None
        if "depth_head" in self.dense_head:
            head = self.dense_head["depth_head"]
            depth = in_chunks(lambda part: head(part, *size), fused, self.dense_chunk)
        if points and "point_head" in self.dense_head:
            other = self.dense_head["point_head"]
            points_raw = in_chunks(lambda part: other(part, *size), fused, self.dense_chunk)
        return depth, points_raw

    def find_poses(
        self,
        taps: Taps,
        skips: tuple[Tensor, ...],
        shape: GridShape,
        valid: Tensor | None,
        known_view: Tensor | None,
    ) -> tuple[list[Tensor], PairOutput | None]:
        """Pose encodings, last those that pairs tell where they are compared."""
        poses = self.estimate_poses(taps, shape, valid)
        if not self.config.pairs:
            return poses, None
        pairs = self.compare_pairs(taps, skips, poses[-1], shape, valid, known_view)
        return [*poses, pairs.pose.unflatten(1, (shape.steps, shape.views))], pairs

    def find_camera(
        self, output: ModelOutput, matched: Matched, shape: GridShape, steps: tuple[int, ...]
    ) -> Motion | None:
        """How cameras moved between the frames that flow compares; None: only flow tells."""
        pairs, depth = output.pairs, output.depth
        if pairs is None or depth is None or not matched.compared or not self.config.sharp_matches:
            return None
        if self.motion_head.dynamic is None or not self.motion_head.wide:
            return None
        views = range(shape.views)
        first, second = zip(*matched.compared, strict=True)
        frames = (
            [step * shape.views + view for step in side for view in views]
            for side in (first, second)
        )
        pose = output.pose_enc[-1]
        return step_motion(
            self.pair_head.match_frames(pairs, *frames),
            depth[:, [steps.index(step) for step in first]].flatten(0, 2),
            pose[:, list(first)].flatten(0, 2),
            pose[:, list(second)].flatten(0, 2),
            (pairs.log_depth.shape[-2], pairs.log_depth.shape[-1]),
        )

    def decode_dense(
        self,
        output: ModelOutput,
        fused: list[Tensor],
        skips: tuple[Tensor, ...],
        shape: GridShape,
        steps: tuple[int, ...],
        points: bool,
    ) -> ModelOutput:
        """Adds depth and points of the dense frames."""
        pairs = output.pairs
        cues = None if pairs is None else select_steps(pairs.cues.flatten(0, 1), shape, steps)
        raw_depth, raw_points = self.predict_dense(fused, skips, shape, points, cues)
        lead = (shape.batch, len(steps), shape.views)
        if raw_depth is not None:
            found = activate_depth(raw_depth)
            if pairs is not None and "sweep" in self.dense_head:
                found = self.dense_head["sweep"](
                    *found, skips[1], pairs.finer[0], pairs.pose, pairs.placed, shape, steps
                )
            depth, conf = (x.unflatten(0, lead) for x in found)
            output = output._replace(depth=depth, depth_conf=conf)
        if raw_points is not None:
            world, world_conf = (x.unflatten(0, lead) for x in activate_points(raw_points))
            output = output._replace(world_points=world, world_points_conf=world_conf)
        return output
