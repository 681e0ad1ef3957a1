# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Depth images of a recording, by stamp: REP-118 encodings and compressed depth."""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.datatypes import DecodeError
from vggt4d_ros.messages.stamps import ns_from_stamp

Map = NDArray[np.float32]

# Depth images wait for their image: those of so long, but never fewer nor more than so many.
_KEPT_NS = 1_500_000_000
_KEPT_LEAST, _KEPT_MOST = 8, 64
_HEADER = 12  # compressedDepth: enum int32, two float32


def decode_depth(message: Any) -> Map:
    """Metres along z (H, W), NaN invalid, of an Image or a CompressedImage.

    16UC1 and mono16 are millimetres with 0 invalid, 32FC1 is metres (REP-118). compressedDepth is
    that of image_transport_plugins: 12 bytes of header, then a PNG; 32FC1 is inverse there:
    depth = a / (value - b).

    Raises:
        DecodeError: another encoding, or damaged.
    """
    if hasattr(message, "format"):
        return _decode_compressed(message)
    height, width, step = message.height, message.width, message.step
    size = {"16UC1": 2, "mono16": 2, "32FC1": 4}.get(message.encoding)
    if size is None:
        raise DecodeError("unknown_encoding", f"{message.encoding!r} is no depth encoding")
    if step < width * size or len(message.data) < height * step:
        raise DecodeError("short_data", f"{len(message.data)} bytes for {height} x {step}")
    rows = np.frombuffer(message.data, np.uint8, count=height * step).reshape(height, step)
    order = ">" if message.is_bigendian else "<"
    kind = np.dtype(f"{order}u2" if size == 2 else f"{order}f4")
    values = np.ascontiguousarray(rows[:, : width * size]).view(kind)
    return _millimetres(values) if size == 2 else _metres(values)


def _decode_compressed(message: Any) -> Map:
    data = np.frombuffer(message.data, np.uint8)
    if "compressedDepth" not in message.format:
        values = _png(data)
        return _millimetres(values)
    if data.size <= _HEADER:
        raise DecodeError("short_data", f"{data.size} bytes of compressed depth")
    values = _png(data[_HEADER:])
    if message.format.startswith("32FC1"):
        a, b = data[4:_HEADER].view("<f4")
        known = values > 0
        with np.errstate(divide="ignore"):
            depth = a / (values.astype(np.float32) - b)
        return np.where(known, depth, np.nan).astype(np.float32)
    return _millimetres(values)


def _png(data: NDArray[np.uint8]) -> NDArray[np.uint16]:
    values = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16 or values.ndim != 2:
        raise DecodeError("corrupt_data", f"{data.size} bytes are no 16-bit depth image")
    return np.asarray(values)


def _millimetres(values: NDArray[np.generic]) -> Map:
    depth = values.astype(np.float32) * np.float32(1e-3)
    return np.where(depth > 0, depth, np.float32(np.nan))


def _metres(values: NDArray[np.generic]) -> Map:
    depth = values.astype(np.float32)
    with np.errstate(invalid="ignore"):
        return np.where(np.isfinite(depth) & (depth > 0), depth, np.float32(np.nan))


@dataclass(order=True, slots=True)
class _Kept:
    stamp_ns: int
    message: Any = field(compare=False)


class DepthTruth:
    """The newest depth images of one camera, found by stamp; decoded when asked for."""

    def __init__(self, tolerance_s: float) -> None:
        self._tolerance_ns = round(tolerance_s * 1e9)
        self._kept: list[_Kept] = []
        self.first_ns: int | None = None
        self.last_ns: int | None = None
        self.count = 0

    def add(self, message: Any) -> None:
        """Takes a depth image."""
        stamp_ns = ns_from_stamp(message.header.stamp)
        self.first_ns = stamp_ns if self.first_ns is None else min(self.first_ns, stamp_ns)
        self.last_ns = stamp_ns if self.last_ns is None else max(self.last_ns, stamp_ns)
        self.count += 1
        insort(self._kept, _Kept(stamp_ns, message))
        del self._kept[:-_KEPT_MOST]
        while len(self._kept) > _KEPT_LEAST and self._kept[0].stamp_ns < stamp_ns - _KEPT_NS:
            del self._kept[0]

    def find(self, stamp_ns: int) -> Map | None:
        """Gives the depth image nearest in time; None: none is within the tolerance.

        Raises:
            DecodeError: it is damaged.
        """
        index = bisect_left(self._kept, _Kept(stamp_ns, None))
        near = self._kept[max(index - 1, 0) : index + 1]
        best = min(near, key=lambda kept: abs(kept.stamp_ns - stamp_ns), default=None)
        if best is None or abs(best.stamp_ns - stamp_ns) > self._tolerance_ns:
            return None
        return decode_depth(best.message)
