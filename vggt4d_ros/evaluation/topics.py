# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which topics of a bag are read: those of cameras, TF, platform poses, given depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from vggt4d_ros.config import depth_topics as given_depth_topics
from vggt4d_ros.evaluation.bag import Bag, BagError
from vggt4d_ros.evaluation.camera_sources import CameraSource, absolute, find_cameras, if_there
from vggt4d_ros.evaluation.options import EvalOptions

TF = "tf2_msgs/msg/TFMessage"
ODOMETRY = "nav_msgs/msg/Odometry"
STATUS = "vggt4d_ros/msg/WindowStatus"
POSES = ("geometry_msgs/msg/PoseStamped", "geometry_msgs/msg/PoseWithCovarianceStamped")


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """What is read from a bag."""

    cameras: tuple[CameraSource, ...]
    tf: tuple[str, ...] = ()  # /tf and /tf_static
    poses: tuple[str, ...] = ()  # Odometry, PoseStamped: the platform, as truth
    odometry: str = ""  # platform's motion that gives the scale
    given_depth: dict[int, str] = field(default_factory=dict)  # depth that does, by camera
    left_out: tuple[str, ...] = ()  # image topics that are no camera here, with the reason
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """All topics that are read."""
        found = [*self.tf, *self.poses, *([self.odometry] if self.odometry else [])]
        found += self.given_depth.values()
        for camera in self.cameras:
            found += [name for name in (camera.image, camera.info, camera.depth) if name]
        return list(dict.fromkeys(found))


def plan_topics(bag: Bag, options: EvalOptions) -> TopicPlan:
    """Finds the topics; by the options where they name any, else by type.

    Raises:
        BagError: no camera is in the bag, or a named topic is not.
        ConfigError: camera names that the node would refuse.
    """
    nodes = output_prefixes(bag)
    topics = [topic for topic in bag.require_images() if not topic.name.startswith(nodes)]
    cameras, left_out, notes = find_cameras(bag, topics, options)
    return TopicPlan(
        odometry=_odometry_topic(bag, options),
        given_depth=_given_depth(bag, options, [camera.name for camera in cameras]),
        cameras=cameras,
        tf=tuple(t.name for t in bag.topics if t.type == TF and _is_tf(t.name)),
        poses=tuple(
            t.name
            for t in bag.topics
            if t.type in (ODOMETRY, *POSES) and t.count and not t.name.startswith(nodes)
        ),
        left_out=left_out,
        notes=notes,
    )


def output_prefixes(bag: Bag) -> tuple[str, ...]:
    """How the names of outputs of our own node begin, in a recording that has them.

    They are neither cameras nor truth.
    """
    return tuple(t.name.removesuffix("status") for t in bag.topics if t.type == STATUS)


def _odometry_topic(bag: Bag, options: EvalOptions) -> str:
    """The topic that ``geometry.motion_source`` odometry reads.

    Raises:
        BagError: it is not in the bag.
    """
    geometry = options.config.geometry
    if geometry.motion_source != "odometry":
        return ""
    name = absolute(geometry.odometry_topic, options.namespace)
    if not any(topic.name == name and topic.type == ODOMETRY for topic in bag.topics):
        there = ", ".join(topic.name for topic in bag.topics if topic.type == ODOMETRY)
        raise BagError(f"{bag.path}: no Odometry topic {name} in it; it has {there or 'none'}")
    return name


def _given_depth(bag: Bag, options: EvalOptions, names: Sequence[str]) -> dict[int, str]:
    """The topics of ``geometry.depth_topics``, by camera.

    Raises:
        BagError: one is not in the bag.
    """
    found = {}
    for camera, topic in given_depth_topics(options.config).items():
        name = absolute(topic, options.namespace)
        if not if_there(bag, name):
            raise BagError(f"{bag.path}: no depth topic {name} (geometry.depth_topics) in it")
        if camera in names:
            found[names.index(camera)] = name
    return found


def _is_tf(name: str) -> bool:
    return name.rsplit("/", 1)[-1] in ("tf", "tf_static")
