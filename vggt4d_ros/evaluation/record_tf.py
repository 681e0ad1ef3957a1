# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""TF of a recording of outputs: the robot's own, copied from its bag, and the node's into it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vggt4d_ros.config import TfConfig
from vggt4d_ros.datatypes import Array
from vggt4d_ros.evaluation.bag import BagMessage, open_bag
from vggt4d_ros.evaluation.bag_writer import BagWriter
from vggt4d_ros.geometry import se3
from vggt4d_ros.geometry.transform_buffer import TransformBuffer
from vggt4d_ros.messages.frames import Edge, FrameNames, camera_edges, has_rig, mode_edges
from vggt4d_ros.messages.poses import add_transform
from vggt4d_ros.messages.stamps import NANOSECONDS, ns_from_stamp
from vggt4d_ros.processor import Processed

TF, TF_STATIC = "/tf", "/tf_static"
_TF_TYPE = "tf2_msgs/msg/TFMessage"
_AHEAD_NS = NANOSECONDS  # a transform may be recorded this much after an image of its stamp


class RobotTf:
    """Copies a bag's TF into a recording as time goes by, and answers what is in it.

    Args:
        bag: where it is read; None: there is none.
        writer: where it goes.
    """

    def __init__(self, bag: Path | None, writer: BagWriter) -> None:
        self._writer = writer
        self.parents: dict[str, str] = {}  # child -> parent
        self._buffer = TransformBuffer()
        self._bag = None if bag is None else open_bag(bag)
        self._messages: Iterator[BagMessage] = iter(())
        if self._bag is not None:
            topics = [t.name for t in self._bag.topics if t.name.lstrip("/") in ("tf", "tf_static")]
            self._messages = self._bag.messages(topics)
        self._waiting: BagMessage | None = next(self._messages, None)

    def advance(self, stamp_ns: int) -> None:
        """Copies what a live node could have heard when it was done with an image of this stamp.

        A bag is recorded by one clock and stamped by another at times: what counts is the stamp of
        the transforms.
        """
        while self._waiting is not None:
            content: Any = self._content(self._waiting)
            is_static = self._waiting.topic.lstrip("/") == "tf_static"
            first_ns = _first_stamp(content)
            if not is_static and first_ns is not None and first_ns > stamp_ns + _AHEAD_NS:
                return
            self._copy(self._waiting, content, stamp_ns, is_static=is_static)
            self._waiting = next(self._messages, None)

    def _content(self, message: BagMessage) -> Sequence[Any]:
        assert self._bag is not None
        found: Any = self._bag.deserialize(message)
        return list(found.transforms)

    def _copy(
        self, message: BagMessage, transforms: Sequence[Any], stamp_ns: int, *, is_static: bool
    ) -> None:
        for transform in transforms:
            self.parents[transform.child_frame_id.lstrip("/")] = transform.header.frame_id
            add_transform(self._buffer, transform, is_static=is_static)
        topic = TF_STATIC if is_static else TF
        self._writer.add_topic(topic, _TF_TYPE, is_latched=is_static)
        first_ns = _first_stamp(transforms)
        when = stamp_ns if is_static or first_ns is None else min(first_ns, stamp_ns)
        self._writer.write(topic, when, message.data)

    def lookup(self, target: str, source: str, stamp_ns: int) -> Array | None:
        """(4, 4) target_from_source; None where it is not known."""
        found = self._buffer.lookup(target, source, [stamp_ns])
        return found.target_from_source[0] if found.known[0] else None

    def close(self) -> None:
        """Closes the bag."""
        if self._bag is not None:
            self._bag.close()


def _first_stamp(transforms: Sequence[Any]) -> int | None:
    return ns_from_stamp(transforms[0].header.stamp) if transforms else None


class NodeTf:
    """Decides, as the live node does, what is published and how the frames are called.

    With ``tf.mode: none``, where the node publishes nothing, the fixed frame is hung below the
    robot's base (or, where TF does not tie that to the cameras, above them), so that a viewer can
    show all of a recording in one frame. No frame gets a second parent.
    """

    def __init__(self, config: TfConfig, robot: RobotTf, node: str) -> None:
        self._config = config
        self._robot = robot
        self._own_odom, self._own_base = f"{node}_odom", f"{node}_base"
        self.warnings: tuple[str, ...] = ()

    def edges(self, processed: Processed) -> tuple[FrameNames, list[Edge]]:
        """What the frames of a window are called, and its transforms."""
        self.warnings = ()
        config, is_tied = self._config, has_rig(processed)
        base = config.base_frame if is_tied else self._own_base
        own = FrameNames(self._own_odom, base)
        if config.mode == "none":
            return own, list(self._leaf(processed, own))
        if config.mode != "standalone" and not is_tied:
            self._refuse(
                f"TF has no {config.base_frame} -> camera frame, so the pose of the base is not "
                "known"
            )
            return own, list(self._leaf(processed, own))
        wanted = list(mode_edges(processed, config, self._base_from_odom, self._refuse))
        given = [edge for edge in wanted if self._is_free(edge)]
        if len(given) < len(wanted):
            placed = {edge.child for edge in given}
            return own, [*given, *(e for e in self._leaf(processed, own) if e.child not in placed)]
        fixed = config.odom_frame if config.mode == "odom_to_base" else config.map_frame
        return FrameNames(fixed, base), given

    def _base_from_odom(self, stamp_ns: int) -> Array | None:
        config = self._config
        found = self._robot.lookup(config.base_frame, config.odom_frame, stamp_ns)
        if found is None:
            self._refuse(f"TF has no {config.odom_frame} -> {config.base_frame} at the image")
        return found

    def _is_free(self, edge: Edge) -> bool:
        owner = self._robot.parents.get(edge.child)
        if owner is not None:
            self._refuse(
                f"{edge.child} already has the parent {owner}; {edge.parent} -> {edge.child} is "
                "not written"
            )
        return owner is None

    def _leaf(self, processed: Processed, names: FrameNames) -> Iterator[Edge]:
        tracked = processed.tracked
        fixed_from_base, stamp_ns = tracked.world_from_base[-1], int(tracked.stamps_ns[-1])
        if not np.isfinite(fixed_from_base).all():
            return
        if has_rig(processed):
            yield Edge(names.base, names.fixed, se3.inverse(fixed_from_base), stamp_ns)
            return
        yield Edge(names.fixed, names.base, fixed_from_base, stamp_ns)
        for edge in camera_edges(processed, names.fixed, lambda reason: None):
            if edge.child not in self._robot.parents:
                yield edge

    def _refuse(self, reason: str) -> None:
        self.warnings += (f"tf.mode {self._config.mode}: {reason}",)
