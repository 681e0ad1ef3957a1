# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What crosses the borders between stream, model, geometry and ros. Imports numpy only.

Conventions that hold everywhere:

* Camera frames are optical (REP-103): z forward, x right, y down. Depth is along z.
* ``cam_from_world`` maps world points into the camera; neighbours cancel when composed.
* Pixel (u, v) = (column, row), integer at the pixel centre.
* Axis letters, in this order: T time, V view (camera), H, W, C. Images are RGB.
* Stamps are integer nanoseconds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class DecodeError(ValueError):
    """An image could not be decoded; ``cause`` is the counter it is filed under."""

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(message)
        self.cause = cause


class LazyImage:
    """An image that is decoded when it is first asked for, then kept.

    The stream moves images about without looking into them, so that a frame that is dropped
    costs no decoding.

    Args:
        decode: gives (H, W, 3) uint8 RGB, or raises DecodeError.
        width, height: known before decoding where the transport says so, else 0.
    """

    def __init__(
        self, decode: Callable[[], NDArray[np.uint8]], width: int = 0, height: int = 0
    ) -> None:
        self._decode: Callable[[], NDArray[np.uint8]] | None = decode
        self._rgb: NDArray[np.uint8] | None = None
        self._lock = threading.Lock()
        self.width = width
        self.height = height

    @classmethod
    def from_array(cls, rgb: NDArray[np.uint8]) -> LazyImage:
        """Wraps (H, W, 3) uint8 RGB that is there already."""
        return cls(lambda: rgb, width=rgb.shape[1], height=rgb.shape[0])

    def rgb(self) -> NDArray[np.uint8]:
        """Gives the image, (H, W, 3) uint8 RGB.

        Raises:
            DecodeError: what was received is no image.
        """
        with self._lock:
            if self._rgb is None:
                assert self._decode is not None
                self._rgb = self._decode()
                self._decode = None  # frees the message the closure holds
                self.height, self.width = self._rgb.shape[:2]
            return self._rgb


@dataclass(frozen=True, slots=True)
class CameraModel:
    """Intrinsics of an image of width x height pixels.

    ``distortion`` are the coefficients of ``distortion_model`` as in sensor_msgs/CameraInfo.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion_model: str = ""
    distortion: tuple[float, ...] = ()

    @property
    def matrix(self) -> Array:
        """The 3 x 3 camera matrix K, pixels."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One image of one camera."""

    camera: int  # view index, 0..V-1
    stamp_ns: int  # acquisition, from the message header
    image: LazyImage
    frame_id: str = ""  # optical frame
    model: CameraModel | None = None  # None: uncalibrated
    received_ns: int = 0  # time.monotonic_ns() of its arrival; 0 where there was none


@dataclass(frozen=True, slots=True, eq=False)
class FrameSet:
    """One instant of the rig: a frame per camera, None where a camera is missing."""

    frames: tuple[Frame | None, ...]  # V entries

    @property
    def stamps_ns(self) -> tuple[int, ...]:
        """Stamps of the frames that are there."""
        return tuple(frame.stamp_ns for frame in self.frames if frame is not None)

    @property
    def stamp_ns(self) -> int:
        """Newest stamp of the set."""
        return max(self.stamps_ns)

    @property
    def spread_ns(self) -> int:
        """Newest less oldest stamp of the set."""
        return max(self.stamps_ns) - min(self.stamps_ns)


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """T frame sets, oldest first: what one network call sees."""

    sets: tuple[FrameSet, ...]  # T entries
    index: int = 0  # counts windows since the start
    epoch: int = 0  # counts fresh starts (time jump, gap, reset): nothing is carried across them

    @property
    def shape(self) -> tuple[int, int]:
        """(T, V)."""
        return len(self.sets), len(self.sets[0].frames)

    @property
    def valid(self) -> NDArray[np.bool_]:
        """(T, V) bool: which slots hold a frame."""
        return np.array([[frame is not None for frame in s.frames] for s in self.sets], dtype=bool)

    def frame(self, step: int, view: int) -> Frame | None:
        """The frame of slot (step, view), None where a camera is missing."""
        return self.sets[step].frames[view]


@dataclass(frozen=True, slots=True, eq=False)
class Rig:
    """Where the cameras sit on the platform, metres. None: not known."""

    base_from_cam: tuple[Array | None, ...]  # V entries of (4, 4)


@dataclass(frozen=True, slots=True, eq=False)
class FramePrediction:
    """Dense outputs of one frame at the camera's own resolution (H, W); NaN is invalid.

    Lengths are in network units: metric only after ``geometry``. Optional outputs are None where
    the checkpoint has no such head or there is no neighbouring step.
    """

    depth: NDArray[np.float32]  # (H, W), along z
    depth_confidence: NDArray[np.float32]  # (H, W), > 1, larger is surer
    points: NDArray[np.float32] | None = None  # (H, W, 3), network world
    points_confidence: NDArray[np.float32] | None = None  # (H, W)
    flow_forward: NDArray[np.float32] | None = None  # (H, W, 2), pixels (du, dv), t -> t+1
    flow_forward_confidence: NDArray[np.float32] | None = None  # (H, W), in [0, 1]
    flow_backward: NDArray[np.float32] | None = None  # (H, W, 2), pixels (du, dv), t -> t-1
    flow_backward_confidence: NDArray[np.float32] | None = None  # (H, W), in [0, 1]
    dynamic: NDArray[np.float32] | None = None  # (H, W), probability that the pixel's point moves


@dataclass(frozen=True, slots=True, eq=False)
class ViewMatches:
    """Points that two cameras both see at one time step, N of them."""

    step: int
    views: tuple[int, int]
    first: Array  # (N, 2) pixels (u, v) of the first view's own image
    second: Array  # (N, 2) likewise of the second's
    weight: Array  # (N,) probability of being the same point
    noise_px: float  # standard deviation of ``second``


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What the network says of one window. The world is the camera of the first valid frame."""

    valid: NDArray[np.bool_]  # (T, V): a frame was there and its pose is usable
    cam_from_world: Array  # (T, V, 4, 4), network units; NaN where not valid
    intrinsics: Array  # (T, V, 3, 3) predicted, pixels of the camera's own image; NaN likewise
    frames: dict[tuple[int, int], FramePrediction]  # (step, view) -> dense outputs, where asked
    invalid_reasons: dict[tuple[int, int], str] = field(default_factory=dict)
    stage_ms: dict[str, float] = field(default_factory=dict)  # e.g. preprocess, encoder, heads
    matches: tuple[ViewMatches, ...] | None = None  # None: not asked for, or no such network

    def outputs(self) -> frozenset[str]:
        """Names of the FramePrediction fields that exist for at least one frame."""
        return frozenset(
            name
            for frame in self.frames.values()
            for name in FramePrediction.__dataclass_fields__
            if getattr(frame, name) is not None
        )
