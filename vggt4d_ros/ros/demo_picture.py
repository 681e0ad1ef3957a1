# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Picks one instant of the demo and stores its arrays for the picture, which needs no ROS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
from nav_msgs.msg import Odometry
from numpy.typing import NDArray
from rclpy.serialization import deserialize_message
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import CompressedImage, Image, PointCloud2

from vggt4d_ros.messages import topics
from vggt4d_ros.messages.stamps import ns_from_stamp

FILE = "picture.npz"
Kept = Mapping[str, Mapping[int, bytes]]  # topic -> stamp, ns -> serialized message
DTYPES = {
    "32FC1": (np.float32, 1),
    "16UC1": (np.uint16, 1),
    "mono8": (np.uint8, 1),
    "rgb8": (np.uint8, 3),
    "bgr8": (np.uint8, 3),
}
PER_CAMERA = {
    "depth": topics.DEPTH,
    "confidence": topics.CONFIDENCE,
    "flow": topics.FLOW_RGB,
    "dynamic": topics.DYNAMIC_MASK,
}


class PictureData:
    """The arrays of one instant.

    Args:
        cameras: names, in view order.
        node: full name of the node.
        inputs: image topics, in camera order.
    """

    def __init__(self, cameras: Sequence[str], node: str, inputs: Sequence[str]) -> None:
        self._cameras = cameras
        self._inputs = dict(zip(cameras, inputs, strict=True))
        self._topics = {
            (camera, name): entry.resolve(camera).replace("~", node, 1)
            for camera in cameras
            for name, entry in PER_CAMERA.items()
        }
        self._merged = topics.MERGED.resolve().replace("~", node, 1)
        self._stamp_ns = 0

    def choose(self, kept: Kept) -> int:
        """Picks the newest instant with an input and all outputs of each camera; 0: none."""
        needed = [self._merged, *self._inputs.values(), *self._topics.values()]
        common = set.intersection(*(set(kept.get(topic, ())) for topic in needed))
        self._stamp_ns = max(common, default=0)
        return self._stamp_ns

    def write(
        self, folder: Path, kept: Kept, odometry: Sequence[bytes], transforms: Mapping[str, Any]
    ) -> None:
        """Writes ``picture.npz``: per camera input, depth, confidence, flow, dynamic and pose.

        ``cloud`` is (N, 3) float32 in the fixed frame, ``cloud_rgb`` (N, 3) uint8; ``base`` is
        (M, 4, 4), one fixed_from_base per window; ``<camera>/base_from_cam`` (4, 4) from TF.
        """
        if not self._stamp_ns:
            return
        arrays: dict[str, NDArray[Any]] = {"cameras": np.array(self._cameras)}
        for camera in self._cameras:
            arrays[f"{camera}/input"] = decode(
                self._inputs[camera], kept[self._inputs[camera]][self._stamp_ns]
            )
            for name in PER_CAMERA:
                topic = self._topics[camera, name]
                message = deserialize_message(kept[topic][self._stamp_ns], Image)
                arrays[f"{camera}/{name}"] = image_array(message)
                frame = message.header.frame_id
            if frame in transforms:
                arrays[f"{camera}/base_from_cam"] = _matrix(
                    transforms[frame].transform.translation, transforms[frame].transform.rotation
                )
        cloud = deserialize_message(kept[self._merged][self._stamp_ns], PointCloud2)
        arrays["frame"] = np.array(cloud.header.frame_id)
        arrays["cloud"], arrays["cloud_rgb"] = cloud_arrays(cloud)
        poses = [deserialize_message(raw, Odometry) for raw in odometry]
        # the time in a loop runs from the start again: the path that is shown is the last one
        stamps = [ns_from_stamp(pose.header.stamp) for pose in poses]
        backwards = np.flatnonzero(np.diff(stamps) <= 0) if stamps else np.array([], int)
        first = int(backwards[-1]) + 1 if len(backwards) else 0
        arrays["base"] = np.array(
            [_matrix(m.pose.pose.position, m.pose.pose.orientation) for m in poses[first:]]
        ).reshape(-1, 4, 4)
        cast(Any, np.savez)(folder / FILE, **arrays)  # its stub takes arrays for options


def decode(topic: str, raw: bytes) -> NDArray[np.uint8]:
    """Gives the (H, W, 3) RGB image of a serialized Image or CompressedImage."""
    if topic.endswith("/compressed"):
        data = np.frombuffer(deserialize_message(raw, CompressedImage).data, np.uint8)
        bgr = cv2.imdecode(data, cv2.IMREAD_COLOR)
        if bgr is None:
            raise ValueError(f"{topic}: the image that the node could use cannot be decoded")
        return np.asarray(bgr[..., ::-1], np.uint8)
    message = deserialize_message(raw, Image)
    image = image_array(message)
    return image[..., ::-1] if message.encoding == "bgr8" else image


def image_array(message: Image) -> NDArray[Any]:
    """Gives (H, W) or (H, W, 3) of an image in one of the encodings that the demo meets."""
    dtype, channels = DTYPES[message.encoding]
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
    width = message.width * channels * np.dtype(dtype).itemsize
    image = np.ascontiguousarray(rows[:, :width]).view(dtype)
    if channels == 1:
        return image
    return image.reshape(message.height, message.width, channels)


def cloud_arrays(message: PointCloud2) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Gives (N, 3) positions and (N, 3) RGB of a cloud with the fields x y z rgb first."""
    offsets = {field.name: field.offset for field in message.fields}
    rows = np.frombuffer(message.data, np.uint8).reshape(-1, message.point_step)

    def column(name: str, dtype: Any) -> NDArray[Any]:
        start = offsets[name]
        return np.ascontiguousarray(rows[:, start : start + 4]).view(dtype)[:, 0]

    positions = np.stack([column(name, np.float32) for name in "xyz"], axis=1)
    packed = column("rgb", np.uint32)
    rgb = np.stack([packed >> 16 & 255, packed >> 8 & 255, packed & 255], axis=1)
    return positions, rgb.astype(np.uint8)


def _matrix(position: Any, q: Any) -> NDArray[np.float64]:
    matrix = np.eye(4)
    matrix[:3, 3] = position.x, position.y, position.z
    matrix[:3, :3] = Rotation.from_quat([q.x, q.y, q.z, q.w]).as_matrix()
    return matrix
