# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Why no window comes: one report that names each topic and what is likely wrong with it."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rclpy.node import Node
from rclpy.subscription import Subscription
from rclpy.utilities import get_rmw_implementation_identifier

from vggt4d_ros.messages.stamps import NANOSECONDS
from vggt4d_ros.ros.camera_input import Arrivals, CameraInput
from vggt4d_ros.ros.qos import mismatches
from vggt4d_ros.stream.pipeline import StreamCounts, StreamPipeline

# Fast DDS's shared-memory segment unless a profile says otherwise: larger messages get lost
_FASTDDS_SEGMENT = 512 * 1024


def topic_line(node: Node, subscription: Subscription, arrivals: Arrivals) -> str:
    """One topic: how much came, how fast, how long ago, and whether QoS forbids it."""
    topic = subscription.topic_name
    publishers = node.count_publishers(topic)
    if arrivals.count:
        text = (
            f"{topic}: {arrivals.count} messages, {arrivals.rate_hz:.1f} Hz, "
            f"last {arrivals.age_s:.1f} s ago, {publishers} publisher(s)"
        )
    elif publishers:
        text = f"{topic}: nothing came from {publishers} publisher(s)"
    else:
        text = f"{topic}: nobody publishes it (name, namespace, remapping, ROS_DOMAIN_ID?)"
    return "; ".join([text, *mismatches(node, topic, subscription.qos_profile)])


def suspects_shared_memory(cameras: Sequence[CameraInput]) -> str:
    """A hint where large images meet Fast DDS's small default segment, else empty."""
    if "fastrtps" not in get_rmw_implementation_identifier():
        return ""
    large = [camera for camera in cameras if camera.images.bytes_last > _FASTDDS_SEGMENT]
    silent = [camera for camera in cameras if not camera.images.count]
    if not large and not silent:
        return ""
    return (
        "images larger than Fast DDS's default shared-memory segment (512 kB) are mostly lost on "
        "the sender's side: start the camera drivers, not only this node, with "
        "FASTRTPS_DEFAULT_PROFILES_FILE (from Kilted on FASTDDS_DEFAULT_PROFILES_FILE) set to the "
        "package's config/dds/fastdds.xml; where nothing comes at all, not even CameraInfo, a "
        "killed process may have left its files in /dev/shm (docs/dds.md)"
    )


def spread_line(pipeline: StreamPipeline, names: Sequence[str]) -> str:
    """What the synchroniser saw of the stamps against the tolerance."""
    found = pipeline.report()
    lines = []
    if found.best_spread_ns is not None:
        best, tolerance = found.best_spread_ns / 1e6, found.tolerance_ns / 1e6
        verdict = "fits" if best <= tolerance else "is above sync.tolerance_s"
        lines.append(f"best spread of a set {best:.1f} ms {verdict} ({tolerance:.1f} ms)")
    for name, camera in zip(names, found.cameras, strict=True):
        if camera.behind_ns is not None and abs(camera.behind_ns) > NANOSECONDS:
            lines.append(f"{name}'s stamps are {camera.behind_ns / NANOSECONDS:.1f} s behind")
    return "; ".join(lines)


class NoDataWatch:
    """Tells, once for each silence, why no window comes.

    Args:
        node: whose graph is looked at.
        cameras: all inputs.
        pipeline: for its counters and the spread of the stamps.
        window_length: sets that make the first window.
    """

    def __init__(
        self,
        node: Node,
        cameras: Sequence[CameraInput],
        pipeline: StreamPipeline,
        window_length: int,
    ) -> None:
        self._node = node
        self._cameras = cameras
        self._pipeline = pipeline
        self._window_length = window_length
        self._since = time.monotonic()
        self._good = 0
        self._told = False

    def check(self, limit_s: float) -> str | None:
        """Gives the report when no window ended well for ``limit_s`` (0: never gives one).

        Windows that nobody wanted or the deadline left out count as good; those without a usable
        frame do not.
        """
        counts = self._pipeline.counts()
        now = time.monotonic()
        kept_back = [counts.windows_dropped.get(cause, 0) for cause in ("unwanted", "paced")]
        good = counts.windows_done + sum(kept_back)
        if good != self._good or counts.windows_open:
            self._good, self._since, self._told = good, now, False
        silent_s = now - self._since
        if not limit_s or self._told or silent_s < limit_s:
            return None
        self._told = True
        return self._report(silent_s, counts)

    def _report(self, silent_s: float, counts: StreamCounts) -> str:
        node, names = self._node, [camera.topics.name for camera in self._cameras]
        lines = [f"no window for {silent_s:.0f} s:"]
        for camera in self._cameras:
            lines.append("  " + topic_line(node, camera.subscriber.sub, camera.images))
            info = topic_line(node, camera.info_subscription, camera.infos)
            lines.append(f"  {info}; {camera.info_state}")
            if camera.warning:
                lines.append(f"    last refused: {camera.warning}")
        lines.append(
            f"  {counts.frames.received} frames received, {counts.sets} sets, "
            f"{counts.windows} windows so far; {self._window_length} sets make the "
            "first window"
        )
        drops = ", ".join(f"{cause} {n}" for cause, n in sorted(counts.frames.dropped.items()))
        sent = [c for c in self._cameras if node.count_publishers(c.subscriber.sub.topic_name)]
        hints = (
            spread_line(self._pipeline, names),
            f"dropped so far: {drops}" if drops else "",
            suspects_shared_memory(sent),
        )
        return "\n".join([*lines, *(f"  {hint}" for hint in hints if hint)])
