# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which topics of a recording are outputs of the node, and which are the truth they are held to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vggt4d_ros.evaluation.bag import IMAGE_TYPES, Bag, BagError, BagTopic
from vggt4d_ros.evaluation.camera_sources import DEPTH_ENCODINGS
from vggt4d_ros.evaluation.options import EvalOptions, EvaluationError
from vggt4d_ros.evaluation.topics import ODOMETRY, POSES, STATUS, output_prefixes
from vggt4d_ros.messages import topics

# what is scored of each camera, and how the name of a topic with its truth ends
DEPTH, MASK, FLOW = topics.DEPTH.key, topics.DYNAMIC_MASK.key, topics.FLOW_IMAGE.key
_ENDINGS = {MASK: "dynamic_mask", FLOW: "scene_flow/image"}


@dataclass(frozen=True, slots=True)
class OutputTopics:
    """Topics of one node in a recording."""

    node: str  # full name, e.g. /vggt4d
    cameras: tuple[str, ...]  # those with depth
    images: dict[str, tuple[int, str]]  # topic -> camera, key of the output
    infos: dict[str, int]  # camera_info of depth -> camera
    frames: dict[str, int]  # optical frame -> camera; frames that cameras share are left out


def find_outputs(bag: Bag, options: EvalOptions) -> OutputTopics:
    """Finds the node by its status, its cameras by their depth.

    Raises:
        EvaluationError: no node's outputs, or those of several.
    """
    nodes = sorted(t.name.rpartition("/")[0] for t in bag.topics if t.type == STATUS)
    below = options.namespace.rstrip("/")
    chosen = [node for node in nodes if node.startswith(f"{below}/")]
    if len(chosen) != 1:
        where = f"; --namespace chooses one of {', '.join(nodes)}" if nodes else ""
        raise EvaluationError(
            f"{bag.path}: {len(chosen)} nodes (topics of type {STATUS}) in it{where}"
        )
    node = chosen[0]
    there = {topic.name for topic in bag.topics if topic.count}
    before, after = f"{node}/", topics.DEPTH.name.removeprefix("{cam}")
    cameras = tuple(
        sorted(
            name[len(before) : -len(after)]
            for name in there
            if name.startswith(before) and name.endswith(after)
        )
    )
    if not cameras:
        raise EvaluationError(
            f"{bag.path}: no depth of {node} in it: was anybody listening, was the scale known?"
        )
    images, infos = {}, {}
    for index, camera in enumerate(cameras):
        for entry in (topics.DEPTH, topics.CONFIDENCE, topics.DYNAMIC_MASK, topics.FLOW_IMAGE):
            images[before + entry.name.format(cam=camera)] = index, entry.key
        infos[before + topics.DEPTH_INFO.name.format(cam=camera)] = index
    images = {name: what for name, what in images.items() if name in there}
    infos = {name: index for name, index in infos.items() if name in there}
    return OutputTopics(node, cameras, images, infos, _frames(bag, images))


def _frames(bag: Bag, images: Mapping[str, tuple[int, str]]) -> dict[str, int]:
    frames: dict[str, int] = {}
    shared = set()
    for name, (index, key) in images.items():
        if key == DEPTH:
            frame = first_message(bag, name).header.frame_id
            shared |= {frame} & frames.keys()
            frames[frame] = index
    return {frame: index for frame, index in frames.items() if frame and frame not in shared}


def first_message(bag: Bag, topic: str) -> Any:
    """The first message of a topic.

    Raises:
        BagError: it cannot be read.
    """
    for message in bag.messages([topic]):
        return bag.deserialize(message)
    raise BagError(f"{bag.path}: nothing on {topic}")


@dataclass(frozen=True, slots=True)
class TruthTopics:
    """Where the truth is."""

    images: dict[str, tuple[int, str]]  # topic -> camera, key of the output it is the truth of
    poses: tuple[str, ...]
    tf: tuple[str, ...]


def find_truth(bag: Bag, outputs: OutputTopics, options: EvalOptions) -> TruthTopics:
    """Finds truth for each output: named by the options, else by optical frame and kind.

    Raises:
        BagError, EvaluationError: a named topic or camera is not there.
    """
    nodes = output_prefixes(bag)
    free = [t for t in bag.topics if t.count and not t.name.startswith(nodes)]
    found: dict[str, tuple[int, str]] = {}
    for camera, topic in options.depth_topics.items():
        if camera not in outputs.cameras:
            listed = ", ".join(outputs.cameras)
            raise EvaluationError(f"--depth-topic: no camera {camera}; there are {listed}")
        if topic not in {t.name for t in free}:
            raise BagError(f"{bag.path}: no depth topic {topic} for camera {camera}")
        found[topic] = outputs.cameras.index(camera), DEPTH
    taken = set(found.values())
    for name, slot in _by_frame(bag, free, outputs):
        if slot not in taken:
            taken.add(slot)
            found[name] = slot
    poses = tuple(t.name for t in free if t.type in (ODOMETRY, *POSES))
    tf = tuple(t.name for t in free if t.name.rsplit("/", 1)[-1] in ("tf", "tf_static"))
    return TruthTopics(found, poses, tf)


def _by_frame(
    bag: Bag, free: list[BagTopic], outputs: OutputTopics
) -> Iterator[tuple[str, tuple[int, str]]]:
    for topic in sorted(free, key=lambda topic: topic.name):
        if topic.type not in IMAGE_TYPES:
            continue
        try:
            first = first_message(bag, topic.name)
        except BagError:
            continue  # told when the topic is read
        camera = outputs.frames.get(first.header.frame_id)
        kind = _kind(topic.name, getattr(first, "encoding", "") or getattr(first, "format", ""))
        if camera is not None and kind:
            yield topic.name, (camera, kind)


def _kind(name: str, encoding: str) -> str:
    for kind, ending in _ENDINGS.items():
        if name.endswith(f"/{ending}"):
            return kind
    is_depth = encoding.startswith(DEPTH_ENCODINGS) or "compressedDepth" in encoding
    return DEPTH if is_depth and "confidence" not in name else ""
