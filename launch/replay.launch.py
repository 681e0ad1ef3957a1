# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Replays a bag into the node: ``ros2 launch vggt4d_ros replay.launch.py bag:=walk cameras:=a,b``.

Takes the arguments of vggt4d.launch.py too. Ends when the bag has ended and the node has had
``drain_s`` for its last windows.
"""

import re
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    IncludeLaunchDescription,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
    SetLaunchConfiguration,
    Shutdown,
    TimerAction,
)
from launch.event_handlers import OnProcessExit
from launch.events.process import ProcessExited, ShutdownProcess
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from vggt4d_ros.evaluation.bag import BagError, open_bag

# Patience with a process that was asked to end, before it is killed: a recorder has to finish its
# bag, which takes long on a busy machine.
PATIENCE_S = "30"
SHARE = Path(get_package_share_directory("vggt4d_ros"))

ARGUMENTS = (
    ("bag", None, "rosbag2 directory, .mcap, .db3 or ROS 1 .bag"),
    ("rate", "1.0", "Speed of the replay; 0.5: half as fast as recorded"),
    ("loop", "1", "Times to play the bag; 0: until stopped. Each time, time jumps back"),
    ("start_delay_s", "0.0", "Wait this long before the first message"),
    (
        "wait_for_subscribers",
        "",
        "Start when each image topic has so many; empty: the node, and the recorder if it records",
    ),
    (
        "wait_for_listener",
        "",
        "Start when this node (full name) hears all outputs; empty: the recorder if it records",
    ),
    ("wait_timeout_s", "60.0", "Start without them after this time (loading a network takes some)"),
    ("topics", "", "Topics to play, comma-separated; empty: all"),
    ("image_reliability", "reliable", "reliable or best_effort (as a camera driver may)"),
    ("record", "", "Directory to record into (mcap); empty: record nothing"),
    ("record_regex", ".*", "Which topics to record"),
    ("exit_at_end", "true", "End all when the bag has ended; false: the node goes on"),
    ("drain_s", "5.0", "Time for the last windows between the end of the bag and of the node"),
    ("use_sim_time", "true", "The node takes its time from the bag"),
    ("player_report", "", "JSON file for the player's timing; empty: none"),
)


def start_player(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """The player, the recorder on demand, and what happens when one of them or the node ends."""
    text = {name: LaunchConfiguration(name).perform(context) for name, _, _ in ARGUMENTS}
    namespace = LaunchConfiguration("namespace").perform(context).strip("/")
    player = Node(
        package="vggt4d_ros",
        executable="bag_player",
        output="screen",
        parameters=[
            {
                "bag": text["bag"],
                "rate": float(text["rate"]),
                "loop": int(text["loop"]),
                "start_delay_s": float(text["start_delay_s"]),
                "wait_for_subscribers": _wait_for(text),
                **_wait_for_outputs(text, f"/{namespace}/vggt4d" if namespace else "/vggt4d"),
                "wait_timeout_s": float(text["wait_timeout_s"]),
                "topics": [name.strip() for name in text["topics"].split(",")],
                "topic_prefix": f"/{namespace}" if namespace else "",
                "image_reliability": text["image_reliability"],
                "report_file": text["player_report"],
            }
        ],
    )
    actions: list[LaunchDescriptionEntity] = [
        RegisterEventHandler(
            OnProcessExit(
                target_action=player,
                on_exit=lambda event, _: _after_player(
                    event, text["exit_at_end"].lower() == "true", float(text["drain_s"])
                ),
            )
        ),
        RegisterEventHandler(
            OnProcessExit(on_exit=lambda event, context: _after_node(event, context, player))
        ),
    ]
    if text["record"]:
        actions.append(
            Node(
                package="vggt4d_ros",
                executable="recorder",
                name="recorder",
                output="screen",
                parameters=[{"output": text["record"], "regex": text["record_regex"]}],
            )
        )
    return [*actions, player]


def _wait_for(text: dict[str, str]) -> int:
    """How many subscribers of each image topic the player waits for."""
    if text["wait_for_subscribers"]:
        return int(text["wait_for_subscribers"])
    if not text["record"]:
        return 1
    try:
        with open_bag(text["bag"]) as bag:
            images = bag.image_topics
    except BagError:
        return 1  # the player will say it
    return 1 + all(re.fullmatch(text["record_regex"], topic.name) for topic in images)


def _wait_for_outputs(text: dict[str, str], node: str) -> dict[str, str]:
    """Who must hear which outputs of the node before the player starts.

    What nobody listens to is not even computed.
    """
    if text["wait_for_listener"]:
        return {"wait_for_listener": text["wait_for_listener"], "wait_for_outputs_of": node}
    if not text["record"]:
        return {}
    return {
        "wait_for_listener": "/recorder",
        "wait_for_outputs_of": node,
        "wait_for_outputs": text["record_regex"],
    }


def _after_player(
    event: ProcessExited, exit_at_end: bool, drain_s: float
) -> list[LaunchDescriptionEntity]:
    if event.returncode != 0:
        return _end(f"the bag player failed with status {event.returncode}")
    if not exit_at_end:
        return []
    # the node first and the recorder after it, which is to have the node's last words
    stop = EmitEvent(event=ShutdownProcess(process_matcher=_is_node))
    words = LogInfo(msg="the bag has ended: ending the node")
    return [TimerAction(period=drain_s, actions=[words, stop])]


def _after_node(
    event: ProcessExited, context: LaunchContext, player: Node
) -> list[LaunchDescriptionEntity]:
    if context.is_shutdown or not _is_node(event.action):
        return []
    if event.returncode != 0:
        return _end(f"the node failed with status {event.returncode}")
    return _end("the node has ended") if player.return_code is not None else []


def _is_node(action: ExecuteProcess) -> bool:
    details = action.process_details
    return details is not None and details["name"].startswith("vggt4d_node")


def _end(reason: str) -> list[LaunchDescriptionEntity]:
    return [LogInfo(msg=f"{reason}: ending the replay"), Shutdown(reason=reason)]


def generate_launch_description() -> LaunchDescription:
    """Arguments, the node (first: its DDS profile is the player's too), the player."""
    node = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(SHARE / "launch" / "vggt4d.launch.py"))
    )
    return LaunchDescription(
        [
            SetLaunchConfiguration("sigterm_timeout", PATIENCE_S),
            *(
                DeclareLaunchArgument(name, default_value=default, description=text)
                for name, default, text in ARGUMENTS
            ),
            node,
            OpaqueFunction(function=start_player),
        ]
    )
