# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the player waits for before the first message, on a graph that is made up."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy")

from rclpy.node import NodeNameNonExistentError

from vggt4d_ros.ros.start_gate import LOOK_PERIOD_S, PARTIAL_S, SETTLE_S, Awaited, StartGate

pytestmark = pytest.mark.ros
STEP_S = 0.05


class Graph:
    """Stands for the player's node and its publishers."""

    def __init__(self, *images: str) -> None:
        self.published: dict[str, list[str]] = {}  # node -> its topics
        self.heard: dict[str, list[str]] = {}  # topic -> nodes that listen
        self.images = [self._publisher(name) for name in images]

    def _publisher(self, topic: str) -> SimpleNamespace:
        return SimpleNamespace(
            topic_name=topic, get_subscription_count=lambda: len(self.heard.get(topic, []))
        )

    def get_publisher_names_and_types_by_node(self, name: str, space: str):
        node = f"{space.rstrip('/')}/{name}"
        if node not in self.published:
            raise NodeNameNonExistentError(node)
        return [(topic, ["some/msg/Type"]) for topic in self.published[node]]

    def get_subscriptions_info_by_topic(self, topic: str):
        parts = [node.rpartition("/") for node in self.heard.get(topic, [])]
        return [SimpleNamespace(node_name=n, node_namespace=s or "/") for s, _, n in parts]

    def hear(self, node: str, *topics: str) -> None:
        for topic in topics:
            self.heard.setdefault(topic, []).append(node)


class Clock:
    """Looks at the gate as the player does."""

    def __init__(self, gate: StartGate) -> None:
        self.gate = gate
        self.now = 100.0

    def opens_within(self, seconds: float) -> bool:
        end = self.now + seconds
        while self.now < end:
            if self.gate.is_open(self.now):
                return True
            self.now += STEP_S
        return False


def make(graph: Graph, awaited: Awaited) -> Clock:
    return Clock(StartGate(graph, graph.images, [], awaited))


LONG_S = 10 * SETTLE_S
ENOUGH_S = SETTLE_S + 2 * LOOK_PERIOD_S
NODE_AND_RECORDER = Awaited(2, "/recorder", "/robot/vggt4d")


def test_gate_is_open_at_once_when_nobody_is_awaited():
    assert make(Graph("/image"), Awaited()).opens_within(STEP_S)


def test_gate_stays_shut_until_the_recorder_hears_every_output():
    graph = Graph("/image")
    clock = make(graph, NODE_AND_RECORDER)
    graph.published["/robot/vggt4d"] = ["/rosout", "/robot/vggt4d/depth", "/robot/vggt4d/status"]
    graph.hear("/robot/vggt4d", "/image")
    graph.hear("/recorder", "/image", "/robot/vggt4d/depth")

    assert not clock.opens_within(LONG_S)
    assert clock.gate.missing() == "/recorder not listening to /robot/vggt4d/status"
    graph.hear("/rviz", "/robot/vggt4d/status")  # another listener does not count
    assert not clock.opens_within(LONG_S)
    graph.hear("/recorder", "/robot/vggt4d/status")
    assert clock.opens_within(ENOUGH_S)


def test_gate_stays_shut_while_the_node_is_not_there():
    graph = Graph("/image")
    clock = make(graph, NODE_AND_RECORDER)
    graph.hear("/recorder", "/image")
    graph.hear("/someone", "/image")

    assert not clock.opens_within(LONG_S)
    assert clock.gate.missing() == "no outputs of /robot/vggt4d"


def test_node_whose_topics_are_not_known_yet_is_not_taken_for_heard():
    graph = Graph("/image")
    clock = make(graph, NODE_AND_RECORDER)
    graph.published["/robot/vggt4d"] = ["/rosout", "/robot/vggt4d/transition_event"]
    graph.hear("/robot/vggt4d", "/image")
    graph.hear("/recorder", "/image")

    assert not clock.opens_within(LONG_S)


def test_topics_that_become_known_one_by_one_begin_the_wait_anew():
    graph = Graph("/image")
    clock = make(graph, Awaited(1, "/recorder", "/vggt4d"))
    graph.hear("/vggt4d", "/image")
    graph.published["/vggt4d"] = []

    for number in range(5):
        graph.published["/vggt4d"].append(f"/vggt4d/{number}")
        graph.hear("/recorder", f"/vggt4d/{number}")
        assert not clock.opens_within(SETTLE_S - 2 * LOOK_PERIOD_S + STEP_S)

    assert clock.opens_within(ENOUGH_S)


def test_outputs_that_are_not_to_be_recorded_are_not_waited_for():
    graph = Graph("/image")
    clock = make(graph, Awaited(1, "/recorder", "/vggt4d", re.compile("/vggt4d/depth")))
    graph.published["/vggt4d"] = ["/vggt4d/depth", "/vggt4d/points"]
    graph.hear("/vggt4d", "/image")
    graph.hear("/recorder", "/vggt4d/depth")

    assert clock.opens_within(ENOUGH_S)


def test_camera_that_nobody_wants_is_given_up_and_named():
    graph = Graph("/front", "/rear")
    clock = make(graph, Awaited(1))
    graph.hear("/vggt4d", "/front")

    assert not clock.opens_within(PARTIAL_S - LOOK_PERIOD_S)
    assert not clock.gate.is_settled(clock.now)
    assert not clock.opens_within(2 * LOOK_PERIOD_S)
    assert clock.gate.is_settled(clock.now)
    assert clock.gate.missing() == "fewer than 1 subscribers on /rear (0)"


def test_output_that_the_recorder_cannot_take_is_given_up():
    graph = Graph("/image")
    clock = make(graph, Awaited(1, "/recorder", "/vggt4d"))
    graph.published["/vggt4d"] = ["/vggt4d/depth", "/vggt4d/strange"]
    graph.hear("/vggt4d", "/image")
    graph.hear("/recorder", "/vggt4d/depth")

    assert not clock.opens_within(PARTIAL_S + 2 * LOOK_PERIOD_S)
    assert clock.gate.is_settled(clock.now)


def test_listener_without_the_node_it_hears_is_refused():
    with pytest.raises(ValueError, match="whose outputs /recorder must hear is not given"):
        Awaited(1, "/recorder")


@pytest.mark.parametrize("name", ["/bad name", "/1st", "/a//b", "/cam-era", "/", "/robot/1/node"])
def test_what_cannot_be_a_node_is_refused_in_one_line(name: str) -> None:
    for listener, speaker in ((name, "/vggt4d"), ("/recorder", name)):
        with pytest.raises(ValueError, match="is no full name of a node") as refused:
            Awaited(0, listener, speaker)

        assert repr(name) in str(refused.value)
        assert "\n" not in str(refused.value)


def test_full_names_of_nodes_are_taken() -> None:
    for name in ("/vggt4d", "/robot_1/vggt4d", "/a/b/c"):
        assert Awaited(0, name, name).anybody
