# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""PointOdyssey (Zheng et al. 2023): rendered long videos, one scene folder each.

Layout: ``rgbs/rgb_00000.jpg``, ``depths/depth_00000.png`` (uint16, 65535 is 1000 m, 0 invalid),
``anno.npz`` or ``annot.npz`` with ``intrinsics`` (N, 3, 3) and ``extrinsics`` (N, 4, 4)
cam_from_world, optical frames. Licence: MIT.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vggt4d_ros.data.readers.recording import (
    DatasetError,
    RawFrame,
    Recording,
    depth_from_uint16,
    read_raw,
    read_rgb,
    require,
)

UNITS_PER_METRE = 65535.0 / 1000.0


def open_pointodyssey(folder: Path | str) -> Recording:
    """Opens a scene.

    Raises:
        DatasetError: another layout.
    """
    needed = ["rgbs/rgb_*.jpg", "depths/depth_*.png", "anno*.npz"]
    folder = require(folder, needed, "PointOdyssey scene")
    with np.load(next(iter(sorted(folder.glob("anno*.npz"))))) as file:
        try:
            intrinsics, extrinsics = file["intrinsics"], file["extrinsics"]
        except KeyError as error:
            raise DatasetError(f"{folder}: its annotations have no {error.args[0]}") from error
    count = len(list((folder / "rgbs").glob("rgb_*.jpg")))
    if intrinsics.shape != (count, 3, 3) or extrinsics.shape != (count, 4, 4):
        raise DatasetError(f"{folder}: cameras {extrinsics.shape} for {count} images")

    def read(step: int, view: int) -> RawFrame:
        depth = read_raw(folder / "depths" / f"depth_{step:05d}.png")
        return RawFrame(
            read_rgb(folder / "rgbs" / f"rgb_{step:05d}.jpg"),
            intrinsics[step].astype(np.float64),
            extrinsics[step].astype(np.float64),
            depth_from_uint16(depth, UNITS_PER_METRE),
        )

    return Recording(f"pointodyssey {folder.name}", ("rgb",), count, read, "MIT")
