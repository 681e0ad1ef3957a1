# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A bag as the node would hear it: images and CameraInfo in order; TF and truth a little ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.datatypes import DecodeError, Frame, Rig, Window
from vggt4d_ros.evaluation.bad_poses import BadPoses
from vggt4d_ros.evaluation.bag import Bag, BagError, BagMessage, open_bag
from vggt4d_ros.evaluation.bag_faults import CameraWatch, stream_faults
from vggt4d_ros.evaluation.camera_sources import CameraSource, config_for
from vggt4d_ros.evaluation.depth_truth import DepthTruth
from vggt4d_ros.evaluation.metrics.trajectory import Trajectory
from vggt4d_ros.evaluation.options import EvalOptions
from vggt4d_ros.evaluation.platform_truth import PlatformTruth
from vggt4d_ros.evaluation.scale_hints import OdometryMotion, given_hints
from vggt4d_ros.evaluation.sources import Arrival, FrameTruth, SourceReport, TruthCounts
from vggt4d_ros.evaluation.topics import plan_topics
from vggt4d_ros.geometry.platform_motion import PlatformMotion, window_motion
from vggt4d_ros.geometry.transform_buffer import TransformBuffer
from vggt4d_ros.messages.camera import CalibrationFeed, frame_from_msg
from vggt4d_ros.messages.poses import add_transform
from vggt4d_ros.messages.stamps import ns_from_stamp
from vggt4d_ros.processor import ScaleHints

# TF, odometry and depth of an instant are recorded around its images: they are read so much ahead
_AHEAD_NS = 300_000_000
_STATIC = "tf_static"
_GIVEN_TOLERANCE_S = 0.005  # depth that gives the scale is of the image's own instant


class BagSource:
    """See ``Source``.

    Args:
        path: the bag.
        options: topics, truth.

    Raises:
        BagError: no bag, no camera in it, or a named topic is not.
        ConfigError: camera names the node would refuse.
    """

    def __init__(self, path: Path | str, options: EvalOptions) -> None:
        self._bag: Bag = open_bag(path)
        try:
            self._plan = plan_topics(self._bag, options)
            self.config = config_for(options.config, self._plan.cameras)
            self._prepare(options)
        except BaseException:
            self._bag.close()
            raise
        bag = self._bag
        self.path: Path | None = bag.path
        self.about: dict[str, Any] = {
            "kind": "bag",
            "name": bag.path.name,
            "duration_s": bag.duration_s,
            "messages": bag.count,
            "left_out": list(self._plan.left_out),
        }
        self.topics = {camera.name: camera.image for camera in self._plan.cameras}
        counts = {topic.name: topic.count for topic in bag.topics}
        self.total = sum(counts[camera.image] for camera in self._plan.cameras)
        self.metric = True

    def _prepare(self, options: EvalOptions) -> None:
        cameras = self._plan.cameras
        self.report = SourceReport([*options.notes, *self._plan.notes])
        self._buffer = TransformBuffer()
        self._bad_messages: dict[str, str] = {}  # topic -> the first one's fault
        self._bad_poses = BadPoses()
        self._feeds = [CalibrationFeed(c.info or "no CameraInfo topic") for c in cameras]
        self._frame_ids = [""] * len(cameras)
        self._watches = [CameraWatch(camera.name) for camera in cameras]
        self._depth = {
            index: DepthTruth(options.truth_tolerance_s)
            for index, camera in enumerate(cameras)
            if camera.depth
        }
        if self._depth:
            source = ", ".join(c.depth for c in cameras if c.depth)
            self.report.truth["depth"] = TruthCounts(source)
        base = self.config.tf.base_frame
        self._platform = PlatformTruth(self._bag, self._plan.poses, options, base)
        self._odometry: OdometryMotion | None = None
        if self._plan.odometry:
            self._odometry = OdometryMotion(base, self._buffer)
        self._given = {index: DepthTruth(_GIVEN_TOLERANCE_S) for index in self._plan.given_depth}
        self._take_static()

    def _take_static(self) -> None:
        """Reads all of /tf_static beforehand: it holds at any time, however late it was heard."""
        names = [name for name in self._plan.tf if name.endswith(_STATIC)]
        seen: set[str] = set()
        bad = BadPoses()  # those are counted once, as they come by
        try:
            for message in self._bag.messages(names) if names else ():
                content: Any = self._bag.deserialize(message)
                for transform in content.transforms:
                    child = transform.child_frame_id
                    if child not in seen and self._add(transform, bad, is_static=True):
                        seen.add(child)
        except BagError:
            pass  # the recording is damaged: said when it is read

    def arrivals(self) -> Iterator[Arrival]:
        topics = {name for camera in self._plan.cameras for name in (camera.image, camera.info)}
        waiting: deque[BagMessage] = deque()
        for message in self._messages():
            if message.topic in topics:
                waiting.append(message)
            else:
                self._take(message)
            while waiting and waiting[0].stamp_ns < message.stamp_ns - _AHEAD_NS:
                yield from self._deliver(waiting.popleft())
        while waiting:
            yield from self._deliver(waiting.popleft())
        self.report.faults += [*self._bad_messages.values(), *self._bad_poses.lines()]
        self.report.faults += stream_faults(self._watches)

    def _messages(self) -> Iterator[BagMessage]:
        """All messages; damage ends them and is a fault of one line."""
        try:
            yield from self._bag.messages(self._plan.names)
        except BagError as error:
            self.report.faults.append(str(error).replace(str(self._bag.path), self._bag.path.name))

    def _deliver(self, message: BagMessage) -> Iterator[Arrival]:
        for index, camera in enumerate(self._plan.cameras):
            if message.topic == camera.image:
                yield self._image(index, message)
            elif message.topic == camera.info:
                self._info(index, message)

    def _info(self, camera: int, message: BagMessage) -> None:
        feed, watch = self._feeds[camera], self._watches[camera]
        if not feed.is_news(message.data):
            return
        try:
            feed.take(self._bag.deserialize(message))
        except (ValueError, BagError) as error:
            watch.note_info(f"CameraInfo is not usable: {error}")
        else:
            watch.note_info(feed.state)

    def _image(self, camera: int, message: BagMessage) -> Arrival:
        source, watch = self._plan.cameras[camera], self._watches[camera]
        try:
            content: Any = self._bag.deserialize(message)
        except BagError as error:
            watch.refuse("corrupt_data", str(error))
            return Arrival(camera, message.stamp_ns, None, "corrupt_data")
        stamp_ns = ns_from_stamp(content.header.stamp)
        self._frame_ids[camera] = content.header.frame_id
        encoding: str = content.format if source.compressed else content.encoding
        watch.note_image(stamp_ns, message.stamp_ns, encoding)
        try:
            frame = frame_from_msg(
                content,
                camera,
                self._feeds[camera],
                compressed=source.compressed,
                require_info=self.config.cameras.require_info,
            )
        except DecodeError as error:
            watch.refuse(error.cause, str(error))
            return Arrival(camera, message.stamp_ns, None, error.cause)
        return Arrival(camera, message.stamp_ns, frame)

    def _take(self, message: BagMessage) -> None:
        """Takes what is no image: TF, poses, depth."""
        topic, plan = message.topic, self._plan
        try:
            content: Any = self._bag.deserialize(message)
        except BagError as error:
            self._bad_messages.setdefault(topic, str(error))
            return
        if topic in plan.tf:
            for transform in content.transforms:
                self._add(transform, self._bad_poses, is_static=topic.endswith(_STATIC))
        if topic in plan.poses:
            self._platform.add(topic, content)
        if topic == plan.odometry and self._odometry is not None:
            self._odometry.add(content)
        for index, store in self._depth.items():
            if plan.cameras[index].depth == topic:
                store.add(content)
        for index, store in self._given.items():
            if plan.given_depth[index] == topic:
                store.add(content)

    def _add(self, transform: Any, bad: BadPoses, *, is_static: bool) -> bool:
        if not bad.admits_transform(transform):
            return False
        return add_transform(self._buffer, transform, is_static=is_static)

    def rig(self, window: Window) -> Rig:
        return Rig(tuple(self._mount(frame, window) for frame in self._frame_ids))

    def _mount(self, frame_id: str, window: Window) -> NDArray[np.float64] | None:
        if not frame_id:
            return None
        stamp = window.sets[-1].stamp_ns
        found = self._buffer.lookup(self.config.tf.base_frame, frame_id, [stamp])
        return found.target_from_source[0] if found.known[0] else None

    def hints(self) -> ScaleHints | None:
        source = self.config.geometry.motion_source
        motion = self._odometry if source == "odometry" else None
        if source == "tf":
            return given_hints(self.config, self._given, self._motion_of_tf)
        return given_hints(self.config, self._given, motion)

    def _motion_of_tf(self, window: Window, rig: Rig) -> PlatformMotion:
        tf = self.config.tf
        return window_motion(
            window, rig, self._buffer, fixed_frame=tf.odom_frame, moving_frame=tf.base_frame
        )

    def forget(self) -> None:
        self._buffer.clear()
        if self._odometry is not None:
            self._odometry.clear()

    def truth(self, frame: Frame) -> FrameTruth | None:
        store = self._depth.get(frame.camera)
        if store is None:
            return None
        counts = self.report.truth["depth"]
        try:
            depth = store.find(frame.stamp_ns)
        except DecodeError as error:
            self._watches[frame.camera].refuse_depth(str(error))
            return None
        if depth is None:
            counts.why = counts.why or self._why_no_depth(frame, store)
            return None
        where = self._buffer.lookup(
            self.config.tf.base_frame, self._frame_ids[frame.camera], [frame.stamp_ns]
        )
        pose = where.target_from_source[0] if where.known[0] else None
        return FrameTruth(depth=depth, world_from_cam=pose)

    def _why_no_depth(self, frame: Frame, store: DepthTruth) -> str:
        camera: CameraSource = self._plan.cameras[frame.camera]
        if store.first_ns is None or store.last_ns is None:
            return f"{camera.depth}: no depth image"
        return (
            f"{camera.depth} has stamps {store.first_ns / 1e9:.3f} to {store.last_ns / 1e9:.3f} s, "
            f"the image of {camera.name} {frame.stamp_ns / 1e9:.3f} s"
        )

    def pose_at(self, stamp_ns: int) -> None:
        """Notes where TF has the platform at a stamp, in case that is the only truth."""
        self._platform.note_tf(stamp_ns, self._buffer)

    def trajectory(self, stamps_ns: NDArray[np.int64]) -> Trajectory | None:
        found, counts = self._platform.trajectory(stamps_ns, self._buffer)
        if counts is not None:
            self.report.truth["trajectory"] = counts
        return found

    def close(self) -> None:
        self._bag.close()
