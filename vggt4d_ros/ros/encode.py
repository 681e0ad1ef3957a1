# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""rclpy's messages, made of arrays by ``messages.encode``; and back where the node reads them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module

import numpy as np
from geometry_msgs.msg import TransformStamped
from numpy.typing import NDArray
from tf_transformations import quaternion_matrix

from vggt4d_ros.datatypes import Array
from vggt4d_ros.messages.encode import Encoder
from vggt4d_ros.ros.memory import bytes_of

_LARGE = ("sensor_msgs/Image", "sensor_msgs/PointCloud2")


class RosTypes:
    """Makes rclpy's messages, as ``messages.encode.MessageTypes`` asks."""

    @staticmethod
    def maker(kind: str) -> Callable[..., object]:
        """Makes messages of a type."""
        package, name = kind.split("/")
        found: type = getattr(import_module(f"{package}.msg"), name)
        # Setters that check a message's fields keep an array.array, those that do not copy it;
        # before Jazzy all check
        if kind in _LARGE and "_check_fields" in getattr(found, "__slots__", ()):
            return partial(found, check_fields=True)
        return found

    data = staticmethod(bytes_of)

    @staticmethod
    def numbers(values: Array) -> list[float]:
        """Values of a float64 field."""
        return values.tolist()

    @staticmethod
    def booleans(values: NDArray[np.bool_]) -> list[bool]:
        """Values of a bool field."""
        return values.tolist()


ENCODER = Encoder(RosTypes())
header = ENCODER.header
camera_info_msg = ENCODER.camera_info
stamp_from_ns = ENCODER.stamp


def matrix_from_transform(message: TransformStamped) -> Array:
    """(4, 4) rigid transform of a TransformStamped: parent from child."""
    translation, rotation = message.transform.translation, message.transform.rotation
    matrix: Array = np.asarray(
        quaternion_matrix([rotation.x, rotation.y, rotation.z, rotation.w]), dtype=np.float64
    )
    matrix[:3, 3] = (translation.x, translation.y, translation.z)
    return matrix
