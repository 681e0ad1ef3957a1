# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which of a recording's sources says where the platform truly was, and what it says."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.config import TfConfig
from vggt4d_ros.evaluation.bag import Bag
from vggt4d_ros.evaluation.metrics.trajectory import Trajectory
from vggt4d_ros.evaluation.options import EvalOptions, EvaluationError
from vggt4d_ros.evaluation.pose_truth import PoseTopic, is_kitti, read_trajectory
from vggt4d_ros.evaluation.sources import TruthCounts
from vggt4d_ros.evaluation.topics import ODOMETRY
from vggt4d_ros.geometry import se3
from vggt4d_ros.geometry.transform_buffer import TransformBuffer

# a PoseStamped may as well be a goal: without being named it counts only with such a name
_HINTS = ("truth", "gt", "mocap", "vicon", "optitrack", "vrpn", "leica")
Stamps = NDArray[np.int64]


class PlatformTruth:
    """The trajectory from the file that was given, the topic that was named, or the best found.

    In this order: file; named topic; a topic whose name tells of ground truth; Odometry; TF, fixed
    frame to base.

    Raises:
        EvaluationError: the file cannot be read, or the named topic is not in the bag.
    """

    def __init__(
        self, bag: Bag, topics: Sequence[str], options: EvalOptions, base_frame: str
    ) -> None:
        self._options = options
        self._base = base_frame
        self._tf: TfConfig = options.config.tf
        kinds = {topic.name: topic.type for topic in bag.topics}
        self._topics = {name: PoseTopic(name, kinds[name]) for name in topics}
        self._file: Trajectory | None = None
        path = options.truth_file
        if path is not None and not is_kitti(path):
            self._file = read_trajectory(path)
        named = options.truth_topic
        if named and named not in self._topics:
            there = ", ".join(self._topics) or "none"
            raise EvaluationError(f"no topic {named} with poses in the bag; it has {there}")
        self._tf_poses = array("d")  # per noted stamp: its pose, row by row
        self._tf_stamps = array("q")
        self._tf_name = ""

    def add(self, topic: str, message: Any) -> None:
        """Takes an Odometry or PoseStamped."""
        self._topics[topic].add(message)

    def note_tf(self, stamp_ns: int, buffer: TransformBuffer) -> None:
        """Looks the platform up in TF while it is still remembered there."""
        if self._options.truth_file is not None or self._options.truth_topic:
            return
        for fixed in (self._tf.map_frame, self._tf.odom_frame, "world"):
            if self._tf_name and fixed != self._tf_name:
                continue
            found = buffer.lookup(fixed, self._base, [stamp_ns])
            if found.known[0]:
                self._tf_name = fixed
                self._tf_stamps.append(stamp_ns)
                self._tf_poses.extend(found.target_from_source[0].ravel())
                return

    def trajectory(
        self, stamps_ns: Stamps, buffer: TransformBuffer
    ) -> tuple[Trajectory | None, TruthCounts | None]:
        """The truth, and from where; None: there is none."""
        path = self._options.truth_file
        if path is not None:
            found = self._file if self._file is not None else read_trajectory(path, stamps_ns)
            return found, TruthCounts(path.name)
        topic = self._best_topic()
        if topic is not None:
            return self._of_base(topic, buffer), TruthCounts(f"{topic.name} ({topic.kind})")
        if len(self._tf_stamps) > 1:
            stamps = np.frombuffer(self._tf_stamps, dtype=np.int64)
            poses = np.frombuffer(self._tf_poses, dtype=np.float64).reshape(-1, 4, 4)
            order = np.unique(stamps, return_index=True)[1]
            found = Trajectory(stamps[order], poses[order])
            return found, TruthCounts(f"TF {self._tf_name} -> {self._base}")
        return None, None

    def _best_topic(self) -> PoseTopic | None:
        if self._options.truth_topic:
            return self._topics[self._options.truth_topic]
        usable = [
            topic
            for topic in self._topics.values()
            if len(topic) and (topic.kind == ODOMETRY or self._is_hinted(topic.name))
        ]
        return min(usable, key=self._rank, default=None)

    def _is_hinted(self, name: str) -> bool:
        return any(hint in part for part in name.lower().split("/") for hint in _HINTS)

    def _rank(self, topic: PoseTopic) -> tuple[bool, bool, int, str]:
        is_base = topic.child.lstrip("/") == self._base
        return not self._is_hinted(topic.name), not is_base, -len(topic), topic.name

    def _of_base(self, topic: PoseTopic, buffer: TransformBuffer) -> Trajectory | None:
        """The topic's poses as those of the base, where TF ties both rigidly."""
        found = topic.trajectory()
        child = topic.child.lstrip("/")
        if found is None or not child or child == self._base:
            return found
        mount = buffer.lookup(self._base, child, [int(found.stamps_ns[-1])])
        if not mount.known[0]:
            return found
        child_from_base = se3.inverse(mount.target_from_source[0])
        return Trajectory(found.stamps_ns, found.poses @ child_from_base)
