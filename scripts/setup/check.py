#!/usr/bin/env python3
# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Fails unless a ROS node can be made here, and all the package needs can be imported."""

from importlib import import_module

import rclpy
from sensor_msgs.msg import Image

for name in (
    "cv2",
    "cv_bridge",
    "diagnostic_updater",
    "launch_ros.actions",
    "message_filters",
    "tf2_ros",
    "tf_transformations",
    "torch",
):
    import_module(name)

rclpy.init()
node = rclpy.create_node("vggt4d_setup_check")
node.create_publisher(Image, "setup_check", 1)
node.destroy_node()
rclpy.shutdown()
