# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Quality of service: the node's defaults, overridable on every topic, and who does not match."""

from __future__ import annotations

from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSCompatibility,
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
)
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.topic_endpoint_info import TopicEndpointInfo

try:
    from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
except ModuleNotFoundError:  # Humble has them under another name
    from rclpy.qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks

# `qos_overrides.<topic>.{publisher,subscription}.{reliability,depth,history,durability}`
OVERRIDABLE = QoSOverridingOptions(
    (
        QoSPolicyKind.HISTORY,
        QoSPolicyKind.DEPTH,
        QoSPolicyKind.RELIABILITY,
        QoSPolicyKind.DURABILITY,
    )
)

# Every event handler is one thing more for the executor to look at in each turn. Mismatches are
# found by ``mismatches`` when something is amiss, so none is needed.
NO_PUBLISHER_EVENTS = PublisherEventCallbacks(use_default_callbacks=False)
NO_SUBSCRIPTION_EVENTS = SubscriptionEventCallbacks(use_default_callbacks=False)


def sensor_qos(depth: int = 1) -> QoSProfile:
    """Best effort, newest only: a late image is worth nothing."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=ReliabilityPolicy.BEST_EFFORT
    )


def output_qos(*, latched: bool = False) -> QoSProfile:
    """Reliable, so that any subscriber matches; latched topics are kept for late joiners."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=1 if latched else 2,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def _name(info: TopicEndpointInfo) -> str:
    """The node of a publisher; discovery tells of the publisher first."""
    if "_UNKNOWN_" in info.node_name:
        return "(its node is not known yet)"
    return f"{info.node_namespace.rstrip('/')}/{info.node_name}"


def mismatches(node: Node, topic: str, qos: QoSProfile) -> list[str]:
    """One line for each publisher of ``topic`` that a subscription with ``qos`` does not match."""
    lines = []
    for info in node.get_publishers_info_by_topic(topic):
        compatibility, reason = qos_check_compatible(info.qos_profile, qos)
        if compatibility == QoSCompatibility.ERROR:
            lines.append(f"QoS of publisher {_name(info)} does not match: {reason.strip()}")
    return lines
