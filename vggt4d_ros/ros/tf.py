# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""TF in and out: the rig from the tree, our one transform into it, and never a second parent."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
from geometry_msgs.msg import TransformStamped
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.time import Time
from tf2_msgs.msg import TFMessage
from tf2_ros import Buffer, TransformException, TransformListener

from vggt4d_ros.config import TfConfig
from vggt4d_ros.datatypes import Array, Rig
from vggt4d_ros.processor import Processed
from vggt4d_ros.ros.encode import header, matrix_from_transform, ns_from_stamp, transform_msg
from vggt4d_ros.ros.qos import OVERRIDABLE

# Own messages come back on /tf: they are told from foreign ones by child, parent and stamp. This
# many are remembered; DDS returns them within a few.
_OWN_REMEMBERED = 200


class WatchingListener(TransformListener):
    """Fills a Buffer and notes who else gives a parent to the frames we mean to own."""

    def __init__(self, buffer: Buffer, node: Node) -> None:
        self._own: deque[tuple[str, str, int]] = deque(maxlen=_OWN_REMEMBERED)
        self.parents: dict[str, str] = {}  # child -> foreign parent, as last seen
        self.static_messages = 0  # on /tf_static so far
        super().__init__(buffer, node)

    def remember_own(self, transform: TransformStamped) -> None:
        """Says that this transform is ours, before it is published."""
        self._own.append(_identity(transform))

    def callback(self, data: TFMessage) -> None:
        self._watch(data.transforms)
        super().callback(data)

    def static_callback(self, data: TFMessage) -> None:
        self._watch(data.transforms)
        super().static_callback(data)
        self.static_messages += 1

    def _watch(self, transforms: Sequence[TransformStamped]) -> None:
        for transform in transforms:
            if _identity(transform) not in self._own:
                self.parents[transform.child_frame_id] = transform.header.frame_id


def _identity(transform: TransformStamped) -> tuple[str, str, int]:
    stamp_ns = ns_from_stamp(transform.header.stamp)
    return (transform.child_frame_id, transform.header.frame_id, stamp_ns)


class FrameTree:
    """The TF tree as the node sees it: reads the rig, publishes by ``tf.mode``.

    Args:
        node: owner of the subscriptions and the publisher.
        config: frame names and mode.
    """

    def __init__(self, node: Node, config: TfConfig) -> None:
        self._node = node
        self._config = config
        self.buffer = Buffer(node=node)
        self._listener = WatchingListener(self.buffer, node)
        self._publisher = None
        if config.mode != "none":
            self._publisher = node.create_publisher(
                TFMessage, "/tf", QoSProfile(depth=100), qos_overriding_options=OVERRIDABLE
            )
        self._static_mounts: dict[str, tuple[int, Array]] = {}  # frame -> (version, base_from_cam)
        self.warnings: tuple[str, ...] = ()

    @property
    def fixed_frame(self) -> str:
        """Frame in which poses and merged clouds are given."""
        if self._config.mode in ("map_to_odom", "standalone"):
            return self._config.map_frame
        return self._config.odom_frame

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

    def _lookup(self, target: str, source: str, stamp_ns: int = 0) -> tuple[Array, int] | None:
        """(4, 4) target_from_source and its stamp; None where TF does not know it."""
        if not source:
            return None
        try:
            found = self.buffer.lookup_transform(target, source, Time(nanoseconds=stamp_ns))
        except TransformException:
            return None
        matrix = matrix_from_transform(found)
        if not np.isfinite(matrix).all():
            return None
        return matrix, ns_from_stamp(found.header.stamp)

    def publish(self, processed: Processed) -> None:
        """Publishes what ``tf.mode`` says at the newest stamp; keeps why not in ``warnings``."""
        self.warnings = ()
        if self._publisher is None:
            return
        stamp_ns = int(processed.tracked.stamps_ns[-1])
        message = TFMessage()
        for parent, child, matrix in self._edges(processed, stamp_ns):
            owner = self._listener.parents.get(child)
            if owner is not None:
                self._refuse(
                    f"tf.mode {self._config.mode}: {child} already has the parent {owner} from "
                    f"{self._other_publishers()}; {parent} -> {child} is not published"
                )
                continue
            transform = transform_msg(matrix, child, header(stamp_ns, parent))
            self._listener.remember_own(transform)
            message.transforms.append(transform)
        if message.transforms:
            self._publisher.publish(message)

    def _edges(self, processed: Processed, stamp_ns: int) -> list[tuple[str, str, Array]]:
        """(parent, child, parent_from_child) of what the mode wants published."""
        config, tracked = self._config, processed.tracked
        if config.mode == "standalone":
            return [
                (config.map_frame, frame.frame_id, tracked.world_from_cam[-1, view])
                for view, frame in enumerate(processed.window.sets[-1].frames)
                if frame is not None and tracked.valid[-1, view]
            ]
        if all(pose is None for pose in processed.rig.base_from_cam):
            self._refuse(
                f"tf.mode {config.mode}: TF has no {config.base_frame} -> camera frame, so the "
                "pose of the base is not known"
            )
            return []
        fixed_from_base = tracked.world_from_base[-1]
        if not np.isfinite(fixed_from_base).all():
            return []
        if config.mode == "odom_to_base":
            return [(config.odom_frame, config.base_frame, fixed_from_base)]
        # REP-105: a localizer gives map -> odom, so that odom -> base keeps its one owner
        base_from_odom = self._lookup(config.base_frame, config.odom_frame, stamp_ns)
        if base_from_odom is None:
            self._refuse(
                f"tf.mode map_to_odom: TF has no {config.odom_frame} -> {config.base_frame} at "
                "the image stamp"
            )
            return []
        return [(config.map_frame, config.odom_frame, fixed_from_base @ base_from_odom[0])]

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
