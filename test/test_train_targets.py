# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Targets in the network's world and unit of length, and other looks at the same window."""

from __future__ import annotations

from dataclasses import replace

import torch

from vggt4d_ros.data.scenes import SceneConfig
from vggt4d_ros.data.synthetic import SyntheticWindows
from vggt4d_ros.data.windows import WindowBatch, project_points, transform_points
from vggt4d_ros.model.camera_head import decode_pose
from vggt4d_ros.train.sampler import mirror, vary
from vggt4d_ros.train.targets import make_targets


def windows(count: int = 3) -> WindowBatch:
    config = SceneConfig(drop_share=0.0)
    return SyntheticWindows(config, seed=11).batch(range(count), 2, 2, 48, 64)


def test_reference_camera_is_the_world_and_the_mean_distance_is_one() -> None:
    targets = make_targets(windows())

    eye = torch.eye(4).expand(3, 4, 4)
    distance = torch.where(targets.points_valid, targets.points.norm(dim=-1), 0.0)
    mean = distance.flatten(1).sum(1) / targets.points_valid.flatten(1).sum(1)

    torch.testing.assert_close(targets.cam_from_world[:, 0, 0], eye, atol=1e-5, rtol=0)
    torch.testing.assert_close(mean, torch.ones(3), atol=1e-4, rtol=0)


def test_first_valid_frame_is_the_reference() -> None:
    batch = windows()
    valid = batch.valid.clone()
    valid[:, 0, 0] = False

    targets = make_targets(replace(batch, valid=valid))

    eye = torch.eye(4).expand(3, 4, 4)
    torch.testing.assert_close(targets.cam_from_world[:, 0, 1], eye, atol=1e-5, rtol=0)


def test_targets_do_not_depend_on_the_unit_of_the_scene() -> None:
    batch = windows()
    pose = batch.cam_from_world.clone()
    pose[..., :3, 3] *= 7
    larger = replace(batch, depth=batch.depth * 7, cam_from_world=pose)

    one, seven = make_targets(batch), make_targets(larger)

    torch.testing.assert_close(seven.scale, one.scale * 7)
    torch.testing.assert_close(seven.depth, one.depth, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(seven.pose_encoding, one.pose_encoding, atol=1e-4, rtol=1e-4)


def test_points_project_by_the_encoded_pose_onto_their_own_pixels() -> None:
    targets = make_targets(windows())

    cam_from_world, intrinsics = decode_pose(targets.pose_encoding, 48, 64)
    intrinsics[..., :2, 2] -= 0.5  # integer pixel centres
    square = torch.cat([cam_from_world, torch.zeros_like(cam_from_world[..., :1, :])], -2)
    pixels = project_points(transform_points(square, targets.points), intrinsics)
    v, u = torch.meshgrid(torch.arange(48), torch.arange(64), indexing="ij")
    error = (pixels - torch.stack([u, v], -1)).norm(dim=-1)[targets.points_valid]

    assert error.max() < 0.05


def test_unknown_depth_leaves_the_unit_alone() -> None:
    batch = windows()
    unknown = replace(batch, depth_valid=torch.zeros_like(batch.depth_valid))

    assert make_targets(unknown).scale.tolist() == [1.0, 1.0, 1.0]


def test_mirrored_window_is_as_consistent_as_the_original() -> None:
    batch = windows()

    other = mirror(batch)
    moved = other.points()[:, :-1] + other.scene_flow[:, :-1]
    in_next = transform_points(other.cam_from_world[:, 1:], moved)
    pixels = project_points(in_next, other.intrinsics[:, 1:])
    v, u = torch.meshgrid(torch.arange(48), torch.arange(64), indexing="ij")
    error = (pixels - torch.stack([u, v], -1) - other.flow_forward[:, :-1]).norm(dim=-1)
    use = other.flow_forward_valid[:, :-1] & other.scene_flow_valid[:, :-1]

    assert error[use].max() < 0.05
    assert torch.linalg.det(other.cam_from_world[..., :3, :3]).min() > 0.99
    torch.testing.assert_close(mirror(other).images, batch.images)
    torch.testing.assert_close(mirror(other).cam_from_world, batch.cam_from_world)


def test_another_look_keeps_the_geometry() -> None:
    batch = windows()

    other = vary(batch, torch.Generator().manual_seed(3))

    assert not torch.allclose(other.images, batch.images)
    assert other.images.min() >= 0
    assert other.images.max() <= 1
    torch.testing.assert_close(make_targets(other).scale, make_targets(batch).scale)
