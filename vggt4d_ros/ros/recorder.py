# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Records topics into a bag (mcap) as the bytes they came in, where ``ros2 bag`` is not at hand.

The bag is whole after SIGINT or SIGTERM. A recorder that is killed leaves a bag without its index,
which ``vggt4d_ros.evaluation.bag`` reads up to the last megabyte.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from vggt4d_ros.evaluation.bag import BagError
from vggt4d_ros.evaluation.bag_writer import BagWriter
from vggt4d_ros.ros.executor import make_executor
from vggt4d_ros.ros.process import Stop, compiled, message_class, parameter, ros_process

DISCOVERY_S = 0.25
QUEUE_DEPTH = 100
# chatter of every node, left out by `regex` unless it names them
HIDDEN = ("/rosout", "/parameter_events")


class Recorder(Node):
    """Subscribes to what it is asked for as soon as it appears.

    Parameters: ``output`` (directory to make), ``topics`` (full names), ``regex`` (of full names;
    ``.*`` records all), ``exclude`` (regex of names that are left out all the same).

    Raises:
        BagError, ValueError: nothing to record, or nowhere to record it; one line.
    """

    def __init__(self) -> None:
        super().__init__("recorder")
        output = parameter(self, "output", "")
        self._names = set(parameter(self, "topics", ("",)))
        regex, exclude = parameter(self, "regex", ""), parameter(self, "exclude", "")
        self._regex = compiled("regex", regex) if regex else None
        self._exclude = compiled("exclude", exclude) if exclude else None
        if not output:
            raise ValueError("parameter output is empty: give the directory to record into")
        if not self._names and self._regex is None:
            raise ValueError("give topics, or a regex of their names (.* for all)")
        self._seen: set[str] = set()
        self._counts: Counter[str] = Counter()
        self._writer = BagWriter(output)
        # by the wall: simulated time may stand still, or not have begun
        self.create_timer(
            DISCOVERY_S, self._discover, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        self._discover()

    def _wants(self, name: str) -> bool:
        if self._exclude is not None and self._exclude.fullmatch(name):
            return False
        if name in self._names:
            return True
        return name not in HIDDEN and self._regex is not None and bool(self._regex.fullmatch(name))

    def _discover(self) -> None:
        for name, types in self.get_topic_names_and_types():
            # a topic is taken when its publisher is there, for the publisher's QoS is wanted
            if name in self._seen or not self._wants(name) or not self.count_publishers(name):
                continue
            self._seen.add(name)
            if len(types) > 1:
                self.get_logger().warning(f"{name} is left out: it has the types {types}")
                continue
            self._subscribe(name, types[0])

    def _subscribe(self, name: str, kind: str) -> None:
        message = message_class(kind)
        if message is None:
            self.get_logger().warning(f"{name} is left out: no message {kind} here")
            return
        qos = self._matching_qos(name)
        latched = qos.durability == DurabilityPolicy.TRANSIENT_LOCAL
        try:
            self._writer.add_topic(name, kind, is_latched=latched)
        except BagError as error:
            self.get_logger().warning(f"{name} is left out: {error}")
            return
        self.create_subscription(message, name, self._keeper(name), qos, raw=True)
        self.get_logger().info(f"recording {name}")

    def _keeper(self, name: str) -> Callable[[bytes], None]:
        def keep(raw: bytes) -> None:
            self._writer.write(name, self.get_clock().now().nanoseconds, raw)
            self._counts[name] += 1

        return keep

    def _matching_qos(self, name: str) -> QoSProfile:
        """The strongest QoS that all present publishers of a topic can satisfy."""
        offered = [info.qos_profile for info in self.get_publishers_info_by_topic(name)]
        reliable = all(qos.reliability == ReliabilityPolicy.RELIABLE for qos in offered)
        latched = all(qos.durability == DurabilityPolicy.TRANSIENT_LOCAL for qos in offered)
        return QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=QUEUE_DEPTH,
            reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
            durability=(DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE),
        )

    def record(self, stop: Stop) -> None:
        """Records until stopped, then takes what is still queued and closes the bag."""
        # of dozens of subscriptions: the events executor looks only at those that have news
        executor = make_executor("auto")
        executor.add_node(self)
        try:
            while not stop.is_set():
                executor.spin_once(timeout_sec=0.1)
            for _ in range(QUEUE_DEPTH):
                executor.spin_once(timeout_sec=0.0)
        finally:
            self._writer.close()
            executor.shutdown()
        self.get_logger().info(
            f"recorded {self._writer.count} messages of {len(self._counts)} topics "
            f"into {self._writer.path}"
        )
        for name in sorted(self._names - set(self._counts)):
            self.get_logger().warning(f"nothing came on {name}")


def main(args: list[str] | None = None) -> int:
    """Records until SIGINT or SIGTERM; gives the exit status."""
    with ros_process(args) as stop:
        recorder = None
        try:
            recorder = Recorder()
            recorder.record(stop)
        except (BagError, ValueError) as error:
            print(f"recorder: {error}", file=sys.stderr)
            return 1
        finally:
            if recorder is not None:
                recorder.destroy_node()
    return 0


if __name__ == "__main__":
    sys.exit(main())
