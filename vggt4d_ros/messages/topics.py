# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The node's topics in one table: the node, the README, the RViz file and the tests read it.

This module imports no ROS, so that documentation can be made without it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Topic:
    """One output. ``name`` is relative to the node; ``{cam}`` stands for each camera's name."""

    key: str
    name: str
    type: str  # package/Name
    note: str
    latched: bool = False

    @property
    def per_camera(self) -> bool:
        """Whether there is one for each camera."""
        return "{cam}" in self.name

    def resolve(self, camera: str = "") -> str:
        """The private name, e.g. ``~/front/points``."""
        return "~/" + self.name.format(cam=camera)


DEPTH = Topic(
    "depth",
    "{cam}/depth/image_rect",
    "sensor_msgs/Image",
    "32FC1 metres, NaN invalid (16UC1 millimetres, 0 invalid, by parameter); REP-118",
)
DEPTH_INFO = Topic(
    "depth_info",
    "{cam}/depth/camera_info",
    "sensor_msgs/CameraInfo",
    "Intrinsics of the depth image, with its exact stamp",
)
CONFIDENCE = Topic(
    "confidence", "{cam}/depth/confidence", "sensor_msgs/Image", "32FC1, above 1, larger is surer"
)
POINTS = Topic(
    "points",
    "{cam}/points",
    "sensor_msgs/PointCloud2",
    "Organized; x y z rgb confidence; optical frame",
)
FLOW = Topic(
    "scene_flow",
    "{cam}/scene_flow",
    "sensor_msgs/PointCloud2",
    "Organized; x y z rgb vx vy vz (m/s, ego-motion removed) confidence; optical frame",
)
FLOW_IMAGE = Topic(
    "scene_flow_image",
    "{cam}/scene_flow/image",
    "sensor_msgs/Image",
    "32FC3, velocity in m/s along the axes of the optical frame",
)
FLOW_RGB = Topic(
    "scene_flow_rgb",
    "{cam}/scene_flow/rgb",
    "sensor_msgs/Image",
    "rgb8, hue: direction in the image, brightness: speed",
)
DYNAMIC_MASK = Topic(
    "dynamic_mask", "{cam}/scene_flow/dynamic_mask", "sensor_msgs/Image", "mono8, 255 moves"
)
MERGED = Topic(
    "merged",
    "points",
    "sensor_msgs/PointCloud2",
    "All cameras, voxel-filtered; x y z rgb confidence; fixed frame",
)
MARKERS = Topic(
    "markers",
    "scene_flow/markers",
    "visualization_msgs/Marker",
    "One LINE_LIST of velocity arrows, fixed frame",
)
ODOMETRY = Topic("odometry", "odometry", "nav_msgs/Odometry", "Pose of the base in the fixed frame")
PATH = Topic("path", "path", "nav_msgs/Path", "The last poses", latched=True)
STATUS = Topic(
    "status",
    "status",
    "vggt4d_ros/WindowStatus",
    "Stamps, drops by cause, stage times, scale, alignment, memory, warnings",
)

TOPICS: tuple[Topic, ...] = (
    DEPTH,
    DEPTH_INFO,
    CONFIDENCE,
    POINTS,
    FLOW,
    FLOW_IMAGE,
    FLOW_RGB,
    DYNAMIC_MASK,
    MERGED,
    MARKERS,
    ODOMETRY,
    PATH,
    STATUS,
)
