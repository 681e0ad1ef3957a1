# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The installed launch file brings the node up in a namespace, and SIGINT ends it cleanly."""

from __future__ import annotations

import os
import unittest

import pytest

pytest.importorskip("launch_testing")
pytest.importorskip("vggt4d_ros.msg")

import launch
import launch_testing
import launch_testing.actions
import launch_testing.asserts
from ament_index_python.packages import get_package_share_directory
from launch.actions import IncludeLaunchDescription, SetEnvironmentVariable
from launch.launch_description_sources import AnyLaunchDescriptionSource
from nav_msgs.msg import Odometry
from ros_graph import SECOND, CameraRig, fresh_domain, graph_node, wait_until
from vggt4d_ros.msg import WindowStatus

pytestmark = pytest.mark.ros

DOMAIN = fresh_domain()


@pytest.mark.launch_test
def generate_test_description() -> launch.LaunchDescription:
    share = get_package_share_directory("vggt4d_ros")
    node = IncludeLaunchDescription(
        AnyLaunchDescriptionSource(os.path.join(share, "launch", "vggt4d.launch.py")),
        launch_arguments=[
            ("cameras", "cam0,cam1"),
            ("namespace", "robot"),
            ("engine", "null"),
            ("params_file", os.path.join(os.path.dirname(__file__), "data", "unscaled.yaml")),
        ],
    )
    return launch.LaunchDescription(
        [
            SetEnvironmentVariable("ROS_DOMAIN_ID", DOMAIN),
            node,
            launch_testing.actions.ReadyToTest(),
        ]
    )


class WhileRunning(unittest.TestCase):
    def test_windows_come_from_relative_topics_of_the_namespace(self) -> None:
        with graph_node("tester", DOMAIN, namespace="robot") as (node, spin):
            statuses: list[WindowStatus] = []
            node.create_subscription(WindowStatus, "vggt4d/status", statuses.append, 10)
            node.create_subscription(Odometry, "vggt4d/odometry", lambda message: None, 10)
            rig = CameraRig(node, 2)
            rig.wait_for_node(spin)
            spin(0.5)
            for index in range(8):
                rig.publish(1_700_000_000 * SECOND + index * SECOND // 10)
                spin(0.1)
            wait_until(lambda: bool(statuses), spin, 20, "status")

        assert list(statuses[0].cameras) == ["cam0", "cam1"]


@launch_testing.post_shutdown_test()
class AfterShutdown(unittest.TestCase):
    def test_every_process_ended_with_status_0(self, proc_info: object) -> None:
        launch_testing.asserts.assertExitCodes(proc_info)
