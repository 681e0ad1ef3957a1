# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a processed window holds for users: metric depth, clouds and scene flow, made when asked.

The node and the evaluation read these; neither ROS nor torch is needed here.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.config import GeometryConfig
from vggt4d_ros.datatypes import Array, CameraModel, Frame, FramePrediction
from vggt4d_ros.geometry.arrows import Arrows, flow_arrows
from vggt4d_ros.geometry.cloud import CLOUD_FIELDS, SCENE_FLOW_FIELDS, write_cloud
from vggt4d_ros.geometry.depth import DepthLimits, metric_depth
from vggt4d_ros.geometry.flow_noise import FlowOptions
from vggt4d_ros.geometry.flow_pair import DenseView
from vggt4d_ros.geometry.optical_flow import dis_flow
from vggt4d_ros.geometry.scene_flow import SceneFlow, compute_scene_flow
from vggt4d_ros.geometry.voxel import merge_clouds
from vggt4d_ros.processor import Processed


class Memory(Protocol):
    """Where large results are written; it may give the same memory again for the next window."""

    def plane(self, name: str, view: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Memory for one result of one camera, in one piece."""


class NewMemory:
    """New memory for every result."""

    def plane(self, name: str, view: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Memory for one result."""
        return np.empty(shape, dtype=np.float32)


class ViewProducts:
    """Outputs of one camera at the newest step of a window. Each is computed once, when read.

    Args:
        processed: the window.
        view: camera index; its newest frame must have dense outputs.
        config: limits and thresholds.
        memory: where depth and clouds are written; None: new memory.
    """

    def __init__(
        self,
        processed: Processed,
        view: int,
        config: GeometryConfig,
        memory: Memory | None = None,
    ) -> None:
        self._processed = processed
        self._config = config
        self._memory = memory or NewMemory()
        self._limits = DepthLimits.from_config(config)
        self._step = processed.window.shape[0] - 1
        self.view = view
        frame = processed.window.frame(self._step, view)
        if frame is None or (self._step, view) not in processed.prediction.frames:
            raise ValueError(
                f"camera {view} has no dense output in window {processed.window.index}"
            )
        self.frame: Frame = frame
        self.prediction: FramePrediction = processed.prediction.frames[self._step, view]
        self.model: CameraModel = processed.tracked.models[self._step, view]

    @cached_property
    def depth(self) -> NDArray[np.float32]:
        """(H, W) metres along z, NaN invalid."""
        out = self._memory.plane("depth", self.view, self.prediction.depth.shape)
        return metric_depth(self.prediction, self._processed.tracked.scale.value, self._limits, out)

    @property
    def world_from_cam(self) -> Array:
        """(4, 4) pose in the fixed frame; NaN where the network's pose is not usable."""
        return self._processed.tracked.world_from_cam[self._step, self.view]

    @property
    def has_pose(self) -> bool:
        """Whether the pose is usable."""
        return bool(self._processed.tracked.valid[self._step, self.view])

    @property
    def is_contradicted(self) -> bool:
        """Whether the network sees the camera elsewhere than its extrinsics say."""
        return self.view in self._processed.tracked.contradicted

    @cached_property
    def cloud(self) -> NDArray[np.float32]:
        """(H, W, 5) x y z rgb confidence in the optical frame, NaN invalid."""
        return write_cloud(
            self.depth,
            self.model,
            self.frame.image.rgb(),
            self.prediction.depth_confidence,
            out=self._memory.plane("cloud", self.view, (*self.depth.shape, len(CLOUD_FIELDS))),
        )

    @cached_property
    def scene_flow(self) -> SceneFlow | None:
        """Velocity of each pixel's point; None without a usable frame one step before."""
        before = self._view_before()
        if before is None or not self.has_pose:
            return None
        now = DenseView(self.depth, self.model, self.world_from_cam, self.frame.stamp_ns)
        backward, forward = self._correspondence()
        options = FlowOptions(dynamic_sigma=self._config.dynamic_sigma)
        return compute_scene_flow(now, before, backward, flow_back=forward, options=options)

    def _view_before(self) -> DenseView | None:
        step, view, tracked = self._step - 1, self.view, self._processed.tracked
        frame = self._processed.window.frame(step, view) if step >= 0 else None
        prediction = self._processed.prediction.frames.get((step, view))
        if frame is None or prediction is None or not tracked.valid[step, view]:
            return None
        depth = metric_depth(prediction, tracked.scale.value, self._limits)
        pose = tracked.world_from_cam[step, view]
        return DenseView(depth, tracked.models[step, view], pose, frame.stamp_ns)

    def _correspondence(self) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Flow to the step before and, where known, back: the network's, else OpenCV DIS."""
        before = self._processed.prediction.frames[self._step - 1, self.view]
        if self.prediction.flow_backward is not None:
            return self.prediction.flow_backward, before.flow_forward
        frame_before = self._processed.window.frame(self._step - 1, self.view)
        assert frame_before is not None
        rgb, rgb_before = self.frame.image.rgb(), frame_before.image.rgb()
        height, width = self.depth.shape
        return dis_flow(rgb, rgb_before, width, height), dis_flow(rgb_before, rgb, width, height)

    @cached_property
    def velocity(self) -> NDArray[np.float32] | None:
        """(H, W, 3) m/s along the axes of the optical frame, NaN invalid."""
        if self.scene_flow is None:
            return None
        return self.scene_flow.velocity_in(self.world_from_cam[:3, :3].T)

    @cached_property
    def flow_cloud(self) -> NDArray[np.float32] | None:
        """(H, W, 8) x y z rgb vx vy vz confidence in the optical frame."""
        if self.velocity is None:
            return None
        return write_cloud(
            self.depth,
            self.model,
            self.frame.image.rgb(),
            self.prediction.depth_confidence,
            velocity=self.velocity,
            out=self._memory.plane("flow", self.view, (*self.depth.shape, len(SCENE_FLOW_FIELDS))),
        )

    @cached_property
    def dynamic_mask(self) -> NDArray[np.uint8] | None:
        """(H, W), 255 where the point moves."""
        if self.scene_flow is None:
            return None
        return np.where(self.scene_flow.dynamic, 255, 0).astype(np.uint8)

    def arrows(self, max_count: int, seconds: float) -> Arrows | None:
        """Velocity arrows in the fixed frame; each spans what its point moves in ``seconds``."""
        if self.scene_flow is None:
            return None
        return flow_arrows(
            self.depth, self.model, self.world_from_cam, self.scene_flow, max_count, seconds
        )


def view_products(
    processed: Processed, config: GeometryConfig, memory: Memory | None = None
) -> list[ViewProducts]:
    """Products of every camera that has dense outputs and intrinsics at the newest step."""
    steps, views = processed.window.shape
    slots = set(processed.prediction.frames) & set(processed.tracked.models)
    return [
        ViewProducts(processed, view, config, memory)
        for view in range(views)
        if (steps - 1, view) in slots
    ]


def merged_cloud(views: Sequence[ViewProducts], voxel_size: float) -> NDArray[np.float32]:
    """(N, 5) x y z rgb confidence of all cameras with a usable pose, in the fixed frame.

    A camera whose extrinsics the network contradicts is left out: its points would stand elsewhere
    than those of the others. Of two such cameras nobody can tell which is wrong: both are.
    """
    usable = [view for view in views if view.has_pose and not view.is_contradicted]
    return merge_clouds(
        [view.cloud for view in usable], [view.world_from_cam for view in usable], voxel_size
    )
