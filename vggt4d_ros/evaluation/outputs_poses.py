# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Poses around recorded outputs: where the cameras sit, and where the platform truly was."""

from __future__ import annotations

from collections import deque
from typing import Any

from vggt4d_ros.datatypes import Array
from vggt4d_ros.evaluation.bad_poses import BadPoses
from vggt4d_ros.evaluation.bag import Bag, BagError
from vggt4d_ros.evaluation.metrics.trajectory import Trajectory
from vggt4d_ros.evaluation.options import EvalOptions
from vggt4d_ros.evaluation.outputs_topics import TruthTopics
from vggt4d_ros.evaluation.platform_truth import PlatformTruth, Stamps
from vggt4d_ros.evaluation.sources import TruthCounts
from vggt4d_ros.geometry.transform_buffer import TransformBuffer
from vggt4d_ros.messages.poses import add_transform
from vggt4d_ros.messages.stamps import ns_from_stamp

_AHEAD_NS = 300_000_000  # TF of an instant may come so much after it


class Mounts:
    """Where each camera sits on the base, from /tf_static of a recording.

    Args:
        bag: the recording.
        base_frame: that the cameras are mounted on.
        bad: takes transforms that are none.
    """

    def __init__(self, bag: Bag, base_frame: str, bad: BadPoses) -> None:
        self._buffer = TransformBuffer()
        self._base = base_frame
        names = [t.name for t in bag.topics if t.name.rsplit("/", 1)[-1] == "tf_static"]
        try:
            for message in bag.messages(names) if names else ():
                content: Any = bag.deserialize(message)
                for transform in content.transforms:
                    if bad.admits_transform(transform):
                        add_transform(self._buffer, transform, is_static=True)
        except BagError:
            pass  # the recording is damaged: said when its outputs are read

    def base_from_cam(self, frame_id: str, stamp_ns: int) -> Array | None:
        """(4, 4); None where TF does not say."""
        if not frame_id:
            return None
        found = self._buffer.lookup(self._base, frame_id, [stamp_ns])
        return found.target_from_source[0] if found.known[0] else None


def true_trajectory(
    bag: Bag,
    truth: TruthTopics,
    options: EvalOptions,
    stamps_ns: Stamps,
    *,
    with_tf: bool,
    faults: list[str],
    bad: BadPoses,
) -> tuple[Trajectory | None, TruthCounts | None]:
    """Where the platform was, and from where that is known; None: from nowhere.

    Args:
        bag: that holds the truth.
        truth: its topics.
        options: name a file or a topic.
        stamps_ns: of the poses that are to be scored.
        with_tf: TF may be the truth: in a recording of the node it would be the node's own word.
        faults: takes the damage at which the bag ends.
        bad: takes transforms that are none.

    Raises:
        EvaluationError: the file cannot be read, or a named topic is not there.
    """
    base = options.config.tf.base_frame
    platform = PlatformTruth(bag, truth.poses, options, base)
    buffer = TransformBuffer()
    # static ones of the recording with the outputs are counted where the mounts are read
    seen = bad if with_tf else BadPoses()
    waiting = deque(int(stamp) for stamp in stamps_ns)
    try:
        for message in bag.messages([*truth.poses, *truth.tf]) if truth.poses + truth.tf else ():
            content: Any = bag.deserialize(message)
            if message.topic in truth.poses:
                platform.add(message.topic, content)
                continue
            is_static = message.topic.endswith("tf_static")
            for transform in content.transforms:
                if (seen if is_static else bad).admits_transform(transform):
                    add_transform(buffer, transform, is_static=is_static)
                newest = ns_from_stamp(transform.header.stamp)
                while with_tf and waiting and waiting[0] + _AHEAD_NS < newest:
                    platform.note_tf(waiting.popleft(), buffer)
    except BagError as error:
        faults.append(str(error))
    while with_tf and waiting:
        platform.note_tf(waiting.popleft(), buffer)
    return platform.trajectory(stamps_ns, buffer)
