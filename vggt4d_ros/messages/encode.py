# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Arrays to messages, one copy each, whatever library the messages are of.

The live node makes rclpy's messages of it, a recording those of rosbags; field by field they are
the same, since only the last step differs: how a message of a type is made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.datatypes import Array, CameraModel
from vggt4d_ros.messages.stamps import NANOSECONDS

Message = Any  # of rclpy or of rosbags

# constants of sensor_msgs/PointField and visualization_msgs/Marker
_FLOAT32 = 7
_LINE_LIST = 5
_ADD, _DELETE = 0, 2

_ENCODINGS = {
    "32FC1": (np.float32, 1),
    "32FC3": (np.float32, 3),
    "16UC1": (np.uint16, 1),
    "mono8": (np.uint8, 1),
    "rgb8": (np.uint8, 3),
}


KINDS = (
    "builtin_interfaces/Time",
    "geometry_msgs/Point",
    "geometry_msgs/Pose",
    "geometry_msgs/PoseStamped",
    "geometry_msgs/Quaternion",
    "geometry_msgs/Transform",
    "geometry_msgs/TransformStamped",
    "geometry_msgs/Vector3",
    "nav_msgs/Odometry",
    "nav_msgs/Path",
    "sensor_msgs/CameraInfo",
    "sensor_msgs/Image",
    "sensor_msgs/PointCloud2",
    "sensor_msgs/PointField",
    "std_msgs/ColorRGBA",
    "std_msgs/Header",
    "tf2_msgs/TFMessage",
    "vggt4d_ros/Count",
    "vggt4d_ros/StageTime",
    "vggt4d_ros/WindowStatus",
    "visualization_msgs/Marker",
)


class MessageTypes(Protocol):
    """How messages are made."""

    def maker(self, kind: str) -> Callable[..., Message]:
        """Makes messages of type ``package/Name`` of their fields; the rest is zero or empty."""

    def data(self, values: NDArray[np.generic]) -> Any:
        """The memory of an array as the value of a large ``uint8[]`` field."""

    def numbers(self, values: Array) -> Any:
        """(N,) as the value of a ``float64[]`` or ``float64[N]`` field."""

    def booleans(self, values: NDArray[np.bool_]) -> Any:
        """(N,) as the value of a ``bool[]`` field."""


class Encoder:
    """Makes messages of arrays.

    Args:
        types: whose messages.
    """

    def __init__(self, types: MessageTypes) -> None:
        self._makers = {kind: types.maker(kind) for kind in KINDS}
        self.booleans = types.booleans
        self._data = types.data
        self._numbers = types.numbers
        self._fields: dict[tuple[str, ...], list[Message]] = {}

    def new(self, kind: str, **fields: object) -> Message:
        """A message of one of KINDS; what is not given is zero or empty."""
        return self._makers[kind](**fields)

    def stamp(self, stamp_ns: int) -> Message:
        """Integer nanoseconds to a Time, exactly."""
        seconds, nanoseconds = divmod(stamp_ns, NANOSECONDS)
        return self.new("builtin_interfaces/Time", sec=seconds, nanosec=nanoseconds)

    def header(self, stamp_ns: int, frame_id: str) -> Message:
        """A Header with exactly this stamp."""
        return self.new("std_msgs/Header", stamp=self.stamp(stamp_ns), frame_id=frame_id)

    def image(self, pixels: NDArray[np.generic], encoding: str, head: Message) -> Message:
        """(H, W) or (H, W, C) to an Image.

        Raises:
            ValueError: the array's type or channels are not the encoding's.
        """
        dtype, channels = _ENCODINGS[encoding]
        found = 1 if pixels.ndim == 2 else pixels.shape[-1]
        if pixels.dtype != dtype or found != channels:
            raise ValueError(
                f"{encoding} needs {channels} x {np.dtype(dtype)}, got {pixels.shape} "
                f"{pixels.dtype}"
            )
        height, width = pixels.shape[:2]
        message = self.new(
            "sensor_msgs/Image", header=head, height=height, width=width, encoding=encoding
        )
        message.step = width * channels * pixels.dtype.itemsize
        message.data = self._data(pixels)
        return message

    def camera_info(self, model: CameraModel, head: Message) -> Message:
        """CameraInfo of an image that is rectified: no distortion, R = I, P = [K 0]."""
        message = self.new(
            "sensor_msgs/CameraInfo", header=head, width=model.width, height=model.height
        )
        message.distortion_model = "plumb_bob"
        message.d = self._numbers(np.zeros(5))
        message.k = self._numbers(model.matrix.ravel())
        message.r = self._numbers(np.eye(3).ravel())
        message.p = self._numbers(np.hstack([model.matrix, np.zeros((3, 1))]).ravel())
        return message

    def cloud(
        self,
        values: NDArray[np.float32],
        names: Sequence[str],
        head: Message,
        *,
        dense: bool = False,
    ) -> Message:
        """(H, W, F) organized or (N, F) unorganized float32 to a PointCloud2, one field per name.

        ``rgb`` is the bit pattern 0x00RRGGBB in a float32, as in PCL.
        """
        if values.dtype != np.float32 or values.shape[-1] != len(names):
            raise ValueError(f"need float32 (..., {len(names)}), got {values.dtype} {values.shape}")
        height, width = values.shape[:2] if values.ndim == 3 else (1, values.shape[0])
        message = self.new(
            "sensor_msgs/PointCloud2", header=head, height=height, width=width, is_dense=dense
        )
        message.fields = self._point_fields(tuple(names))
        message.point_step = 4 * len(names)
        message.row_step = message.point_step * width
        message.data = self._data(values)
        return message

    def _point_fields(self, names: tuple[str, ...]) -> list[Message]:
        """The float32 fields of a cloud; messages share them, since making them costs the most."""
        if names not in self._fields:
            self._fields[names] = [
                self.new("sensor_msgs/PointField", name=n, offset=4 * i, datatype=_FLOAT32, count=1)
                for i, n in enumerate(names)
            ]
        return list(self._fields[names])

    def _vector(self, kind: str, x: float, y: float, z: float) -> Message:
        return self.new(f"geometry_msgs/{kind}", x=x, y=y, z=z)

    def _quaternion(self, rotation: Array) -> Message:
        x, y, z, w = quaternion_xyzw(rotation)
        return self.new("geometry_msgs/Quaternion", x=x, y=y, z=z, w=w)

    def pose(self, fixed_from_body: Array) -> Message:
        """(4, 4) rigid transform to a Pose."""
        return self.new(
            "geometry_msgs/Pose",
            position=self._vector("Point", *fixed_from_body[:3, 3].tolist()),
            orientation=self._quaternion(fixed_from_body[:3, :3]),
        )

    def stamped_pose(self, fixed_from_body: Array, head: Message) -> Message:
        """(4, 4) rigid transform to a PoseStamped."""
        pose = self.pose(fixed_from_body)
        return self.new("geometry_msgs/PoseStamped", header=head, pose=pose)

    def transform(self, parent_from_child: Array, child: str, head: Message) -> Message:
        """(4, 4) rigid transform to a TransformStamped of ``head.frame_id`` -> ``child``."""
        transform = self.new(
            "geometry_msgs/Transform",
            translation=self._vector("Vector3", *parent_from_child[:3, 3].tolist()),
            rotation=self._quaternion(parent_from_child[:3, :3]),
        )
        return self.new(
            "geometry_msgs/TransformStamped",
            header=head,
            child_frame_id=child,
            transform=transform,
        )

    def odometry(
        self, fixed_from_base: Array, covariance: Array, twist: Array, base: str, head: Message
    ) -> Message:
        """Pose with (6, 6) covariance (x y z, rotation about x y z), twist (6,) in base axes."""
        message = self.new("nav_msgs/Odometry", header=head, child_frame_id=base)
        message.pose.pose = self.pose(fixed_from_base)
        message.pose.covariance = self._numbers(covariance.ravel())
        if np.isfinite(twist).all():
            message.twist.twist.linear = self._vector("Vector3", *twist[:3].tolist())
            message.twist.twist.angular = self._vector("Vector3", *twist[3:].tolist())
        else:
            message.twist.covariance[0] = -1.0  # "unknown", as in sensor_msgs/Imu
        return message

    def path(self, poses: Sequence[Message], head: Message) -> Message:
        """A Path of these stamped poses."""
        return self.new("nav_msgs/Path", header=head, poses=list(poses))

    def arrows(
        self, points: NDArray[np.float32], rgb: NDArray[np.float64], head: Message
    ) -> Message:
        """(2N, 3) line ends in the header's frame and (N, 3) colours in [0, 1]: one LINE_LIST.

        With nothing to draw the marker deletes the one before.
        """
        message = self.new(
            "visualization_msgs/Marker", header=head, ns="scene_flow", id=0, type=_LINE_LIST
        )
        message.action = _ADD if len(points) else _DELETE
        message.pose.orientation.w = 1.0
        message.scale.x = 0.01  # line width, m
        ends = points.astype(np.float64).tolist()
        point, colour = self._makers["geometry_msgs/Point"], self._makers["std_msgs/ColorRGBA"]
        message.points = [point(x=x, y=y, z=z) for x, y, z in ends]
        colours = [colour(r=r, g=g, b=b, a=1.0) for r, g, b in rgb.tolist()]
        message.colors = [one for one in colours for _ in range(2)]
        return message

    def tf(self, transforms: Sequence[Message]) -> Message:
        """A TFMessage of these transforms."""
        return self.new("tf2_msgs/TFMessage", transforms=list(transforms))


def quaternion_xyzw(rotation: Array) -> tuple[float, float, float, float]:
    """(3, 3) rotation to the unit quaternion x y z w with w >= 0.

    Of the four equivalent forms the one with the largest divisor is taken (Shepperd 1978). Plain
    numbers: for one matrix this is ten times faster than what is made for many.
    """
    (r00, r01, r02), (r10, r11, r12), (r20, r21, r22) = rotation.tolist()
    trace = r00 + r11 + r22
    largest = max(trace, r00, r11, r22)
    # each form is four times the quaternion's largest part times the quaternion
    if largest == trace:
        x, y, z, w = r21 - r12, r02 - r20, r10 - r01, 1.0 + trace
    elif largest == r00:
        x, y, z, w = 1.0 + 2.0 * r00 - trace, r01 + r10, r02 + r20, r21 - r12
    elif largest == r11:
        x, y, z, w = r01 + r10, 1.0 + 2.0 * r11 - trace, r12 + r21, r02 - r20
    else:
        x, y, z, w = r02 + r20, r12 + r21, 1.0 + 2.0 * r22 - trace, r10 - r01
    norm = math.sqrt(x * x + y * y + z * z + w * w)
    scale = 1.0 / norm if w >= 0.0 else -1.0 / norm
    return x * scale, y * scale, z * scale, w * scale
