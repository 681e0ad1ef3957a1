# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The RViz view shows what the node publishes, and nothing that it does not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from vggt4d_ros.messages.topics import TOPICS

ROOT = Path(__file__).resolve().parents[1]
CAMERAS = ("cam01", "cam02", "cam03", "cam04")
# display of RViz -> the message it draws
DRAWS = {
    "Image": "sensor_msgs/Image",
    "PointCloud2": "sensor_msgs/PointCloud2",
    "Marker": "visualization_msgs/Marker",
    "Odometry": "nav_msgs/Odometry",
    "Path": "nav_msgs/Path",
}
NOT_DRAWN = {"depth_info", "status", "scene_flow_image"}  # no display takes them


@pytest.fixture(scope="module")
def view() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "rviz" / "vggt4d.rviz").read_text())


def displays(items: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for item in items:
        yield item
        yield from displays(item.get("Displays", []))


def published() -> dict[str, tuple[str, str]]:
    """Full name -> key and type of what a node called /vggt4d publishes."""
    return {
        entry.resolve(camera).replace("~", "/vggt4d", 1): (entry.key, entry.type)
        for entry in TOPICS
        for camera in (CAMERAS if entry.per_camera else ("",))
    }


def test_every_display_shows_a_topic_of_the_node_in_its_type(view):
    known = published()

    shown = {
        item["Topic"]["Value"]: item["Class"].rsplit("/", 1)[1]
        for item in displays(view["Visualization Manager"]["Displays"])
        if "Topic" in item
    }

    assert len(shown) == 6 * len(CAMERAS) + 4
    for topic, display in shown.items():
        assert topic in known
        assert known[topic][1] == DRAWS[display]


def test_every_output_that_rviz_can_draw_is_there(view):
    shown = {
        item["Topic"]["Value"]
        for item in displays(view["Visualization Manager"]["Displays"])
        if "Topic" in item
    }

    missing = {topic for topic, (key, _) in published().items() if key not in NOT_DRAWN} - shown

    assert not missing


def test_latched_topics_are_taken_as_latched(view):
    latched = {entry.name for entry in TOPICS if entry.latched}

    for item in displays(view["Visualization Manager"]["Displays"]):
        if "Topic" in item:
            name = item["Topic"]["Value"].removeprefix("/vggt4d/")
            expected = "Transient Local" if name in latched else "Volatile"
            assert item["Topic"]["Durability Policy"] == expected


def test_frames_are_shown_in_the_frame_of_the_outputs(view):
    classes = {item["Class"] for item in displays(view["Visualization Manager"]["Displays"])}

    assert "rviz_default_plugins/TF" in classes
    assert view["Visualization Manager"]["Global Options"]["Fixed Frame"] == "odom"


def test_shipped_view_is_what_the_script_writes(view):
    written = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "make_rviz.py")],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout

    assert yaml.safe_load(written) == view


def test_script_writes_a_view_for_other_cameras():
    written = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "make_rviz.py"), "front", "--node", "/r1/vggt4d"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout

    assert "/r1/vggt4d/front/depth/image_rect" in written
    assert "cam01" not in written
