# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Measures what one window of a recording costs here, with the node's own classes, without ROS."""

from __future__ import annotations

import logging
import time

import cv2
import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.config import Config
from vggt4d_ros.datatypes import DecodeError, Frame, FrameSet, LazyImage, Rig, Window
from vggt4d_ros.demo.plan import Recording
from vggt4d_ros.evaluation.bag import Bag, BagError, BagMessage
from vggt4d_ros.model.engine import Engine, load_engine
from vggt4d_ros.processor import Processed, Processor
from vggt4d_ros.products import merged_cloud, view_products

PROBE_WINDOWS = 4  # the first warms up
PROBE_S = 8.0  # no third window after this time
COMPRESSED = "sensor_msgs/msg/CompressedImage"
_LOG = logging.getLogger(__name__)


def image_topics(bag: Bag, cameras: tuple[str, ...]) -> tuple[str, ...]:
    """Gives the image topic of each camera: the one whose name begins with the camera's.

    Raises:
        BagError: a camera has none, or several.
    """
    found = []
    there = [topic.name for topic in bag.require_images()]
    for camera in cameras:
        own = [name for name in there if f"/{camera}/" in name]
        if len(own) != 1:
            raise BagError(
                f"{bag.path}: {len(own)} image topics of camera {camera}; it has {', '.join(there)}"
            )
        found += own
    return tuple(found)


def examine(bag: Bag, topics: tuple[str, ...]) -> tuple[Recording, list[FrameSet]]:
    """Gives the timing of a recording and its first frame sets.

    Raises:
        BagError: the cameras never have images together.
    """
    by_stamp: dict[int, dict[str, BagMessage]] = {}
    for message in bag.messages(topics):
        by_stamp.setdefault(message.stamp_ns, {})[message.topic] = message
    whole = {stamp: found for stamp, found in by_stamp.items() if len(found) == len(topics)}
    stamps = sorted(whole)
    if len(stamps) < 2:
        raise BagError(f"{bag.path}: fewer than two instants with an image of every camera")
    period_s = float(np.median(np.diff(stamps))) * 1e-9
    recording = Recording(len(stamps), period_s, bag.duration_s)
    sets = [
        FrameSet(
            tuple(
                Frame(camera, stamp, _image(bag, whole[stamp][topic]))
                for camera, topic in enumerate(topics)
            )
        )
        for stamp in stamps[:16]
    ]
    return recording, sets


def _image(bag: Bag, message: BagMessage) -> LazyImage:
    def decode() -> NDArray[np.uint8]:
        content: object = bag.deserialize(message)
        data: NDArray[np.uint8] = content.data  # type: ignore[attr-defined]
        if message.type != COMPRESSED:
            height, width = content.height, content.width  # type: ignore[attr-defined]
            # enough for a probe: three bytes a pixel, whatever their order
            return np.resize(data, (height, width, 3))
        bgr = cv2.imdecode(data, cv2.IMREAD_COLOR)
        if bgr is None:
            raise DecodeError("corrupt_data", f"{message.topic} at {message.stamp_ns} ns")
        return np.asarray(bgr[..., ::-1], np.uint8)

    return LazyImage(decode)


def measure_window_ms(sets: list[FrameSet], config: Config) -> float:
    """Gives the time of one window with all that the node makes of it, in ms.

    Raises:
        CheckpointError, EngineError: the network cannot be loaded; one line.
    """
    engine = load_engine(config.model)
    try:
        return _probe(engine, sets, config)
    finally:
        engine.close()


def _probe(engine: Engine, sets: list[FrameSet], config: Config) -> float:
    processor = Processor(engine)
    length = min(config.window.length, len(sets) - 1)
    times_ms: list[float] = []
    start = time.perf_counter()
    for index in range(min(PROBE_WINDOWS, len(sets) - length + 1)):
        if index > 1 and time.perf_counter() - start > PROBE_S:
            break
        window = Window(tuple(sets[index : index + length]), index)
        begin = time.perf_counter()
        processed = processor.process(window, Rig((None,) * window.shape[1]))
        _make_all(processed, config)
        times_ms.append((time.perf_counter() - begin) * 1e3)
    _LOG.info("windows of the probe, ms: %s", [round(value) for value in times_ms])
    return min(times_ms)  # what the machine can do; other load comes and goes


def _make_all(processed: Processed, config: Config) -> None:
    """Computes each output once, as with a subscriber on every topic."""
    views = view_products(processed, config.geometry)
    for view in views:
        assert view.cloud is not None
        assert view.flow_cloud is None or view.dynamic_mask is not None
        view.arrows(config.output.markers_max // len(views), 0.5)
    merged_cloud(views, config.output.voxel_size)
