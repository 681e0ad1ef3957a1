# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The whole network on the adaptive visual grid.

Module names are those of the public release, so that its state dict loads strictly.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vggt4d_ros.model.beside import Beside
from vggt4d_ros.model.branches import Taps
from vggt4d_ros.model.config import ModelConfig
from vggt4d_ros.model.encoder import Encoded
from vggt4d_ros.model.grid import (
    GridShape,
    blank_missing,
    check_grid,
    check_steps,
    select_steps,
)
from vggt4d_ros.model.heads import Heads
from vggt4d_ros.model.initialise import initialise
from vggt4d_ros.model.model_output import ModelOutput
from vggt4d_ros.model.motion import Matched, MotionInput

IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)


class VGGT4D(Heads):
    """4D-VGGT: encoder, two fusion branches, camera and dense heads, optional motion heads."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.restore_constants()
        initialise(self)

    def restore_constants(self) -> None:
        """Sets what is not in a checkpoint; a model from the meta device lacks it."""
        for name, values in (("mean", IMAGE_MEAN), ("std", IMAGE_STD)):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1), persistent=False)

    def encode(self, images: Tensor) -> Encoded:
        """Encodes images (N, 3, H, W), RGB in [0, 1], each on its own."""
        images = (images - self.mean) / self.std
        encoded: Encoded = self.cross_view_global_fusion.patch_embed(images)
        if self.config.motion is not None and self.motion_head.detail is not None:
            encoded = encoded._replace(skips=self.motion_head.detail(images))
        return encoded

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
            poses, pairs = self.find_poses(taps, maps, shape, valid, known_view)
            if not steps and queries is None:
                return ModelOutput(poses, None, None, None, None, None, pairs), None, ()
            fused = self.fuse_branches(taps, shape, steps)
            here = shape if held is None else shape._replace(steps=len(held))
            own = steps if held is None else tuple(held.index(step) for step in steps)
            skips = tuple(select_steps(skip, here, own) for skip in encoded.skips)
            output = ModelOutput(poses, None, None, None, None, None, pairs)
            output = self.decode_dense(output, fused, skips, shape, steps, points)
            return output, fused[-1], skips

        if beside is None or not moving:
            (output, fused, skips), matched = rest(), match()
        else:
            with beside.run(match) as found:
                output, fused, skips = rest()
                matched = found()
        if matched is None or fused is None:
            return output
        camera = None if motion_of == "flow" else self.find_camera(output, matched, shape, steps)
        seen = MotionInput(fused, output.pose_enc[-1], output.depth, queries, skips, camera)
        motion = self.motion_head(matched, seen, shape, valid, steps, motion_of == "flow")
        return output._replace(motion=motion)
