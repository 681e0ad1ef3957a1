# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The cameras of a bag: their topics by name, by configuration or by type, and their depth."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vggt4d_ros.config import Config, validate
from vggt4d_ros.evaluation.bag import Bag, BagError, BagTopic
from vggt4d_ros.evaluation.options import EvalOptions, EvaluationError
from vggt4d_ros.messages.camera import camera_topics, info_beside

COMPRESSED = "sensor_msgs/msg/CompressedImage"
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


@dataclass(slots=True)
class _ImageTopic:
    topic: BagTopic
    encoding: str  # of its first message; for CompressedImage its format
    frame_id: str

    @property
    def is_depth(self) -> bool:
        return self.encoding.startswith(DEPTH_ENCODINGS) or "compressedDepth" in self.encoding


def find_cameras(
    bag: Bag, topics: Sequence[BagTopic], options: EvalOptions
) -> tuple[tuple[CameraSource, ...], tuple[str, ...], tuple[str, ...]]:
    """The cameras, which image topics are none and why, and notes for the user.

    Args:
        bag: that is read.
        topics: those of images that come from the robot.
        options: by them where they name any camera, else by type.

    Raises:
        BagError: no camera is in the bag, or a named topic is not.
        EvaluationError: depth of a camera that is not there.
    """
    images = [_look(bag, topic) for topic in topics]
    left_out: tuple[str, ...] = ()
    if options.topics:
        cameras = _named(bag, options.topics)
    elif options.config.cameras.names:
        cameras = _configured(bag, options.config, options.namespace)
    else:
        cameras, left_out = _discovered(bag, images)
    depth = [image for image in images if image.is_depth]
    cameras, notes = _with_depth(bag, cameras, depth, images, options.depth_topics)
    return cameras, left_out, notes


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
        image = absolute(topics.subscribed, namespace)
        info = absolute(topics.info, namespace)
        found.append(replace(_source(bag, topics.name, image), info=if_there(bag, info)))
    return tuple(found)


def absolute(name: str, namespace: str) -> str:
    """A topic's name below a namespace, where it is not absolute already."""
    return name if name.startswith("/") else f"{namespace.rstrip('/')}/{name}"


def if_there(bag: Bag, name: str) -> str:
    """The name, if the bag has messages of that topic; else ""."""
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
    info = if_there(bag, info_beside(base)) or if_there(bag, info_beside(image))
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
