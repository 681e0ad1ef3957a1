# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""TF in and out: the rig from the tree, our one transform into it, and never a second parent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.time import Time
from tf2_msgs.msg import TFMessage
from tf2_ros import Buffer, TransformException

from vggt4d_ros.config import TfConfig
from vggt4d_ros.datatypes import Array, Rig
from vggt4d_ros.processor import Processed
from vggt4d_ros.ros.encode import header, matrix_from_transform, ns_from_stamp, transform_msg
from vggt4d_ros.ros.qos import OVERRIDABLE
from vggt4d_ros.ros.tf_listener import WatchingListener

_LOOKUP_WAIT = Duration(nanoseconds=100_000_000)  # odometry may come a little after the image


@dataclass(frozen=True, slots=True)
class FrameNames:
    """What the frames of a window's poses are called."""

    fixed: str
    base: str


@dataclass(frozen=True, slots=True, eq=False)
class _Edge:
    """A transform the mode wants published."""

    parent: str
    child: str
    parent_from_child: Array
    stamp_ns: int


class FrameTree:
    """The TF tree as the node sees it: reads the rig, publishes by ``tf.mode``.

    Args:
        node: owner of the subscriptions and the publisher.
        config: frame names and mode.
    """

    def __init__(self, node: Node, config: TfConfig) -> None:
        self._node = node
        self._config = config
        self._buffer = Buffer()  # without the node: what it would add to it is never taken back
        self._listener = WatchingListener(self._buffer, node)
        self._publisher = None
        if config.mode != "none":
            self._publisher = node.create_publisher(
                TFMessage, "/tf", QoSProfile(depth=100), qos_overriding_options=OVERRIDABLE
            )
        self._static_mounts: dict[str, tuple[int, Array]] = {}  # frame -> (version, base_from_cam)
        self.warnings: tuple[str, ...] = ()

    def _own_name(self, suffix: str) -> str:
        """A frame of this node alone, for what must not be taken for the robot's own."""
        return f"{self._node.get_name()}_{suffix}"

    def forget(self) -> None:
        """Drops the transforms from before a time jump; static ones stay."""
        self._buffer.clear()

    def rig(self, camera_frames: Sequence[str]) -> Rig:
        """Where each camera frame sits on the base now; None where the tree does not say."""
        return Rig(tuple(self._mount(frame) for frame in camera_frames))

    def _mount(self, frame: str) -> Array | None:
        """base_from_cam; what is static is looked up again only when /tf_static has changed."""
        version = self._listener.static_messages
        cached = self._static_mounts.get(frame)
        if cached is not None and cached[0] == version:
            return cached[1]
        found = self._lookup(self._config.base_frame, frame)
        if found is None:
            return None
        matrix, stamp_ns = found
        if stamp_ns == 0:  # tf2's sign for a chain of static transforms
            self._static_mounts[frame] = version, matrix
        return matrix

    def _lookup(
        self, target: str, source: str, stamp_ns: int = 0, wait: Duration | None = None
    ) -> tuple[Array, int] | None:
        """(4, 4) target_from_source and its stamp; None where TF does not know it.

        With ``wait`` the reason is kept as a warning.
        """
        if not source:
            return None
        when = Time(nanoseconds=stamp_ns)
        try:
            found = self._buffer.lookup_transform(target, source, when, wait or Duration())
        except TransformException as error:
            if wait is not None:
                self._refuse(f"tf.mode {self._config.mode}: {error}")
            return None
        matrix = matrix_from_transform(found)
        if not np.isfinite(matrix).all():
            return None
        return matrix, ns_from_stamp(found.header.stamp)

    def publish(self, processed: Processed) -> FrameNames:
        """Publishes what ``tf.mode`` says; keeps why not in ``warnings``.

        Returns:
            What the poses' frames may be called: the robot's own names only where TF ties them.
        """
        self.warnings = ()
        config = self._config
        has_rig = any(pose is not None for pose in processed.rig.base_from_cam)
        base = config.base_frame if has_rig else self._own_name("base")
        if self._publisher is None:
            return FrameNames(self._own_name("odom"), base)
        fixed = config.odom_frame if config.mode == "odom_to_base" else config.map_frame
        if config.mode != "standalone" and not has_rig:
            self._refuse(
                f"tf.mode {config.mode}: TF has no {config.base_frame} -> camera frame, so the "
                "pose of the base is not known"
            )
            return FrameNames(self._own_name("odom"), base)
        owned = self._publish_edges(list(self._edges(processed)))
        return FrameNames(fixed if owned else self._own_name("odom"), base)

    def _publish_edges(self, edges: Sequence[_Edge]) -> bool:
        """Publishes edges whose child nobody else owns; whether that were all."""
        message = TFMessage()
        refused = False
        for edge in edges:
            owner = self._listener.foreign_parent(edge.child)
            if owner is not None:
                refused = True
                self._refuse(
                    f"tf.mode {self._config.mode}: {edge.child} already has the parent {owner} "
                    f"from {self._other_publishers()}; {edge.parent} -> {edge.child} is not "
                    "published"
                )
                continue
            head = header(edge.stamp_ns, edge.parent)
            transform = transform_msg(edge.parent_from_child, edge.child, head)
            self._listener.remember_own(transform)
            message.transforms.append(transform)
        if message.transforms and self._publisher is not None:
            self._publisher.publish(message)
        return not refused

    def _edges(self, processed: Processed) -> Iterator[_Edge]:
        """What the mode wants published for the newest step."""
        config, tracked = self._config, processed.tracked
        if config.mode == "standalone":
            yield from self._camera_edges(processed)
            return
        fixed_from_base, stamp_ns = tracked.world_from_base[-1], int(tracked.stamps_ns[-1])
        if not np.isfinite(fixed_from_base).all():
            return
        if config.mode == "odom_to_base":
            yield _Edge(config.odom_frame, config.base_frame, fixed_from_base, stamp_ns)
            return
        # REP-105: a localizer gives map -> odom, so that odom -> base keeps its one owner
        found = self._lookup(config.base_frame, config.odom_frame, stamp_ns, _LOOKUP_WAIT)
        if found is not None:
            map_from_odom = fixed_from_base @ found[0]
            yield _Edge(config.map_frame, config.odom_frame, map_from_odom, stamp_ns)

    def _camera_edges(self, processed: Processed) -> Iterator[_Edge]:
        """``standalone``: map to each optical frame, at the camera's own stamp."""
        tracked = processed.tracked
        frames = [f for f in processed.window.sets[-1].frames if f is not None]
        shared = Counter(frame.frame_id for frame in frames)
        for frame in frames:
            if not frame.frame_id or shared[frame.frame_id] > 1:
                self._refuse(
                    f"tf.mode standalone: camera {frame.camera} has the frame_id "
                    f"{frame.frame_id!r}, which is empty or another camera's too"
                )
            elif tracked.valid[-1, frame.camera]:
                pose = tracked.world_from_cam[-1, frame.camera]
                yield _Edge(self._config.map_frame, frame.frame_id, pose, frame.stamp_ns)

    def _refuse(self, reason: str) -> None:
        self.warnings += (reason,)
        self._node.get_logger().error(reason, throttle_duration_sec=10.0)

    def _other_publishers(self) -> str:
        own = self._node.get_name(), self._node.get_namespace()
        names = {
            f"{info.node_namespace.rstrip('/')}/{info.node_name}"
            for topic in ("/tf", "/tf_static")
            for info in self._node.get_publishers_info_by_topic(topic)
            if (info.node_name, info.node_namespace) != own
        }
        return " or ".join(sorted(names)) or "a node that is gone"

    def close(self) -> None:
        """Ends the subscriptions and the publisher."""
        self._listener.unregister()
        if self._publisher is not None:
            self._node.destroy_publisher(self._publisher)
