# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``vggt4d bench node``: what the node costs beyond what rclpy costs anyway.

Real DDS, cameras in another process. In the same run, one after the other under the same load: a
trivial subscriber, a subscriber that publishes as many depth bytes (``echo``, the floor), and the
node. Compare the ratios; absolute times belong to the machine. Where other work disturbs them,
``--rounds`` lets the subjects take turns and gives medians. Nobody listens to the node's status
while it is measured, nor to anything but depth.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vggt4d_ros.benchmark_machine import machine, machine_line

HELP = "node over real DDS against the floor that rclpy sets"
SUBJECTS = ("subscriber", "echo", "node")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")
_RMW = {"fastdds": "rmw_fastrtps_cpp", "cyclonedds": "rmw_cyclonedds_cpp"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--size", default="640x480", help="WIDTHxHEIGHT (default %(default)s)")
    parser.add_argument("--rate", type=float, default=30.0, help="Hz (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=15.0, help="load on each subject")
    parser.add_argument(
        "--engine",
        default="null",
        choices=("null", "compact", "release"),
        help="null answers at once; compact is the one shipped; release has random weights (9 GB)",
    )
    parser.add_argument("--checkpoint", metavar="FILE", help="weights instead of --engine's own")
    parser.add_argument("--rounds", type=int, default=1, help="turns of each subject (median)")
    parser.add_argument("--executor", default="auto", choices=("auto", "single", "events"))
    parser.add_argument(
        "--floor-executor",
        default="single",
        choices=("auto", "single", "events"),
        help="of the processes compared with; single is what rclpy.spin takes (default)",
    )
    parser.add_argument("--rmw", default="fastdds", choices=(*_RMW, "both"))
    parser.add_argument(
        "--only-node", action="store_true", help="leave the floor out, e.g. to watch memory"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures here")


@dataclass
class Subject:
    """A process under load, looked at through /proc."""

    process: subprocess.Popen[str]
    memory: list[tuple[float, int]] = field(default_factory=list)  # (s, resident bytes)

    def cpu_seconds(self) -> float:
        """User and system time so far, all threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def note_memory(self, now: float) -> None:
        """Keeps the resident set."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        self.memory.append((now, pages * _PAGE))


def _environment(rmw: str) -> dict[str, str]:
    from ament_index_python.packages import get_package_share_directory

    dds = Path(get_package_share_directory("vggt4d_ros")) / "config" / "dds"
    return {
        **os.environ,
        "ROS_DOMAIN_ID": str(random.SystemRandom().randint(10, 99)),
        "RMW_IMPLEMENTATION": _RMW[rmw],
        "FASTRTPS_DEFAULT_PROFILES_FILE": str(dds / "fastdds.xml"),
        "FASTDDS_DEFAULT_PROFILES_FILE": str(dds / "fastdds.xml"),
        "CYCLONEDDS_URI": f"file://{dds / 'cyclonedds.xml'}",
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
    }


def _role(role: str, options: dict[str, Any]) -> list[str]:
    return [sys.executable, "-m", "vggt4d_ros.ros.bench_processes", role, json.dumps(options)]


def _node_command(options: dict[str, Any]) -> list[str]:
    from ament_index_python.packages import get_package_prefix

    names = ", ".join(f"cam{i}" for i in range(options["cameras"]))
    parameters = {
        "cameras.names": f"[{names}]",
        "model.engine": "null" if options["engine"] == "null" else "vggt4d",
        "model.checkpoint": options["checkpoint"] or "''",
        "node.executor": options["executor"],
        "geometry.allow_unscaled": "true",
    }
    command = [f"{get_package_prefix('vggt4d_ros')}/lib/vggt4d_ros/vggt4d_node", "--ros-args"]
    for name, value in parameters.items():
        command += ["-p", f"{name}:={value}"]
    return command


def _start(stack: ExitStack, command: list[str], env: dict[str, str]) -> subprocess.Popen[str]:
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
    stack.callback(process.kill)  # does nothing once it has ended
    return process


def _finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    process.send_signal(signal.SIGINT)
    lines = process.communicate(timeout=20)[0].strip().splitlines()
    found: dict[str, Any] = json.loads(lines[-1]) if lines else {}
    return found


def measure(subject: str, rmw: str, options: dict[str, Any]) -> dict[str, Any]:
    """Loads one subject: ``subscriber``, ``echo`` or ``node``; gives its figures.

    Raises:
        RuntimeError: a process failed; names which.
    """
    env = _environment(rmw)
    with ExitStack() as stack:
        if subject == "node":
            command = _node_command(options)
        else:
            command = _role("floor", {**options, "echo": subject == "echo"})
        watched = Subject(_start(stack, command, env))
        meter = _start(stack, _role("meter", options), env)
        time.sleep(3.0)
        cameras = _start(stack, _role("cameras", options), env)
        samples = _watch(watched, cameras)
        sent = json.loads(cameras.communicate(timeout=20)[0] or "{}")
        if "sent" not in sent:
            raise RuntimeError(f"bench cameras failed: {sent.get('error', 'no output')}")
        time.sleep(0.5)
        figures: dict[str, Any] = {"sent": sent["sent"], **samples}
        # the node's last words are its final counts, so the meter listens until after it ended
        if subject == "node":
            meter.send_signal(signal.SIGUSR1)
            time.sleep(1.0)  # until it hears the status
            watched.process.send_signal(signal.SIGINT)
            watched.process.wait(20)
            figures.update(_finish(meter))
        else:
            metered = _finish(meter)
            figures.update(_finish(watched.process))
            figures["depth_images"] = metered["depth_images"]
            figures["latency_ms"] = metered["latency_ms"]
    return figures


def _watch(watched: Subject, cameras: subprocess.Popen[str]) -> dict[str, Any]:
    """CPU and memory of the subject while the cameras run."""
    begin, cpu = time.monotonic(), 0.0
    started: tuple[float, float] | None = None
    last = (begin, 0.0)
    while cameras.poll() is None:
        if watched.process.poll() is not None:
            raise RuntimeError(f"the process under load ended: {watched.process.args!r}")
        now, cpu = time.monotonic(), watched.cpu_seconds()
        watched.note_memory(now - begin)
        if started is None and now - begin > 4.0:  # warmed up
            started = now, cpu
        last = now, cpu
        time.sleep(0.25)
    if started is None or last[0] <= started[0]:
        raise RuntimeError("the load ended before the measurement began: raise --seconds")
    minute = [size for at, size in watched.memory if at > 60.0]
    growth = (minute[-1] - minute[0]) / 2**20 if len(minute) > 1 else None
    return {
        "cpu_percent": round(100.0 * (last[1] - started[1]) / (last[0] - started[0]), 1),
        "memory_mib": round(watched.memory[-1][1] / 2**20, 1),
        "memory_growth_after_first_minute_mib": None if growth is None else round(growth, 1),
    }


@contextmanager
def _checkpoint(args: argparse.Namespace) -> Iterator[str]:
    """The weights to load; "" for those that the engine takes by itself."""
    if args.checkpoint or args.engine != "release":
        yield args.checkpoint or ""
        return
    from vggt4d_ros.model import checkpoint
    from vggt4d_ros.model.config import CONFIGS

    with tempfile.TemporaryDirectory() as folder:
        model = checkpoint.untrained(CONFIGS["release"]())
        # an untrained release has closed gates, whose branch would be skipped
        model.spatiotemporal_dense_fusion.alpha.data.fill_(1.0)
        yield str(checkpoint.save(Path(folder) / "release.safetensors", model))


def run(args: argparse.Namespace) -> int:
    """Measures and prints; exit status 1 when a process failed."""
    from vggt4d_ros.cli import CommandError

    try:
        width, height = (int(side) for side in args.size.split("x"))
    except ValueError as error:
        raise CommandError(f"--size must be WIDTHxHEIGHT, got {args.size!r}") from error
    if args.cameras < 1 or args.rounds < 1 or not args.rate > 0:
        raise CommandError("--cameras, --rounds and --rate must be positive")
    options = {
        "cameras": args.cameras,
        "width": width,
        "height": height,
        "rate": args.rate,
        "seconds": args.seconds,
        "engine": args.engine,
        "executor": args.executor,
        "floor_executor": args.floor_executor,
        "rounds": args.rounds,
    }
    report: dict[str, Any] = {"machine": machine(), "options": options}
    print(machine_line(report["machine"]))
    with _checkpoint(args) as weights:
        for rmw in _RMW if args.rmw == "both" else (args.rmw,):
            try:
                results = _compare(rmw, {**options, "checkpoint": weights}, args.only_node)
            except (RuntimeError, ImportError) as error:
                raise CommandError(str(error)) from error
            report[rmw] = results
            _print(rmw, results)
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


def _compare(rmw: str, options: dict[str, Any], only_node: bool) -> dict[str, Any]:
    """Figures of each subject, of its last turn, and the medians of the ratios over all turns."""
    results: dict[str, Any] = {}
    turns = []
    for _ in range(options["rounds"]):
        subjects = SUBJECTS[-1:] if only_node else SUBJECTS
        results = {subject: measure(subject, rmw, options) for subject in subjects}
        if not only_node:
            turns.append(_ratios(results))
    if turns:
        results["turns"] = turns
        results["ratio"] = {
            name: round(statistics.median(turn[name] for turn in turns), 2) for name in turns[0]
        }
    return results


def _ratios(results: dict[str, Any]) -> dict[str, float]:
    node, subscriber, echo = results["node"], results["subscriber"], results["echo"]
    return {
        "cpu_node_to_subscriber": node["cpu_percent"] / subscriber["cpu_percent"],
        "cpu_node_to_echo": node["cpu_percent"] / echo["cpu_percent"],
        "p50_added_ms": node["latency_ms"]["p50"] - echo["latency_ms"]["p50"],
        "p95_added_ms": node["latency_ms"]["p95"] - echo["latency_ms"]["p95"],
        "lost_by_node": _lost(node),
        "lost_by_echo": _lost(echo),
    }


def _lost(found: dict[str, Any]) -> int:
    """Images that were sent and never came."""
    return int(found["sent"] - found.get("frames_received", found.get("received", 0)))


def _print(rmw: str, results: dict[str, Any]) -> None:
    print(f"{rmw}: images sent -> received; depth images; CPU; age of depth p50/p95/p99; memory")
    for subject in SUBJECTS:
        if subject not in results:
            continue
        found = results[subject]
        age = "/".join(f"{found['latency_ms'][q]:.1f}" for q in ("p50", "p95", "p99"))
        print(
            f"  {subject:10s} {found['sent']:6d} -> {found['sent'] - _lost(found):6d}; "
            f"{found['depth_images']:6d}; {found['cpu_percent']:5.1f} %; {age} ms; "
            f"{found['memory_mib']:.0f} MiB"
        )
    node = results["node"]
    print(f"  node dropped {node['frames_dropped'] or 'nothing'}")
    for name, ratio in results.get("ratio", {}).items():
        print(f"  {name:24s} {ratio:8.2f}")
    if node["memory_growth_after_first_minute_mib"] is not None:
        growth = node["memory_growth_after_first_minute_mib"]
        print(f"  node memory growth after the first minute: {growth} MiB")
