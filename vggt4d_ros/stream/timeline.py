# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tells frames that go on in time from duplicates, stragglers, wrong clocks and time jumps."""

from __future__ import annotations

from dataclasses import dataclass

from vggt4d_ros.datatypes import Frame
from vggt4d_ros.stream.ledger import FrameLedger

# A camera whose stamps go back by more may have seen a time jump; by less, a frame came late.
# Recordings that people loop are longer than this, what a driver mixes up is shorter.
BACKWARD_NS = 500_000_000
# A stamp farther than this from the newest is not believed before a second one agrees.
ASTRAY_NS = 5_000_000_000
# So many frames in a row behind the camera's newest are no accident: a loop shorter than BACKWARD.
MAX_BEHIND = 3


@dataclass(frozen=True, slots=True)
class TimeJump:
    """The stream's time went back: nothing from before may be carried on."""

    from_ns: int  # newest stamp before
    to_ns: int  # oldest stamp after


@dataclass(frozen=True, slots=True)
class Admission:
    """Frames that may go on now, in order; ``jump`` happened before them."""

    frames: tuple[Frame, ...] = ()
    jump: TimeJump | None = None


_NOTHING = Admission()


class Timeline:
    """Admits frames whose stamps increase per camera and belong to the stream's time.

    A stamp that does not fit is kept aside. When its camera goes on from there, and more cameras
    have gone there than have stayed since, the stream's time has jumped (or had a gap) and the
    frames kept aside are admitted. When the camera comes back, they are dropped. So neither one
    wild stamp nor one camera with a wrong clock disturbs the others, and no wall clock is needed.
    """

    def __init__(self, num_cameras: int, ledger: FrameLedger) -> None:
        self._ledger = ledger
        self.last_ns: list[int | None] = [None] * num_cameras  # newest admitted, per camera
        self.newest_ns: int | None = None  # of all cameras
        self._aside: list[list[Frame]] = [[] for _ in range(num_cameras)]  # at most 2, increasing
        self._aside_since = [0] * num_cameras  # arrival number of the first of them
        self._admitted_at = [0] * num_cameras  # arrival number of the newest admitted frame
        self._behind = [0] * num_cameras  # frames out of order in a row
        self._left_ns: list[int | None] = [None] * num_cameras  # where a jump left the camera
        self._arrivals = 0

    def admit(self, frame: Frame) -> Admission:
        """Gives the frames that may go on now that ``frame`` has come; drops what never may."""
        camera, stamp = frame.camera, frame.stamp_ns
        last, newest, left = self.last_ns[camera], self.newest_ns, self._left_ns[camera]
        self._arrivals += 1
        if stamp <= 0:
            return self._drop(frame, "zero_stamp")
        if left is not None:
            if newest is not None and newest < left < stamp < left + BACKWARD_NS:
                return self._drop(frame, "time_jump")  # sent before the jump, came after it
            self._left_ns[camera] = None
        near = newest is None or abs(stamp - newest) <= ASTRAY_NS
        if near and (last is None or stamp > last):
            self._accept(frame)
            return Admission((frame,))
        if stamp == last:
            return self._drop(frame, "duplicate_stamp")
        if near and last is not None and stamp > last - BACKWARD_NS:
            self._behind[camera] += 1
            if self._behind[camera] < MAX_BEHIND and not self._aside[camera]:
                return self._drop(frame, "out_of_order")
        return self._put_aside(frame)

    def clear(self, cause: str) -> None:
        """Forgets all stamps and drops what is kept aside."""
        for camera in range(len(self.last_ns)):
            self._drop_aside(camera, cause)
        self._forget()
        self._left_ns = [None] * len(self.last_ns)

    def _forget(self) -> None:
        count = len(self.last_ns)
        self.last_ns[:] = [None] * count
        self.newest_ns = None
        self._behind = [0] * count

    def _accept(self, frame: Frame) -> None:
        camera = frame.camera
        if self._aside[camera]:
            self._drop_aside(camera)
        self._behind[camera] = 0
        self._admitted_at[camera] = self._arrivals
        self.last_ns[camera] = frame.stamp_ns
        if self.newest_ns is None or frame.stamp_ns > self.newest_ns:
            self.newest_ns = frame.stamp_ns

    def _put_aside(self, frame: Frame) -> Admission:
        camera, stamp = frame.camera, frame.stamp_ns
        aside = self._aside[camera]
        if aside and stamp <= aside[-1].stamp_ns:
            self._drop_aside(camera)
        if not aside:
            self._aside_since[camera] = self._arrivals
        aside.append(frame)
        if len(aside) < 2:
            return _NOTHING
        gone = [
            other
            for other, frames in enumerate(self._aside)
            if frames and abs(frames[-1].stamp_ns - stamp) <= ASTRAY_NS
        ]
        since = min(self._aside_since[other] for other in gone)
        stayed = [
            other
            for other, admitted_at in enumerate(self._admitted_at)
            if other not in gone and admitted_at > since
        ]
        if len(gone) > len(stayed):
            return self._move(gone)
        self._drop_one(aside.pop(0))
        return _NOTHING

    def _move(self, gone: list[int]) -> Admission:
        """Takes the stream's time to where the cameras in ``gone`` are."""
        frames = sorted(
            (frame for camera in gone for frame in self._aside[camera]),
            key=lambda frame: (frame.stamp_ns, frame.camera),
        )
        for camera in gone:
            self._aside[camera].clear()
        jump = None
        if self.newest_ns is not None and frames[0].stamp_ns <= self.newest_ns:
            jump = TimeJump(self.newest_ns, frames[0].stamp_ns)
            self._left_ns = [
                None if camera in gone else last for camera, last in enumerate(self.last_ns)
            ]
            self._forget()
        for frame in frames:
            self._accept(frame)
        return Admission(tuple(frames), jump)

    def _drop(self, frame: Frame, cause: str) -> Admission:
        self._ledger.release((frame,), cause)
        return _NOTHING

    def _drop_one(self, frame: Frame) -> None:
        last = self.last_ns[frame.camera]
        behind = last is not None and frame.stamp_ns < last
        self._ledger.release((frame,), "out_of_order" if behind else "stray_stamp")

    def _drop_aside(self, camera: int, cause: str | None = None) -> None:
        for frame in self._aside[camera]:
            if cause is None:
                self._drop_one(frame)
            else:
                self._ledger.release((frame,), cause)
        self._aside[camera].clear()
