# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is known of the extrinsics, for /diagnostics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from vggt4d_ros.processor import Processed


@dataclass(frozen=True, slots=True)
class RigReport:
    """Extrinsics in the newest window. Names are those of the cameras."""

    base_frame: str
    missing: tuple[str, ...]  # TF does not say where they are
    is_bare: bool  # it says so of no camera
    contradicted: dict[str, tuple[float, float]]  # m, rad the network sees them elsewhere
    contradictions: Counter[str]  # windows so far, by camera
    residual_m: float  # RMS of all cameras; NaN: fewer than two were compared
    residual_rad: float

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the window itself does not tell. A rig without any extrinsics is no oversight."""
        if not self.missing or self.is_bare:
            return ()
        names = ", ".join(self.missing)
        return (f"TF does not say where {names} is on {self.base_frame}",)


class RigWatch:
    """Keeps what windows tell of the extrinsics; a report is made when somebody asks for it.

    Args:
        names: of the cameras, in view order.
        base_frame: where the extrinsics are from.
    """

    def __init__(self, names: Sequence[str], base_frame: str) -> None:
        self._names = names
        self._base_frame = base_frame
        self._contradictions: Counter[str] = Counter()
        self._newest: Processed | None = None

    def note(self, processed: Processed) -> None:
        """Takes a finished window."""
        self._newest = processed
        self._contradictions.update(self._names[view] for view in processed.tracked.contradicted)

    def report(self) -> RigReport | None:
        """Report of the newest window; None before the first."""
        processed, names = self._newest, self._names
        if processed is None:
            return None
        tracked = processed.tracked
        mounts = processed.rig.base_from_cam
        # of a camera that has sent nothing not even the frame is known
        missing = tuple(
            names[view]
            for view, pose in enumerate(mounts)
            if pose is None and processed.window.valid[:, view].any()
        )
        return RigReport(
            base_frame=self._base_frame,
            missing=missing,
            is_bare=all(pose is None for pose in mounts),
            contradicted={names[view]: found for view, found in tracked.contradicted.items()},
            contradictions=Counter(self._contradictions),
            residual_m=tracked.rig_residual_m,
            residual_rad=tracked.rig_residual_rad,
        )
