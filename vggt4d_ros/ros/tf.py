# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""TF in and out: the rig from the tree, our one transform into it, and never a second parent."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
from geometry_msgs.msg import TransformStamped
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.time import Time
from tf2_msgs.msg import TFMessage
from tf2_ros import Buffer, TransformException

from vggt4d_ros.config import TfConfig
from vggt4d_ros.datatypes import Array, Rig
from vggt4d_ros.messages.frames import Edge, FrameNames, has_rig, mode_edges
from vggt4d_ros.messages.stamps import ns_from_stamp
from vggt4d_ros.processor import Processed
from vggt4d_ros.ros.encode import ENCODER, header, matrix_from_transform
from vggt4d_ros.ros.qos import OVERRIDABLE
from vggt4d_ros.ros.tf_listener import WatchingListener

_LOOKUP_WAIT = Duration(nanoseconds=100_000_000)  # odometry may come a little after the image


class FrameTree:
    """The TF tree as the node sees it: reads the rig, publishes by ``tf.mode``.

    Args:
        node: owner of the subscriptions and the publisher.
        config: frame names and mode.
    """

    def __init__(self, node: Node, config: TfConfig) -> None:
        self._node = node
        self._config = config
        self._name = node.get_name()
        self._buffer = Buffer()  # without the node: what it would add to it is never taken back
        self._listener = WatchingListener(self._buffer, node)
        self._publisher = None
        if config.mode != "none":
            try:
                self._publisher = node.create_publisher(
                    TFMessage, "/tf", QoSProfile(depth=100), qos_overriding_options=OVERRIDABLE
                )
            except BaseException:
                self._listener.unregister()
                raise
        self._static_mounts: dict[str, tuple[int, Array]] = {}  # frame -> (version, base_from_cam)
        self.warnings: tuple[str, ...] = ()
        self.waited_s = 0.0  # so far, for transforms that are late

    def _own_name(self, suffix: str) -> str:
        """A frame of this node alone, for what must not be taken for the robot's own."""
        return f"{self._name}_{suffix}"

    def on_transforms(
        self, observer: Callable[[Sequence[TransformStamped], bool], None] | None
    ) -> None:
        """Has ``observer`` told of what comes on /tf and /tf_static (True), before it is used."""
        self._listener.observer = observer

    def newest(self, target: str, source: str) -> Array | None:
        """Target_from_source (4, 4) by what TF says now; None where it does not."""
        found = self._lookup(target, source)
        return None if found is None else found[0]

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
                self._refuse(str(error))
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
        is_tied = has_rig(processed)
        base = config.base_frame if is_tied else self._own_name("base")
        if self._publisher is None:
            return FrameNames(self._own_name("odom"), base)
        fixed = config.odom_frame if config.mode == "odom_to_base" else config.map_frame
        if config.mode != "standalone" and not is_tied:
            self._refuse(
                f"TF has no {config.base_frame} -> camera frame, so the "
                "pose of the base is not known"
            )
            return FrameNames(self._own_name("odom"), base)
        edges = mode_edges(processed, config, self._base_from_odom, self._refuse)
        owned = self._publish_edges(list(edges))
        return FrameNames(fixed if owned else self._own_name("odom"), base)

    def _publish_edges(self, edges: Sequence[Edge]) -> bool:
        """Publishes edges whose child nobody else owns; whether that were all."""
        transforms: list[TransformStamped] = []
        refused = False
        for edge in edges:
            owner = self._listener.foreign_parent(edge.child)
            if owner is not None:
                refused = True
                self._refuse(
                    f"{edge.child} already has the parent {owner} from "
                    f"{self._other_publishers()}; {edge.parent} -> {edge.child} is not "
                    "published"
                )
                continue
            head = header(edge.stamp_ns, edge.parent)
            transform = ENCODER.transform(edge.parent_from_child, edge.child, head)
            self._listener.remember_own(transform)
            transforms.append(transform)
        if transforms and self._publisher is not None:
            self._publisher.publish(ENCODER.tf(transforms))
        return not refused

    def _base_from_odom(self, stamp_ns: int) -> Array | None:
        config, began = self._config, time.monotonic()
        found = self._lookup(config.base_frame, config.odom_frame, stamp_ns, _LOOKUP_WAIT)
        self.waited_s += time.monotonic() - began
        return None if found is None else found[0]

    def _refuse(self, reason: str) -> None:
        reason = f"tf.mode {self._config.mode}: {reason}"
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
