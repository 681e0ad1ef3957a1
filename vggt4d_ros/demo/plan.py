# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How fast the demo may replay its recording on this machine, in numbers and in words."""

from __future__ import annotations

from dataclasses import dataclass

# Messages, DDS and other processes share the CPU: 1240 ms in the node for 740 ms here, measured.
HEADROOM = 1.8


@dataclass(frozen=True, slots=True)
class Recording:
    """What the plan needs to know of a bag."""

    sets: int  # instants at which all cameras have an image
    period_s: float  # from one to the next
    duration_s: float


@dataclass(frozen=True, slots=True)
class Plan:
    """How the recording is replayed."""

    rate: float
    loops: int
    window_ms: float  # network and outputs, measured here
    recording: Recording

    @property
    def seconds(self) -> float:
        """Length of the replay, s."""
        return self.loops * self.recording.duration_s / self.rate

    @property
    def keeps_up(self) -> bool:
        """Whether there is time for a window between two sets."""
        return self.recording.period_s / self.rate >= self.window_ms * 1e-3

    @property
    def words(self) -> str:
        """The choice and its reason."""
        found = (
            f"One window takes {self.window_ms:.0f} ms here (network and all outputs); the "
            f"recording has new images every {self.recording.period_s * 1e3:.0f} ms"
        )
        times = "once" if self.loops == 1 else f"{self.loops} times"
        speed = "in real time" if self.rate == 1.0 else f"at {self.rate:.2g} x real time"
        choice = f"it is replayed {speed}, {times} ({self.seconds:.0f} s)"
        if self.keeps_up:
            return f"{found}: {choice}, so that about every window can be processed."
        return f"{found}: {choice}, not to last longer; windows that come too fast are dropped."


def choose(window_ms: float, recording: Recording, seconds: float) -> Plan:
    """Plans for a rate at which about every window can be processed, never above real time.

    Args:
        window_ms: time of one window on this machine.
        recording: what is replayed.
        seconds: longest replay; on a slow machine windows are dropped to keep to it.
    """
    needed_s = HEADROOM * window_ms * 1e-3
    wanted = max(recording.period_s / needed_s, recording.duration_s / seconds)
    rate = float(f"{min(1.0, wanted):.2g}")  # two digits: as it is told, so it is done
    loops = max(1, int(seconds * rate / recording.duration_s))
    return Plan(rate, loops, window_ms, recording)
