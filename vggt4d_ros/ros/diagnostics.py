# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""/diagnostics: inputs, windows and metric scale, once a second."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence

from diagnostic_msgs.msg import DiagnosticStatus
from diagnostic_updater import DiagnosticStatusWrapper, Updater
from rclpy.node import Node

from vggt4d_ros.msg import WindowStatus
from vggt4d_ros.ros.camera_input import CameraInput

_SCALE_SOURCES = {
    WindowStatus.SCALE_NONE: "none",
    WindowStatus.SCALE_RIG: "rig baselines",
    WindowStatus.SCALE_MOTION: "platform motion",
    WindowStatus.SCALE_GIVEN: "given",
}
_STALE_SECONDS = 2.0


class Diagnostics:
    """Three tasks of a diagnostic_updater.

    Args:
        node: owner of the publisher and the timer.
        hardware_id: what the reports are about.
        cameras: gives the inputs, empty while the node is not active.
        last_status: gives the newest WindowStatus.
    """

    def __init__(
        self,
        node: Node,
        hardware_id: str,
        cameras: Callable[[], Sequence[CameraInput]],
        last_status: Callable[[], WindowStatus | None],
    ) -> None:
        self._cameras = cameras
        self._last_status = last_status
        self._window_walls: deque[float] = deque(maxlen=30)
        self._updater = Updater(node)
        self._updater.setHardwareID(hardware_id)
        self._updater.add("inputs", self._inputs)
        self._updater.add("windows", self._windows)
        self._updater.add("metric scale", self._scale)

    def begin(self) -> None:
        """Forgets the windows of an earlier activation."""
        self._window_walls.clear()

    def note_window(self) -> None:
        """Counts a finished window."""
        self._window_walls.append(time.monotonic())

    def _inputs(self, status: DiagnosticStatusWrapper) -> DiagnosticStatusWrapper:
        cameras = self._cameras()
        silent = [c.topics.name for c in cameras if c.images.age_s > _STALE_SECONDS]
        for camera in cameras:
            images = camera.images
            status.add(
                camera.topics.name,
                f"{images.rate_hz:.1f} Hz, {images.count} images; {camera.info_state}"
                + (f"; last refused: {camera.warning}" if camera.warning else ""),
            )
        if not cameras:
            status.summary(DiagnosticStatus.OK, "not active")
        elif silent:
            status.summary(DiagnosticStatus.WARN, "no images from " + ", ".join(silent))
        else:
            status.summary(DiagnosticStatus.OK, f"{len(cameras)} cameras")
        return status

    def _windows(self, status: DiagnosticStatusWrapper) -> DiagnosticStatusWrapper:
        last = self._last_status()
        if not self._cameras():
            status.summary(DiagnosticStatus.OK, "not active")
            return status
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
        status.add("memory", f"{last.memory / 2**20:.0f} MiB")
        status.add("GPU memory", f"{last.gpu_memory / 2**20:.0f} MiB")
        if age > max(_STALE_SECONDS, 3.0 / rate if rate else 0.0):
            status.summary(DiagnosticStatus.WARN, f"no window for {age:.1f} s")
        else:
            status.summary(DiagnosticStatus.OK, f"{rate:.2f} windows/s")
        return status

    def _scale(self, status: DiagnosticStatusWrapper) -> DiagnosticStatusWrapper:
        last = self._last_status()
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
