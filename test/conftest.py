# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Runs the tests without ROS first, and leaves no process and no shared memory behind."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MARK = "VGGT4D_TEST_SESSION"
SHM = Path("/dev/shm")
PROFILE = HERE.parent / "config" / "dds" / "fastdds.xml"

has_ros = find_spec("rclpy") is not None
# without ROS these files cannot even be imported
collect_ignore = (
    []
    if has_ros
    else [path.name for path in HERE.glob("test_*.py") if "pytest.mark.ros" in path.read_text()]
)
started = time.time()


def pytest_configure() -> None:
    os.environ[MARK] = uuid.uuid4().hex  # inherited by all that the tests start
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    # OpenMP's threads spin while they wait: on a busy machine that makes torch ten times slower
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # as docs/dds.md advises users: the defaults lose a receiver that is slow to answer
    os.environ.setdefault("FASTRTPS_DEFAULT_PROFILES_FILE", str(PROFILE))
    os.environ.setdefault("FASTDDS_DEFAULT_PROFILES_FILE", str(PROFILE))


def pytest_report_header() -> str:
    return "" if has_ros else f"no rclpy here, left out: {', '.join(collect_ignore)}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("ros") is not None)
    for item in items:
        # Several processes that must meet in time: a stall of the machine can part them. What was
        # run again shows as R in the progress and by name in the summary.
        if item.get_closest_marker("ros"):
            item.add_marker(pytest.mark.flaky(reruns=3, reruns_delay=5))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    left = list(left_processes())
    for pid, command in left:
        if "ros2cli.daemon" not in command:  # the CLI's daemon is meant to outlive its command
            terminalreporter.write_line(f"left running by a test, now ended: {pid} {command}")
    end(pid for pid, _ in left)
    for path in left_segments():
        path.unlink(missing_ok=True)


def left_processes() -> Iterator[tuple[int, str]]:
    """Processes started in this session that still run: their environment carries its mark."""
    mark = f"{MARK}={os.environ[MARK]}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        pid = int(folder.name)
        try:
            if pid != os.getpid() and mark in (folder / "environ").read_bytes().split(b"\0"):
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                yield pid, command.strip()
        except OSError:
            continue


def end(pids: Iterator[int]) -> None:
    """Interrupts the processes, and kills those that have not ended three seconds later."""
    waiting = set(pids)
    for number, patience_s in ((signal.SIGINT, 3.0), (signal.SIGKILL, 1.0)):
        for pid in waiting:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        deadline = time.monotonic() + patience_s
        while waiting and time.monotonic() < deadline:
            waiting = {pid for pid in waiting if Path(f"/proc/{pid}/environ").exists()}
            time.sleep(0.05)


def left_segments() -> Iterator[Path]:
    """Fast DDS shared memory of this session that no process has mapped any more."""
    # the files first: what others make while /proc is read is not mapped in what was read
    there = [*SHM.glob("fastrtps_*"), *SHM.glob("fastdds_*")]
    mapped = ""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            mapped += (folder / "maps").read_text(errors="replace")
        except OSError:
            continue
    for path in there:
        try:
            info = path.stat()
        except FileNotFoundError:
            continue
        if info.st_uid == os.getuid() and info.st_mtime >= started and str(path) not in mapped:
            yield path
