# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""TUM RGB-D (Sturm et al. 2012) and Bonn RGB-D Dynamic (Palazzolo et al. 2019), one folder each.

Layout: ``rgb.txt``, ``depth.txt`` (stamp file), ``groundtruth.txt`` (stamp tx ty tz qx qy qz qw,
world from camera, metres), ``rgb/``, ``depth/`` (uint16 PNG, 5000 units a metre, 0 invalid).
Camera frames are optical. Licences: TUM CC BY 4.0; Bonn CC BY-NC-SA 4.0 (evaluation only).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vggt4d_ros.data.readers.recording import (
    Array,
    DatasetError,
    RawFrame,
    Recording,
    depth_from_uint16,
    read_raw,
    read_rgb,
    require,
)
from vggt4d_ros.geometry.se3 import inverse, make_transform, matrix_from_quat_xyzw

# fx fy cx cy, from the data sets' pages (files of the RGB cameras' calibration)
INTRINSICS = {
    "freiburg1": (517.3, 516.5, 318.6, 255.3),
    "freiburg2": (520.9, 521.0, 325.1, 249.7),
    "freiburg3": (535.4, 539.2, 320.1, 247.6),
    "bonn": (542.822841, 542.576870, 315.593520, 237.756098),
}
UNITS_PER_METRE = 5000.0


def open_tum(
    folder: Path | str, max_skew_s: float = 0.02, intrinsics: Array | None = None
) -> Recording:
    """Opens a sequence folder; frames are images with a depth image and a pose close in time.

    Args:
        folder: the sequence.
        max_skew_s: how far stamps of an image, its depth and its pose may lie apart.
        intrinsics: (3, 3); None: by the folder's name.

    Raises:
        DatasetError: another layout, or no camera of that name is known.
    """
    folder = require(folder, ["rgb.txt", "depth.txt", "groundtruth.txt"], "TUM or Bonn sequence")
    matrix = _matrix(folder) if intrinsics is None else intrinsics
    images, depths = _listing(folder / "rgb.txt"), _listing(folder / "depth.txt")
    poses = _listing(folder / "groundtruth.txt")
    if not (images and depths and poses):
        raise DatasetError(f"{folder}: rgb.txt, depth.txt or groundtruth.txt lists nothing")
    found = []
    for stamp, words in images:
        depth, pose = _nearest(depths, stamp, max_skew_s), _nearest(poses, stamp, max_skew_s)
        if depth is not None and pose is not None:
            found.append((words[0], depth[0], np.array(pose, dtype=float)))
    licence = "CC BY-NC-SA 4.0" if "bonn" in folder.name else "CC BY 4.0"

    def read(step: int, view: int) -> RawFrame:
        image, depth, pose = found[step]
        world_from_cam = make_transform(matrix_from_quat_xyzw(pose[3:7]), pose[:3])
        return RawFrame(
            read_rgb(folder / image),
            matrix,
            inverse(world_from_cam),
            depth_from_uint16(read_raw(folder / depth), UNITS_PER_METRE),
        )

    return Recording(folder.name, ("rgb",), len(found), read, licence)


def _matrix(folder: Path) -> Array:
    for key, (fx, fy, cx, cy) in INTRINSICS.items():
        if key in folder.name:
            return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])
    raise DatasetError(f"{folder}: its name must hold one of {', '.join(INTRINSICS)}")


def _listing(path: Path) -> list[tuple[float, list[str]]]:
    """Lines ``stamp word ...`` of a file, comments left out, in order of time."""
    rows = []
    for line in path.read_text().splitlines():
        words = line.split()
        if words and not words[0].startswith("#"):
            try:
                rows.append((float(words[0]), words[1:]))
            except ValueError as error:
                raise DatasetError(f"{path}: {line!r} does not begin with a stamp") from error
    return sorted(rows, key=lambda row: row[0])


def _nearest(rows: list[tuple[float, list[str]]], stamp: float, limit: float) -> list[str] | None:
    stamps = np.array([row[0] for row in rows])
    best = int(np.argmin(np.abs(stamps - stamp)))
    return rows[best][1] if abs(stamps[best] - stamp) <= limit else None
