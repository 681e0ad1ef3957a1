# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Small recordings for the tests of the evaluation, whole and with every fault.

They are made for the engine ``null``, whose answer is known: depth rises from 1 to 2 units from the
top to the bottom row, and camera v stands 0.1 v units to the right of the first. Cameras that are
0.2 m apart make a unit two metres.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rosbags.interfaces import Connection
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as Ros2Writer
from rosbags.rosbag2.enums import CompressionFormat, CompressionMode
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from vggt4d_ros.config import Config, config_from_flat
from vggt4d_ros.evaluation.options import EvalOptions

START_NS = 1_700_000_000_000_000_000
STEP_NS = 100_000_000
WIDTH, HEIGHT = 32, 24
SPACING_M = 0.2
SCALE = 2.0  # metres in a unit of the engine's
KINDS = {
    "image": "sensor_msgs/msg/Image",
    "compressed": "sensor_msgs/msg/CompressedImage",
    "info": "sensor_msgs/msg/CameraInfo",
    "tf": "tf2_msgs/msg/TFMessage",
    "odometry": "nav_msgs/msg/Odometry",
    "pose": "geometry_msgs/msg/PoseStamped",
}
# base_from_optical of a camera that looks ahead, as a quaternion xyzw (REP-103)
AHEAD = (-0.5, 0.5, -0.5, 0.5)


def null_config(**values: object) -> Config:
    """The engine without a network; further values by ``section__field``."""
    flat = {name.replace("__", "."): value for name, value in values.items()}
    return config_from_flat({"model.engine": "null", **flat})


def options(**values: Any) -> EvalOptions:
    """Options for the engine without a network."""
    values.setdefault("config", null_config())
    return EvalOptions(**values)


def true_depth() -> np.ndarray:
    """What the engine says, in metres once the rig's scale is known."""
    rows = np.linspace(1.0, 2.0, HEIGHT, dtype=np.float32)
    return np.repeat(rows[:, None], WIDTH, axis=1) * np.float32(SCALE)


class Recorder:
    """Writes messages of ROS 2, or of ROS 1, into an open writer."""

    def __init__(self, writer: Any, *, ros1: bool = False) -> None:
        self._writer = writer
        self._ros1 = ros1
        self.store = get_typestore(Stores.ROS1_NOETIC if ros1 else Stores.ROS2_JAZZY)
        self._connections: dict[str, Connection] = {}
        if ros1:
            definition = "geometry_msgs/TransformStamped[] transforms\n"
            self.store.register(get_types_from_msg(definition, KINDS["tf"]))

    def new(self, kind: str, **fields: object) -> Any:
        return self.store.types[kind](**fields)

    def header(self, stamp_ns: int, frame_id: str) -> Any:
        stamp = self.new(
            "builtin_interfaces/msg/Time", sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9
        )
        extra = {"seq": 0} if self._ros1 else {}
        return self.new("std_msgs/msg/Header", stamp=stamp, frame_id=frame_id, **extra)

    def topic(self, name: str, kind: str) -> Connection:
        if name not in self._connections:
            self._connections[name] = self._writer.add_connection(name, kind, typestore=self.store)
        return self._connections[name]

    def write(self, name: str, kind: str, message: Any, at_ns: int) -> None:
        serialize = self.store.serialize_ros1 if self._ros1 else self.store.serialize_cdr
        self._writer.write(self.topic(name, kind), at_ns, bytes(serialize(message, kind)))

    def image(
        self,
        topic: str,
        stamp_ns: int,
        *,
        frame_id: str = "",
        pixels: np.ndarray | None = None,
        encoding: str = "rgb8",
        at_ns: int | None = None,
        cut: int = 0,
    ) -> None:
        """An Image, by default a gradient; ``cut`` bytes are missing at its end."""
        if pixels is None:
            pixels = picture(stamp_ns)
        data = np.ascontiguousarray(pixels).view(np.uint8).ravel()
        height, width = pixels.shape[:2]
        step = data.size // height
        message = self.new(
            KINDS["image"],
            header=self.header(stamp_ns, frame_id or f"{topic.strip('/').split('/')[0]}_optical"),
            height=height,
            width=width,
            encoding=encoding,
            is_bigendian=0,
            step=step,
            data=data[: data.size - cut],
        )
        self.write(topic, KINDS["image"], message, stamp_ns if at_ns is None else at_ns)

    def compressed(self, topic: str, stamp_ns: int, *, data: bytes | None = None) -> None:
        """A CompressedImage, a PNG."""
        if data is None:
            data = cv2.imencode(".png", picture(stamp_ns)[..., ::-1])[1].tobytes()
        frame_id = f"{topic.strip('/').split('/')[0]}_optical"
        message = self.new(
            KINDS["compressed"],
            header=self.header(stamp_ns, frame_id),
            format="rgb8; png compressed bgr8",
            data=np.frombuffer(data, np.uint8),
        )
        self.write(topic, KINDS["compressed"], message, stamp_ns)

    def info(self, topic: str, stamp_ns: int, *, focal: float = float(WIDTH)) -> None:
        """A CameraInfo of a camera without distortion."""
        k = [focal, 0.0, (WIDTH - 1) / 2, 0.0, focal, (HEIGHT - 1) / 2, 0.0, 0.0, 1.0]
        p = [*k[:3], 0.0, *k[3:6], 0.0, *k[6:], 0.0]
        values = {"d": [0.0] * 5, "k": k, "r": np.eye(3).ravel(), "p": p}
        arrays = {
            (name.upper() if self._ros1 else name): np.array(value, np.float64)
            for name, value in values.items()
        }
        roi = self.new(
            "sensor_msgs/msg/RegionOfInterest",
            x_offset=0,
            y_offset=0,
            height=0,
            width=0,
            do_rectify=False,
        )
        message = self.new(
            KINDS["info"],
            header=self.header(stamp_ns, "camera"),
            height=HEIGHT,
            width=WIDTH,
            distortion_model="plumb_bob",
            binning_x=0,
            binning_y=0,
            roi=roi,
            **arrays,
        )
        self.write(topic, KINDS["info"], message, stamp_ns)

    def transform(
        self,
        parent: str,
        child: str,
        stamp_ns: int,
        where: Sequence[float],
        turn: Sequence[float] = (0.0, 0.0, 0.0, 1.0),
        *,
        static: bool = False,
    ) -> None:
        """One TransformStamped on /tf or /tf_static."""
        x, y, z = where
        translation = self.new("geometry_msgs/msg/Vector3", x=float(x), y=float(y), z=float(z))
        message = self.new(
            "geometry_msgs/msg/TransformStamped",
            header=self.header(stamp_ns, parent),
            child_frame_id=child,
            transform=self.new(
                "geometry_msgs/msg/Transform", translation=translation, rotation=self._turn(turn)
            ),
        )
        topic = "/tf_static" if static else "/tf"
        self.write(topic, KINDS["tf"], self.new(KINDS["tf"], transforms=[message]), stamp_ns)

    def rig(self, cameras: Sequence[str], stamp_ns: int = START_NS) -> None:
        """Where each camera sits: ``SPACING_M`` to the right of the one before."""
        for view, name in enumerate(cameras):
            where = (0.0, -SPACING_M * view, 0.0)
            self.transform("base_link", f"{name}_optical", stamp_ns, where, AHEAD, static=True)

    def odometry(self, topic: str, stamp_ns: int, x: float) -> None:
        """The base at ``x`` ahead."""
        covariance = np.zeros(36)
        zero = self.new("geometry_msgs/msg/Vector3", x=0.0, y=0.0, z=0.0)
        message = self.new(
            KINDS["odometry"],
            header=self.header(stamp_ns, "odom"),
            child_frame_id="base_link",
            pose=self.new(
                "geometry_msgs/msg/PoseWithCovariance", pose=self._pose(x), covariance=covariance
            ),
            twist=self.new(
                "geometry_msgs/msg/TwistWithCovariance",
                twist=self.new("geometry_msgs/msg/Twist", linear=zero, angular=zero),
                covariance=covariance,
            ),
        )
        self.write(topic, KINDS["odometry"], message, stamp_ns)

    def pose(self, topic: str, stamp_ns: int, x: float) -> None:
        """A PoseStamped ``x`` ahead."""
        message = self.new(KINDS["pose"], header=self.header(stamp_ns, "map"), pose=self._pose(x))
        self.write(topic, KINDS["pose"], message, stamp_ns)

    def _pose(self, x: float) -> Any:
        position = self.new("geometry_msgs/msg/Point", x=float(x), y=0.0, z=0.0)
        orientation = self._turn((0.0, 0.0, 0.0, 1.0))
        return self.new("geometry_msgs/msg/Pose", position=position, orientation=orientation)

    def _turn(self, quat: Sequence[float]) -> Any:
        x, y, z, w = (float(value) for value in quat)
        return self.new("geometry_msgs/msg/Quaternion", x=x, y=y, z=z, w=w)


def picture(seed_ns: int) -> np.ndarray:
    """(H, W, 3) uint8 that differs from stamp to stamp."""
    rng = np.random.default_rng(seed_ns // 1_000_000)
    return rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


@contextmanager
def recorder(
    path: Path,
    storage: str = "mcap",
    compression: CompressionMode | None = None,
) -> Iterator[Recorder]:
    """Opens a new recording: mcap, sqlite3 or ros1."""
    if storage == "ros1":
        with Ros1Writer(path) as ros1_writer:
            yield Recorder(ros1_writer, ros1=True)
        return
    plugin = StoragePlugin.MCAP if storage == "mcap" else StoragePlugin.SQLITE3
    writer = Ros2Writer(path, version=8, storage_plugin=plugin)
    if compression is not None:
        writer.set_compression(compression, CompressionFormat.ZSTD)
    with writer:
        yield Recorder(writer)


@dataclass(frozen=True)
class Scene:
    """What a whole recording holds."""

    cameras: tuple[str, ...] = ("left", "right")
    steps: int = 8
    infos: bool = True
    rig: bool = True
    depth: bool = False
    odometry_mps: float | None = None  # speed of the truth; None: there is none
    compressed: bool = False


def write_scene(
    path: Path,
    scene: Scene | None = None,
    storage: str = "mcap",
    compression: CompressionMode | None = None,
    also: Callable[[Recorder], None] | None = None,
) -> Path:
    """Writes a recording; ``also`` may add to it at the end."""
    scene = scene or Scene()
    with recorder(path, storage, compression) as to:
        if scene.rig:
            to.rig(scene.cameras)
        for step in range(scene.steps):
            write_step(to, scene, step)
        if also is not None:
            also(to)
    return path


def write_step(to: Recorder, scene: Scene, step: int) -> None:
    """Writes one instant of all cameras."""
    stamp_ns = START_NS + step * STEP_NS
    for name in scene.cameras:
        if scene.infos:
            to.info(f"/{name}/camera_info", stamp_ns)
        if scene.compressed:
            to.compressed(f"/{name}/image_raw/compressed", stamp_ns)
        else:
            to.image(f"/{name}/image_raw", stamp_ns)
        if scene.depth:
            depth = true_depth()
            to.image(
                f"/{name}/depth/image_rect",
                stamp_ns + 3_000_000,
                frame_id=f"{name}_optical",
                pixels=depth,
                encoding="32FC1",
            )
    if scene.odometry_mps is not None:
        to.odometry("/odom", stamp_ns + 1_000_000, scene.odometry_mps * (step * 0.1 + 0.001))


def total(counts: dict[str, Any]) -> tuple[int, int, int]:
    """Received, used and dropped of all cameras."""
    cameras = counts.values()
    return (
        sum(c["received"] for c in cameras),
        sum(c["used"] for c in cameras),
        sum(sum(c["dropped"].values()) for c in cameras),
    )
