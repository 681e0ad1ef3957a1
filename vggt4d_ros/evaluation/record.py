# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``--record``: what the live node would publish, as a recording for RViz, Foxglove or a test."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

from vggt4d_ros.evaluation.bag import BagError
from vggt4d_ros.evaluation.bag_messages import BagTypes, bag_type
from vggt4d_ros.evaluation.bag_writer import BagWriter
from vggt4d_ros.evaluation.record_tf import TF, NodeTf, RobotTf
from vggt4d_ros.evaluation.sink import SinkContext
from vggt4d_ros.evaluation.stopwatch import resident_bytes
from vggt4d_ros.messages import topics
from vggt4d_ros.messages.encode import Encoder, Message
from vggt4d_ros.messages.frames import Edge
from vggt4d_ros.messages.outputs import WindowMessages
from vggt4d_ros.messages.status import UNSCALED, Circumstances, is_held_back, window_status
from vggt4d_ros.messages.topics import TOPICS, Topic
from vggt4d_ros.processor import Processed
from vggt4d_ros.products import ViewProducts

_LOG = logging.getLogger(__name__)

NODE = "vggt4d"  # what the live node is called by default
_TF = Topic("tf", "/tf", "tf2_msgs/TFMessage", "")


class RecordSink:
    """Writes a window's messages at the time of its newest image.

    Types, names, frames, stamps and what is latched are the live node's, and so is the code that
    says so; ``latency`` of a status is the time that was spent on the window. Beside them is the
    TF of the robot, where a bag has it, so that the recording can be shown as it is.

    Args:
        path: a name that ends in ``.mcap`` becomes one file, any other a rosbag2 directory.
        context: of the run.

    Raises:
        BagError: ``path`` exists or cannot be made.
    """

    def __init__(self, path: Path, context: SinkContext) -> None:
        if path.exists():
            raise BagError(f"{path}: exists already")
        self._path = path
        self._context = context
        self._is_file = path.suffix == ".mcap"
        folder = path.with_name(path.name + ".unfinished") if self._is_file else path
        self._writer = BagWriter(folder, compressed=True)
        self._encoder = Encoder(BagTypes(self._writer.typestore))
        self._messages = WindowMessages(self._encoder, self)
        self._robot = RobotTf(context.bag, self._writer)
        self._tf = NodeTf(context.config.tf, self._robot, NODE)
        self._names: dict[tuple[str, int], str] = {}
        self._stamp_ns = 0
        self._fixed = ""
        self._results = self._held_back = 0  # windows
        for topic in TOPICS:
            for view, camera in enumerate(
                context.config.cameras.names if topic.per_camera else [""]
            ):
                name = topic.resolve(camera).replace("~", f"/{NODE}", 1)
                self._names[topic.key, view] = name
                self._writer.add_topic(name, bag_type(topic.type), is_latched=topic.latched)
        self._names[_TF.key, 0] = TF
        self._writer.add_topic(TF, bag_type(_TF.type))

    def wants(self, topic: Topic, view: int = 0) -> bool:
        """Everything is recorded."""
        return True

    def send(self, topic: Topic, message: Message, view: int = 0) -> None:
        """Writes a message."""
        raw = self._writer.typestore.serialize_cdr(message, bag_type(topic.type))
        self._writer.write(self._names[topic.key, view], self._stamp_ns, raw)

    def window(self, processed: Processed, products: Sequence[ViewProducts]) -> None:
        """Takes one window."""
        config = self._context.config
        self._stamp_ns = processed.window.sets[-1].stamp_ns
        self._robot.advance(self._stamp_ns)
        warnings = processed.warnings
        if processed.is_news and is_held_back(processed, config):
            self._held_back += 1
            warnings += (UNSCALED,)
        elif processed.is_news:
            self._results += 1
            frames, edges = self._tf.edges(processed)
            self._fixed = frames.fixed
            if edges:
                self._send_tf(edges)
            self._messages.emit(processed, products, config, frames)
            warnings += self._tf.warnings
        stages = {**processed.stage_ms, "total": sum(processed.stage_ms.values())}
        about = Circumstances(
            cameras=config.cameras.names,
            fixed_frame=self._fixed,
            latency_s=stages["total"] / 1e3,
            stage_ms=stages,
            warnings=warnings,
            memory=resident_bytes(),
            gpu_memory=0,
            device=config.model.device,
            model=self._context.engine,
        )
        counts = self._context.counts()
        self.send(topics.STATUS, window_status(self._encoder, processed, counts, about))

    def _send_tf(self, edges: Sequence[Edge]) -> None:
        transforms = [
            self._encoder.transform(
                edge.parent_from_child,
                edge.child,
                self._encoder.header(edge.stamp_ns, edge.parent),
            )
            for edge in edges
        ]
        self.send(_TF, self._encoder.tf(transforms))

    def close(self) -> None:
        """Finishes the recording."""
        if self._held_back and not self._results:
            _LOG.warning("%s holds nothing but statuses: %s", self._path, UNSCALED)
        self._robot.close()
        self._writer.close()
        if self._is_file:
            (content,) = self._writer.path.glob("*.mcap")
            content.rename(self._path)
            shutil.rmtree(self._writer.path)
