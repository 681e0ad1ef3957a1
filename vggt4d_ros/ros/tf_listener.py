# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Listens to TF and notes who owns which frame."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence

from geometry_msgs.msg import TransformStamped
from rclpy.node import Node
from tf2_msgs.msg import TFMessage
from tf2_ros import Buffer, TransformListener

# Own messages come back on /tf: they are told from foreign ones by all that is in them. This many
# are remembered; DDS returns them within a few.
_OWN_REMEMBERED = 200
_OWNER_SILENT_S = 10.0  # an owner on /tf that is silent for so long has gone


class WatchingListener(TransformListener):
    """Fills a Buffer and notes who else gives a parent to the frames we mean to own."""

    def __init__(self, buffer: Buffer, node: Node) -> None:
        self._own: deque[TransformStamped] = deque(maxlen=_OWN_REMEMBERED)
        self._own_children: set[str] = set()
        self._foreign: dict[str, tuple[str, float]] = {}  # child -> parent, until (monotonic s)
        self.static_messages = 0  # on /tf_static so far
        # told of all transforms and whether they are static, on the executor's thread
        self.observer: Callable[[Sequence[TransformStamped], bool], None] | None = None
        try:
            super().__init__(buffer, node)
        except BaseException:
            for name in ("tf_sub", "tf_static_sub"):  # those that there are already
                if hasattr(self, name):
                    node.destroy_subscription(getattr(self, name))
            raise

    def remember_own(self, transform: TransformStamped) -> None:
        """Says that this transform is ours, before it is published."""
        self._own_children.add(transform.child_frame_id)
        self._own.append(transform)

    def foreign_parent(self, child: str) -> str | None:
        """The parent another node gives to this frame now, None where there is none."""
        parent, until = self._foreign.get(child, ("", 0.0))
        return parent if time.monotonic() < until else None

    def callback(self, data: TFMessage) -> None:
        """Takes a message of /tf."""
        self._watch(data.transforms, time.monotonic() + _OWNER_SILENT_S)
        if self.observer is not None:
            self.observer(data.transforms, False)
        super().callback(data)

    def static_callback(self, data: TFMessage) -> None:
        """Takes a message of /tf_static, which holds for good."""
        self._watch(data.transforms, math.inf)
        if self.observer is not None:
            self.observer(data.transforms, True)
        super().static_callback(data)
        self.static_messages += 1

    def _watch(self, transforms: Sequence[TransformStamped], until: float) -> None:
        for transform in transforms:
            child = transform.child_frame_id
            # the set first: /tf is busy, and comparing messages is slow
            if child not in self._own_children or not self._is_own(transform):
                self._foreign[child] = transform.header.frame_id, until

    def _is_own(self, transform: TransformStamped) -> bool:
        # a copy: the worker's thread may add one while these are compared, the newest first
        return any(transform == own for own in list(self._own)[::-1])
