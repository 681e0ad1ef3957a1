# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One cloud of all cameras, thinned to the centroid of each voxel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from vggt4d_ros.datatypes import Array
from vggt4d_ros.geometry.cloud import CLOUD_FIELDS

Points = NDArray[np.float32]
Keys = NDArray[np.uint64]
Sums = NDArray[np.float64]
Part: TypeAlias = tuple[Points, Points, Points]  # positions (3, N), packed colours (N,), confidence

_INDEX_BITS = 21  # per axis in a 64-bit key: +-1,048,576 voxels around the origin
_HALF = 2 ** (_INDEX_BITS - 1)
_HASH = np.uint64(0x9E3779B97F4A7C15)  # Knuth's multiplicative hash, 2^64 / golden ratio
_CHUNK = 2**15  # points handled at once: tables and planes stay in the cache, at half the time
_TABLE = 2**20  # cells of a box around such points for which no hashing is needed
_SUMS = 6  # see _sums
_PAIR = 2.0**26  # colours of _CHUNK points add up to less, and its square fits into a float64


def voxel_filter(points: Points, voxel_size: float) -> Points:
    """Gives one point per occupied voxel: the mean of position, colour and confidence.

    Points farther than 2^20 voxels from the origin are left out.

    Args:
        points: (N, 5) in the order of CLOUD_FIELDS, finite.
        voxel_size: edge, m; 0: the points as they are.

    Raises:
        ValueError: negative size or other fields.
    """
    if not voxel_size >= 0:
        raise ValueError(f"voxel_size must not be negative, got {voxel_size}")
    if points.ndim != 2 or points.shape[1] != len(CLOUD_FIELDS):
        raise ValueError(f"points must be (N, {len(CLOUD_FIELDS)}), got {points.shape}")
    if voxel_size == 0:
        return points
    parts = (points[start : start + _CHUNK] for start in range(0, len(points), _CHUNK))
    return _filter_parts(((p[:, :3].T, p[:, 3], p[:, 4]) for p in parts), voxel_size)


def merge_clouds(
    clouds: Sequence[Points], target_from_cam: Sequence[Array], voxel_size: float
) -> Points:
    """Gives the finite points of several organized clouds in one frame, (N, 5), voxel-filtered.

    Args:
        clouds: (H, W, 5) each, in its own optical frame.
        target_from_cam: (4, 4) each.
        voxel_size: edge, m; 0: every point.

    Raises:
        ValueError: a transform is missing or not finite.
    """
    if len(clouds) != len(target_from_cam):
        raise ValueError(f"got {len(clouds)} clouds and {len(target_from_cam)} transforms")
    for target_from in target_from_cam:
        if not np.isfinite(target_from).all():
            raise ValueError(f"transform of a cloud is not finite: {target_from}")
    parts = _moved_parts(clouds, target_from_cam)
    if voxel_size > 0:
        return _filter_parts(parts, voxel_size)
    rows = [np.column_stack([xyz.T, rgb, confidence]) for xyz, rgb, confidence in parts]
    return np.concatenate([np.empty((0, len(CLOUD_FIELDS)), dtype=np.float32), *rows])


def _moved_parts(clouds: Sequence[Points], target_from_cam: Sequence[Array]) -> Iterator[Part]:
    """Gives the finite points in the target frame, some at a time."""
    for cloud, target_from in zip(clouds, target_from_cam, strict=True):
        flat = cloud.reshape(-1, len(CLOUD_FIELDS))
        for start in range(0, len(flat), _CHUNK):
            part = flat[start : start + _CHUNK]
            part = part.take(np.flatnonzero(np.isfinite(part[:, 2])), axis=0)
            x, y, z, rgb, confidence = np.ascontiguousarray(part.T)
            xyz = np.empty((3, len(part)), dtype=np.float32)
            term = np.empty_like(x)
            # not by a matrix product: for three columns BLAS and its threads take ten times as long
            for row, out in zip(target_from[:3].astype(np.float32), xyz, strict=True):
                np.multiply(x, row[0], out=out)
                out += np.multiply(y, row[1], out=term)
                out += np.multiply(z, row[2], out=term)
                out += row[3]
            yield xyz, rgb, confidence


def _filter_parts(parts: Iterable[Part], voxel_size: float) -> Points:
    """Thins each part, then what is left of all of them."""
    table = np.empty(_TABLE, dtype=np.int32)
    keys, sums = [np.empty(0, dtype=np.uint64)], [np.empty((_SUMS, 0))]
    for part in parts:
        part_keys, part_sums = _voxel_sums(*part, voxel_size, table)
        keys.append(part_keys)
        sums.append(part_sums)
    all_keys = np.concatenate(keys)
    all_sums = _apart(np.concatenate(sums, axis=1))
    groups, first = group_equal(all_keys)
    total = all_sums.take(first, axis=1)
    # neighbouring parts share few voxels
    again = np.ones(len(groups), dtype=bool)
    again[first] = False
    rest = np.flatnonzero(again)
    np.add.at(total, (slice(None), groups[rest]), all_sums[:, rest])
    return _means(all_keys[first], total, voxel_size)


def _voxel_sums(
    xyz: Points, rgb: Points, confidence: Points, voxel_size: float, table: NDArray[np.int32]
) -> tuple[Keys, Sums]:
    """Gives the voxels' keys (M,) and sums (6, M) of points, see ``_sums``."""
    xyz = np.ascontiguousarray(xyz)  # (3, N): numpy is fast along long axes
    cells = np.floor(xyz * np.float32(1 / voxel_size))
    if xyz.size and max(-cells.min(), cells.max()) >= _HALF:
        near = np.flatnonzero(np.abs(cells).max(axis=0) < _HALF)
        xyz, cells, rgb, confidence = xyz[:, near], cells[:, near], rgb[near], confidence[near]
    if not xyz.size:
        return np.empty(0, dtype=np.uint64), np.empty((_SUMS, 0))
    low = cells.min(axis=1)
    size = cells.max(axis=1) - low + 1
    if np.prod(size, dtype=np.float64) <= len(table):  # each cell has a place of its own
        x, y, z = cells - low[:, None]
        x *= size[1] * size[2]
        x += np.multiply(y, size[2], out=y)
        x += z
        groups, first = _number(*_newest(x.astype(np.int64), table))
        keys = _keys(cells[:, first])
    else:
        all_keys = _keys(cells)
        groups, first = group_equal(all_keys)
        keys = all_keys[first]
    cells *= np.float32(voxel_size)
    xyz = np.subtract(xyz, cells, out=cells)
    return keys, _sums(groups, len(first), xyz, rgb, confidence)


def _sums(
    groups: NDArray[np.int64], count: int, offsets: Points, rgb: Points, confidence: Points
) -> Sums:
    """Gives the sums (6, count) of groups of points.

    They are those of the three offsets in the voxel (sums of positions would lose digits), the
    confidence, and two that carry two whole numbers each, exact in a float64: red and green, the
    number of points and blue.
    """
    bits = np.ascontiguousarray(rgb).view(np.uint32)
    red_green = (bits & np.uint32(0xFF0000)) * (_PAIR / 2**16)
    red_green += bits >> np.uint32(8) & np.uint32(0xFF)
    count_blue = (bits & np.uint32(0xFF)) + _PAIR
    planes = (*offsets, confidence, red_green, count_blue)
    return np.stack([np.bincount(groups, plane, count) for plane in planes])


def _apart(sums: Sums) -> Sums:
    """Gives offsets, confidence, red, green, blue and count (8, M) of ``_sums`` (6, M)."""
    result = np.empty((len(sums) + 2, sums.shape[1]))
    result[:4] = sums[:4]
    red, green, blue, count = result[4:]
    for pair, high, low in ((sums[4], red, green), (sums[5], count, blue)):
        np.floor(pair * (1 / _PAIR), out=high)
        np.subtract(pair, high * _PAIR, out=low)
    return result


def _means(keys: Keys, sums: Sums, voxel_size: float) -> Points:
    """Gives the points (M, 5) that stand for voxels, of their sums (8, M)."""
    means = sums[:-1] / sums[-1]
    packed = np.zeros(len(keys), dtype=np.uint32)
    for colour in np.rint(means[4:]).astype(np.uint32):
        packed <<= np.uint32(8)
        packed |= colour
    result = np.empty((len(keys), len(CLOUD_FIELDS)), dtype=np.float32)
    result[:, :3] = (_cells(keys) * voxel_size + means[:3]).T
    result[:, 3] = packed.view(np.float32)
    result[:, 4] = means[3]
    return result


def _keys(cells: Points) -> Keys:
    """Joins cell indices (3, N) into one number per cell."""
    x, y, z = cells.astype(np.int64) + _HALF
    keys: NDArray[np.int64] = (x << _INDEX_BITS | y) << _INDEX_BITS | z
    return keys.view(np.uint64)


def _cells(keys: Keys) -> NDArray[np.int64]:
    """Gives cell indices (3, N) of keys; inverse of ``_keys``."""
    flat = keys.view(np.int64)
    mask = 2**_INDEX_BITS - 1
    parts = [flat >> 2 * _INDEX_BITS, flat >> _INDEX_BITS & mask, flat & mask]
    return np.asarray(np.stack(parts) - _HALF, dtype=np.int64)


def group_equal(keys: Keys) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Gives a group number (N,) per key, equal for equal keys, and where one of each group is (M,).

    As np.unique, in the order of these places, at a fraction of the time: keys are hashed into a
    table, and only those that collide are sorted.
    """
    bits = max(4, int(2 * len(keys)).bit_length())
    slots = ((keys * _HASH) >> np.uint64(64 - bits)).astype(np.int64)
    newest, places = _newest(slots, np.empty(2**bits, dtype=np.int32))
    lost = np.flatnonzero(keys.take(newest) != keys)  # another key has come into its slot
    if len(lost):
        _, where, inverse = np.unique(keys[lost], return_index=True, return_inverse=True)
        newest[lost] = lost[where][inverse.reshape(-1)]
    return _number(newest, places)


def _newest(
    slots: NDArray[np.int64], table: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Gives the last entry (N,) with the same slot as each, and the entries' own numbers."""
    places = np.arange(len(slots), dtype=np.int32)
    table[slots] = places
    return table.take(slots), places


def _number(
    chosen: NDArray[np.int32], places: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers groups by the place of the entry that each entry's group has chosen."""
    first = np.flatnonzero(chosen == places)
    number = np.empty(len(places), dtype=np.int64)
    number[first] = np.arange(len(first))
    return number.take(chosen), first
