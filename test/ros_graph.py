# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pieces of a real ROS graph for tests: cameras that publish, the installed node, waiting."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import TransformStamped
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from vggt4d_ros.demo.domain import free_domain
from vggt4d_ros.ros.encode import bytes_of, stamp_from_ns

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND  # stamp of the first instant, ns
PERIOD = SECOND // 10
NULL = {  # parameters of a node with two cameras and no network
    "model.engine": "null",
    "geometry.allow_unscaled": True,
    "window.length": 2,
    "cameras.names": ["cam0", "cam1"],
}
Spin = Callable[[float], None]
PATIENCE = 6.0  # deadlines are this much longer than an idle machine needs


def slowness() -> float:
    """How much longer than on an idle machine things take now, 1 to 6: the load per core.

    Pauses that give another process time to act are stretched by it.
    """
    return min(6.0, max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)))


def fresh_domain() -> str:
    """A ROS_DOMAIN_ID of its own for a test's processes."""
    return str(free_domain())


@contextmanager
def graph_node(
    name: str, domain: str, namespace: str = ""
) -> Iterator[tuple[Node, Callable[[float], None]]]:
    """A node in its own context on ``domain``, and ``spin(seconds)``, stretched by ``slowness``."""
    context = Context()
    rclpy.init(context=context, domain_id=int(domain))
    node = Node(name, context=context, namespace=namespace)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)

    def spin(seconds: float) -> None:
        end = time.monotonic() + seconds * slowness()
        while (left := end - time.monotonic()) > 0:
            executor.spin_once(timeout_sec=left)

    try:
        yield node, spin
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown(context=context)


def listen(node: Node, kind: type, topic: str) -> list:
    """A list that takes what comes on a topic from now on."""
    got: list = []
    node.create_subscription(kind, topic, got.append, QoSProfile(depth=50))
    return got


def newest_reports(messages: Sequence[DiagnosticArray]) -> dict[str, DiagnosticStatus]:
    """The last report of each task of a node, by the task's name."""
    return {
        status.name.split(": ")[-1]: status for message in messages for status in message.status
    }


def values(status: DiagnosticStatus) -> dict[str, str]:
    """What a report says, by key."""
    return {entry.key: entry.value for entry in status.values}


def wait_until(
    condition: Callable[[], bool], spin: Callable[[float], None], timeout_s: float, what: str
) -> None:
    """Spins until the condition holds.

    Raises:
        AssertionError: it did not within ``PATIENCE`` times ``timeout_s``.
    """
    timeout_s *= PATIENCE
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"no {what} within {timeout_s} s")
        spin(0.05)


def wait_for_stamp(
    messages: Sequence[object], stamp_ns: int, spin: Callable[[float], None], what: str
) -> None:
    """Waits for a message with this header stamp: the node has worked on that instant."""
    wanted = stamp_from_ns(stamp_ns)

    def came() -> bool:
        return any(message.header.stamp == wanted for message in messages)

    wait_until(came, spin, 10, f"{what} of {stamp_ns} ns")


def call(
    node: Node, spin: Callable[[float], None], kind: type, name: str, request: object
) -> object:
    """The answer of a service, waited for."""
    client = node.create_client(kind, name)
    wait_until(client.service_is_ready, spin, 20, f"service {name}")
    future = client.call_async(request)
    wait_until(future.done, spin, 30, f"answer of {name}")
    return future.result()


@dataclass
class RunningNode:
    """The installed node in a process of its own."""

    process: subprocess.Popen[bytes]
    log: Path

    def output(self) -> str:
        """All it printed so far."""
        return self.log.read_text(errors="replace")

    def stop(self, number: int = signal.SIGINT, timeout_s: float = 60.0) -> tuple[int, float]:
        """Sends a signal; gives the exit status and the seconds it took."""
        begin = time.monotonic()
        self.process.send_signal(number)
        status = self.process.wait(timeout_s)
        return status, time.monotonic() - begin


@contextmanager
def running_node(
    folder: Path,
    domain: str,
    parameters: dict[str, object],
    *,
    arguments: Sequence[str] = (),
    rmw: str = "",
    executable: str = "vggt4d_node",
) -> Iterator[RunningNode]:
    """Starts the installed node by `ros2 run`'s executable; ends it afterwards, whatever comes."""
    from ament_index_python.packages import get_package_prefix

    installed = Path(get_package_prefix("vggt4d_ros")) / "lib" / "vggt4d_ros"
    command = [str(installed / executable), "--ros-args"]  # an absolute executable stays as it is
    for name, value in parameters.items():
        text = str(value).lower() if isinstance(value, bool) else value
        if isinstance(value, (list, tuple)):
            text = "[" + ", ".join(f"'{item}'" for item in value) + "]"
        command += ["-p", f"{name}:={text}"]
    command += arguments
    environment = {**os.environ, "ROS_DOMAIN_ID": domain, "RCUTILS_COLORIZED_OUTPUT": "0"}
    if rmw:
        environment["RMW_IMPLEMENTATION"] = rmw
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"node-{len(list(folder.glob('node-*.log')))}.log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment)
    try:
        yield RunningNode(process, log)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def rgb_image(
    stamp_ns: int, frame_id: str, width: int = 64, height: int = 48, seed: int = 0
) -> Image:
    """A small smooth picture."""
    rows, columns = np.mgrid[0:height, 0:width]
    pixels = np.stack([rows * 3 + seed, columns * 3, rows + columns], axis=-1).astype(np.uint8)
    head = Header(stamp=stamp_from_ns(stamp_ns), frame_id=frame_id)
    message = Image(header=head, height=height, width=width, encoding="rgb8", step=width * 3)
    message.data = bytes_of(pixels)
    return message


def camera_info(stamp: Time, frame_id: str, width: int = 64, height: int = 48) -> CameraInfo:
    """Intrinsics of a camera with a horizontal field of view of 53 degrees."""
    message = CameraInfo(header=Header(stamp=stamp, frame_id=frame_id), width=width, height=height)
    focal, cx, cy = float(width), (width - 1) / 2, (height - 1) / 2
    message.distortion_model = "plumb_bob"
    message.d = [0.0] * 5
    message.k = [focal, 0.0, cx, 0.0, focal, cy, 0.0, 0.0, 1.0]
    message.r = np.eye(3).ravel().tolist()
    message.p = [focal, 0.0, cx, 0.0, 0.0, focal, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    return message


class CameraRig:
    """Publishers of N cameras ``cam0``... with frames ``cam0_optical``..., 0.1 m apart."""

    def __init__(
        self,
        node: Node,
        count: int,
        *,
        reliability: ReliabilityPolicy = ReliabilityPolicy.RELIABLE,
        with_info: bool = True,
        with_tf: bool = True,
    ) -> None:
        qos = QoSProfile(depth=5, reliability=reliability)
        self.names = [f"cam{i}" for i in range(count)]
        self.images = [node.create_publisher(Image, f"{n}/image_raw", qos) for n in self.names]
        self.infos = [
            node.create_publisher(CameraInfo, f"{n}/camera_info", qos) for n in self.names
        ]
        self._with_info = with_info
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._static = node.create_publisher(TFMessage, "/tf_static", latched)
        if with_tf:
            self._static.publish(TFMessage(transforms=[self._mount(i) for i in range(count)]))

    def _mount(self, index: int) -> TransformStamped:
        message = TransformStamped(child_frame_id=f"cam{index}_optical")
        message.header.frame_id = "base_link"
        message.transform.translation.y = 0.1 * index
        # optical axes in body axes (REP-103)
        rotation = message.transform.rotation
        rotation.x, rotation.y, rotation.z, rotation.w = -0.5, 0.5, -0.5, 0.5
        return message

    def publish(self, stamp_ns: int, cameras: Sequence[int] | None = None) -> None:
        """One instant: an image and a CameraInfo of each camera given (all by default)."""
        for index in range(len(self.names)) if cameras is None else cameras:
            frame_id = f"cam{index}_optical"
            if self._with_info:
                self.infos[index].publish(camera_info(stamp_from_ns(stamp_ns), frame_id))
            self.images[index].publish(rgb_image(stamp_ns, frame_id, seed=index))

    def wait_for_node(self, spin: Callable[[float], None], timeout_s: float = 30.0) -> None:
        """Waits until the node has subscribed to every camera."""
        wait_until(
            lambda: all(p.get_subscription_count() > 0 for p in [*self.images, *self.infos]),
            spin,
            timeout_s,
            "subscription to every camera",
        )
