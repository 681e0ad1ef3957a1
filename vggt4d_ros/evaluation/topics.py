# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which topics of a bag are cameras, their intrinsics, depth truth, TF and platform poses."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vggt4d_ros.config import Config, validate
from vggt4d_ros.config import depth_topics as given_depth_topics
from vggt4d_ros.evaluation.bag import Bag, BagError, BagTopic
from vggt4d_ros.evaluation.options import EvalOptions, EvaluationError
from vggt4d_ros.messages.camera import camera_topics, info_beside

COMPRESSED = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
TF = "tf2_msgs/msg/TFMessage"
ODOMETRY = "nav_msgs/msg/Odometry"
STATUS = "vggt4d_ros/msg/WindowStatus"
POSES = ("geometry_msgs/msg/PoseStamped", "geometry_msgs/msg/PoseWithCovarianceStamped")
DEPTH_ENCODINGS = ("16UC1", "32FC1", "mono16")
# what comes after a camera's name; the first of these is taken where a camera has several
_ENDINGS = ("image_raw", "image_color", "image", "image_rect_color", "image_rect", "image_mono")
_COMPRESSED_END = "/compressed"
_TRANSPORTS = ("compressed", "compressedDepth")


@dataclass(frozen=True, slots=True)
class CameraSource:
    """Topics of one camera in the bag."""

    name: str
    image: str
    compressed: bool
    info: str = ""  # "": none in the bag
    depth: str = ""  # truth; "": none in the bag


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


@dataclass(slots=True)
class _ImageTopic:
    topic: BagTopic
    encoding: str  # of its first message; for CompressedImage its format
    frame_id: str

    @property
    def is_depth(self) -> bool:
        return self.encoding.startswith(DEPTH_ENCODINGS) or "compressedDepth" in self.encoding


def plan_topics(bag: Bag, options: EvalOptions) -> TopicPlan:
    """Finds the topics; by the options where they name any, else by type.

    Raises:
        BagError: no camera is in the bag, or a named topic is not.
        ConfigError: camera names that the node would refuse.
    """
    nodes = output_prefixes(bag)
    seen = [topic for topic in bag.require_images() if not topic.name.startswith(nodes)]
    images = [_look(bag, topic) for topic in seen]
    depth = [image for image in images if image.is_depth]
    left_out: tuple[str, ...] = ()
    if options.topics:
        cameras = _named(bag, options.topics)
    elif options.config.cameras.names:
        cameras = _configured(bag, options.config, options.namespace)
    else:
        cameras, left_out = _discovered(bag, images)
    cameras, notes = _with_depth(bag, cameras, depth, images, options.depth_topics)
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


def config_for(config: Config, cameras: Sequence[CameraSource]) -> Config:
    """The configuration with the cameras that were found.

    Raises:
        ConfigError: the values contradict each other for these cameras.
    """
    names = tuple(camera.name for camera in cameras)
    compressed = all(c.compressed and c.image.endswith(_COMPRESSED_END) for c in cameras)
    images = tuple(
        c.image.removesuffix(_COMPRESSED_END) if compressed else c.image for c in cameras
    )
    section = replace(
        config.cameras,
        names=names,
        image_topics=images,
        info_topics=tuple(c.info or info_beside(_without_transport(c.image)) for c in cameras),
        transport="compressed" if compressed else "raw",
    )
    found = replace(config, cameras=section)
    validate(found)
    return found


def _odometry_topic(bag: Bag, options: EvalOptions) -> str:
    """The topic that ``geometry.motion_source`` odometry reads.

    Raises:
        BagError: it is not in the bag.
    """
    geometry = options.config.geometry
    if geometry.motion_source != "odometry":
        return ""
    name = _absolute(geometry.odometry_topic, options.namespace)
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
        name = _absolute(topic, options.namespace)
        if not _if_there(bag, name):
            raise BagError(f"{bag.path}: no depth topic {name} (geometry.depth_topics) in it")
        if camera in names:
            found[names.index(camera)] = name
    return found


def _is_tf(name: str) -> bool:
    return name.rsplit("/", 1)[-1] in ("tf", "tf_static")


def _look(bag: Bag, topic: BagTopic) -> _ImageTopic:
    """Reads the first message of an image topic; what cannot be read is no depth image."""
    try:
        for message in bag.messages([topic.name]):
            content: Any = bag.deserialize(message)
            encoding = content.format if topic.type == COMPRESSED else content.encoding
            return _ImageTopic(topic, encoding, content.header.frame_id)
    except BagError:
        pass
    return _ImageTopic(topic, "", "")


def _named(bag: Bag, topics: Mapping[str, str]) -> tuple[CameraSource, ...]:
    return tuple(_source(bag, name, topic) for name, topic in topics.items())


def _configured(bag: Bag, config: Config, namespace: str) -> tuple[CameraSource, ...]:
    found = []
    for topics in camera_topics(config):
        image = _absolute(topics.subscribed, namespace)
        info = _absolute(topics.info, namespace)
        found.append(replace(_source(bag, topics.name, image), info=_if_there(bag, info)))
    return tuple(found)


def _absolute(name: str, namespace: str) -> str:
    return name if name.startswith("/") else f"{namespace.rstrip('/')}/{name}"


def _if_there(bag: Bag, name: str) -> str:
    return name if any(t.name == name and t.count for t in bag.topics) else ""


def _source(bag: Bag, name: str, image: str) -> CameraSource:
    """The camera with this image topic; its CameraInfo beside it.

    Raises:
        BagError: there is no such image topic.
    """
    there = {topic.name: topic for topic in bag.image_topics}
    if image not in there and f"{image}/compressed" in there:
        image = f"{image}/compressed"
    if image not in there:
        raise BagError(
            f"{bag.path}: no image topic {image} for camera {name}; it has {', '.join(there)}"
        )
    base = _without_transport(image)
    info = _if_there(bag, info_beside(base)) or _if_there(bag, info_beside(image))
    return CameraSource(name, image, there[image].type == COMPRESSED, info)


def _without_transport(topic: str) -> str:
    head, _, tail = topic.rpartition("/")
    return head if tail in _TRANSPORTS else topic


def camera_name(topic: str) -> str:
    """A camera's name from its image topic: /front/image_raw/compressed is ``front``."""
    head, _, tail = _without_transport(topic).rpartition("/")
    name = head if tail.startswith("image") and head.strip("/") else f"{head}/{tail}"
    parts = [re.sub(r"\W", "_", part, flags=re.ASCII) for part in name.split("/") if part]
    return "/".join(part if part[0].isalpha() else f"cam_{part}" for part in parts) or "camera"


def _discovered(
    bag: Bag, images: Sequence[_ImageTopic]
) -> tuple[tuple[CameraSource, ...], tuple[str, ...]]:
    """Every colour or grey image topic is a camera; one of each name, the raw one first."""
    chosen: dict[str, _ImageTopic] = {}
    left_out = []
    for image in sorted(images, key=_preference):
        if image.is_depth:
            left_out.append(f"{image.topic.name}: holds depth ({image.encoding})")
            continue
        name = camera_name(image.topic.name)
        if name in chosen:
            other = chosen[name].topic.name
            left_out.append(f"{image.topic.name}: the same camera as {other}")
            continue
        chosen[name] = image
    if not chosen:
        raise BagError(f"{bag.path}: no image topic with colour or grey: {'; '.join(left_out)}")
    ordered = sorted(chosen)
    return tuple(_source(bag, n, chosen[n].topic.name) for n in ordered), tuple(left_out)


def _preference(image: _ImageTopic) -> tuple[int, bool, int, str]:
    """Fuller topics first, then raw before compressed, then the kind of image, then the name."""
    tail = _without_transport(image.topic.name).rpartition("/")[2]
    kind = _ENDINGS.index(tail) if tail in _ENDINGS else len(_ENDINGS)
    return -image.topic.count, image.topic.type == COMPRESSED, kind, image.topic.name


def _with_depth(
    bag: Bag,
    cameras: tuple[CameraSource, ...],
    depth: Sequence[_ImageTopic],
    images: Sequence[_ImageTopic],
    named: Mapping[str, str],
) -> tuple[tuple[CameraSource, ...], tuple[str, ...]]:
    """Gives each camera its depth topic: the named one, else that of its optical frame."""
    frames = {image.topic.name: image.frame_id for image in images}
    known = {camera.name for camera in cameras}
    for name in named:
        if name not in known:
            raise EvaluationError(f"--depth-topic: no camera {name}; there are {_list(known)}")
    free = {image.topic.name: image for image in depth}
    found, notes = [], []
    for camera in cameras:
        topic = named.get(camera.name, "")
        if topic:
            if topic not in frames:
                raise BagError(f"{bag.path}: no depth topic {topic} for camera {camera.name}")
        else:
            topic = _depth_of(camera, free, frames.get(camera.image, ""))
        free.pop(topic, None)
        found.append(replace(camera, depth=topic))
    for name in sorted(free):
        notes.append(
            f"{name}: depth that belongs to no camera by frame or name; "
            "--depth-topic CAM=TOPIC takes it"
        )
    return tuple(found), tuple(notes)


def _depth_of(camera: CameraSource, depth: Mapping[str, _ImageTopic], frame_id: str) -> str:
    """A depth topic whose images are seen from this camera: same frame, or named so."""
    same = [n for n in sorted(depth) if frame_id and depth[n].frame_id == frame_id]
    if same:
        return next((n for n in same if camera.name in n), same[0])
    # a camera's own depth beside it: /front/depth/..., /front/image_depth
    beside = [n for n in sorted(depth) if n.strip("/").startswith(f"{camera.name}/")]
    return beside[0] if len(beside) == 1 and not depth[beside[0]].frame_id else ""


def _list(names: set[str]) -> str:
    return ", ".join(sorted(names))
