# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One cloud of all cameras, thinned to the centroid of each voxel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix

from vggt4d_ros.datatypes import Array
from vggt4d_ros.geometry.cloud import CLOUD_FIELDS, pack_rgb, unpack_rgb

Points = NDArray[np.float32]
Keys = NDArray[np.uint64]
Part: TypeAlias = tuple[Points, Points, Points]  # positions (3, N), packed colours (N,), confidence

_INDEX_BITS = 21  # per axis in a 64-bit key: +-1,048,576 voxels around the origin
_HALF = 2 ** (_INDEX_BITS - 1)
_HASH = np.uint64(0x9E3779B97F4A7C15)  # Knuth's multiplicative hash, 2^64 / golden ratio
_CHUNK = 2**15  # points handled at once: tables and planes stay in the cache, at half the time


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
            # not by a matrix product: for three columns BLAS and its threads take ten times as long
            for row, out in zip(target_from[:3].astype(np.float32), xyz, strict=True):
                np.multiply(x, row[0], out=out)
                out += y * row[1]
                out += z * row[2]
                out += row[3]
            yield xyz, rgb, confidence


def _filter_parts(parts: Iterable[Part], voxel_size: float) -> Points:
    """Thins each part, then what is left of all of them."""
    keys, sums = [np.empty(0, dtype=np.uint64)], [np.empty((0, 8), dtype=np.float32)]
    for part in parts:
        part_keys, part_sums = _voxel_sums(*part, voxel_size)
        keys.append(part_keys)
        sums.append(part_sums)
    all_keys, all_sums = _sum_equal(np.concatenate(keys), np.concatenate(sums))
    means = all_sums[:, :7] / all_sums[:, 7:]
    result = np.empty((len(all_keys), len(CLOUD_FIELDS)), dtype=np.float32)
    result[:, :3] = _cells(all_keys).T * np.float32(voxel_size) + means[:, :3]
    result[:, 3] = pack_rgb(np.rint(means[:, 3:6]).astype(np.uint8))
    result[:, 4] = means[:, 6]
    return result


def _voxel_sums(
    xyz: Points, rgb: Points, confidence: Points, voxel_size: float
) -> tuple[Keys, Points]:
    """Gives the voxels' keys (M,) and sums (M, 8): offset in the voxel, RGB, confidence, count.

    Offsets, since sums of positions would not fit into float32.
    """
    xyz = np.ascontiguousarray(xyz)  # (3, N): numpy is fast along long axes
    cells = np.floor(xyz * np.float32(1 / voxel_size))
    near = np.abs(cells).max(axis=0, initial=0) < _HALF
    if not near.all():
        xyz, cells, rgb, confidence = xyz[:, near], cells[:, near], rgb[near], confidence[near]
    values = np.empty((len(rgb), 8), dtype=np.float32)
    values[:, :3] = (xyz - cells * np.float32(voxel_size)).T
    values[:, 3:6] = unpack_rgb(rgb)
    values[:, 6] = confidence
    values[:, 7] = 1.0
    return _sum_equal(_keys(cells), values)


def _keys(cells: Points) -> Keys:
    """Joins cell indices (3, N) into one number per cell."""
    x, y, z = cells.astype(np.int64) + _HALF
    keys: NDArray[np.int64] = (x << _INDEX_BITS | y) << _INDEX_BITS | z
    return keys.view(np.uint64)


def _cells(keys: Keys) -> Points:
    """Gives cell indices (3, N) of keys; inverse of ``_keys``."""
    flat = keys.view(np.int64)
    mask = 2**_INDEX_BITS - 1
    parts = [flat >> 2 * _INDEX_BITS, flat >> _INDEX_BITS & mask, flat & mask]
    return np.asarray(np.stack(parts) - _HALF, dtype=np.float32)


def _sum_equal(keys: Keys, values: Points) -> tuple[Keys, Points]:
    """Gives the distinct keys (M,) and the sums (M, F) of the rows (N, F) of each."""
    groups, count = group_equal(keys)
    distinct = np.empty(count, dtype=np.uint64)
    distinct[groups] = keys
    size = len(keys)
    ones = np.ones(size, dtype=np.float32)
    # a matrix with a one per column, times the values: scipy sums rows in one pass of C
    membership = csc_matrix((ones, groups, np.arange(size + 1)), shape=(count, size))
    return distinct, np.asarray(membership @ values, dtype=np.float32)


def group_equal(keys: Keys) -> tuple[NDArray[np.int64], int]:
    """Gives a group number (N,) in [0, count) per key, equal for equal keys, and the count.

    As np.unique's inverse but in no particular order, at a third of the time: keys are hashed into
    a table, and only those that collide are sorted.
    """
    bits = max(4, int(2 * len(keys)).bit_length())
    slots = ((keys * _HASH) >> np.uint64(64 - bits)).astype(np.int64)
    table = np.zeros(2**bits, dtype=np.uint64)
    table[slots] = keys  # of keys that share a slot the last one stays
    lost = np.flatnonzero(table[slots] != keys)
    used = np.zeros(2**bits, dtype=bool)
    used[slots] = True
    number = np.cumsum(used, dtype=np.int64) - 1
    groups: NDArray[np.int64] = number[slots]
    count = int(number[-1]) + 1
    if len(lost):
        distinct, inverse = np.unique(keys[lost], return_inverse=True)
        groups[lost] = count + inverse.reshape(-1)
        count += len(distinct)
    return groups, count
