#!/usr/bin/env python3
# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Writes demo/walk_4cam, the recording that the demo replays, from a folder of its images.

The folder holds images/<camera>/<number>.jpg and calib.json: per camera width, height, K (3 x 3)
and T_cam_world (4 x 4, maps world points into the camera's optical frame; world z up, metres),
and rate_hz. The images go into the bag byte by byte as they are. The same folder gives the same
bag, whenever and wherever it is made.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from vggt4d_ros.evaluation.bag_writer import BagWriter

START_NS = 1_700_000_000_000_000_000  # an epoch of our choice: the source gives no time of day
BASE_FRAME = "base_link"
IMAGE = "sensor_msgs/msg/CompressedImage"
INFO = "sensor_msgs/msg/CameraInfo"
TF = "tf2_msgs/msg/TFMessage"
LARGEST_BYTES = 6 * 2**20


class DemoBag:
    """Makes the messages and writes them in the order of their stamps."""

    def __init__(self, source: Path, writer: BagWriter) -> None:
        self._source = source
        self._writer = writer
        calibration = json.loads((source / "calib.json").read_text())
        self._cameras: dict[str, dict[str, Any]] = dict(sorted(calibration["cameras"].items()))
        self._rate_hz = float(calibration["rate_hz"])
        self._types = writer.typestore.types

    def write(self) -> None:
        """Writes the transforms, then each instant's calibrations and images."""
        self._writer.add_topic("/tf_static", TF, is_latched=True)
        for camera in self._cameras:
            self._writer.add_topic(f"/{camera}/camera_info", INFO)
            self._writer.add_topic(f"/{camera}/image_raw/compressed", IMAGE)
        self._put("/tf_static", TF, START_NS, self._transforms())
        for step, names in enumerate(self._instants()):
            stamp_ns = START_NS + round(step * 1e9 / self._rate_hz)
            for camera, file in names.items():
                header = self._header(stamp_ns, f"{camera}_optical")
                self._put(f"/{camera}/camera_info", INFO, stamp_ns, self._info(camera, header))
                jpeg = np.frombuffer(file.read_bytes(), np.uint8)
                image = self._types[IMAGE](header=header, format="jpeg", data=jpeg)
                self._put(f"/{camera}/image_raw/compressed", IMAGE, stamp_ns, image)

    def _instants(self) -> list[dict[str, Path]]:
        files = {
            camera: sorted((self._source / "images" / camera).glob("*.jpg"))
            for camera in self._cameras
        }
        counts = {camera: len(found) for camera, found in files.items()}
        if len(set(counts.values())) != 1 or not all(counts.values()):
            raise SystemExit(f"each camera must have the same number of images, got {counts}")
        return [
            dict(zip(files, together, strict=True))
            for together in zip(*files.values(), strict=True)
        ]

    def _put(self, topic: str, kind: str, stamp_ns: int, message: object) -> None:
        raw = self._writer.typestore.serialize_cdr(message, kind, little_endian=True)
        self._writer.write(topic, stamp_ns, bytes(raw))

    def _header(self, stamp_ns: int, frame_id: str) -> object:
        stamp = self._types["builtin_interfaces/msg/Time"](
            sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9
        )
        return self._types["std_msgs/msg/Header"](stamp=stamp, frame_id=frame_id)

    def _info(self, camera: str, header: object) -> object:
        known = self._cameras[camera]
        intrinsics = np.array(known["K"], np.float64)
        projection = np.hstack([intrinsics, np.zeros((3, 1))])
        return self._types[INFO](
            header=header,
            height=known["height"],
            width=known["width"],
            distortion_model="plumb_bob",
            d=np.zeros(5),
            k=intrinsics.ravel(),
            r=np.eye(3).ravel(),
            p=projection.ravel(),
            binning_x=0,
            binning_y=0,
            roi=self._types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False),
        )

    def _transforms(self) -> object:
        transforms = []
        for camera, known in self._cameras.items():
            base_from_cam = np.linalg.inv(np.array(known["T_cam_world"], np.float64))
            transforms.append(
                self._types["geometry_msgs/msg/TransformStamped"](
                    header=self._header(START_NS, BASE_FRAME),
                    child_frame_id=f"{camera}_optical",
                    transform=self._transform(base_from_cam),
                )
            )
        return self._types[TF](transforms=transforms)

    def _transform(self, matrix: NDArray[np.float64]) -> object:
        # rounded to 1e-12, so that another linear algebra library gives the same bytes
        position = np.round(matrix[:3, 3], 12)
        quat_xyzw = Rotation.from_matrix(matrix[:3, :3]).as_quat()
        quat_xyzw = np.round(quat_xyzw * np.copysign(1.0, quat_xyzw[3]), 12)
        vector = self._types["geometry_msgs/msg/Vector3"](*map(float, position))
        quaternion = self._types["geometry_msgs/msg/Quaternion"](*map(float, quat_xyzw))
        return self._types["geometry_msgs/msg/Transform"](vector, quaternion)


def make(source: Path, target: Path) -> int:
    """Writes the bag to ``target``, which it replaces; gives its size in bytes."""
    if target.exists():
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with BagWriter(target) as writer:
        DemoBag(source, writer).write()
    size = sum(file.stat().st_size for file in target.iterdir())
    if size > LARGEST_BYTES:
        raise SystemExit(f"{target} has {size} B, more than the {LARGEST_BYTES} B it may ship with")
    return size


def main() -> None:
    """Runs from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("source", type=Path, help="folder with images/ and calib.json")
    default = Path(__file__).resolve().parents[1] / "demo" / "walk_4cam"
    parser.add_argument("target", type=Path, nargs="?", default=default, help="bag to write")
    arguments = parser.parse_args()
    if not (arguments.source / "calib.json").is_file():
        parser.error(f"{arguments.source}: no calib.json in it")
    size = make(arguments.source, arguments.target)
    print(f"{arguments.target}: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
