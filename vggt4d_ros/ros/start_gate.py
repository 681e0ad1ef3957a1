# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Holds a replay back until those it is for are there: a message sent earlier is lost to them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rclpy.exceptions import InvalidNamespaceException, InvalidNodeNameException
from rclpy.node import Node, NodeNameNonExistentError
from rclpy.publisher import Publisher
from rclpy.validate_namespace import validate_namespace
from rclpy.validate_node_name import validate_node_name

# How long nothing may change before the start. Writer and reader learn of each other one after
# the other, and a node's topics become known one by one.
SETTLE_S = 0.5
PARTIAL_S = 5.0  # patience with topics without subscribers when others have theirs
LOOK_PERIOD_S = 0.2  # each look asks the graph about every output
# what every node publishes, whether or not it has to do with images
CHATTER = re.compile(r"/rosout|/parameter_events|.*/transition_event")


@dataclass(frozen=True, slots=True)
class Awaited:
    """Who must listen to what. Node names are full ones."""

    image_subscribers: int = 0  # on each image topic
    listener: str = ""  # node that must listen to the outputs; "": none is awaited
    speaker: str = ""  # node whose outputs they are
    outputs: re.Pattern[str] = re.compile(".*")  # which of its topics

    def __post_init__(self) -> None:
        if self.listener and not self.speaker:
            raise ValueError(f"the node whose outputs {self.listener} must hear is not given")
        for full_name in filter(None, (self.listener, self.speaker)):
            name, space = _split(full_name)
            try:
                validate_node_name(name)
                validate_namespace(space)
            except (InvalidNodeNameException, InvalidNamespaceException) as error:
                reason = str(error).partition("\n")[0].rstrip(":")
                raise ValueError(f"{full_name!r} is no full name of a node: {reason}") from error

    @property
    def anybody(self) -> bool:
        """Whether there is anything to wait for."""
        return self.image_subscribers > 0 or bool(self.listener)


class StartGate:
    """Looks again and again whether all who are awaited are there.

    Args:
        node: asks the graph.
        images: publishers of images.
        others: all other publishers; a change among their subscribers delays the start.
        awaited: who must listen.
    """

    def __init__(
        self, node: Node, images: list[Publisher], others: list[Publisher], awaited: Awaited
    ) -> None:
        self._node = node
        self._images = images
        self._others = others
        self._awaited = awaited
        self._state: object = None
        self._changed = self._looked = -float("inf")
        self._counts: dict[str, int] = {}
        self._heard: dict[str, bool] | None = None  # output -> somebody listens; None: no node yet

    def is_open(self, now: float) -> bool:
        """Whether all are there and nothing has changed for a while; ``now``: monotonic s."""
        if not self._awaited.anybody:
            return True
        if now - self._looked >= LOOK_PERIOD_S:
            self._looked = now
            self._look(now)
        return self._is_complete() and now - self._changed >= SETTLE_S

    def is_settled(self, now: float) -> bool:
        """Whether some are there, and nobody has come for so long that the rest may never."""
        if now - self._changed <= PARTIAL_S or not self._counts:
            return False
        if max(self._counts.values()) < self._awaited.image_subscribers:
            return False
        # outputs of which none is wanted are as good as heard
        return not self._awaited.listener or self._heard == {} or any((self._heard or {}).values())

    def missing(self) -> str:
        """Words for what has too few subscribers; "" when all is there."""
        wanted = self._awaited.image_subscribers
        few = [f"{name} ({count})" for name, count in self._counts.items() if count < wanted]
        parts = [f"fewer than {wanted} subscribers on {', '.join(few)}"] if few else []
        if self._awaited.listener and self._heard is None:
            parts.append(f"no outputs of {self._awaited.speaker}")
        unheard = [name for name, heard in (self._heard or {}).items() if not heard]
        if unheard:
            parts.append(f"{self._awaited.listener} not listening to {', '.join(unheard)}")
        return "; ".join(parts)

    def _look(self, now: float) -> None:
        self._counts = {p.topic_name: p.get_subscription_count() for p in self._images}
        others = [p.get_subscription_count() for p in self._others]
        if self._awaited.listener:
            self._heard = self._outputs()
        state = self._counts, others, self._heard
        if state != self._state:
            self._state, self._changed = state, now

    def _is_complete(self) -> bool:
        wanted = self._awaited.image_subscribers
        if any(count < wanted for count in self._counts.values()):
            return False
        if not self._awaited.listener:
            return True
        return self._heard is not None and all(self._heard.values())

    def _outputs(self) -> dict[str, bool] | None:
        """The speaker's topics and whether the listener hears them; None: it is not there yet.

        A node without a topic of its own is one whose publishers are not known yet.
        """
        name, space = _split(self._awaited.speaker)
        try:
            found = self._node.get_publisher_names_and_types_by_node(name, space)
        except NodeNameNonExistentError:
            return None
        topics = [topic for topic, _ in found if not CHATTER.fullmatch(topic)]
        if not topics:
            return None
        return {t: self._hears(t) for t in topics if self._awaited.outputs.fullmatch(t)}

    def _hears(self, topic: str) -> bool:
        listener = _split(self._awaited.listener)
        return any(
            (info.node_name, info.node_namespace) == listener
            for info in self._node.get_subscriptions_info_by_topic(topic)
        )


def _split(full_name: str) -> tuple[str, str]:
    """Name and namespace of a node."""
    space, _, name = full_name.rpartition("/")
    return name, space or "/"
