# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Replays a bag with its own timing, where ``ros2 bag`` is not at hand or its timing not exact.

Publishes the recorded bytes as they are, /clock at a fixed rate and before each message, and
latched topics (/tf_static) before all else. Ends by itself.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock

from vggt4d_ros.evaluation.bag import IMAGE_TYPES, Bag, BagError, BagMessage, BagTopic, open_bag
from vggt4d_ros.ros.process import Stop, compiled, message_class, parameter, ros_process
from vggt4d_ros.ros.start_gate import Awaited, StartGate

ACK_TIMEOUT_S = 2.0
GLOBAL_TOPICS = ("/tf", "/tf_static", "/clock")  # the same for all robots


@dataclass(frozen=True, slots=True)
class PlayerOptions:
    """The node's parameters."""

    bag: str
    rate: float = 1.0  # 2: twice as fast as recorded
    loop: int = 1  # times to play; 0: until stopped
    start_delay_s: float = 0.0
    wait_for_subscribers: int = 0  # on each image topic, before the first message
    wait_for_listener: str = ""  # full name of a node, e.g. /recorder, that must hear ...
    wait_for_outputs_of: str = ""  # ... the topics of this node, e.g. /vggt4d, ...
    wait_for_outputs: str = ".*"  # ... that this regex matches
    wait_timeout_s: float = 30.0
    topics: tuple[str, ...] = ()  # empty: all
    topic_prefix: str = ""  # e.g. /robot1, before each topic but GLOBAL_TOPICS
    clock_hz: float = 100.0  # 0: no /clock
    image_reliability: str = "reliable"
    require_images: bool = True
    report_file: str = ""  # JSON about the timing, written at the end

    def __post_init__(self) -> None:
        if not self.bag:
            raise ValueError("parameter bag is empty: give the path of a recording")
        if not 0.0 < self.rate < 1e4:
            raise ValueError(f"rate must be above 0, got {self.rate}")
        if self.loop < 0:
            raise ValueError(f"loop must be 0 (until stopped) or above, got {self.loop}")
        if not 0.0 <= self.clock_hz <= 1e4:
            raise ValueError(f"clock_hz must be in [0, 10000], got {self.clock_hz}")
        if self.image_reliability not in ("reliable", "best_effort"):
            raise ValueError(
                f"image_reliability must be reliable or best_effort, got {self.image_reliability!r}"
            )
        _ = self.awaited  # raises

    @property
    def awaited(self) -> Awaited:
        """Who must be there before the first message.

        Raises:
            ValueError: a regex that is none, or a listener without those it is to hear.
        """
        return Awaited(
            self.wait_for_subscribers,
            self.wait_for_listener,
            self.wait_for_outputs_of,
            compiled("wait_for_outputs", self.wait_for_outputs),
        )

    @classmethod
    def declare(cls, node: Node) -> PlayerOptions:
        """Declares the parameters on ``node`` and reads them."""
        defaults: dict[str, Any] = {field.name: field.default for field in fields(cls)}
        defaults["bag"] = ""
        return cls(**{name: parameter(node, name, value) for name, value in defaults.items()})


class BagPlayer(Node):
    """Publishes one bag; ``play`` does it all.

    Raises:
        BagError, ValueError: the bag or an option is of no use; one line.
    """

    def __init__(self, stop: Stop) -> None:
        # nothing spins here, so that nothing stands between a message and its time
        super().__init__("bag_player", start_parameter_services=False)
        self._stop = stop
        self.options = PlayerOptions.declare(self)
        self._late_ms: list[float] = []
        self._loops = 0
        self._clock_ns = 0

    def play(self) -> None:
        """Waits for subscribers, publishes the messages in time, and waits for their receipt."""
        with ExitStack() as stack:
            bag = stack.enter_context(open_bag(self.options.bag))
            topics = self._chosen(bag)
            if self.options.require_images and not any(t.type in IMAGE_TYPES for t in topics):
                bag.require_images()
                raise BagError(f"{bag.path}: none of the chosen topics has images")
            self._make_publishers(topics)
            if bag.fault:
                self.get_logger().warning(f"{bag.path}: {bag.fault}")
            names = list(self._publishers_by_topic)
            preamble = self._publish_preamble(bag, names)
            self._wait(bag.start_ns)
            begin = time.monotonic()
            error = self._play_loops(bag, names, preamble)
            self._wait_for_receipt()
            self._report(time.monotonic() - begin)
            if error is not None:
                raise error

    def _chosen(self, bag: Bag) -> list[BagTopic]:
        there = {topic.name: topic for topic in bag.topics}
        for name in self.options.topics:
            if name not in there:
                raise BagError(
                    f"{bag.path}: no topic {name} in this bag; it has {', '.join(there)}"
                )
        names = self.options.topics or tuple(there)
        own_clock = self.options.clock_hz > 0
        return [there[name] for name in names if not (own_clock and name == "/clock")]

    def _make_publishers(self, topics: list[BagTopic]) -> None:
        self._publishers_by_topic: dict[str, Publisher] = {}
        self._image_publishers: list[Publisher] = []
        for topic in topics:
            kind = message_class(topic.type)
            if kind is None:
                self.get_logger().warning(
                    f"{topic.name} is left out: no message {topic.type} in the sourced workspaces"
                )
                continue
            is_image = topic.type in IMAGE_TYPES
            name = self._prefixed(topic.name)
            publisher = self.create_publisher(kind, name, self._qos(topic, is_image))
            self._publishers_by_topic[topic.name] = publisher
            if is_image:
                self._image_publishers.append(publisher)
        self._clock_publisher = None
        if self.options.clock_hz > 0:
            # reliable, which best-effort subscribers take too
            self._clock_publisher = self.create_publisher(Clock, "/clock", QoSProfile(depth=10))

    def _prefixed(self, name: str) -> str:
        """Gives the name under which a topic is played."""
        prefix = self.options.topic_prefix.rstrip("/")
        if not prefix or name in GLOBAL_TOPICS or name.startswith(f"{prefix}/"):
            return name
        return prefix + name

    def _qos(self, topic: BagTopic, is_image: bool) -> QoSProfile:
        latched = topic.latched or topic.name == "/tf_static"
        reliable = not is_image or self.options.image_reliability == "reliable"
        return QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            # a late joiner wants every frame's transform, not the last message's alone
            depth=max(1, topic.count) if latched else 10,
            reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
            durability=(DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE),
        )

    def _publish_preamble(self, bag: Bag, names: list[str]) -> int:
        """Publishes the latched messages that come before any other; gives their number."""
        latched = {topic.name for topic in bag.topics if topic.latched} | {"/tf_static"}
        count = 0
        for message in bag.messages(names):
            if message.topic not in latched:
                break
            self._publishers_by_topic[message.topic].publish(message.data)
            count += 1
        return count

    def _wait(self, start_ns: int) -> None:
        """Lets ``start_delay_s`` pass and listeners come; /clock stands at the start."""
        others = set(self._publishers_by_topic.values()) - set(self._image_publishers)
        gate = StartGate(self, self._image_publishers, list(others), self.options.awaited)
        begin = time.monotonic()
        while not self._stop.is_set():
            self._tick(start_ns)
            now = time.monotonic()
            delayed = now - begin < self.options.start_delay_s
            if gate.is_open(now) and not delayed:
                return
            # cameras of the bag that nobody asks for must not hold up the others
            if not delayed and (gate.is_settled(now) or now - begin > self.options.wait_timeout_s):
                self.get_logger().warning(
                    f"starting all the same: after {now - begin:.0f} s {gate.missing()}"
                )
                return
            self._stop.wait(0.05)

    def _play_loops(self, bag: Bag, names: list[str], preamble: int) -> BagError | None:
        """Plays as often as asked; gives the fault at which a damaged bag ended."""
        while not self._stop.is_set():
            try:
                self._play_once(bag, names, preamble if self._loops == 0 else 0)
            except BagError as error:
                return error
            self._loops += not self._stop.is_set()
            if self._loops == self.options.loop:
                break
        return None

    def _play_once(self, bag: Bag, names: list[str], skip: int) -> None:
        """Plays from the start. Stamps of a second time come again: a jump back in time."""
        origin = time.monotonic()
        self._clock_ns = 0
        for index, message in enumerate(bag.messages(names)):
            if index < skip:
                continue
            due = origin + (message.stamp_ns - bag.start_ns) * 1e-9 / self.options.rate
            self._wait_until(due, message, bag.start_ns, origin)
            if self._stop.is_set():
                return
            self._tick(message.stamp_ns)
            self._late_ms.append((time.monotonic() - due) * 1e3)
            self._publishers_by_topic[message.topic].publish(message.data)

    def _wait_until(self, due: float, message: BagMessage, start_ns: int, origin: float) -> None:
        """Sleeps until ``due``; /clock goes on, but not beyond the stamp of ``message``."""
        period = 1.0 / self.options.clock_hz if self.options.clock_hz else 0.05
        while (now := time.monotonic()) < due and not self._stop.is_set():
            self._stop.wait(min(due - now, period))
            passed_ns = round((time.monotonic() - origin) * self.options.rate * 1e9)
            if time.monotonic() < due:
                self._tick(min(start_ns + passed_ns, message.stamp_ns))

    def _tick(self, stamp_ns: int) -> None:
        """Sets /clock, which within a loop never goes back."""
        if self._clock_publisher is None:
            return
        self._clock_ns = max(self._clock_ns, stamp_ns)
        message = Clock()
        message.clock.sec, message.clock.nanosec = divmod(self._clock_ns, 10**9)
        self._clock_publisher.publish(message)

    def _wait_for_receipt(self) -> None:
        """Gives reliable subscribers time to take the last messages."""
        end = time.monotonic() + ACK_TIMEOUT_S
        for publisher in self._publishers_by_topic.values():
            left = end - time.monotonic()
            if left <= 0 or self._stop.is_set():
                return
            publisher.wait_for_all_acked(Duration(seconds=left))

    def _report(self, seconds: float) -> None:
        late = np.percentile(self._late_ms, (50, 99)) if self._late_ms else np.zeros(2)
        self.get_logger().info(
            f"played {len(self._late_ms)} messages in {seconds:.1f} s, {self._loops} time(s) "
            f"through, at rate {self.options.rate:g}; late by {late[0]:.2f} ms (p50), "
            f"{late[1]:.2f} ms (p99)"
        )
        if self.options.report_file:
            report = {
                "messages": len(self._late_ms),
                "loops": self._loops,
                "seconds": seconds,
                "rate": self.options.rate,
                "late_ms": {"p50": float(late[0]), "p99": float(late[1])},
            }
            Path(self.options.report_file).write_text(json.dumps(report))


def main(args: list[str] | None = None) -> int:
    """Runs the player; gives the exit status: 0 at the end or when stopped, 1 for a useless bag."""
    with ros_process(args) as stop:
        player = None
        try:
            player = BagPlayer(stop)
            player.play()
        except (BagError, ValueError) as error:
            print(f"bag_player: {error}", file=sys.stderr)
            return 1
        finally:
            if player is not None:
                player.destroy_node()
    return 0


if __name__ == "__main__":
    sys.exit(main())
