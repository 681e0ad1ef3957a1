# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Publishes what was made of a window: each topic only while somebody listens."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from importlib import import_module

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecyclePublisher

from vggt4d_ros.config import Config
from vggt4d_ros.geometry.arrows import arrow_colours, flow_image_rgb
from vggt4d_ros.geometry.cloud import CLOUD_FIELDS, SCENE_FLOW_FIELDS
from vggt4d_ros.geometry.depth import depth_to_millimetres
from vggt4d_ros.processor import Processed
from vggt4d_ros.products import ViewProducts, merged_cloud, view_products
from vggt4d_ros.ros import topics
from vggt4d_ros.ros.encode import (
    NANOSECONDS,
    arrows_msg,
    camera_info_msg,
    cloud_msg,
    header,
    image_msg,
    odometry_msg,
    path_msg,
    pose_msg,
)
from vggt4d_ros.ros.qos import NO_PUBLISHER_EVENTS, OVERRIDABLE, output_qos
from vggt4d_ros.ros.tf import FrameNames
from vggt4d_ros.ros.topics import TOPICS, Topic

ARROW_SECONDS = 0.5  # an arrow spans what its point moves in this time

_LISTENER_PERIOD_S = 0.1
_LAST_WORDS = Duration(nanoseconds=NANOSECONDS // 2)

# What needs the pixel's motion, and so the dense outputs of a second step.
_FLOW_TOPICS = (
    topics.FLOW,
    topics.FLOW_IMAGE,
    topics.FLOW_RGB,
    topics.DYNAMIC_MASK,
    topics.MARKERS,
)
_FLOW_KEYS = frozenset(topic.key for topic in _FLOW_TOPICS)


class Outputs:
    """The node's publishers.

    Args:
        node: owner of the publishers.
        cameras: names, in view order.
    """

    def __init__(self, node: LifecycleNode, cameras: Sequence[str]) -> None:
        self._node = node
        self._frames = FrameNames("", "")
        self._publishers: dict[tuple[str, int], LifecyclePublisher] = {}
        for topic in TOPICS:
            for view, camera in enumerate(cameras if topic.per_camera else [""]):
                self._publishers[topic.key, view] = self._create(topic, camera)
        self._path: deque[PoseStamped] = deque()
        self._last_merged_ns = 0
        self.lazy = True  # skip what nobody listens to
        self._listened: set[tuple[str, int]] = set()
        self._looked = 0.0  # time.monotonic() of the last count

    def _create(self, topic: Topic, camera: str) -> LifecyclePublisher:
        package, name = topic.type.split("/")
        message_type = getattr(import_module(f"{package}.msg"), name)
        return self._node.create_lifecycle_publisher(
            message_type,
            topic.resolve(camera),
            output_qos(latched=topic.latched),
            qos_overriding_options=OVERRIDABLE,
            event_callbacks=NO_PUBLISHER_EVENTS,
        )

    def wants(self, topic: Topic, view: int = 0) -> bool:
        """Whether somebody listens to the topic (or ``output.lazy`` is off)."""
        return not self.lazy or (topic.key, view) in self._listened

    def wants_anything(self) -> bool:
        """Whether somebody listens to any topic that needs the network."""
        self._look_for_listeners()
        return not self.lazy or any(key != topics.STATUS.key for key, _ in self._listened)

    def wants_flow(self) -> bool:
        """Whether somebody listens to a topic that needs scene flow."""
        return not self.lazy or any(key in _FLOW_KEYS for key, _ in self._listened)

    def _look_for_listeners(self) -> None:
        """Counts subscriptions; not at every window, since each count crosses into the RMW."""
        now = time.monotonic()
        if now - self._looked < _LISTENER_PERIOD_S:
            return
        self._looked = now
        self._listened = {
            key
            for key, publisher in self._publishers.items()
            if publisher.get_subscription_count() > 0
        }

    def publish_status(self, message: object) -> None:
        """Publishes a WindowStatus."""
        self._publishers[topics.STATUS.key, 0].publish(message)

    def publish_last_status(self, message: object) -> None:
        """Publishes a WindowStatus and waits until the subscribers have it, not for long."""
        self.publish_status(message)
        self._publishers[topics.STATUS.key, 0].wait_for_all_acked(_LAST_WORDS)

    def publish(self, processed: Processed, config: Config, frames: FrameNames) -> None:
        """Publishes all that is asked for of the window's newest step."""
        self._frames = frames
        views = view_products(processed, config.geometry)
        # depth first: it is what a planner waits for
        for view in views:
            self._publish_depth(view, config)
        self._publish_poses(processed, config)
        for view in views:
            self._publish_points(view)
            self._publish_flow(view)
        self._publish_merged(views, config)
        self._publish_markers(views, config)

    def _send(self, topic: Topic, message: object, view: int = 0) -> None:
        self._publishers[topic.key, view].publish(message)

    def _publish_depth(self, view: ViewProducts, config: Config) -> None:
        index = view.view
        head = header(view.frame.stamp_ns, view.frame.frame_id)
        if self.wants(topics.DEPTH, index):
            encoding = config.output.depth_encoding
            depth = depth_to_millimetres(view.depth) if encoding == "16UC1" else view.depth
            self._send(topics.DEPTH, image_msg(depth, encoding, head), index)
        if self.wants(topics.DEPTH_INFO, index):
            self._send(topics.DEPTH_INFO, camera_info_msg(view.model, head), index)
        if self.wants(topics.CONFIDENCE, index):
            confidence = view.prediction.depth_confidence
            self._send(topics.CONFIDENCE, image_msg(confidence, "32FC1", head), index)

    def _publish_points(self, view: ViewProducts) -> None:
        if self.wants(topics.POINTS, view.view):
            head = header(view.frame.stamp_ns, view.frame.frame_id)
            self._send(topics.POINTS, cloud_msg(view.cloud, CLOUD_FIELDS, head), view.view)

    def _publish_flow(self, view: ViewProducts) -> None:
        index = view.view
        asked = [t for t in _FLOW_TOPICS if t.per_camera and self.wants(t, index)]
        if not asked or view.flow_cloud is None or view.velocity is None:
            return
        head = header(view.frame.stamp_ns, view.frame.frame_id)
        if topics.FLOW in asked:
            self._send(topics.FLOW, cloud_msg(view.flow_cloud, SCENE_FLOW_FIELDS, head), index)
        if topics.FLOW_IMAGE in asked:
            self._send(topics.FLOW_IMAGE, image_msg(view.velocity, "32FC3", head), index)
        if topics.FLOW_RGB in asked:
            rgb = flow_image_rgb(view.velocity)
            self._send(topics.FLOW_RGB, image_msg(rgb, "rgb8", head), index)
        if topics.DYNAMIC_MASK in asked and view.dynamic_mask is not None:
            self._send(topics.DYNAMIC_MASK, image_msg(view.dynamic_mask, "mono8", head), index)

    def _publish_poses(self, processed: Processed, config: Config) -> None:
        tracked = processed.tracked
        if tracked.started:  # another trajectory, in another fixed frame
            self._path.clear()
        pose = tracked.world_from_base[-1]
        if not np.isfinite(pose).all():
            return
        head = header(int(tracked.stamps_ns[-1]), self._frames.fixed)
        if self.wants(topics.ODOMETRY):
            message = odometry_msg(
                pose, tracked.covariance[-1], tracked.twist[-1], self._frames.base, head
            )
            self._send(topics.ODOMETRY, message)
        self._path.append(PoseStamped(header=head, pose=pose_msg(pose)))
        while len(self._path) > config.output.path_length:
            self._path.popleft()
        if self.wants(topics.PATH):
            self._send(topics.PATH, path_msg(list(self._path), head))

    def _publish_merged(self, views: Sequence[ViewProducts], config: Config) -> None:
        if not views or not self.wants(topics.MERGED):
            return
        stamp_ns = max(view.frame.stamp_ns for view in views)
        rate = config.output.merged_rate_hz
        since_ns = stamp_ns - self._last_merged_ns
        # a negative difference is a time jump, not a reason to wait
        if rate and 0 <= since_ns < NANOSECONDS / rate:
            return
        self._last_merged_ns = stamp_ns
        cloud = merged_cloud(views, config.output.voxel_size)
        head = header(stamp_ns, self._frames.fixed)
        self._send(topics.MERGED, cloud_msg(cloud, CLOUD_FIELDS, head, dense=True))

    def _publish_markers(self, views: Sequence[ViewProducts], config: Config) -> None:
        if not views or not self.wants(topics.MARKERS):
            return
        share = config.output.markers_max // len(views)
        found = [view.arrows(share, ARROW_SECONDS) for view in views]
        arrows = [some for some in found if some is not None]
        points = np.concatenate([a.points for a in arrows]) if arrows else np.zeros((0, 3), "f4")
        speeds = np.concatenate([a.speed_mps for a in arrows]) if arrows else np.zeros(0, "f4")
        head = header(max(view.frame.stamp_ns for view in views), self._frames.fixed)
        self._send(topics.MARKERS, arrows_msg(points, arrow_colours(speeds), head))

    def close(self) -> None:
        """Ends the publishers."""
        for publisher in self._publishers.values():
            self._node.destroy_lifecycle_publisher(publisher)
        self._publishers.clear()
