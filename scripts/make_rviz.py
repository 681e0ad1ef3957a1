#!/usr/bin/env python3
# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Writes an RViz view of all outputs for given cameras: make_rviz.py front left > my.rviz.

rviz/vggt4d.rviz is what it writes for the cameras of the demo.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from vggt4d_ros.messages import topics
from vggt4d_ros.messages.topics import Topic

PLUGINS = "rviz_default_plugins/"
DEMO_CAMERAS = ("cam01", "cam02", "cam03", "cam04")


def place(entry: Topic, node: str, camera: str = "") -> dict[str, Any]:
    """Gives the Topic block of a display. Best effort matches every publisher."""
    return {
        "Depth": 2,
        "Durability Policy": "Transient Local" if entry.latched else "Volatile",
        "Filter size": 10,
        "History Policy": "Keep Last",
        "Reliability Policy": "Reliable" if entry.latched else "Best Effort",
        "Value": entry.resolve(camera).replace("~", node, 1),
    }


def image(name: str, entry: Topic, node: str, camera: str, *, enabled: bool) -> dict[str, Any]:
    """Gives an Image display."""
    return {
        "Class": PLUGINS + "Image",
        "Enabled": enabled,
        "Max Value": 1,
        "Median window": 5,
        "Min Value": 0,
        "Name": name,
        "Normalize Range": True,
        "Topic": place(entry, node, camera),
        "Value": enabled,
    }


def cloud(
    name: str, entry: Topic, node: str, camera: str = "", *, enabled: bool, colour: str = "RGB8"
) -> dict[str, Any]:
    """Gives a PointCloud2 display, coloured by RGB or by a field."""
    by_field = colour != "RGB8"
    return {
        "Alpha": 1,
        "Autocompute Intensity Bounds": True,
        "Channel Name": colour if by_field else "intensity",
        "Class": PLUGINS + "PointCloud2",
        "Color Transformer": "Intensity" if by_field else "RGB8",
        "Decay Time": 0,
        "Enabled": enabled,
        "Name": name,
        "Position Transformer": "XYZ",
        "Selectable": True,
        "Size (Pixels)": 2,
        "Size (m)": 0.01,
        "Style": "Points",
        "Topic": place(entry, node, camera),
        "Use Fixed Frame": True,
        "Use rainbow": True,
        "Value": enabled,
    }


def group(name: str, displays: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Gives a folder of displays."""
    return {
        "Class": "rviz_common/Group",
        "Displays": list(displays),
        "Enabled": True,
        "Name": name,
    }


def of_camera(node: str, camera: str) -> dict[str, Any]:
    """Gives the displays of one camera; what the merged cloud shows already is off."""
    return group(
        camera,
        [
            image(f"{camera} depth", topics.DEPTH, node, camera, enabled=True),
            image(f"{camera} scene flow", topics.FLOW_RGB, node, camera, enabled=True),
            image(f"{camera} moving", topics.DYNAMIC_MASK, node, camera, enabled=False),
            image(f"{camera} confidence", topics.CONFIDENCE, node, camera, enabled=False),
            cloud(f"{camera} points", topics.POINTS, node, camera, enabled=False),
            cloud(
                f"{camera} scene flow points", topics.FLOW, node, camera, enabled=False, colour="vx"
            ),
        ],
    )


def of_rig(node: str) -> list[dict[str, Any]]:
    """Gives the displays of what all cameras make together."""
    return [
        {
            "Alpha": 0.4,
            "Cell Size": 1,
            "Class": PLUGINS + "Grid",
            "Color": "160; 160; 164",
            "Enabled": True,
            "Name": "Grid",
            "Plane": "XY",
            "Plane Cell Count": 20,
            "Value": True,
        },
        {
            "Class": PLUGINS + "TF",
            "Enabled": True,
            "Frame Timeout": 15,
            "Marker Scale": 0.5,
            "Name": "TF",
            "Show Arrows": False,
            "Show Axes": True,
            "Show Names": True,
            "Value": True,
        },
        cloud("Merged points", topics.MERGED, node, enabled=True),
        {
            "Class": PLUGINS + "Marker",
            "Enabled": True,
            "Name": "Scene flow",
            "Topic": place(topics.MARKERS, node),
            "Value": True,
        },
        {
            "Angle Tolerance": 0.1,
            "Class": PLUGINS + "Odometry",
            "Covariance": {"Orientation": {"Value": False}, "Position": {"Value": True}},
            "Enabled": True,
            "Keep": 1,
            "Name": "Odometry",
            "Position Tolerance": 0.1,
            "Shape": {"Axes Length": 0.5, "Axes Radius": 0.03, "Value": "Axes"},
            "Topic": place(topics.ODOMETRY, node),
            "Value": True,
        },
        {
            "Alpha": 1,
            "Class": PLUGINS + "Path",
            "Color": "25; 255; 0",
            "Enabled": True,
            "Line Style": "Lines",
            "Name": "Path",
            "Topic": place(topics.PATH, node),
            "Value": True,
        },
    ]


def view(cameras: Sequence[str], node: str, fixed_frame: str) -> dict[str, Any]:
    """Gives the whole configuration."""
    return {
        "Panels": [
            {"Class": "rviz_common/Displays", "Name": "Displays"},
            {"Class": "rviz_common/Selection", "Name": "Selection"},
            {"Class": "rviz_common/Time", "Name": "Time"},
            {"Class": "rviz_common/Views", "Name": "Views"},
        ],
        "Visualization Manager": {
            "Class": "",
            "Displays": [*of_rig(node), *(of_camera(node, camera) for camera in cameras)],
            "Enabled": True,
            "Global Options": {
                "Background Color": "30; 32; 36",
                "Fixed Frame": fixed_frame,
                "Frame Rate": 30,
            },
            "Name": "root",
            "Tools": [
                {"Class": PLUGINS + "MoveCamera"},
                {"Class": PLUGINS + "Select"},
                {"Class": PLUGINS + "FocusCamera"},
                {"Class": PLUGINS + "Measure"},
            ],
            "Views": {
                "Current": {
                    "Class": PLUGINS + "Orbit",
                    "Distance": 9,
                    "Focal Point": {"X": 0, "Y": 0, "Z": 0.8},
                    "Name": "Current View",
                    "Pitch": 0.6,
                    "Target Frame": fixed_frame,
                    "Value": "Orbit (rviz)",
                    "Yaw": 5.5,
                },
                "Saved": None,
            },
        },
        "Window Geometry": {"Height": 1000, "Width": 1700},
    }


def main() -> None:
    """Runs from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("cameras", nargs="*", default=DEMO_CAMERAS, help="names, as cameras.names")
    parser.add_argument("--node", default="/vggt4d", help="full name of the node")
    parser.add_argument("--fixed-frame", default="odom", help="frame of poses and merged clouds")
    options = parser.parse_args()
    content = view(options.cameras, options.node, options.fixed_frame)
    yaml.safe_dump(content, sys.stdout, sort_keys=False)


if __name__ == "__main__":
    main()
