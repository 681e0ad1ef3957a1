# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Publishes what was made of a window: each topic only while somebody listens."""

from __future__ import annotations

import time
from collections.abc import Sequence
from importlib import import_module

from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecyclePublisher

from vggt4d_ros.config import Config
from vggt4d_ros.messages import topics
from vggt4d_ros.messages.frames import FrameNames
from vggt4d_ros.messages.outputs import FLOW_TOPICS, WindowMessages
from vggt4d_ros.messages.stamps import NANOSECONDS
from vggt4d_ros.messages.topics import TOPICS, Topic
from vggt4d_ros.processor import Processed
from vggt4d_ros.products import view_products
from vggt4d_ros.ros.encode import ENCODER
from vggt4d_ros.ros.memory import MessageMemory
from vggt4d_ros.ros.qos import NO_PUBLISHER_EVENTS, OVERRIDABLE, output_qos

_LISTENER_PERIOD_S = 0.25
_LAST_WORDS = Duration(nanoseconds=NANOSECONDS // 2)

_FLOW_KEYS = frozenset(topic.key for topic in FLOW_TOPICS)


class Outputs:
    """The node's publishers.

    Args:
        node: owner of the publishers.
        cameras: names, in view order.
    """

    def __init__(self, node: LifecycleNode, cameras: Sequence[str]) -> None:
        self._node = node
        self._messages = WindowMessages(ENCODER, self)
        self._memory = MessageMemory()
        self._publishers: dict[tuple[str, int], LifecyclePublisher] = {}
        try:
            for topic in TOPICS:
                for view, camera in enumerate(cameras if topic.per_camera else [""]):
                    self._publishers[topic.key, view] = self._create(topic, camera)
        except BaseException:
            self.close()
            raise
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
        views = view_products(processed, config.geometry, self._memory)
        self._messages.emit(processed, views, config, frames)

    def send(self, topic: Topic, message: object, view: int = 0) -> None:
        """Publishes a message."""
        self._publishers[topic.key, view].publish(message)

    def close(self) -> None:
        """Ends the publishers."""
        for publisher in self._publishers.values():
            self._node.destroy_lifecycle_publisher(publisher)
        self._publishers.clear()
