# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The process around the node: start, signals, end, exit status.

Exit status: 0 after SIGINT or SIGTERM, 1 when the node could not start or its worker died.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence

import rclpy
from rclpy.logging import get_logger
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future

from vggt4d_ros.options import ConfigError
from vggt4d_ros.ros.executor import make_executor
from vggt4d_ros.ros.memory import keep_freed_memory
from vggt4d_ros.ros.node import Vggt4dNode

# A network call cannot be interrupted: after this long the process ends without it.
_JOIN_SECONDS = 1.0


def _stop_on_signals(stop: Future, is_starting: threading.Event) -> None:
    """Ends the spin on SIGINT and SIGTERM, while publishers still work.

    rclpy's own handlers invalidate the context first, which would lose the last status. A Python
    handler would run only when the executor next wakes, so a thread reads the wake-up pipe.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)

    def wait() -> None:
        os.read(reader, 1)
        if is_starting.is_set():  # the main thread is loading the network: nothing to save yet
            os._exit(0)
        finish(stop, 0)
        os.read(reader, 1)  # asked twice: wait for nothing
        os._exit(130)

    threading.Thread(target=wait, name="signals", daemon=True).start()


def finish(stop: Future, status: int) -> None:
    """Ends the spin with this exit status; the first call counts."""
    if not stop.done():
        stop.set_result(status)


def main(args: Sequence[str] | None = None) -> int:
    """Runs the node until a signal or its failure."""
    keep_freed_memory()
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    stop = Future()
    is_starting = threading.Event()
    is_starting.set()
    _stop_on_signals(stop, is_starting)
    try:
        node = Vggt4dNode(on_fatal=lambda: finish(stop, 1))
        executor = make_executor(node.config.node.executor)
    except ConfigError as error:
        get_logger("vggt4d").fatal(str(error))
        rclpy.try_shutdown()
        return 1
    executor.add_node(node)
    if node.config.node.autostart and not node.start():
        finish(stop, 1)
    is_starting.clear()
    executor.spin_until_future_complete(stop)
    finished = node.close(_JOIN_SECONDS)
    executor.shutdown(timeout_sec=0.5)
    node.destroy_node()
    rclpy.try_shutdown()
    status = int(stop.result())
    if not finished:
        # the worker is inside the network; DDS is down already, so nothing is left behind
        sys.stderr.flush()
        os._exit(status)
    return status


if __name__ == "__main__":
    sys.exit(main())
