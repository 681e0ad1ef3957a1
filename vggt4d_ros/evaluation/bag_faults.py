# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is wrong with the cameras of a recording, one clear line each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations

_SECOND = 1_000_000_000
_LEAST_SILENCE_NS = 1 * _SECOND
_SILENT_PERIODS = 5


@dataclass(slots=True)
class CameraWatch:
    """What came of one camera."""

    name: str
    images: int = 0
    first_ns: int = 0  # header stamps
    last_ns: int = 0
    first_recorded_ns: int = 0
    last_recorded_ns: int = 0
    _newest_ns: int = 0
    _backward: int = 0
    _encodings: Counter[str] = field(default_factory=Counter)
    _refused: dict[str, list[str]] = field(default_factory=dict)  # cause -> [count, first reason]
    _info: str = ""
    _uncalibrated: int = 0
    _bad_info: str = ""
    _bad_depth: list[str] = field(default_factory=list)

    def note_image(self, stamp_ns: int, recorded_ns: int, encoding: str) -> None:
        """Counts an image."""
        if not self.images:
            self.first_ns = self.last_ns = stamp_ns
            self.first_recorded_ns = recorded_ns
        elif stamp_ns < self._newest_ns:
            self._backward += 1
        self._newest_ns = max(self._newest_ns, stamp_ns)
        self.images += 1
        self.first_ns, self.last_ns = min(self.first_ns, stamp_ns), max(self.last_ns, stamp_ns)
        self.last_recorded_ns = recorded_ns
        self._encodings[encoding] += 1
        self._uncalibrated += self._info != "calibrated"

    def note_info(self, state: str) -> None:
        """Takes what a CameraInfo has come to."""
        self._info = state
        if "not usable" in state:
            self._bad_info = self._bad_info or state

    def refuse(self, cause: str, reason: str) -> None:
        """Counts an image that cannot be used, by cause, with the first reason."""
        entry = self._refused.setdefault(cause, ["0", reason])
        entry[0] = str(int(entry[0]) + 1)

    def refuse_depth(self, reason: str) -> None:
        """Counts a depth image that cannot be used."""
        self._bad_depth.append(reason)

    def faults(self) -> Iterator[str]:
        """One line for each thing that is wrong."""
        if not self.images:
            yield f"{self.name}: no image could be read"
            return
        if self._bad_info:
            yield f"{self.name}: {self._bad_info}"
        elif self._uncalibrated == self.images:
            state = self._info or "no CameraInfo"
            yield f"{self.name}: {state}: the network's own intrinsics stand in"
        elif self._uncalibrated:
            yield (
                f"{self.name}: the first {self._uncalibrated} of {self.images} images came before "
                "any CameraInfo"
            )
        if len(self._encodings) > 1:
            listed = ", ".join(f"{name or '(none)'} {n}" for name, n in self._encodings.items())
            yield f"{self.name}: mixed encodings: {listed}"
        if self._backward:
            yield f"{self.name}: {self._backward} images out of order (their stamps go back)"
        for cause, (count, reason) in sorted(self._refused.items()):
            yield f"{self.name}: {count} images refused, {cause}: {reason}"
        if self._bad_depth:
            yield f"{self.name}: {len(self._bad_depth)} depth images refused: {self._bad_depth[0]}"


def stream_faults(watches: Sequence[CameraWatch]) -> list[str]:
    """What is wrong with each camera, and between them."""
    faults = [fault for watch in watches for fault in watch.faults()]
    seen = [watch for watch in watches if watch.images]
    return [*faults, *_time_bases(seen), *_silences(seen)]


def _time_bases(watches: Sequence[CameraWatch]) -> Iterator[str]:
    """Cameras whose stamps never meet although they were recorded at the same time."""
    for one, other in combinations(watches, 2):
        apart = max(one.first_ns, other.first_ns) - min(one.last_ns, other.last_ns)
        recorded = max(one.first_recorded_ns, other.first_recorded_ns) - min(
            one.last_recorded_ns, other.last_recorded_ns
        )
        if apart > _SECOND and apart > recorded + _SECOND:
            yield (
                f"two time bases: {one.name} has stamps {_span(one)}, {other.name} {_span(other)}: "
                "they never meet"
            )


def _silences(watches: Sequence[CameraWatch]) -> Iterator[str]:
    """Cameras that begin late or stop half-way."""
    if not watches:
        return
    begin = min(watch.first_recorded_ns for watch in watches)
    end = max(watch.last_recorded_ns for watch in watches)
    for watch in watches:
        period = (watch.last_recorded_ns - watch.first_recorded_ns) // max(watch.images - 1, 1)
        limit = max(_LEAST_SILENCE_NS, _SILENT_PERIODS * period)
        whole = (end - begin) / _SECOND
        if end - watch.last_recorded_ns > limit:
            at = (watch.last_recorded_ns - begin) / _SECOND
            yield f"{watch.name}: stops after {at:.3f} s of {whole:.3f} s"
        if watch.first_recorded_ns - begin > limit:
            at = (watch.first_recorded_ns - begin) / _SECOND
            yield f"{watch.name}: begins after {at:.3f} s of {whole:.3f} s"


def _span(watch: CameraWatch) -> str:
    return f"{watch.first_ns / _SECOND:.3f} to {watch.last_ns / _SECOND:.3f} s"
