# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""/diagnostics: inputs, windows, scale, extrinsics and platform motion, once a second."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable

from diagnostic_msgs.msg import DiagnosticStatus
from diagnostic_updater import DiagnosticStatusWrapper, Updater
from rclpy.node import Node

from vggt4d_ros.msg import WindowStatus
from vggt4d_ros.ros.session import Session
from vggt4d_ros.stream.deadline import OUT_OF_REACH

_SCALE_SOURCES = {
    WindowStatus.SCALE_NONE: "none",
    WindowStatus.SCALE_RIG: "rig baselines",
    WindowStatus.SCALE_MOTION: "platform motion",
    WindowStatus.SCALE_GIVEN: "given",
}
_STALE_SECONDS = 2.0


class Diagnostics:
    """Tasks of a diagnostic_updater.

    Args:
        node: owner of the publisher and the timer.
        hardware_id: what the reports are about.
        session: gives what runs, None while the node is not active.
    """

    def __init__(
        self,
        node: Node,
        hardware_id: str,
        session: Callable[[], Session | None],
    ) -> None:
        self._session = session
        self._window_walls: deque[float] = deque(maxlen=30)
        self._updater = Updater(node)
        self._updater.setHardwareID(hardware_id)
        self._updater.add("inputs", self._inputs)
        self._updater.add("windows", self._windows)
        self._updater.add("metric scale", self._scale)
        self._updater.add("extrinsics", self._extrinsics)
        self._updater.add("platform motion", self._motion)

    def begin(self) -> None:
        """Forgets the windows of an earlier activation."""
        self._window_walls.clear()

    def note_window(self) -> None:
        """Counts a finished window."""
        self._window_walls.append(time.monotonic())

    def _inputs(self, status: DiagnosticStatusWrapper) -> DiagnosticStatusWrapper:
        session = self._session()
        cameras = session.cameras if session is not None else []
        bad_infos = [c.topics.name for c in cameras if c.infos_refused]
        silent = [c.topics.name for c in cameras if c.images.age_s > _STALE_SECONDS]
        for camera in cameras:
            images = camera.images
            status.add(
                camera.topics.name,
                f"{images.rate_hz:.1f} Hz, {images.count} images; {camera.info_state}"
                + (f" ({camera.infos_refused} refused)" if camera.infos_refused else "")
                + (f"; last refused: {camera.warning}" if camera.warning else ""),
            )
        if not cameras:
            status.summary(DiagnosticStatus.OK, "not active")
        elif silent:
            status.summary(DiagnosticStatus.WARN, "no images from " + ", ".join(silent))
        elif bad_infos:
            status.summary(DiagnosticStatus.WARN, "CameraInfo refused of " + ", ".join(bad_infos))
        else:
            status.summary(DiagnosticStatus.OK, f"{len(cameras)} cameras")
        return status

    def _windows(self, status: DiagnosticStatusWrapper) -> DiagnosticStatusWrapper:
        session = self._session()
        if session is None:
            status.summary(DiagnosticStatus.OK, "not active")
            return status
        last = session.last_status
        if last is None or not self._window_walls:
            status.summary(DiagnosticStatus.WARN, "no window yet")
            return status
        walls = self._window_walls
        rate = (len(walls) - 1) / max(walls[-1] - walls[0], 1e-9) if len(walls) > 1 else 0.0
        age = time.monotonic() - walls[-1]
        status.add("rate", f"{rate:.2f} Hz")
        status.add("latency", f"{last.latency:.3f} s")
        for stage in last.stage_times:
            status.add(f"stage {stage.name}", f"{stage.milliseconds:.1f} ms")
        status.add("frames received", str(last.frames_received))
        status.add("frames used", str(last.frames_used))
        for drop in last.frames_dropped:
            status.add(f"dropped {drop.name}", str(drop.count))
        deadline = next((text for text in last.warnings if text.startswith("deadline")), "")
        if deadline:
            status.add("deadline", deadline)
        status.add("memory", f"{last.memory / 2**20:.0f} MiB")
        status.add("GPU memory", f"{last.gpu_memory / 2**20:.0f} MiB")
        if age > max(_STALE_SECONDS, 3.0 / rate if rate else 0.0):
            status.summary(DiagnosticStatus.WARN, f"no window for {age:.1f} s")
        elif OUT_OF_REACH in deadline:
            status.summary(DiagnosticStatus.WARN, deadline)
        else:
            status.summary(DiagnosticStatus.OK, f"{rate:.2f} windows/s")
        return status

    def _scale(self, status: DiagnosticStatusWrapper) -> DiagnosticStatusWrapper:
        session = self._session()
        last = session.last_status if session is not None else None
        if session is not None and session.given_depth is not None:
            for reason, count in dict(session.given_depth.refused).items():
                status.add("given depth refused", f"{count} images: {reason}")
        if last is None:
            status.summary(DiagnosticStatus.OK, "no window yet")
            return status
        status.add("source", _SCALE_SOURCES[last.scale_source])
        status.add("metres per network unit", f"{last.scale:.4g}")
        status.add("relative sigma", f"{last.scale_sigma:.3g}")
        status.add("overlap points", str(last.overlap_points))
        status.add(
            "overlap residual",
            f"{last.overlap_translation:.4g} m, "
            f"{last.overlap_rotation:.4g} rad, scale ratio {last.overlap_scale:.4g}",
        )
        if last.scale_source == WindowStatus.SCALE_NONE:
            status.summary(DiagnosticStatus.WARN, "lengths are not metric: no scale source")
        elif last.warnings:
            status.summary(DiagnosticStatus.WARN, last.warnings[0])
        else:
            status.summary(DiagnosticStatus.OK, _SCALE_SOURCES[last.scale_source])
        for index, warning in enumerate(last.warnings):
            status.add(f"warning {index}", warning)
        return status

    def _extrinsics(self, status: DiagnosticStatusWrapper) -> DiagnosticStatusWrapper:
        session = self._session()
        rig = session.rig_watch.report() if session is not None else None
        if rig is None:
            status.summary(DiagnosticStatus.OK, "no window yet")
            return status
        status.add("residual", f"{rig.residual_m:.3g} m, {rig.residual_rad:.3g} rad")
        for name in rig.missing:
            status.add(name, f"TF does not say where it is on {rig.base_frame}")
        for name, (metres, radians) in rig.contradicted.items():
            status.add(
                name,
                f"the network sees it {metres:.2g} m and {math.degrees(radians):.1f} degrees away "
                f"from there; left out of the merged cloud in {rig.contradictions[name]} windows "
                "so far",
            )
        if rig.contradicted:
            names = ", ".join(rig.contradicted)
            status.summary(DiagnosticStatus.WARN, f"the network contradicts TF: {names}")
        elif rig.missing:
            names = ", ".join(rig.missing)
            status.summary(DiagnosticStatus.WARN, f"no extrinsics: {names}")
        else:
            status.summary(DiagnosticStatus.OK, "all cameras are where TF says")
        return status

    def _motion(self, status: DiagnosticStatusWrapper) -> DiagnosticStatusWrapper:
        session = self._session()
        motion = session.motion if session is not None else None
        if motion is None:
            status.summary(DiagnosticStatus.OK, "not asked for (geometry.motion_source)")
            return status
        status.add("source", motion.source)
        status.add("samples", str(motion.messages))
        status.add("samples refused", str(motion.refused))
        status.add("frames with a pose", str(motion.known))
        for cause, count in sorted(dict(motion.unknown).items()):
            status.add(f"frames without: {cause}", str(count))
        if motion.last_reason:
            status.summary(DiagnosticStatus.WARN, motion.last_reason)
        else:
            status.summary(DiagnosticStatus.OK, motion.source)
        return status
