# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Organized clouds, their bytes, and the voxel filter."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial import cKDTree

from vggt4d_ros.datatypes import CameraModel
from vggt4d_ros.geometry import se3
from vggt4d_ros.geometry.cloud import (
    CLOUD_FIELDS,
    SCENE_FLOW_FIELDS,
    pack_rgb,
    unpack_rgb,
    write_cloud,
)
from vggt4d_ros.geometry.voxel import group_equal, merge_clouds, voxel_filter

MODEL = CameraModel(4, 3, 2.0, 2.0, 1.0, 1.0)


def inputs() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    depth = np.arange(1, 13, dtype=np.float32).reshape(3, 4)
    depth[2, 2] = np.nan
    rgb = np.random.default_rng(0).integers(0, 256, (3, 4, 3)).astype(np.uint8)
    return depth, rgb, depth * 10


def test_bytes_of_a_point_are_those_of_a_pointcloud2():
    depth, rgb, confidence = inputs()
    rgb[1, 3] = [10, 200, 30]

    cloud = write_cloud(depth, MODEL, rgb, confidence)

    point_step = 4 * len(CLOUD_FIELDS)
    raw = cloud.tobytes()[(1 * 4 + 3) * point_step :][:point_step]
    # pixel (3, 1), depth 8: x = (3 - 1) / 2 * 8, y = 0; colour bytes are blue, green, red, 0
    assert raw == struct.pack("<fff", 8.0, 0.0, 8.0) + bytes([30, 200, 10, 0]) + struct.pack(
        "<f", 80.0
    )


def test_invalid_depth_gives_nan_coordinates_and_keeps_the_organization():
    depth, rgb, confidence = inputs()

    cloud = write_cloud(depth, MODEL, rgb, confidence)

    assert cloud.shape == (3, 4, 5)
    assert np.isnan(cloud[2, 2, :3]).all()
    assert np.isfinite(cloud[..., 2]).sum() == 11


def test_scene_flow_cloud_carries_velocity_between_colour_and_confidence():
    depth, rgb, confidence = inputs()
    velocity = np.random.default_rng(1).normal(size=(3, 4, 3)).astype(np.float32)

    cloud = write_cloud(depth, MODEL, rgb, confidence, velocity=velocity)

    fields = {name: cloud[..., i] for i, name in enumerate(SCENE_FLOW_FIELDS)}
    assert_array_equal(np.stack([fields["vx"], fields["vy"], fields["vz"]], -1), velocity)
    assert_array_equal(fields["confidence"], confidence)
    assert_array_equal(unpack_rgb(fields["rgb"]), rgb)


def test_buffer_is_reused_where_it_fits_and_replaced_where_not():
    depth, rgb, confidence = inputs()
    first = write_cloud(depth, MODEL, rgb, confidence)

    again = write_cloud(depth + 1, MODEL, rgb, confidence, out=first)
    wide = write_cloud(
        depth, MODEL, rgb, confidence, velocity=np.zeros((3, 4, 3), np.float32), out=first
    )

    assert again is first
    assert wide.shape == (3, 4, 8)


def test_colours_survive_the_float_they_travel_in():
    # includes patterns that are NaN or denormal as floats
    rgb = np.array([[255, 255, 255], [0, 0, 1], [127, 128, 0], [0, 0, 0]], np.uint8)

    assert_array_equal(unpack_rgb(pack_rgb(rgb)), rgb)
    assert pack_rgb(rgb).view(np.uint32).tolist() == [0xFFFFFF, 1, 0x7F8000, 0]


def test_bigger_colour_image_is_brought_to_the_depth_image():
    depth, _, confidence = inputs()
    rgb = np.full((30, 40, 3), [1, 2, 3], np.uint8)

    cloud = write_cloud(depth, MODEL, rgb, confidence)

    assert_array_equal(unpack_rgb(cloud[..., 3]), np.full((3, 4, 3), [1, 2, 3]))


@pytest.mark.parametrize("name", ["depth", "confidence", "velocity"])
def test_planes_of_different_sizes_are_refused(name):
    depth, rgb, confidence = inputs()
    planes = {"depth": depth, "confidence": confidence, "velocity": np.zeros((3, 4, 3), np.float32)}
    planes[name] = planes[name][:2]

    with pytest.raises(ValueError, match=f"{name} must be"):
        write_cloud(planes["depth"], MODEL, rgb, planes["confidence"], velocity=planes["velocity"])


def random_cloud(count: int, spread: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    points = np.empty((count, 5), np.float32)
    points[:, :3] = rng.uniform(-spread, spread, (count, 3))
    points[:, 3] = pack_rgb(rng.integers(0, 256, (count, 3)).astype(np.uint8))
    points[:, 4] = rng.uniform(1, 9, count)
    return points


def by_brute_force(points: np.ndarray, size: float) -> dict[tuple[int, ...], np.ndarray]:
    voxels: dict[tuple[int, ...], list[np.ndarray]] = {}
    inverse = np.float32(1 / size)
    colours = unpack_rgb(points[:, 3])
    for point, colour in zip(points, colours, strict=True):
        key = tuple(np.floor(point[:3] * inverse).astype(int).tolist())
        row = np.concatenate([point[:3].astype(np.float64), colour, [point[4]]])
        voxels.setdefault(key, []).append(row)
    return {key: np.mean(rows, axis=0) for key, rows in voxels.items()}


def test_voxel_filter_gives_the_centroid_of_every_voxel():
    points = random_cloud(3000, 1.0)

    thinned = voxel_filter(points, 0.25)

    expected = by_brute_force(points, 0.25)
    keys = [tuple(k) for k in np.floor(thinned[:, :3] / 0.25).astype(int).tolist()]
    assert sorted(keys) == sorted(expected)
    truth = np.stack([expected[key] for key in keys])
    assert_allclose(thinned[:, :3], truth[:, :3], atol=1e-5)
    assert_allclose(unpack_rgb(thinned[:, 3]), truth[:, 3:6], atol=0.51)
    assert_allclose(thinned[:, 4], truth[:, 6], atol=1e-4)


def test_voxels_over_several_chunks_become_one():
    # more points than are handled at once, all in eight voxels
    points = random_cloud(600_000, 0.999)

    thinned = voxel_filter(points, 1.0)

    assert len(thinned) == 8
    octant = (points[:, :3] > 0).all(axis=1)
    found = thinned[(thinned[:, :3] > 0).all(axis=1)][0]
    assert_allclose(found[:3], points[octant, :3].astype(np.float64).mean(axis=0), atol=1e-4)


def test_points_beyond_a_million_voxels_are_left_out_not_wrapped():
    points = random_cloud(3, 1.0)
    points[0, 0] = 1e30
    points[1, 2] = -3e6

    assert_allclose(voxel_filter(points, 1.0)[:, :3], points[2:, :3], atol=1e-6)


def test_no_voxel_size_keeps_every_point_and_no_points_stay_none():
    points = random_cloud(10, 1.0)

    assert voxel_filter(points, 0.0) is points
    assert voxel_filter(points[:0], 0.1).shape == (0, 5)


@pytest.mark.parametrize("hash_factor", [None, 0], ids=["hash", "every key collides"])
def test_groups_are_those_of_equal_keys_even_if_all_collide(monkeypatch, hash_factor):
    if hash_factor is not None:
        monkeypatch.setattr("vggt4d_ros.geometry.voxel._HASH", np.uint64(hash_factor))
    keys = np.random.default_rng(0).integers(0, 500, 2000).astype(np.uint64)

    groups, first = group_equal(keys)

    pairs = set(zip(keys.tolist(), groups.tolist(), strict=True))
    assert len(pairs) == len(first) == len(np.unique(keys))
    assert_array_equal(keys[first][groups], keys)
    assert_array_equal(groups[first], np.arange(len(first)))


@pytest.mark.parametrize("voxel_size", [0.003, 0.05, 3.0])
@pytest.mark.parametrize("spread", [0.5, 200.0], ids=["in one box", "hashed"])
def test_voxels_are_the_means_of_their_points_in_any_cloud(voxel_size: float, spread: float):
    """Against one voxel after another in float64; more points than are handled at once."""
    points = random_cloud(40_000, spread)
    points[:500, :3] = points[0, :3] + 1e-3 * points[:500, :3] / spread

    found = voxel_filter(points, voxel_size)

    cells = np.floor(points[:, :3] * np.float32(1 / voxel_size)).astype(np.int64)
    _, inverse, count = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    values = np.column_stack([points[:, :3], unpack_rgb(points[:, 3]), points[:, 4]])
    sums = np.zeros((len(count), 7))
    np.add.at(sums, inverse.reshape(-1), values.astype(np.float64))
    wanted = sums / count[:, None]
    assert len(found) == len(wanted)
    distance, which = cKDTree(wanted[:, :3]).query(found[:, :3])
    assert len(set(which.tolist())) == len(wanted)
    assert distance.max() < 2e-6 * max(spread, 1.0)
    assert_array_equal(unpack_rgb(found[:, 3]), np.rint(wanted[which, 3:6]))
    assert_allclose(found[:, 4], wanted[which, 6], rtol=1e-5)


def test_colours_of_a_full_voxel_do_not_spill_into_each_other():
    points = np.zeros((400_000, 5), dtype=np.float32)
    points[:, 3] = pack_rgb(np.array([255, 254, 253], dtype=np.uint8))

    found = voxel_filter(points, 1.0)

    assert_array_equal(unpack_rgb(found[:, 3]), [[255, 254, 253]])


def test_merged_cloud_has_all_finite_points_in_the_target_frame():
    first, second = random_cloud(40, 1.0).reshape(5, 8, 5), random_cloud(40, 1.0, 1)
    second = second.reshape(5, 8, 5)
    first[0, :3, :3] = np.nan
    moves = [se3.exp(np.array([1, 2, 3, 0.3, 0.2, 0.1])), se3.exp(np.array([-9.0, 0, 0, 0, 0, 1]))]

    merged = merge_clouds([first, second], moves, 0.0)

    assert merged.shape == (77, 5)
    assert_allclose(
        merged[37:, :3], se3.transform_points(moves[1], second.reshape(-1, 5)[:, :3]), atol=1e-5
    )
    assert np.isnan(first[0, 0, 0])  # inputs are left alone
    assert len(merge_clouds([], [], 0.1)) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: voxel_filter(random_cloud(2, 1.0), -1.0), "must not be negative"),
        (lambda: voxel_filter(np.zeros((2, 3), np.float32), 1.0), r"must be \(N, 5\)"),
        (lambda: merge_clouds([], [np.eye(4)], 1.0), "0 clouds and 1 transforms"),
        (
            lambda: merge_clouds([np.zeros((1, 1, 5), np.float32)], [np.eye(4) * np.nan], 1.0),
            "not finite",
        ),
    ],
)
def test_wrong_use_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
