# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Opens the recordings of a data set by its name on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from vggt4d_ros.data.readers.kitti import open_kitti_flow, open_kitti_odometry
from vggt4d_ros.data.readers.nuscenes import open_nuscenes
from vggt4d_ros.data.readers.pointodyssey import open_pointodyssey
from vggt4d_ros.data.readers.pose_samples import open_pose_samples
from vggt4d_ros.data.readers.recording import DatasetError, Recording, require
from vggt4d_ros.data.readers.samples import open_samples
from vggt4d_ros.data.readers.sintel import open_sintel
from vggt4d_ros.data.readers.tartanair import open_tartanair
from vggt4d_ros.data.readers.tum import open_tum
from vggt4d_ros.evaluation.dataset_names import DATASETS
from vggt4d_ros.evaluation.options import EvaluationError

# data sets whose PATH is one recording
_SINGLE: dict[str, Callable[[Path], Recording]] = {
    "tum": open_tum,
    "tartanair": open_tartanair,
    "pointodyssey": open_pointodyssey,
}


def open_recordings(name: str, path: Path, sequence: str | None = None) -> list[Recording]:
    """Opens one sequence, or all there are.

    Raises:
        EvaluationError: no such data set or sequence, or the folder is none of this kind.
    """
    if name not in DATASETS:
        raise EvaluationError(f"no data set {name!r}; known: {', '.join(DATASETS)}")
    if not path.is_dir():
        raise EvaluationError(f"{path}: no such folder")
    try:
        if name in _SINGLE:
            if sequence:
                raise EvaluationError(f"{name}: PATH is the sequence, --sequence has no meaning")
            return [_SINGLE[name](path)]
        if name == "samples":
            return _samples(path, sequence)
        return [_open(name, path, one) for one in ([sequence] if sequence else _all(name, path))]
    except DatasetError as error:
        raise EvaluationError(str(error)) from error


def _open(name: str, path: Path, sequence: str) -> Recording:
    if name == "kitti":
        return open_kitti_odometry(path, sequence)
    if name == "kitti_flow":
        if not sequence.isdigit():
            raise EvaluationError(f"kitti_flow: a sequence is a number, got {sequence!r}")
        return open_kitti_flow(path, int(sequence))
    if name == "sintel":
        return open_sintel(path, sequence)
    return open_nuscenes(path, sequence)


def _all(name: str, path: Path) -> list[str]:
    """Names of the sequences in a folder.

    Raises:
        DatasetError: there are none.
    """
    if name == "kitti":
        require(path, ["sequences/*/calib.txt"], "KITTI odometry data set")
        return sorted(file.parent.name for file in path.glob("sequences/*/calib.txt"))
    if name == "kitti_flow":
        require(path, ["image_2/*_10.png"], "KITTI scene flow 2015 training folder")
        return sorted(file.stem[:-3] for file in path.glob("image_2/*_10.png"))
    if name == "sintel":
        require(path, ["final/*/frame_0001.png"], "MPI Sintel training folder")
        return sorted(file.parent.name for file in path.glob("final/*/frame_0001.png"))
    require(path, ["v1.0-mini/scene.json"], "nuScenes data set")
    return sorted(row["name"] for row in json.loads((path / "v1.0-mini/scene.json").read_text()))


def _samples(path: Path, sequence: str | None) -> list[Recording]:
    found = {**open_samples(path), **open_pose_samples(path)}
    if not found:
        raise EvaluationError(f"{path}: none of the known small recordings is in it")
    if sequence is None:
        return list(found.values())
    if sequence not in found:
        raise EvaluationError(f"{path}: no recording {sequence}; there are {', '.join(found)}")
    return [found[sequence]]
