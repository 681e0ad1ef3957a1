# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What ``vggt4d eval`` knows by name; nothing heavy is imported here."""

from __future__ import annotations

# name -> what its PATH is and what a sequence of it is called
DATASETS: dict[str, str] = {
    "kitti": "KITTI odometry, the folder with sequences/ and poses/; sequence: 00",
    "kitti_flow": "KITTI scene flow 2015, the folder training/; sequence: 000000",
    "tum": "TUM or Bonn RGB-D, one sequence folder",
    "tartanair": "TartanAir, one trajectory folder (P000)",
    "sintel": "MPI Sintel, the folder training/; sequence: alley_1",
    "pointodyssey": "PointOdyssey, one scene folder",
    "nuscenes": "nuScenes, the folder with samples/; sequence: scene-0061",
    "samples": "a folder of small recordings; sequence: the name of one",
}
