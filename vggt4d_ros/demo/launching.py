# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The demo's launch: replay.launch.py and the monitor, in a process of its own with a deadline."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from vggt4d_ros.demo.domain import free_domain

START_S = 45.0  # for the processes to come up and the network to load
END_S = 15.0


@dataclass(frozen=True, slots=True)
class Run:
    """What is launched."""

    bag: str
    params_file: str
    cameras: tuple[str, ...]
    inputs: tuple[str, ...]
    rate: float
    loops: int
    output: str  # folder for what the monitor and the player write
    drain_s: float  # longest wait for the node after the bag has ended
    node: str = "/vggt4d"


def run(what: Run, replay_s: float, log: Path) -> str:
    """Launches and waits; gives "" or why it failed.

    Args:
        what: the processes' arguments.
        replay_s: how long the bag will last.
        log: file for all that the processes say.
    """
    environment = {
        **os.environ,
        # this run meets no other graph, and no other graph meets it
        "ROS_DOMAIN_ID": str(free_domain()),
        "ROS_LOG_DIR": str(log.parent / "ros_log"),
        "PYTHONUNBUFFERED": "1",
    }
    command = [sys.executable, "-m", "vggt4d_ros.demo.launching", json.dumps(asdict(what))]
    with log.open("w") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
        try:
            status = process.wait(START_S + replay_s + what.drain_s + END_S)
        except subprocess.TimeoutExpired:
            _end(process)
            return "it did not end in time"
        except KeyboardInterrupt:
            _end(process)
            raise
        _sweep(process.pid)
    return f"the launch ended with status {status}" if status else ""


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the launch as Ctrl-C would, then by force."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(20.0)
    except subprocess.TimeoutExpired:
        process.kill()
    _sweep(process.pid)


def _sweep(group: int) -> None:
    """Ends what the launch may have left: its processes are all in one group."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def launch(what: Run) -> int:
    """Runs the launch service until the monitor ends; gives the exit status."""
    from ament_index_python.packages import get_package_share_directory
    from launch import LaunchDescription, LaunchService
    from launch.actions import IncludeLaunchDescription, RegisterEventHandler, Shutdown
    from launch.event_handlers import OnProcessExit
    from launch.launch_description_sources import PythonLaunchDescriptionSource
    from launch_ros.actions import Node

    share = Path(get_package_share_directory("vggt4d_ros"))
    replay = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(share / "launch" / "replay.launch.py")),
        launch_arguments=[
            ("bag", what.bag),
            ("params_file", what.params_file),
            ("rate", str(what.rate)),
            ("loop", str(what.loops)),
            ("wait_for_subscribers", "2"),  # the node and the monitor
            ("wait_for_listener", "/demo_monitor"),
            ("drain_s", str(what.drain_s)),
            ("player_report", str(Path(what.output) / "player.json")),
            ("rmw", "fastdds"),
        ],
    )
    monitor = Node(
        package="vggt4d_ros",
        executable="demo_monitor",
        output="screen",
        parameters=[
            {
                "cameras": list(what.cameras),
                "inputs": list(what.inputs),
                "node": what.node,
                "output": what.output,
            }
        ],
    )
    end = OnProcessExit(target_action=monitor, on_exit=[Shutdown(reason="the demo is over")])
    service = LaunchService(noninteractive=True)
    service.include_launch_description(
        LaunchDescription([replay, monitor, RegisterEventHandler(end)])
    )
    return int(service.run())


def tail(log: IO[str], lines: int) -> str:
    """Gives the last lines of a log."""
    return "".join(log.readlines()[-lines:])


if __name__ == "__main__":
    arguments = json.loads(sys.argv[1])
    arguments["cameras"] = tuple(arguments["cameras"])
    arguments["inputs"] = tuple(arguments["inputs"])
    sys.exit(launch(Run(**arguments)))
