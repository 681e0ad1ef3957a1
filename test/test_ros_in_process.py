# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The node in this process: transitions that fail half-way, changes that contradict, a late reset.

A configure or activate that fails leaves nothing behind, wherever it fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("vggt4d_ros.msg", reason="the package is not built")

import rclpy
from rclpy.context import Context
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from record_windows import processed_windows
from ros_graph import fresh_domain

from vggt4d_ros.ros.node import Vggt4dNode
from vggt4d_ros.ros.services import ServiceError

pytestmark = pytest.mark.ros

PARAMETERS = {
    "model.engine": "null",
    "cameras.names": ["cam0", "cam1"],
    "sync.min_cameras": 1,
    "tf.mode": "odom_to_base",
    "geometry.motion_source": "odometry",
    "geometry.odometry_topic": "wheels",
    "geometry.depth_topics": ["cam0=depth0", "cam1=depth1"],
    "geometry.range_min": 1.0,
    "geometry.allow_unscaled": True,
}
MAKERS = ("create_publisher", "create_subscription", "create_timer")


@pytest.fixture
def node() -> Iterator[Vggt4dNode]:
    context = Context()
    rclpy.init(context=context, domain_id=int(fresh_domain()))
    overrides = [Parameter(name, value=value) for name, value in PARAMETERS.items()]
    made = Vggt4dNode(lambda: None, context=context, parameter_overrides=overrides)
    yield made
    made.close(5.0)
    made.destroy_node()
    rclpy.try_shutdown(context=context)


class Breaker:
    """Lets the making of publishers, subscriptions and timers fail from the n-th on."""

    def __init__(self, node: Vggt4dNode, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left: int | None = None  # how many may still be made; None: all
        for name in (*MAKERS, "create_lifecycle_publisher"):
            monkeypatch.setattr(node, name, self._counting(getattr(node, name)))

    def _counting(self, make):
        def counted(*args, **kwargs):
            if self.left is not None:
                if self.left == 0:
                    raise RuntimeError("no more")
                self.left -= 1
            return make(*args, **kwargs)

        return counted


def entities(node: Vggt4dNode) -> tuple[int, int, int]:
    return tuple(len(list(kind)) for kind in (node.publishers, node.subscriptions, node.timers))


def failures_of(node: Vggt4dNode, breaker: Breaker, transition: str) -> int:
    """Tries with ever more entities until it works; checks what each failure leaves."""
    before, failed = entities(node), 0
    while True:
        breaker.left = failed
        outcome = getattr(node, f"trigger_{transition}")()
        if outcome == TransitionCallbackReturn.SUCCESS:
            breaker.left = None
            return failed
        failed += 1
        assert outcome == TransitionCallbackReturn.FAILURE
        assert entities(node) == before, f"{transition} that failed at its entity {failed}"
        assert failed < 200


def test_nothing_is_left_wherever_configure_and_activate_fail(
    node: Vggt4dNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaker = Breaker(node, monkeypatch)
    nothing = entities(node)

    at_configure = failures_of(node, breaker, "configure")
    configured = entities(node)
    at_activate = failures_of(node, breaker, "activate")
    node.trigger_deactivate()
    inactive = entities(node)
    node.trigger_cleanup()

    # TF in (2), odometry, TF out, outputs; images and intrinsics of two cameras, depth, timers
    assert at_configure == sum(configured) - sum(nothing) > 20
    assert at_activate == 2 * 2 + 2 + 2
    assert inactive == configured
    assert entities(node) == nothing


def test_a_live_change_that_contradicts_another_value_is_refused(node: Vggt4dNode) -> None:
    node.trigger_configure()

    refused, taken = node.set_parameters(
        [
            Parameter("geometry.range_max", value=0.5),
            Parameter("geometry.range_max", value=2.0),
        ]
    )

    assert not refused.successful
    assert "must exceed range_min" in refused.reason
    assert taken.successful
    assert node.get_parameter("geometry.range_max").value == 2.0
    assert node.config.geometry.range_max == 2.0


def test_values_that_fit_only_together_are_taken_together(node: Vggt4dNode) -> None:
    node.trigger_configure()
    both = [
        Parameter("geometry.range_min", value=5.0),
        Parameter("geometry.range_max", value=9.0),
    ]

    result = node.set_parameters_atomically(both)

    assert result.successful, result.reason
    assert (node.config.geometry.range_min, node.config.geometry.range_max) == (5.0, 9.0)


def test_a_window_that_ends_after_a_reset_is_not_saved(node: Vggt4dNode, tmp_path: Path) -> None:
    node.trigger_configure()
    node.trigger_activate()
    session, path = node._session, str(tmp_path / "cloud.ply")
    window = next(processed_windows(1))

    session._publish(window, node.config)
    saved = node.save_cloud(path)
    node.reset()
    session._publish(window, node.config)  # the worker was busy with it meanwhile

    assert saved.points > 0
    with pytest.raises(ServiceError, match="no window"):
        node.save_cloud(path)
