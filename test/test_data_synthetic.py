# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Ground truth of rendered windows, checked against each other and against the scene."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from vggt4d_ros.data.primitives import Scene
from vggt4d_ros.data.scenes import BOLD, FLYING, FURNISHED, KINDS, SceneConfig
from vggt4d_ros.data.synthetic import SyntheticWindows, render
from vggt4d_ros.data.windows import WindowBatch, project_points, transform_points

HEIGHT, WIDTH = 64, 96


CONFIGS = {
    **{kind: SceneConfig(kinds=(kind,), kind_weights=(1.0,)) for kind in KINDS},
    # large ones: of thin things hardly more than edges is seen at this image size
    "flying": replace(FLYING, fliers=(2, 4), flier_size=(0.25, 0.4)),
    "furnished": FURNISHED,
}


@pytest.fixture(scope="module", params=CONFIGS)
def rendered(request: pytest.FixtureRequest) -> tuple[list[Scene], WindowBatch]:
    config = replace(CONFIGS[request.param], drop_share=0.0)
    source = SyntheticWindows(config, seed=3)
    scenes = [source.scene(index, 3, 2) for index in range(6)]
    return scenes, render(scenes, HEIGHT, WIDTH)


def sample(values: Tensor, pixels: Tensor, mode: str = "bilinear") -> Tensor:
    """Values (N, C, H, W) at pixels (N, H, W, 2)."""
    scale = torch.tensor([WIDTH - 1, HEIGHT - 1]) / 2
    return functional.grid_sample(
        values, pixels / scale - 1, mode=mode, align_corners=True, padding_mode="border"
    )


def pixel_grid() -> Tensor:
    v, u = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    return torch.stack([u, v], -1).float()


def test_next_image_warped_by_flow_looks_like_this_one(
    rendered: tuple[list[Scene], WindowBatch],
) -> None:
    _, batch = rendered

    now, after = batch.images[:, 0].flatten(0, 1), batch.images[:, 1].flatten(0, 1)
    flow = batch.flow_forward[:, 0].flatten(0, 1)
    seen = (~batch.occluded_forward & batch.flow_forward_valid)[:, 0].flatten(0, 1)
    warped = sample(after, pixel_grid() + flow)
    error = (warped - now).abs().mean(1)[seen]
    unwarped = (after - now).abs().mean(1)[seen]

    assert error.median() < 0.006
    assert error.mean() < 0.5 * unwarped.mean()


@pytest.mark.parametrize(("name", "sign"), [("forward", 1), ("backward", -1)])
def test_depth_at_the_flow_target_is_that_of_the_moved_point(
    rendered: tuple[list[Scene], WindowBatch], name: str, sign: int
) -> None:
    _, batch = rendered
    step = 0 if sign > 0 else 1
    pixels = pixel_grid() + getattr(batch, f"flow_{name}")[:, step].flatten(0, 1)
    hidden = getattr(batch, f"occluded_{name}")[:, step].flatten(0, 1)

    points = batch.points()[:, step]
    if sign > 0:
        points = points + batch.scene_flow[:, step]
        keep = torch.ones_like(hidden)
    else:  # scene flow is given forwards only
        keep = ~batch.dynamic[:, step].flatten(0, 1)
    expected = transform_points(batch.cam_from_world[:, step + sign], points)[..., 2]
    depth = batch.depth[:, step + sign].flatten(0, 1)[:, None]
    found = sample(depth, pixels)[:, 0]
    use = ~hidden & keep & batch.depth_valid[:, step].flatten(0, 1)
    error = ((found - expected.flatten(0, 1)).abs() / expected.flatten(0, 1))[use]

    assert use.float().mean() > 0.3
    assert error.median() < 2e-3
    assert (error < 0.05).float().mean() > 0.9  # the rest: thin things, edges


def test_flow_is_the_projection_of_the_displaced_point(
    rendered: tuple[list[Scene], WindowBatch],
) -> None:
    _, batch = rendered

    moved = batch.points()[:, :-1] + batch.scene_flow[:, :-1]
    in_next = transform_points(batch.cam_from_world[:, 1:], moved)
    pixels = project_points(in_next, batch.intrinsics[:, 1:])
    error = (pixels - pixel_grid() - batch.flow_forward[:, :-1]).norm(dim=-1)
    use = batch.flow_forward_valid[:, :-1] & batch.scene_flow_valid[:, :-1]

    assert error[use].max() < 0.05


def test_static_flow_follows_from_depth_and_poses_alone(
    rendered: tuple[list[Scene], WindowBatch],
) -> None:
    _, batch = rendered

    in_last = transform_points(batch.cam_from_world[:, :-1], batch.points()[:, 1:])
    pixels = project_points(in_last, batch.intrinsics[:, :-1])
    error = (pixels - pixel_grid() - batch.flow_backward[:, 1:]).norm(dim=-1)
    use = batch.flow_backward_valid & ~batch.dynamic & batch.depth_valid

    assert error[use[:, 1:]].max() < 0.05


def test_scene_flow_is_the_rigid_motion_of_the_object() -> None:
    config = SceneConfig(static_things=(0, 0), moving_things=(2, 4), still_share=0, drop_share=0)
    source = SyntheticWindows(config, seed=5)
    checked = 0
    for index in range(12):
        scene = source.scene(index, 2, 1)
        batch = render([scene], HEIGHT, WIDTH)
        points = batch.points()[0, 0, 0].double().numpy()
        for number in {part.instance for part in scene.primitives} - {0}:
            parts = [part for part in scene.primitives if part.instance == number]
            if len(parts) > 1:  # swings by parts
                continue
            start, end = parts[0].world_from_part
            motion = end @ np.linalg.inv(start)
            mask = (batch.instance[0, 0, 0] == number).numpy()
            own = points[mask]
            expected = own @ motion[:3, :3].T + motion[:3, 3] - own
            found = batch.scene_flow[0, 0, 0].numpy()[mask]
            np.testing.assert_allclose(found, expected, atol=1e-3)
            assert bool(batch.dynamic[0, 0, 0][torch.from_numpy(mask)].all())
            checked += int(mask.sum())

    assert checked > 500


def test_two_cameras_see_the_same_surface(rendered: tuple[list[Scene], WindowBatch]) -> None:
    _, batch = rendered

    points = batch.points()[:, 0, 0]
    in_other = transform_points(batch.cam_from_world[:, 0, 1], points)
    pixels = project_points(in_other, batch.intrinsics[:, 0, 1])
    inside = (
        (in_other[..., 2] > 0.1)
        & (pixels >= 0).all(-1)
        & (pixels[..., 0] <= WIDTH - 1)
        & (pixels[..., 1] <= HEIGHT - 1)
        & batch.depth_valid[:, 0, 0]
    )
    other = sample(batch.depth[:, 0, 1][:, None], pixels.nan_to_num(0, 0, 0), "nearest")[:, 0]
    ratio = other / in_other[..., 2]

    # what the other camera sees there is the point itself, or something before it that hides it
    assert inside.any()
    assert (ratio[inside] < 1.1).float().mean() > 0.98
    assert ((ratio[inside] - 1).abs() < 0.05).float().mean() > 0.4


def test_same_seed_gives_the_same_window_in_any_batch() -> None:
    source = SyntheticWindows(seed=9)

    alone = source.batch([4], 2, 2, HEIGHT, WIDTH)
    among = source.batch([3, 4, 5], 2, 2, HEIGHT, WIDTH)
    other = SyntheticWindows(seed=10).batch([4], 2, 2, HEIGHT, WIDTH)

    torch.testing.assert_close(alone.images[0], among.images[1], atol=1e-5, rtol=0)
    torch.testing.assert_close(alone.flow_forward[0], among.flow_forward[1], atol=1e-2, rtol=0)
    assert not torch.allclose(alone.images, other.images)


def test_masked_values_are_finite_and_windows_are_never_empty() -> None:
    source = SyntheticWindows(SceneConfig(drop_share=1.0), seed=2)

    batch = source.batch(range(8), 3, 4, HEIGHT, WIDTH)

    assert batch.valid.flatten(1).any(1).all()
    assert not batch.valid.all()
    for name in ("images", "depth", "flow_forward", "flow_backward", "scene_flow"):
        assert torch.isfinite(getattr(batch, name)).all(), name
    assert not (batch.depth_valid & ~batch.valid[..., None, None]).any()
    gone = ~batch.valid[:, 1:, :, None, None]
    assert not (batch.flow_forward_valid[:, :-1] & gone).any()
    assert not batch.flow_forward_valid[:, -1].any()
    assert not batch.flow_backward_valid[:, 0].any()


def test_cameras_and_things_move_visibly() -> None:
    batch = SyntheticWindows(seed=4).batch(range(24), 2, 2, HEIGHT, WIDTH)

    lengths = batch.flow_forward.norm(dim=-1)[batch.flow_forward_valid]
    dynamic = batch.dynamic[batch.dynamic_valid].float().mean()

    assert 1.0 < lengths.median() < 15.0
    assert 0.02 < dynamic < 0.4
    assert 0.2 < batch.images[batch.valid].mean() < 0.6


def test_bold_windows_show_more_motion_before_stiller_surroundings() -> None:
    def shares(config: SceneConfig) -> tuple[float, float]:
        batch = SyntheticWindows(config, seed=5).batch(range(12), 2, 1, 48, 64)
        known = batch.flow_forward_valid
        still = known & ~batch.dynamic
        stays = batch.flow_forward.norm(dim=-1)[still] < 0.3
        return float(batch.dynamic[known].float().mean()), float(stays.float().mean())

    (moving, stays), (bold_moving, bold_stays) = shares(SceneConfig()), shares(BOLD)

    assert bold_moving > 2 * moving
    assert bold_stays > stays + 0.2
