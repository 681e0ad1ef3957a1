# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How the small tools (player, recorder, monitor) begin and end: both signals stop them cleanly."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import FrameType
from typing import Any, TypeVar

import rclpy
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

Value = TypeVar("Value")  # bool, int, float, str or tuple[str, ...]
LONGEST_SLEEP_S = 0.05


class Stop:
    """Set by SIGINT or SIGTERM.

    No threading.Event: its ``set`` in a signal handler can meet its own lock held by ``wait``.
    """

    def __init__(self) -> None:
        self._is_set = False

    def set(self) -> None:
        """Asks for the end."""
        self._is_set = True

    def is_set(self) -> bool:
        """Whether the end was asked for."""
        return self._is_set

    def wait(self, seconds: float) -> bool:
        """Sleeps for ``seconds``, less when the end is asked for; gives ``is_set``."""
        end = time.monotonic() + seconds
        while not self._is_set and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, LONGEST_SLEEP_S))
        return self._is_set


@contextmanager
def ros_process(args: list[str] | None = None) -> Iterator[Stop]:
    """Starts ROS and gives the stop sign; ends ROS when left."""
    stop = Stop()

    def ask(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    # rclpy's own handlers would take the context away while a bag is still being closed
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    try:
        yield stop
    finally:
        rclpy.try_shutdown()
        for number, handler in before.items():
            signal.signal(number, handler)


def message_class(name: str) -> Any | None:
    """Gives the Python class of pkg/msg/Name, None where no sourced workspace has it."""
    package, _, kind = name.split("/")
    try:
        return getattr(import_module(f"{package}.msg"), kind, None)
    except ImportError:
        return None


def parameter(node: Node, name: str, default: Value) -> Value:
    """Declares and reads a parameter; a whole number will do for a float, a text for a list.

    Raises:
        ValueError: the value has another type; one line.
    """
    # ROS has no empty list: [''] stands for it
    start = list(default) or [""] if isinstance(default, tuple) else default
    descriptor = ParameterDescriptor(dynamic_typing=True)
    value: Any = node.declare_parameter(name, start, descriptor).value
    if isinstance(default, tuple):
        value = [value] if isinstance(value, str) else value
        if isinstance(value, (list, tuple)) and all(isinstance(part, str) for part in value):
            value = tuple(part for part in value if part)
    elif isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is type(default):
        result: Value = value
        return result
    kind = "list of strings" if isinstance(default, tuple) else type(default).__name__
    raise ValueError(f"parameter {name} must be a {kind}, got {value!r}")


def compiled(name: str, pattern: str) -> re.Pattern[str]:
    """Gives the regular expression of a parameter.

    Raises:
        ValueError: it is none; one line.
    """
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ValueError(f"parameter {name} is no regular expression: {error}") from error
