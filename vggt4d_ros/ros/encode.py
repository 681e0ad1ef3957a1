# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Arrays to messages, one copy each.

Large fields are assigned as ``array.array('B')``: rclpy checks any other type byte by byte.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, Pose, PoseStamped, Quaternion, TransformStamped, Vector3
from nav_msgs.msg import Odometry, Path
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField
from std_msgs.msg import ColorRGBA, Header
from tf_transformations import quaternion_from_matrix
from visualization_msgs.msg import Marker

from vggt4d_ros.datatypes import Array, CameraModel

NANOSECONDS = 1_000_000_000


def stamp_from_ns(stamp_ns: int) -> Time:
    """Integer nanoseconds to a Time, exactly."""
    seconds, nanoseconds = divmod(stamp_ns, NANOSECONDS)
    return Time(sec=seconds, nanosec=nanoseconds)


def ns_from_stamp(stamp: Time) -> int:
    """A Time to integer nanoseconds, exactly."""
    return int(stamp.sec) * NANOSECONDS + int(stamp.nanosec)


def header(stamp_ns: int, frame_id: str) -> Header:
    """A Header with exactly this stamp."""
    return Header(stamp=stamp_from_ns(stamp_ns), frame_id=frame_id)


def bytes_of(values: NDArray[np.generic]) -> array[int]:
    """The memory of an array as the type rclpy takes without looking at every byte."""
    out = array("B")
    out.frombytes(memoryview(np.ascontiguousarray(values)).cast("B"))
    return out


_ENCODINGS = {
    "32FC1": (np.float32, 1),
    "32FC3": (np.float32, 3),
    "16UC1": (np.uint16, 1),
    "mono8": (np.uint8, 1),
    "rgb8": (np.uint8, 3),
}


def image_msg(pixels: NDArray[np.generic], encoding: str, head: Header) -> Image:
    """(H, W) or (H, W, C) to an Image.

    Raises:
        ValueError: the array's type or channels are not the encoding's.
    """
    dtype, channels = _ENCODINGS[encoding]
    found = 1 if pixels.ndim == 2 else pixels.shape[-1]
    if pixels.dtype != dtype or found != channels:
        raise ValueError(
            f"{encoding} needs {channels} x {np.dtype(dtype)}, got {pixels.shape} {pixels.dtype}"
        )
    height, width = pixels.shape[:2]
    message = Image(header=head, height=height, width=width, encoding=encoding)
    message.step = width * channels * pixels.dtype.itemsize
    message.data = bytes_of(pixels)
    return message


def camera_info_msg(model: CameraModel, head: Header) -> CameraInfo:
    """CameraInfo of an image that is rectified: no distortion, R = I, P = [K 0]."""
    message = CameraInfo(header=head, width=model.width, height=model.height)
    message.distortion_model = "plumb_bob"
    message.d = [0.0] * 5
    message.k = model.matrix.ravel().tolist()
    message.r = np.eye(3).ravel().tolist()
    message.p = np.hstack([model.matrix, np.zeros((3, 1))]).ravel().tolist()
    return message


def cloud_msg(
    values: NDArray[np.float32], names: Sequence[str], head: Header, *, dense: bool = False
) -> PointCloud2:
    """(H, W, F) organized or (N, F) unorganized float32, one field per name.

    ``rgb`` is the bit pattern 0x00RRGGBB in a float32, as in PCL.
    """
    if values.dtype != np.float32 or values.shape[-1] != len(names):
        raise ValueError(f"need float32 (..., {len(names)}), got {values.dtype} {values.shape}")
    height, width = values.shape[:2] if values.ndim == 3 else (1, values.shape[0])
    message = PointCloud2(header=head, height=height, width=width, is_dense=dense)
    message.fields = [
        PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1)
        for i, name in enumerate(names)
    ]
    message.is_bigendian = False
    message.point_step = 4 * len(names)
    message.row_step = message.point_step * width
    message.data = bytes_of(values)
    return message


def pose_msg(fixed_from_body: Array) -> Pose:
    """(4, 4) rigid transform to a Pose."""
    x, y, z = (float(value) for value in fixed_from_body[:3, 3])
    qx, qy, qz, qw = (float(value) for value in quaternion_from_matrix(fixed_from_body))
    return Pose(position=Point(x=x, y=y, z=z), orientation=Quaternion(x=qx, y=qy, z=qz, w=qw))


def transform_msg(parent_from_child: Array, child: str, head: Header) -> TransformStamped:
    """(4, 4) rigid transform to a TransformStamped of ``head.frame_id`` -> ``child``."""
    pose = pose_msg(parent_from_child)
    message = TransformStamped(header=head, child_frame_id=child)
    position = pose.position
    message.transform.translation = Vector3(x=position.x, y=position.y, z=position.z)
    message.transform.rotation = pose.orientation
    return message


def matrix_from_transform(message: TransformStamped) -> Array:
    """(4, 4) rigid transform of a TransformStamped: parent from child."""
    from tf_transformations import quaternion_matrix

    translation, rotation = message.transform.translation, message.transform.rotation
    matrix: Array = np.asarray(
        quaternion_matrix([rotation.x, rotation.y, rotation.z, rotation.w]), dtype=np.float64
    )
    matrix[:3, 3] = (translation.x, translation.y, translation.z)
    return matrix


def odometry_msg(
    fixed_from_base: Array, covariance: Array, twist: Array, base_frame: str, head: Header
) -> Odometry:
    """Pose with (6, 6) covariance (x y z, rotation about x y z), twist (6,) in base axes."""
    message = Odometry(header=head, child_frame_id=base_frame)
    message.pose.pose = pose_msg(fixed_from_base)
    message.pose.covariance = covariance.ravel().tolist()
    if np.isfinite(twist).all():
        linear, angular = twist[:3].tolist(), twist[3:].tolist()
        message.twist.twist.linear = Vector3(x=linear[0], y=linear[1], z=linear[2])
        message.twist.twist.angular = Vector3(x=angular[0], y=angular[1], z=angular[2])
    else:
        message.twist.covariance[0] = -1.0  # "unknown", as in sensor_msgs/Imu
    return message


def path_msg(poses: Sequence[PoseStamped], head: Header) -> Path:
    """A Path of these poses."""
    return Path(header=head, poses=list(poses))


def arrows_msg(points: NDArray[np.float32], rgb: NDArray[np.float64], head: Header) -> Marker:
    """(2N, 3) line ends in the header's frame and (N, 3) colours in [0, 1]: one LINE_LIST.

    With nothing to draw the marker deletes the one before.
    """
    message = Marker(header=head, ns="scene_flow", id=0, type=Marker.LINE_LIST)
    message.action = Marker.ADD if len(points) else Marker.DELETE
    message.pose.orientation.w = 1.0
    message.scale.x = 0.01  # line width, m
    message.points = [Point(x=x, y=y, z=z) for x, y, z in points.astype(np.float64).tolist()]
    for red, green, blue in rgb.tolist():
        message.colors += [ColorRGBA(r=red, g=green, b=blue, a=1.0)] * 2
    return message
