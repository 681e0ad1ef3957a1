#!/usr/bin/env python3
# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Measures what images of several cameras lose between two processes, per DDS and profile.

A publisher sends synchronised rgb8 images at a fixed rate, a subscriber in another process counts
them and the sets in which all cameras have the same stamp. The figures of docs/dds.md come from it.
"""

from __future__ import annotations

import argparse
import array
import json
import os
import resource
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from vggt4d_ros.demo.domain import free_domain

DDS = Path(__file__).resolve().parents[1] / "config" / "dds"
FAST, CYCLONE = "rmw_fastrtps_cpp", "rmw_cyclonedds_cpp"
CASES = {
    "Fast DDS, default": {"RMW_IMPLEMENTATION": FAST},
    "Fast DDS, config/dds/fastdds.xml": {
        "RMW_IMPLEMENTATION": FAST,
        "FASTRTPS_DEFAULT_PROFILES_FILE": str(DDS / "fastdds.xml"),
        "FASTDDS_DEFAULT_PROFILES_FILE": str(DDS / "fastdds.xml"),
    },
    "Cyclone DDS, default": {"RMW_IMPLEMENTATION": CYCLONE},
    "Cyclone DDS, config/dds/cyclonedds.xml": {
        "RMW_IMPLEMENTATION": CYCLONE,
        "CYCLONEDDS_URI": f"file://{DDS / 'cyclonedds.xml'}",
    },
}


def cpu_seconds() -> float:
    """Gives the CPU time of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def qos(options: argparse.Namespace) -> Any:
    """Gives the QoS of both sides: newest only, as the node subscribes."""
    from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy

    reliable = options.reliability == "reliable"
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=5,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
    )


def publish(options: argparse.Namespace) -> dict[str, float]:
    """Sends images for ``seconds`` once a subscriber is there."""
    import rclpy
    from sensor_msgs.msg import Image

    rclpy.init()
    node = rclpy.create_node("measure_publisher")
    publishers = [
        node.create_publisher(Image, f"camera{index}", qos(options))
        for index in range(options.cameras)
    ]
    message = Image(encoding="rgb8", width=options.width, height=options.height)
    message.step = 3 * options.width
    message.data = array.array("B", bytes(message.step * options.height))
    while not all(publisher.get_subscription_count() for publisher in publishers):
        time.sleep(0.02)
    time.sleep(0.5)
    start, cpu, sent = time.monotonic(), cpu_seconds(), 0
    while (due := start + sent / options.rate) < start + options.seconds:
        time.sleep(max(0.0, due - time.monotonic()))
        now = time.time_ns()
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(now, 10**9)
        for publisher in publishers:
            publisher.publish(message)
        sent += 1
    spent = cpu_seconds() - cpu
    time.sleep(0.5)
    return {"sent": sent, "cpu": spent / (time.monotonic() - start - 0.5)}


def subscribe(options: argparse.Namespace) -> dict[str, float]:
    """Counts images until none has come for a second."""
    import rclpy
    from sensor_msgs.msg import Image

    rclpy.init()
    node = rclpy.create_node("measure_subscriber")
    got: dict[int, list[int]] = defaultdict(list)  # stamp, ns -> arrival of each camera's image, ns
    first_cpu = [0.0, 0.0]

    def keep(message: Image) -> None:
        if not got:
            first_cpu[:] = cpu_seconds(), time.monotonic()
        stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        got[stamp].append(time.time_ns())

    for index in range(options.cameras):
        node.create_subscription(Image, f"camera{index}", keep, qos(options))
    begin = time.monotonic()
    newest = begin
    count = 0
    while time.monotonic() - newest < (1.0 if got else 10.0):
        rclpy.spin_once(node, timeout_sec=0.1)
        total = sum(map(len, got.values()))
        if total != count:
            count, newest = total, time.monotonic()
    late = [
        max(arrivals) - stamp for stamp, arrivals in got.items() if len(arrivals) == options.cameras
    ]
    p50, p99 = np.percentile(late, (50, 99)) / 1e6 if late else (np.nan, np.nan)
    span = newest - first_cpu[1]
    return {
        "images": count,
        "sets": len(late),
        "p50_ms": float(p50),
        "p99_ms": float(p99),
        "cpu": (cpu_seconds() - first_cpu[0]) / span if span > 0 else float("nan"),
    }


def measure(case: dict[str, str], options: argparse.Namespace) -> tuple[dict[str, float], ...]:
    """Runs both sides in processes of their own; gives what each of them found."""
    known = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE", "CYCLONEDDS_URI")
    environment = {name: value for name, value in os.environ.items() if name not in known}
    environment.update(case, ROS_DOMAIN_ID=str(free_domain()))
    command = [sys.executable, __file__, *sys.argv[1:]]
    sides = [
        subprocess.Popen([*command, "--role", role], env=environment, stdout=subprocess.PIPE)
        for role in ("subscribe", "publish")
    ]
    limit = options.seconds + 30
    return tuple(json.loads(side.communicate(timeout=limit)[0]) for side in sides)


def main() -> None:
    """Runs from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--rate", type=float, default=30.0, help="Hz")
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--reliability", choices=("best_effort", "reliable"), default="best_effort")
    parser.add_argument("--role", choices=("publish", "subscribe"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role:
        print(json.dumps({"publish": publish, "subscribe": subscribe}[options.role](options)))
        return
    print("| transport | QoS | images/s per camera | sets/s | p50/p99 ms | CPU % pub/sub |")
    print("|---|---|---|---|---|---|")
    for name, case in CASES.items():
        received, sent = measure(case, options)
        seconds = sent["sent"] / options.rate
        print(
            f"| {name} | {options.reliability} "
            f"| {received['images'] / options.cameras / seconds:.1f} "
            f"| {received['sets'] / seconds:.1f} "
            f"| {received['p50_ms']:.1f}/{received['p99_ms']:.1f} "
            f"| {100 * sent['cpu']:.0f}/{100 * received['cpu']:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
