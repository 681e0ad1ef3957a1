# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The installed node with an exact room in place of the network, and the rig that drives in it.

Images carry nothing; their stamps say where the robot was, so that what the node makes of them can
be compared with the truth.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from geometry_msgs.msg import TransformStamped
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from tf2_msgs.msg import TFMessage

from vggt4d_ros.data.analytic_drive import AnalyticDrive, outward_rig
from vggt4d_ros.datatypes import Array, CameraModel
from vggt4d_ros.ros.encode import ENCODER, header

MODEL = CameraModel(64, 48, 64.0, 64.0, 31.5, 23.5)  # as in ros_graph.camera_info

_SCRIPT = """#!{python}
import sys
sys.path.insert(0, {folder!r})
from analytic_node import drive_of
from vggt4d_ros.model.engine import resolve_steps
from vggt4d_ros.model.null import NullPredictor

drive = drive_of({views})

def predict(self, window, dense_steps=None, **asked):
    newest = round((window.sets[-1].stamp_ns - drive.stamp_ns(0, 0)) / 1e9 / drive.step_s)
    drive.length = window.shape[0]
    drive.jitter_s = tuple(
        0.0 if frame is None else (frame.stamp_ns - drive.stamp_ns(0, 0)) / 1e9 - newest / 10
        for frame in window.sets[-1].frames
    )
    return drive.predict(newest, resolve_steps(dense_steps, drive.length), flow=True)

NullPredictor.predict = predict
from vggt4d_ros.ros.main import main
sys.exit(main())
"""


def drive_of(views: int) -> AnalyticDrive:
    """A circle at 1 m/s and 0.5 rad/s, ten images a second, seen without error."""
    from vggt4d_ros.data.analytic import BARE_ROOM

    return AnalyticDrive(outward_rig(views), model=MODEL, scene=BARE_ROOM)


def write_node(folder: Path, views: int) -> str:
    """Writes the executable; gives its path."""
    script = folder / "analytic_node_main"
    here = str(Path(__file__).parent)
    script.write_text(_SCRIPT.format(python=sys.executable, folder=here, views=views))
    script.chmod(0o755)
    return str(script)


def transform(parent: str, child: str, stamp_ns: int, parent_from_child: Array) -> TransformStamped:
    """A TransformStamped."""
    message: TransformStamped = ENCODER.transform(
        parent_from_child, child, header(stamp_ns, parent)
    )
    return message


def publish_mounts(node: Node, base_from_cam: Sequence[Array | None]) -> None:
    """Latches the cameras' places on base_link; None: says nothing of that one."""
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    mounts = [
        transform("base_link", f"cam{view}_optical", 0, np.asarray(mount))
        for view, mount in enumerate(base_from_cam)
        if mount is not None
    ]
    node.create_publisher(TFMessage, "/tf_static", latched).publish(TFMessage(transforms=mounts))
