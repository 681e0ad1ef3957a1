# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A recording of a data set as the node would hear it: all cameras of a step at one stamp."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.config import Config, validate
from vggt4d_ros.data.readers.recording import DatasetError, RawFrame, Recording
from vggt4d_ros.datatypes import Array, CameraModel, Frame, LazyImage, Rig, Window
from vggt4d_ros.evaluation.known_window import truth_of_raw
from vggt4d_ros.evaluation.metrics.trajectory import Trajectory
from vggt4d_ros.evaluation.options import EvalOptions
from vggt4d_ros.evaluation.pose_truth import read_trajectory
from vggt4d_ros.evaluation.scale_hints import given_hints
from vggt4d_ros.evaluation.sources import Arrival, FrameTruth, SourceReport, TruthCounts
from vggt4d_ros.geometry import se3
from vggt4d_ros.geometry.pinhole import model_from_matrix
from vggt4d_ros.processor import ScaleHints

# data sets' readers give steps, not stamps: 10 Hz, as KITTI
PERIOD_NS = 100_000_000
_RIGID_M, _RIGID_RAD = 2e-3, 2e-3  # how far a rig's extrinsics may vary and still be one rig


class DatasetSource:
    """See ``Source``.

    A recording that is shorter than the window has one window of all its steps. The extrinsics
    of a rig of several cameras are the data set's; the base is the first camera with body axes.

    Raises:
        DatasetError: a folder that is not what it should be, or a recording without a step.
    """

    def __init__(self, recording: Recording, options: EvalOptions) -> None:
        if recording.steps < 1:
            raise DatasetError(f"{recording.name}: no step in it")
        self._recording = recording
        self._options = options
        self.report = SourceReport(list(options.notes))
        self.config = self._configured(options.config)
        self.path: Path | None = None
        self.topics: dict[str, str] = {}
        self.total = recording.steps * len(recording.cameras)
        self.metric = recording.metric
        self.about: dict[str, Any] = {
            "kind": "dataset",
            "name": recording.name,
            "licence": recording.licence,
            "steps": recording.steps,
            "metric": recording.metric,
        }
        self._kept: dict[tuple[int, int], RawFrame] = {}  # (step, camera), of the newest steps
        self._world_from_base: dict[int, Array] = {}  # by stamp
        self._rig = Rig((None,) * len(recording.cameras))
        if recording.metric and len(recording.cameras) > 1:
            self._rig = self._extrinsics()

    def _configured(self, config: Config) -> Config:
        recording = self._recording
        names = tuple(re.sub(r"\W", "_", name, flags=re.ASCII) for name in recording.cameras)
        names = tuple(name if name[:1].isalpha() else f"cam_{name}" for name in names)
        config = replace(config, cameras=replace(config.cameras, names=names, image_topics=()))
        config = replace(config, cameras=replace(config.cameras, info_topics=()))
        if config.window.length > recording.steps:
            self.report.faults.append(
                f"the window has {recording.steps} steps instead of {config.window.length}: "
                "there are no more"
            )
            stride = min(config.window.stride, recording.steps)
            window = replace(config.window, length=recording.steps, stride=stride)
            config = replace(config, window=window)
        validate(config)
        return config

    def _extrinsics(self) -> Rig:
        """The cameras' places on the rig, where they are the same at all steps looked at."""
        count, steps = len(self._recording.cameras), self._recording.steps
        found: Array | None = None
        for step in sorted({0, steps // 2, steps - 1}):
            frames = [self._recording.read(step, view) for view in range(count)]
            poses = [None if f is None else f.cam_from_world for f in frames]
            if any(pose is None for pose in poses):
                continue
            cams = np.stack([np.asarray(pose, dtype=np.float64) for pose in poses])
            rig = se3.BODY_FROM_OPTICAL @ cams[0] @ se3.inverse(cams)
            if found is None:
                found = rig
                continue
            change = se3.inverse(found) @ rig
            shift = float(np.max(np.linalg.norm(change[:, :3, 3], axis=-1)))
            turn = float(np.max(se3.rotation_angle(change[:, :3, :3])))
            if shift > _RIGID_M or turn > _RIGID_RAD:
                self.report.faults.append(
                    "the cameras do not keep their places on the rig: no extrinsics are given"
                )
                return Rig((None,) * count)
        if found is None:
            return Rig((None,) * count)
        return Rig(tuple(found))

    def arrivals(self) -> Iterator[Arrival]:
        keep = self.config.window.length + 1
        for step in range(self._recording.steps):
            stamp_ns = self._stamp(step)
            for view in range(len(self._recording.cameras)):
                raw = self._recording.read(step, view)
                if raw is None:
                    continue
                self._kept[step, view] = raw
                self._kept.pop((step - keep, view), None)
                if view == 0 and raw.cam_from_world is not None:
                    self._world_from_base[stamp_ns] = _base_pose(raw.cam_from_world)
                yield Arrival(view, stamp_ns, self._frame(raw, view, stamp_ns))

    @staticmethod
    def _stamp(step: int) -> int:
        return (step + 1) * PERIOD_NS

    def _frame(self, raw: RawFrame, view: int, stamp_ns: int) -> Frame:
        height, width = raw.rgb.shape[:2]
        model: CameraModel | None = None
        if raw.intrinsics is not None:
            model = model_from_matrix(raw.intrinsics, width, height)
        name = self.config.cameras.names[view]
        return Frame(view, stamp_ns, LazyImage.from_array(raw.rgb), name, model)

    def rig(self, window: Window) -> Rig:
        return self._rig

    def hints(self) -> ScaleHints | None:
        """The height of a camera, where the configuration gives one."""
        return given_hints(self.config)

    def forget(self) -> None:
        """Nothing to forget: stamps always rise."""

    def truth(self, frame: Frame) -> FrameTruth | None:
        step = frame.stamp_ns // PERIOD_NS - 1
        raw = self._kept.get((step, frame.camera))
        if raw is None:
            return None
        pose = raw.cam_from_world
        if raw.depth is not None:
            self.report.truth.setdefault("depth", TruthCounts(self._recording.name))
        world_from_cam = None if pose is None else se3.inverse(np.asarray(pose, np.float64))
        return replace(truth_of_raw(raw, world_from_cam), is_world=True, step=step)

    def trajectory(self, stamps_ns: NDArray[np.int64]) -> Trajectory | None:
        path = self._options.truth_file
        if path is not None:
            self.report.truth["trajectory"] = TruthCounts(path.name)
            return read_trajectory(path, stamps_ns)
        if len(self._world_from_base) < 2:
            return None
        self.report.truth["trajectory"] = TruthCounts(self._recording.name)
        stamps = np.array(sorted(self._world_from_base), dtype=np.int64)
        return Trajectory(stamps, np.stack([self._world_from_base[int(s)] for s in stamps]))

    def pose_at(self, stamp_ns: int) -> None:
        """All poses are kept anyway."""

    def close(self) -> None:
        """Nothing is open."""


def _base_pose(cam_from_world: Array) -> Array:
    """world_from_base of the first camera with body axes, in a world whose z is not known."""
    pose = np.asarray(cam_from_world, dtype=np.float64)
    return se3.inverse(pose) @ se3.inverse(se3.BODY_FROM_OPTICAL)
