# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The node's services: ``~/reset`` and ``~/save_cloud``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rclpy.node import Node
from std_srvs.srv import Trigger

from vggt4d_ros.config import Config
from vggt4d_ros.processor import Processed
from vggt4d_ros.products import merged_cloud, view_products
from vggt4d_ros.ros.cloud_file import write_ply
from vggt4d_ros.srv import SaveCloud


class ServiceError(Exception):
    """Why a service could not do what it was asked for; becomes the answer's message."""


@dataclass(frozen=True, slots=True)
class SavedCloud:
    """What was written."""

    points: int
    message: str


def write_cloud_file(path: str, processed: Processed, config: Config, frame: str) -> SavedCloud:
    """Writes the merged cloud of a window, in the fixed frame, as PLY.

    Raises:
        ServiceError: no path, or the file cannot be written.
    """
    if not path:
        raise ServiceError("path is empty")
    cloud = merged_cloud(view_products(processed, config.geometry), config.output.voxel_size)
    try:
        target = Path(path).expanduser().absolute()
        write_ply(target, cloud, frame)
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: no such ~user
        raise ServiceError(f"cannot write {path}: {error}") from error
    unit = "metres" if processed.tracked.scale.known else "network units"
    return SavedCloud(len(cloud), f"{target}: {len(cloud)} points, {unit}, frame {frame}")


def add_services(
    node: Node, reset: Callable[[], None], save_cloud: Callable[[str], SavedCloud]
) -> None:
    """Offers the services; ServiceError from a callback is answered with ``success: false``."""

    def on_reset(request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            reset()
            response.success, response.message = True, "a new trajectory begins"
        except ServiceError as error:
            response.message = str(error)
        return response

    def on_save_cloud(
        request: SaveCloud.Request, response: SaveCloud.Response
    ) -> SaveCloud.Response:
        try:
            saved = save_cloud(request.path)
            response.success, response.points = True, saved.points
            response.message = saved.message
        except ServiceError as error:
            response.message = str(error)
        return response

    node.create_service(Trigger, "~/reset", on_reset)
    node.create_service(SaveCloud, "~/save_cloud", on_save_cloud)
