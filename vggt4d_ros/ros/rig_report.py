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


def rig_report(
    processed: Processed, names: Sequence[str], base_frame: str, before: RigReport | None
) -> RigReport:
    """Gives the report of a window; ``before`` is that of the one before."""
    tracked = processed.tracked
    contradicted = {names[view]: found for view, found in tracked.contradicted.items()}
    counts = Counter(before.contradictions if before is not None else ())
    counts.update(contradicted.keys())
    mounts = processed.rig.base_from_cam
    # of a camera that has sent nothing not even the frame is known
    missing = tuple(
        names[view]
        for view, pose in enumerate(mounts)
        if pose is None and processed.window.valid[:, view].any()
    )
    return RigReport(
        base_frame=base_frame,
        missing=missing,
        is_bare=all(pose is None for pose in mounts),
        contradicted=contradicted,
        contradictions=counts,
        residual_m=tracked.rig_residual_m,
        residual_rad=tracked.rig_residual_rad,
    )
