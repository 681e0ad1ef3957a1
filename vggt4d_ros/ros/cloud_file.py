# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Point clouds as PLY files, which every viewer opens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_VERTEX = np.dtype(
    [("xyz", "<f4", 3), ("rgb", "u1", 3), ("confidence", "<f4")],
)
_HEADER = """ply
format binary_little_endian 1.0
comment frame {frame}
element vertex {count}
property float x
property float y
property float z
property uchar red
property uchar green
property uchar blue
property float confidence
end_header
"""


def write_ply(path: Path, cloud: NDArray[np.float32], frame: str) -> None:
    """Writes (N, 5) x y z rgb confidence, rgb as PCL bit pattern, metres in ``frame``.

    Raises:
        OSError: the file cannot be written.
    """
    vertices = np.empty(len(cloud), _VERTEX)
    vertices["xyz"] = cloud[:, :3]
    packed = np.ascontiguousarray(cloud[:, 3]).view(np.uint32)
    vertices["rgb"] = np.stack([packed >> 16 & 255, packed >> 8 & 255, packed & 255], axis=-1)
    vertices["confidence"] = cloud[:, 4]
    with path.open("wb") as file:
        file.write(_HEADER.format(frame=frame, count=len(cloud)).encode("utf-8"))
        file.write(vertices.tobytes())
