# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Groups the frames of N cameras into sets of one instant."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from vggt4d_ros.config import SyncConfig
from vggt4d_ros.datatypes import Frame, FrameSet
from vggt4d_ros.stream.ledger import FrameLedger
from vggt4d_ros.stream.match import find_set, nearest
from vggt4d_ros.stream.timeline import TimeJump, Timeline

_RATE_FRAMES = 31  # stamps the rate of a camera is taken from
_SPREAD_FRAMES = 32  # recent frames per camera among which the best spread is sought


@dataclass(frozen=True, slots=True)
class SyncOutput:
    """Sets that are ready, oldest first; ``jump`` happened before them."""

    sets: tuple[FrameSet, ...] = ()
    jump: TimeJump | None = None


@dataclass(frozen=True, slots=True)
class CameraReport:
    """How one camera's stream looks to the synchroniser."""

    last_stamp_ns: int | None  # as it came, whether admitted or not; None: no frame yet
    rate_hz: float  # by the stamps of its last second or so; 0: not known
    behind_ns: int | None  # newest stamp of the stream less last_stamp_ns; negative: ahead
    waiting: int  # frames in the queue


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What explains why there are no sets."""

    cameras: tuple[CameraReport, ...]
    tolerance_ns: int
    best_spread_ns: int | None  # smallest spread over all cameras of late; None: one never came


class _Waiting:
    """A frame in a queue."""

    __slots__ = ("frame", "seen_ns")

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.seen_ns: int | None = None  # time of the first tick that found it here


class Synchronizer:
    """Approximate-time synchroniser for N cameras. Not thread-safe.

    A set goes on as soon as every camera has a frame within the tolerance (inclusive; see
    ``match`` for the rule where several would do). With ``min_cameras`` an incomplete set of at
    least that many goes on once no missing camera can complete it, once its own cameras have run
    ``deadline_s`` ahead, or once a queue is full. Stamps strictly increase from set to set, in
    each camera and in their newest. Frames of a set are handed to the caller with their hold in
    the ledger. ``add`` costs O(N) plus O(log queue_size) per camera; queues are bounded.
    """

    def __init__(self, num_cameras: int, config: SyncConfig, ledger: FrameLedger) -> None:
        if not 0 <= config.min_cameras <= num_cameras:
            raise ValueError(
                f"min_cameras must be in 0..{num_cameras} (cameras), got {config.min_cameras}"
            )
        self._count = num_cameras
        self._needed = config.min_cameras or num_cameras
        self._tolerance_ns = round(config.tolerance_s * 1e9)
        self._deadline_ns = round(config.deadline_s * 1e9)
        self._queue_size = config.queue_size
        self._ledger = ledger
        self._timeline = Timeline(num_cameras, ledger)
        self._queues: list[list[_Waiting]] = [[] for _ in range(num_cameras)]
        self._stamps: list[list[int]] = [[] for _ in range(num_cameras)]  # of the queues
        # of the set that went on last: oldest and newest stamp, cameras it lacked
        self._last_span: tuple[int, int] | None = None
        self._last_lacked: frozenset[int] = frozenset()
        self._came: list[deque[int]] = [deque(maxlen=_RATE_FRAMES) for _ in range(num_cameras)]
        self._spreads: deque[int] = deque(maxlen=_SPREAD_FRAMES * num_cameras)

    def add(self, frame: Frame) -> SyncOutput:
        """Takes a frame the caller holds in the ledger; gives the sets it makes ready."""
        came = self._came[frame.camera]
        if came and frame.stamp_ns < came[-1]:
            came.clear()
        came.append(frame.stamp_ns)
        admission = self._timeline.admit(frame)
        if admission.jump is not None:
            self._drop_all("time_jump")
        sets: list[FrameSet] = []
        for admitted in admission.frames:
            self._insert(admitted, sets)
        return SyncOutput(tuple(sets), admission.jump)

    def tick(self, now_ns: int) -> tuple[FrameSet, ...]:
        """Lets deadlines pass while frames do not come; for live use.

        Without ticks the sets depend on the order of arrival alone. ``now_ns`` is any clock that
        runs as fast as the stamps do; frames count their waiting from the first tick they see.
        """
        for queue in self._queues:
            for waiting in reversed(queue):
                if waiting.seen_ns is not None and waiting.seen_ns <= now_ns:
                    break
                waiting.seen_ns = now_ns
        sets: list[FrameSet] = []
        self._sweep(sets, now_ns)
        return tuple(sets)

    def clear(self, cause: str) -> None:
        """Drops every waiting frame and forgets all stamps."""
        self._drop_all(cause)
        self._timeline.clear(cause)
        self._spreads.clear()
        for came in self._came:
            came.clear()

    def report(self) -> SyncReport:
        """How the cameras' streams look."""
        newest = self._timeline.newest_ns
        cameras = []
        for came, queue in zip(self._came, self._queues, strict=True):
            last = came[-1] if came else None
            span_ns = came[-1] - came[0] if came else 0
            cameras.append(
                CameraReport(
                    last_stamp_ns=last,
                    rate_hz=(len(came) - 1) * 1e9 / span_ns if span_ns > 0 else 0.0,
                    behind_ns=None if last is None or newest is None else newest - last,
                    waiting=len(queue),
                )
            )
        best = min(self._spreads, default=None)
        return SyncReport(tuple(cameras), self._tolerance_ns, best)

    def _insert(self, frame: Frame, sets: list[FrameSet]) -> None:
        camera, stamp = frame.camera, frame.stamp_ns
        if self._is_late(frame):
            self._ledger.release((frame,), "late")
            return
        if self._count == 1:  # a set by itself
            self._spreads.append(0)
            self._last_span = stamp, stamp
            sets.append(FrameSet((frame,)))
            return
        self._queues[camera].append(_Waiting(frame))
        self._stamps[camera].append(stamp)
        self._make_room(camera, sets)
        found = find_set(self._stamps, camera, self._tolerance_ns)
        if found is not None:
            cut = [stamps[index] for stamps, index in zip(self._stamps, found, strict=True)]
            self._spreads.append(max(cut) - min(cut))
            self._clear_before(cut, sets)
            self._emit(range(self._count), sets)
        else:
            self._note_spread(camera, stamp)
        self._sweep(sets, None)

    def _is_late(self, frame: Frame) -> bool:
        if self._last_span is None:
            return False
        oldest, newest = self._last_span
        if frame.camera in self._last_lacked:
            return frame.stamp_ns <= oldest + self._tolerance_ns  # it could have been in that set
        return frame.stamp_ns <= newest - self._tolerance_ns  # no newer set can take it

    def _make_room(self, camera: int, sets: list[FrameSet]) -> None:
        while len(self._queues[camera]) > self._queue_size:
            if self._needed < self._count:
                members = self._oldest_group(range(self._count))
                if self._may_go(members):
                    self._emit(members, sets)
                    continue
            self._drop_head(camera, "queue_full")

    def _clear_before(self, cut: list[int], sets: list[FrameSet]) -> None:
        """Settles what is older than the complete set at ``cut``, its stamp per camera."""
        while True:
            older = [camera for camera, stamp in enumerate(cut) if self._stamps[camera][0] < stamp]
            if not older:
                return
            members = self._oldest_group(older)
            if self._may_go(members):
                self._emit(members, sets)
            else:
                self._drop_oldest(members)

    def _sweep(self, sets: list[FrameSet], now_ns: int | None) -> None:
        """Lets incomplete sets go on or be dropped, oldest first, until one has to wait."""
        last_ns = self._timeline.last_ns
        while True:
            members = self._oldest_group(range(self._count))
            if not members:
                return
            limit = min(self._stamps[camera][0] for camera in members) + self._tolerance_ns
            awaited = 0  # missing cameras whose next frame may still belong here
            for camera in range(self._count):
                if camera not in members:
                    last = last_ns[camera]
                    awaited += last is None or last <= limit
            if len(members) + awaited >= self._needed:
                if awaited and not self._is_due(members, now_ns):
                    return
                if self._may_go(members):
                    self._emit(members, sets)
                    continue
            self._drop_oldest(members)

    def _oldest_group(self, cameras: Iterable[int]) -> list[int]:
        """Gives those of ``cameras`` whose oldest frame is within the tolerance of the oldest."""
        heads = [(self._stamps[camera][0], camera) for camera in cameras if self._stamps[camera]]
        if not heads:
            return []
        limit = min(heads)[0] + self._tolerance_ns
        return [camera for stamp, camera in heads if stamp <= limit]

    def _may_go(self, members: list[int]) -> bool:
        if len(members) < self._needed:
            return False
        newest = max(self._stamps[camera][0] for camera in members)
        return self._last_span is None or newest > self._last_span[1]

    def _is_due(self, members: list[int], now_ns: int | None) -> bool:
        if self._needed == self._count:
            return False
        oldest = min(members, key=lambda camera: self._stamps[camera][0])
        start = self._stamps[oldest][0]
        for camera in members:
            last = self._timeline.last_ns[camera]
            if last is not None and last - start >= self._deadline_ns:
                return True
        seen_ns = self._queues[oldest][0].seen_ns
        return now_ns is not None and seen_ns is not None and now_ns - seen_ns >= self._deadline_ns

    def _emit(self, members: Iterable[int], sets: list[FrameSet]) -> None:
        frames: list[Frame | None] = [None] * self._count
        stamps = []
        for camera in members:
            stamps.append(self._stamps[camera].pop(0))
            frames[camera] = self._queues[camera].pop(0).frame
        self._last_span = min(stamps), max(stamps)
        self._last_lacked = frozenset(c for c, frame in enumerate(frames) if frame is None)
        sets.append(FrameSet(tuple(frames)))

    def _drop_oldest(self, members: list[int]) -> None:
        oldest = min(members, key=lambda camera: self._stamps[camera][0])
        self._drop_head(oldest, "unmatched")

    def _drop_head(self, camera: int, cause: str) -> None:
        self._stamps[camera].pop(0)
        self._ledger.release((self._queues[camera].pop(0).frame,), cause)

    def _drop_all(self, cause: str) -> None:
        for camera in range(self._count):
            while self._queues[camera]:
                self._drop_head(camera, cause)
        self._last_span = None

    def _note_spread(self, camera: int, stamp: int) -> None:
        """Notes the spread of the frames nearest to one that found no complete set."""
        low = high = stamp
        for other, stamps in enumerate(self._stamps):
            if other == camera:
                continue
            last = self._timeline.last_ns[other]
            if last is None:
                return
            found = stamps[nearest(stamps, stamp)] if stamps else last
            low, high = min(low, found), max(high, found)
        self._spreads.append(high - low)
