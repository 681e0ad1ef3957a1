# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Scale over consecutive windows: smooth where the sources agree, at once where they do not.

Each window has its own network unit. The window before, seen through the frames both share, says
what the new unit is in metres (``carried``); rig, motion or a given length say it anew
(``measured``). The two are joined as in a scalar Kalman filter on the logarithm of the scale.
"""

from __future__ import annotations

import math

from vggt4d_ros.geometry.scale import MAX_SIGMA, MIN_SIGMA, ScaleEstimate, ScaleSource, no_scale

# A difference that chance brings once in 2,000 windows is taken for a jump
JUMP_SIGMA = 3.5


class ScaleFilter:
    """Joins the scale of each window with that of the windows before."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forgets the windows before."""
        self._source = ScaleSource.NONE
        self._sigma = math.nan
        self._age = 0  # windows since the last measurement
        self._reason = ""

    def update(
        self,
        carried: float | None,
        carried_sigma: float,
        measured: ScaleEstimate,
        shared: float = 0.0,
    ) -> ScaleEstimate:
        """Gives the scale of the next window.

        Args:
            carried: metres per unit of the new window according to the window before; None: the
                windows share nothing that says so. Without a source so far: units of the first
                window, which then stand for metres.
            carried_sigma: relative standard deviation of the step from window to window.
            measured: what a source says; of source NONE where there is none.
            shared: share of the measured frames that the window before has measured already, in
                [0, 1): they must not count twice.
        """
        has_before = self._source is not ScaleSource.NONE and carried is not None
        if not measured.known:
            return self._hold(carried, carried_sigma, measured.reason, has_before)
        self._age = 0
        self._reason = measured.reason
        if not has_before or carried is None:
            self._source, self._sigma = measured.source, measured.sigma
            return measured
        prior = self._sigma**2 + carried_sigma**2
        noise = measured.sigma**2 / (1.0 - min(shared, 0.95))
        difference = math.log(measured.value / carried)
        if abs(difference) > JUMP_SIGMA * math.sqrt(prior + measured.sigma**2):
            self._source, self._sigma = measured.source, measured.sigma
            reason = f"{measured.reason}; the scale jumped by {100 * math.expm1(difference):+.1f} %"
            return ScaleEstimate(measured.value, measured.sigma, measured.source, reason, True)
        gain = prior / (prior + noise)
        self._source = measured.source
        self._sigma = max(math.sqrt((1 - gain) * prior), MIN_SIGMA)
        value = carried * math.exp(gain * difference)
        return ScaleEstimate(value, self._sigma, measured.source, measured.reason)

    def _hold(
        self, carried: float | None, carried_sigma: float, why: str, has_before: bool
    ) -> ScaleEstimate:
        """Goes on with the window before's scale until it has grown too unsure."""
        if has_before and carried is not None:
            self._age += 1
            self._sigma = math.hypot(self._sigma, carried_sigma)
            if self._sigma <= MAX_SIGMA:
                reason = f"held for {self._age} windows since: {self._reason}; now: {why}"
                return ScaleEstimate(carried, self._sigma, self._source, reason)
            why = f"lost: the last measurement is {self._age} windows old; {why}"
        self.reset()
        value = 1.0 if carried is None else carried
        lost = no_scale(why)
        return ScaleEstimate(value, lost.sigma, lost.source, lost.reason)
