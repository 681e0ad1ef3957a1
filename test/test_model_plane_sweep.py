# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Depth corrected by what other frames show at other depths."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from model_cases import grid_images, lively, small_compact, small_full  # noqa: E402

from vggt4d_ros.model import pair_head  # noqa: E402
from vggt4d_ros.model.camera_head import matrix_to_quaternion  # noqa: E402
from vggt4d_ros.model.config import ModelConfig  # noqa: E402
from vggt4d_ros.model.grid import GridShape  # noqa: E402
from vggt4d_ros.model.pair_geometry import cell_rays, tangents_of  # noqa: E402
from vggt4d_ros.model.pair_refine import SHARPNESS, WIDTH, FineMaps  # noqa: E402
from vggt4d_ros.model.plane_sweep import PLANES, REACH, SOURCES, PlaneSweep, _Views  # noqa: E402

SKIP = 8
ROWS, COLUMNS = 8, 10  # cells at 1/8
VIEW = 1.0  # radians, both ways
DEPTH = 2.0
SPACING = 2 * REACH / (PLANES - 1)


def pose(centre: tuple[float, float, float], yaw: float = 0.0) -> torch.Tensor:
    """Pose encoding (9,) of a camera at a place in the world, turned about y."""
    c, s = math.cos(yaw), math.sin(yaw)
    rotation = torch.tensor([[c, 0.0, -s], [0.0, 1.0, 0.0], [s, 0.0, c]])  # camera from world
    shift = -rotation @ torch.tensor(centre)
    view = torch.tensor([VIEW, VIEW])
    return torch.cat([shift, matrix_to_quaternion(rotation[None])[0], view])


def wall(poses: torch.Tensor) -> FineMaps:
    """What cameras that look along z see of a painted wall at z = DEPTH."""
    generator = torch.Generator().manual_seed(0)
    waves = 4 * torch.randn(2, WIDTH, generator=generator)
    start = 6 * torch.rand(WIDTH, generator=generator)

    def maps(rows: int, columns: int) -> torch.Tensor:
        tangents = tangents_of(poses[:, 7:9])
        at = cell_rays(tangents, (rows, columns))[..., :2] * DEPTH - poses[:, None, :2]
        paint = torch.nn.functional.normalize((at @ waves + start).cos(), dim=-1)
        return SHARPNESS**0.5 * paint.transpose(1, 2).unflatten(2, (rows, columns))

    return FineMaps(maps(ROWS, COLUMNS), maps(2 * ROWS, 2 * COLUMNS))


def compared(
    poses: torch.Tensor, shape: GridShape, log_depth: float, valid: torch.Tensor | None = None
) -> torch.Tensor:
    """Likeness of all frames' cells, (S, 2 PLANES + 2, ROWS, COLUMNS), of one window."""
    sweep = PlaneSweep(SKIP)
    fine = wall(poses)
    depth = torch.full((len(poses), ROWS, COLUMNS), log_depth)
    placed = torch.ones(1, len(poses), dtype=torch.bool) if valid is None else valid
    views = _Views(poses[None], placed, shape, tuple(range(shape.steps)))
    return sweep.compare(depth, fine.cells, fine.around, views)


def shape_of(views: int) -> GridShape:
    return GridShape(1, 1, views, ROWS // 2, COLUMNS // 2)


@pytest.mark.parametrize("planes_off", [-6, 0, 4])
def test_other_frames_look_alike_at_the_true_depth(planes_off: int) -> None:
    poses = torch.stack([pose((0.0, 0.0, 0.0)), pose((0.8, 0.0, 0.0)), pose((0.0, 0.6, 0.0))])
    # half a step, for there is no plane in the middle
    start = math.log(DEPTH) - (planes_off + 0.5) * SPACING

    alike = compared(poses, shape_of(3), start)

    inner = alike[0, :PLANES, 2:-2, 3:-3]
    assert (inner.argmax(0) == PLANES // 2 + planes_off).all()
    assert inner.amax(0).min() > 0.85
    best = alike[0, PLANES : 2 * PLANES, 2:-2, 3:-3]
    assert (best >= inner - 1e-6).all()


def test_frames_that_are_missing_do_not_count() -> None:
    poses = torch.stack([pose((0.0, 0.0, 0.0)), pose((0.4, 0.0, 0.0)), pose((0.0, 0.3, 0.0))])
    there = torch.tensor([[True, True, False]])

    alone = compared(poses, shape_of(3), 0.5, there)
    few = compared(poses[:2], shape_of(2), 0.5)

    torch.testing.assert_close(alone[:2], few)
    assert not alone[2].any()  # nor is what is in the wrong place compared with others
    assert not torch.allclose(alone[:2], compared(poses, shape_of(3), 0.5)[:2], atol=1e-3)


def test_a_lone_frame_is_compared_with_nothing() -> None:
    alike = compared(pose((0.0, 0.0, 0.0))[None], shape_of(1), 0.5)

    assert (alike == 0).all()


def test_a_pose_that_is_no_number_spoils_no_other_frame() -> None:
    poses = torch.stack([pose((0.0, 0.0, 0.0)), pose((0.4, 0.0, 0.0)), pose((0.0, 0.3, 0.0))])
    broken = poses.clone()
    broken[2] = torch.nan
    fine = wall(poses)
    views = _Views(broken[None], torch.ones(1, 3, dtype=torch.bool), shape_of(3), (0,))

    alike = PlaneSweep(SKIP).compare(
        torch.full((3, ROWS, COLUMNS), 0.5), fine.cells, fine.around, views
    )

    torch.testing.assert_close(alike[:2, :-1], compared(poses[:2], shape_of(2), 0.5)[:, :-1])


def test_frames_that_look_elsewhere_are_not_among_the_nearest() -> None:
    beside = [pose((0.1 * i, 0.0, 0.0)) for i in range(SOURCES + 1)]
    behind = [pose((0.2, 0.0, 0.0), math.pi), pose((0.0, 0.0, 0.0), 1.5)]
    poses = torch.stack([behind[0], *beside, behind[1]])[None]
    shape = shape_of(poses.shape[1])
    views = _Views(poses, torch.ones(poses.shape[:2], dtype=torch.bool), shape, (0,))
    rays = cell_rays(views.tangents, (ROWS, COLUMNS))

    rows, weight, moves = views.nearest(DEPTH * rays)

    for frame in range(1, SOURCES + 2):
        assert set(rows[frame].tolist()) == set(range(1, SOURCES + 2)) - {frame}
        assert weight[frame].tolist() == [1.0] * SOURCES
        assert moves[frame] > 0
    assert moves[0] == 0  # nobody sees what the first one does


def test_the_farther_camera_tells_more_than_one_in_the_same_place() -> None:
    same = [pose((0.0, 0.0, 0.0))] * (SOURCES + 1)
    poses = torch.stack([*same, pose((0.3, 0.0, 0.0))])[None]
    placed = torch.ones(poses.shape[:2], dtype=torch.bool)
    views = _Views(poses, placed, shape_of(SOURCES + 2), (0,))

    rows, _, _ = views.nearest(DEPTH * cell_rays(views.tangents, (ROWS, COLUMNS)))

    assert rows[0, 0] == SOURCES + 1


def test_untrained_it_changes_nothing_much() -> None:
    model = lively(small_full()).eval()
    model.dense_head["sweep"].start()
    torch.nn.init.zeros_(model.dense_head["sweep"].planes.bias)
    torch.nn.init.zeros_(model.dense_head["sweep"].out.bias)
    model.dense_head["sweep"].gain.data.zero_()
    images = grid_images(model, 2, 2)

    with torch.no_grad():
        found = model(images)
        del model.dense_head["sweep"]
        plain = model(images)

    assert (found.depth / plain.depth).log().abs().max() < 0.05
    torch.testing.assert_close(found.depth_conf, plain.depth_conf, rtol=0.05, atol=0.05)


def test_it_learns_from_the_depth_and_holds_no_gradient_of_poses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pair_head, "LEAST_AGREED", -1.0)  # what is random does not agree
    model = lively(small_full())
    sweep = model.dense_head["sweep"]
    learning = [value for value in sweep.parameters() if value is not sweep.out.bias]
    images = grid_images(model, 2, 2)

    model(images).depth.log().abs().sum().backward()

    assert all(value.grad is not None and value.grad.abs().sum() > 0 for value in learning)
    assert model.pair_head.trust.fc2.weight.grad is None


def test_wrong_depth_of_a_wall_is_mended_by_training() -> None:
    """Overfits one pair of cameras: the correction follows what the frames show."""
    torch.manual_seed(0)
    poses = torch.stack([pose((0.0, 0.0, 0.0)), pose((0.4, 0.0, 0.0))])
    sweep, fine, shape = PlaneSweep(SKIP), wall(poses), shape_of(2)
    sweep.start()
    skip = torch.zeros(2, SKIP, 2 * ROWS, 2 * COLUMNS)
    optimizer = torch.optim.Adam(sweep.parameters(), 1e-3)
    errors = []
    for step in range(150):
        off = 0.8 * math.sin(2.4 * step)  # another start every time
        depth = torch.full((2, 8 * ROWS, 8 * COLUMNS), DEPTH * math.exp(off))
        placed = torch.ones(1, 2, dtype=torch.bool)
        better, _ = sweep(depth, 2 * depth, skip, fine, poses[None], placed, shape, (0,))
        error = (better.log() - math.log(DEPTH)).abs().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(float(error.detach()))

    assert sum(errors[-20:]) < 0.3 * 20 * 0.5  # the start is off by 0.5 in the mean


def test_frames_that_agree_on_no_motion_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    model = lively(small_full()).eval()
    images = grid_images(model, 1, 3)
    seen = []
    for least in (2.0, -1.0):
        monkeypatch.setattr(pair_head, "LEAST_AGREED", least)
        with torch.no_grad():
            output = model(images)
        seen.append((output.pairs.placed[0].tolist(), output.depth))

    assert seen[0][0] == [True, False, False]  # the reference is where it is
    assert seen[1][0] == [True, True, True]
    assert not torch.allclose(seen[0][1], seen[1][1])


def test_it_needs_the_maps_of_fine_matches() -> None:
    with pytest.raises(ValueError, match="a sweep needs the maps of fine matches"):
        small_compact(pairs=True, sweep=True)


def test_older_configurations_have_no_sweep() -> None:
    values = small_compact(pairs=True, mutual=True, fine_matches=True).to_dict()
    del values["sweep"]

    assert ModelConfig.from_dict(values).sweep is False
