# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which messages a window becomes, with which header: the live node's and a recording's."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from vggt4d_ros.config import Config, OutputConfig
from vggt4d_ros.datatypes import Array
from vggt4d_ros.geometry.arrows import arrow_colours, flow_image_rgb
from vggt4d_ros.geometry.cloud import CLOUD_FIELDS, SCENE_FLOW_FIELDS
from vggt4d_ros.geometry.depth import depth_to_millimetres
from vggt4d_ros.messages import topics
from vggt4d_ros.messages.encode import Encoder, Message
from vggt4d_ros.messages.frames import FrameNames
from vggt4d_ros.messages.stamps import NANOSECONDS
from vggt4d_ros.messages.topics import Topic
from vggt4d_ros.processor import Processed
from vggt4d_ros.products import ViewProducts, merged_cloud

ARROW_SECONDS = 0.5  # an arrow spans what its point moves in this time

# What needs the pixel's motion, and so the dense outputs of a second step.
FLOW_TOPICS = (
    topics.FLOW,
    topics.FLOW_IMAGE,
    topics.FLOW_RGB,
    topics.DYNAMIC_MASK,
    topics.MARKERS,
)


class Outlet(Protocol):
    """Where messages go."""

    def wants(self, topic: Topic, view: int = 0) -> bool:
        """Whether the message is needed; what is not is not made."""

    def send(self, topic: Topic, message: Message, view: int = 0) -> None:
        """Takes a message."""


@dataclass(slots=True, eq=False)
class _Place:
    """Where the platform was; a message once somebody wants it."""

    fixed_from_base: Array  # (4, 4)
    stamp_ns: int
    message: Message | None = None


class WindowMessages:
    """Makes the messages of windows, in order; the path and the merged cloud's rate are state.

    Args:
        encoder: makes them.
        outlet: takes them.
    """

    def __init__(self, encoder: Encoder, outlet: Outlet) -> None:
        self._encoder = encoder
        self._outlet = outlet
        self._frames = FrameNames("", "")
        self._path: deque[_Place] = deque()
        self._last_merged_ns = 0

    def emit(
        self,
        processed: Processed,
        views: Sequence[ViewProducts],
        config: Config,
        frames: FrameNames,
    ) -> None:
        """Sends all that is wanted of the window's newest step."""
        if frames.fixed != self._frames.fixed:  # the path so far is in a frame of another name
            self._path.clear()
        self._frames = frames
        # depth first: it is what a planner waits for
        for view in views:
            self._depth(view, config.output.depth_encoding)
        self._poses(processed, config.output.path_length)
        for view in views:
            self._points(view)
            self._flow(view)
        self._merged(views, config.output)
        self._markers(views, config.output.markers_max)

    def _camera_header(self, view: ViewProducts) -> Message:
        return self._encoder.header(view.frame.stamp_ns, view.frame.frame_id)

    def _depth(self, view: ViewProducts, encoding: str) -> None:
        encoder, outlet, index = self._encoder, self._outlet, view.view
        head = self._camera_header(view)
        if outlet.wants(topics.DEPTH, index):
            depth = depth_to_millimetres(view.depth) if encoding == "16UC1" else view.depth
            outlet.send(topics.DEPTH, encoder.image(depth, encoding, head), index)
        if outlet.wants(topics.DEPTH_INFO, index):
            outlet.send(topics.DEPTH_INFO, encoder.camera_info(view.model, head), index)
        if outlet.wants(topics.CONFIDENCE, index):
            confidence = view.prediction.depth_confidence
            outlet.send(topics.CONFIDENCE, encoder.image(confidence, "32FC1", head), index)

    def _points(self, view: ViewProducts) -> None:
        if self._outlet.wants(topics.POINTS, view.view):
            head = self._camera_header(view)
            message = self._encoder.cloud(view.cloud, CLOUD_FIELDS, head)
            self._outlet.send(topics.POINTS, message, view.view)

    def _flow(self, view: ViewProducts) -> None:
        encoder, outlet, index = self._encoder, self._outlet, view.view
        asked = [t for t in FLOW_TOPICS if t.per_camera and outlet.wants(t, index)]
        if not asked or view.velocity is None:
            return
        head = self._camera_header(view)
        if topics.FLOW in asked and view.flow_cloud is not None:
            outlet.send(topics.FLOW, encoder.cloud(view.flow_cloud, SCENE_FLOW_FIELDS, head), index)
        if topics.FLOW_IMAGE in asked:
            outlet.send(topics.FLOW_IMAGE, encoder.image(view.velocity, "32FC3", head), index)
        if topics.FLOW_RGB in asked:
            rgb = flow_image_rgb(view.velocity)
            outlet.send(topics.FLOW_RGB, encoder.image(rgb, "rgb8", head), index)
        if topics.DYNAMIC_MASK in asked and view.dynamic_mask is not None:
            message = encoder.image(view.dynamic_mask, "mono8", head)
            outlet.send(topics.DYNAMIC_MASK, message, index)

    def _poses(self, processed: Processed, path_length: int) -> None:
        encoder, outlet, tracked = self._encoder, self._outlet, processed.tracked
        if tracked.started:  # another trajectory, in another fixed frame
            self._path.clear()
        pose = tracked.world_from_base[-1]
        if not np.isfinite(pose).all():
            return
        place = _Place(pose, int(tracked.stamps_ns[-1]))
        self._path.append(place)
        while len(self._path) > path_length:
            self._path.popleft()
        if outlet.wants(topics.ODOMETRY):
            head = encoder.header(place.stamp_ns, self._frames.fixed)
            covariance, twist = tracked.covariance[-1], tracked.twist[-1]
            message = encoder.odometry(pose, covariance, twist, self._frames.base, head)
            outlet.send(topics.ODOMETRY, message)
        if outlet.wants(topics.PATH):
            head = encoder.header(place.stamp_ns, self._frames.fixed)
            poses = [self._stamped(one) for one in self._path]
            outlet.send(topics.PATH, encoder.path(poses, head))

    def _stamped(self, place: _Place) -> Message:
        """The message of a place, made once."""
        if place.message is None:
            head = self._encoder.header(place.stamp_ns, self._frames.fixed)
            place.message = self._encoder.stamped_pose(place.fixed_from_base, head)
        return place.message

    def _merged(self, views: Sequence[ViewProducts], config: OutputConfig) -> None:
        if not views or not self._outlet.wants(topics.MERGED):
            return
        stamp_ns = max(view.frame.stamp_ns for view in views)
        rate = config.merged_rate_hz
        since_ns = stamp_ns - self._last_merged_ns
        # a negative difference is a time jump, not a reason to wait
        if rate and 0 <= since_ns < NANOSECONDS / rate:
            return
        self._last_merged_ns = stamp_ns
        cloud = merged_cloud(views, config.voxel_size)
        head = self._encoder.header(stamp_ns, self._frames.fixed)
        message = self._encoder.cloud(cloud, CLOUD_FIELDS, head, dense=True)
        self._outlet.send(topics.MERGED, message)

    def _markers(self, views: Sequence[ViewProducts], most: int) -> None:
        if not views or not self._outlet.wants(topics.MARKERS):
            return
        found = [view.arrows(most // len(views), ARROW_SECONDS) for view in views]
        arrows = [some for some in found if some is not None]
        points = np.concatenate([a.points for a in arrows]) if arrows else np.zeros((0, 3), "f4")
        speeds = np.concatenate([a.speed_mps for a in arrows]) if arrows else np.zeros(0, "f4")
        stamp_ns = max(view.frame.stamp_ns for view in views)
        head = self._encoder.header(stamp_ns, self._frames.fixed)
        message = self._encoder.arrows(points, arrow_colours(speeds), head)
        self._outlet.send(topics.MARKERS, message)
