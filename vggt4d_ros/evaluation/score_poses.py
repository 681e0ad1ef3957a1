# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The network's own camera poses, before the rig puts them right, against rig and truth."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence

import numpy as np

from vggt4d_ros.datatypes import Array
from vggt4d_ros.evaluation.metrics.trajectory import rotation_angle_deg
from vggt4d_ros.evaluation.results import Numbers
from vggt4d_ros.evaluation.sources import FrameTruth
from vggt4d_ros.geometry import se3
from vggt4d_ros.processor import Processed

_LEAST_MOVE_M = 0.01  # a shorter way has no direction
_LEAST_FOUND = 1e-9  # network units: less is rounding


class PoseScorer:
    """Angles between cameras of an instant (``views``) and of a camera in time (``time``).

    ``rotation_deg``: angle between the found and the true relative rotation; ``translation_deg``:
    angle between the directions of both relative translations, whose length the network leaves
    open. Of each the median and the mean over all pairs: every camera with the first one whose
    place is known, every newest frame with the one before.
    """

    def __init__(self) -> None:
        self._angles: dict[str, dict[str, array[float]]] = {}

    def score(
        self,
        processed: Processed,
        truths: Mapping[int, FrameTruth],
        before: Mapping[int, FrameTruth],
    ) -> dict[str, float]:
        """Scores one window; gives columns for windows.csv.

        Args:
            processed: the window.
            truths: of its newest step, by camera.
            before: of the step before; poses in the same world.
        """
        prediction = processed.prediction
        steps, views = prediction.valid.shape
        newest = [v for v in range(views) if prediction.valid[-1, v]]
        turns = self._score_views(processed, newest)
        for view in newest:
            if steps < 2 or not prediction.valid[-2, view]:
                continue
            true = _relative(before.get(view), truths.get(view))
            if true is not None:
                found = _of_first(prediction.cam_from_world[-2:, view])
                turns.append(self._add("time", found, true))
        return {"rotation_deg": float(np.mean(turns))} if turns else {}

    def _score_views(self, processed: Processed, newest: Sequence[int]) -> list[float]:
        mounts = processed.rig.base_from_cam
        known = [view for view in newest if mounts[view] is not None]
        turns = []
        for view in known[1:]:
            first, other = mounts[known[0]], mounts[view]
            assert first is not None
            assert other is not None
            poses = processed.prediction.cam_from_world[-1, [known[0], view]]
            turns.append(self._add("views", _of_first(poses), se3.inverse(first) @ other))
        return turns

    def _add(self, variant: str, found: Array, true: Array) -> float:
        turn = float(rotation_angle_deg(true[:3, :3].T @ found[:3, :3]))
        self._note(variant, "rotation_deg", turn)
        ways = np.linalg.norm(found[:3, 3]), np.linalg.norm(true[:3, 3])
        if ways[0] > _LEAST_FOUND and ways[1] > _LEAST_MOVE_M:
            cosine = float(found[:3, 3] @ true[:3, 3] / (ways[0] * ways[1]))
            self._note(
                variant, "translation_deg", float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
            )
        return turn

    def _note(self, variant: str, name: str, value: float) -> None:
        self._angles.setdefault(variant, {}).setdefault(name, array("d")).append(value)

    def result(self) -> dict[str, Numbers]:
        """Numbers by variant."""
        found: dict[str, Numbers] = {}
        for variant, angles in self._angles.items():
            numbers: Numbers = {"pairs": float(len(angles["rotation_deg"]))}
            for name, values in angles.items():
                numbers[f"{name}_median"] = float(np.median(values))
                numbers[f"{name}_mean"] = float(np.mean(values))
            found[variant] = numbers
        return found


def _of_first(cam_from_world: Array) -> Array:
    """first_from_second of two cameras (2, 4, 4)."""
    first, second = cam_from_world
    pose: Array = first @ se3.inverse(second)
    return pose


def _relative(before: FrameTruth | None, now: FrameTruth | None) -> Array | None:
    if before is None or now is None or not (before.is_world and now.is_world):
        return None
    if before.world_from_cam is None or now.world_from_cam is None:
        return None
    pose: Array = se3.inverse(before.world_from_cam) @ now.world_from_cam
    return pose
