# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The whole network on the adaptive visual grid.

Module names are those of the public release, so that its state dict loads strictly.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vggt4d_ros.model.beside import Beside
from vggt4d_ros.model.branches import Branches, Taps
from vggt4d_ros.model.camera_head import CameraHead
from vggt4d_ros.model.config import ModelConfig
from vggt4d_ros.model.dpt_head import DptHead, activate_depth, activate_points, in_chunks
from vggt4d_ros.model.encoder import Encoded
from vggt4d_ros.model.grid import (
    GridShape,
    blank_missing,
    check_grid,
    check_steps,
    select_steps,
    token_bias,
)
from vggt4d_ros.model.initialise import initialise
from vggt4d_ros.model.model_output import ModelOutput
from vggt4d_ros.model.motion import Matched, MotionHead, MotionInput
from vggt4d_ros.model.pair_head import PairHead
from vggt4d_ros.model.pair_output import PairOutput
from vggt4d_ros.model.plane_sweep import PlaneSweep
from vggt4d_ros.model.pyramid_head import PyramidHead
from vggt4d_ros.model.step_motion import step_motion
from vggt4d_ros.model.two_view import Motion

IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)


class VGGT4D(Branches):
    """4D-VGGT: encoder, two fusion branches, camera and dense heads, optional motion heads."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.dense_chunk = 8  # frames that a DPT head sees at once
        self.restore_constants()
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
        initialise(self)

    def restore_constants(self) -> None:
        """Sets what is not in a checkpoint; a model from the meta device lacks it."""
        for name, values in (("mean", IMAGE_MEAN), ("std", IMAGE_STD)):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1), persistent=False)

    @property
    def compared(self) -> int:
        """The finest of the encoder's maps that pairs are compared by: 0 at 1/2, 1 at 1/4."""
        return 0 if self.config.sharp_matches else 1

    def encode(self, images: Tensor) -> Encoded:
        """Encodes images (N, 3, H, W), RGB in [0, 1], each on its own."""
        images = (images - self.mean) / self.std
        encoded: Encoded = self.cross_view_global_fusion.patch_embed(images)
        if self.config.motion is not None and self.motion_head.detail is not None:
            encoded = encoded._replace(skips=self.motion_head.detail(images))
        return encoded

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

    def forward(
        self,
        images: Tensor,
        valid: Tensor | None = None,
        *,
        dense_steps: tuple[int, ...] | None = None,
        points: bool = True,
        queries: Tensor | None = None,
        poses_only: bool = False,
        motion_of: str = "all",
        known_view: Tensor | None = None,
    ) -> ModelOutput:
        """Predicts everything for a batch of windows.

        Args:
            images: (B, T, V, 3, H, W) RGB in [0, 1]; H and W multiples of the patch size.
            valid: (B, T, V) bool, which slots hold a frame; None: all. At least one of each
                window must be valid (not checked here). Pixels of missing frames may be NaN.
            dense_steps: time steps, rising and not negative, whose dense outputs are wanted;
                None: all.
            points: whether world points are wanted.
            queries: (B, N, 4) long (step, view, row, column) of pixels to track; None: none.
            poses_only: nothing but poses and matches; training has steps of this kind.
            motion_of: all, flow or none, as for ``Predictor.predict``.
            known_view: (B, T, V, 2) vertical and horizontal field of view, radians, of cameras
                that are calibrated, NaN for others; only a network that compares pairs uses them.

        Raises:
            ValueError: shapes or types do not fit.
        """
        shape = check_grid(images, valid, self.config.patch_size)
        encoded = self.encode(blank_missing(images, valid).flatten(0, 2))
        return self.decode(
            encoded,
            shape,
            valid,
            dense_steps=dense_steps,
            points=points,
            queries=queries,
            poses_only=poses_only,
            motion_of=motion_of,
            known_view=known_view,
        )

    def decode(
        self,
        encoded: Encoded,
        shape: GridShape,
        valid: Tensor | None = None,
        *,
        dense_steps: tuple[int, ...] | None = None,
        points: bool = True,
        queries: Tensor | None = None,
        poses_only: bool = False,
        motion_of: str = "all",
        known_view: Tensor | None = None,
    ) -> ModelOutput:
        """As ``forward``, from encoded frames: B*S of them, time-major, finite in every slot."""
        steps = check_steps(dense_steps, shape.steps)
        if poses_only:
            steps, queries = (), None
        tokens = self.cross_view_global_fusion.add_specials(encoded.tokens, shape, valid)
        spatial = self.fuse_views(tokens, shape, valid)
        # poses do not see a parallel time branch
        alone = poses_only and self.config.arrangement == "parallel"
        taps = Taps(spatial, spatial) if alone else self.fuse_steps(tokens, spatial, shape, valid)
        return self.apply_heads(
            encoded,
            taps,
            shape,
            valid,
            steps=steps,
            points=points,
            queries=queries,
            motion_of=motion_of,
            known_view=known_view,
        )

    def apply_heads(
        self,
        encoded: Encoded,
        taps: Taps,
        shape: GridShape,
        valid: Tensor | None,
        *,
        steps: tuple[int, ...],
        points: bool,
        queries: Tensor | None = None,
        held: tuple[int, ...] | None = None,
        compared: tuple[Tensor, ...] | None = None,
        motion_of: str = "all",
        known_view: Tensor | None = None,
        beside: Beside | None = None,
    ) -> ModelOutput:
        """Camera, dense and motion heads; ``steps`` as ``dense_steps`` of ``forward``.

        ``held`` are the steps, rising, whose skip maps are in ``encoded``; None: all, else
        ``compared`` are those of all frames that pairs of them need, from the map ``compared`` on.
        ``motion_of``: all, flow or none, as for ``Predictor.predict``. ``known_view`` as for
        ``forward``. ``beside`` finds flow while this thread finds poses and depth.
        """
        moving = self.config.motion is not None and motion_of != "none"
        moving = moving and bool(steps or queries is not None)

        def match() -> Matched | None:
            if not moving:
                return None
            return self.motion_head.match(
                taps.temporal[-1][:, self.specials :],
                encoded.skips,
                shape,
                steps,
                held=held,
                newest_flow=motion_of == "flow",
                tracking=queries is not None,
            )

        def rest() -> tuple[ModelOutput, Tensor | None, tuple[Tensor, ...]]:
            maps = encoded.skips[self.compared :] if compared is None else compared
            poses, pairs = self._find_poses(taps, maps, shape, valid, known_view)
            if not steps and queries is None:
                return ModelOutput(poses, None, None, None, None, None, pairs), None, ()
            fused = self.fuse_branches(taps, shape, steps)
            here = shape if held is None else shape._replace(steps=len(held))
            own = steps if held is None else tuple(held.index(step) for step in steps)
            skips = tuple(select_steps(skip, here, own) for skip in encoded.skips)
            output = ModelOutput(poses, None, None, None, None, None, pairs)
            output = self._decode_dense(output, fused, skips, shape, steps, points)
            return output, fused[-1], skips

        if beside is None or not moving:
            (output, fused, skips), matched = rest(), match()
        else:
            with beside.run(match) as found:
                output, fused, skips = rest()
                matched = found()
        if matched is None or fused is None:
            return output
        camera = None if motion_of == "flow" else self._find_camera(output, matched, shape, steps)
        seen = MotionInput(fused, output.pose_enc[-1], output.depth, queries, skips, camera)
        motion = self.motion_head(matched, seen, shape, valid, steps, motion_of == "flow")
        return output._replace(motion=motion)

    def _find_poses(
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

    def _find_camera(
        self, output: ModelOutput, matched: Matched, shape: GridShape, steps: tuple[int, ...]
    ) -> Motion | None:
        """How cameras moved between the frames that flow compares; None: only flow tells."""
        pairs, depth = output.pairs, output.depth
        if pairs is None or pairs.sharp is None or depth is None or not matched.compared:
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

    def _decode_dense(
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
                    *found, skips[1], pairs.fine, pairs.pose, pairs.placed, shape, steps
                )
            depth, conf = (x.unflatten(0, lead) for x in found)
            output = output._replace(depth=depth, depth_conf=conf)
        if raw_points is not None:
            world, world_conf = (x.unflatten(0, lead) for x in activate_points(raw_points))
            output = output._replace(world_points=world, world_points_conf=world_conf)
        return output
