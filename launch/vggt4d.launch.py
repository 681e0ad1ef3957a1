# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Starts the node: ``ros2 launch vggt4d_ros vggt4d.launch.py cameras:=front,left,right``."""

import os
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

SHARE = Path(get_package_share_directory("vggt4d_ros"))

ARGUMENTS = (
    ("params_file", "", "YAML file with parameters; the arguments below win over it"),
    ("namespace", "", "Namespace of the node and of relative camera topics"),
    ("cameras", "", "Camera names, comma-separated; images come on <name>/image_raw"),
    ("transport", "", "raw or compressed; empty: as in params_file"),
    ("engine", "", "vggt4d or null; empty: as in params_file"),
    ("use_sim_time", "", "true: take the time from /clock; empty: as in params_file"),
    ("autostart", "", "false: wait for a lifecycle manager; empty: as in params_file"),
    ("rviz", "false", "Start RViz with the package's view"),
    ("log_level", "info", "debug, info, warn, error or fatal"),
    (
        "rmw",
        "auto",
        "DDS profile for large images: auto (for the RMW in use), fastdds, cyclonedds or none",
    ),
)
# launch argument -> parameter it sets when it is not empty
SWITCHES = {"use_sim_time": "use_sim_time", "autostart": "node.autostart"}
OVERRIDES = {"transport": "cameras.transport", "engine": "model.engine"}
PROFILES = {
    "fastdds": (
        "rmw_fastrtps_cpp",
        # the second is Fast DDS 3's name (Kilted), which the first's older readers do not know
        ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"),
        str(SHARE / "config" / "dds" / "fastdds.xml"),
    ),
    "cyclonedds": (
        "rmw_cyclonedds_cpp",
        ("CYCLONEDDS_URI",),
        f"file://{SHARE / 'config' / 'dds' / 'cyclonedds.xml'}",
    ),
}


def dds_profile(context: LaunchContext) -> list[SetEnvironmentVariable]:
    """Environment of the chosen profile; a profile the user has set stays."""
    chosen = LaunchConfiguration("rmw").perform(context)
    if chosen == "none":
        return []
    if chosen not in (*PROFILES, "auto"):
        raise RuntimeError(f"rmw must be auto, fastdds, cyclonedds or none, got {chosen!r}")
    actions = []
    if chosen == "auto":
        current = os.environ.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp")
        matching = [name for name, profile in PROFILES.items() if profile[0] == current]
        if not matching:
            return []
        chosen = matching[0]
    else:
        actions.append(SetEnvironmentVariable("RMW_IMPLEMENTATION", PROFILES[chosen][0]))
    _, variables, value = PROFILES[chosen]
    if not any(os.environ.get(variable) for variable in variables):
        actions += [SetEnvironmentVariable(variable, value) for variable in variables]
    return actions


def truth(name: str, text: str) -> bool:
    """A launch argument as a bool."""
    if text.lower() not in ("true", "false"):
        raise RuntimeError(f"{name} must be true or false, got {text!r}")
    return text.lower() == "true"


def start_node(context: LaunchContext) -> list[Node]:
    """The node with its parameters: file first, then the arguments."""
    text = {name: LaunchConfiguration(name).perform(context) for name, _, _ in ARGUMENTS}
    parameters: list[object] = [text["params_file"]] if text["params_file"] else []
    values: dict[str, object] = {
        parameter: truth(name, text[name]) for name, parameter in SWITCHES.items() if text[name]
    }
    if text["cameras"]:
        values["cameras.names"] = [name.strip() for name in text["cameras"].split(",")]
    values.update({OVERRIDES[name]: text[name] for name in OVERRIDES if text[name]})
    # a node's logger is its full name with dots
    logger = ".".join([*text["namespace"].strip("/").split("/"), "vggt4d"]).strip(".")
    return [
        Node(
            package="vggt4d_ros",
            executable="vggt4d_node",
            name="vggt4d",
            namespace=text["namespace"],
            parameters=[*parameters, values],
            arguments=["--ros-args", "--log-level", f"{logger}:={text['log_level']}"],
            output="screen",
        )
    ]


def generate_launch_description() -> LaunchDescription:
    """Arguments, DDS profile, the node, RViz on demand."""
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        arguments=["-d", str(SHARE / "rviz" / "vggt4d.rviz")],
        condition=IfCondition(LaunchConfiguration("rviz")),
    )
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(name, default_value=default, description=text)
                for name, default, text in ARGUMENTS
            ),
            OpaqueFunction(function=dds_profile),
            OpaqueFunction(function=start_node),
            rviz,
        ]
    )
