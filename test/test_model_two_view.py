# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Motion between two cameras from matches: exact ones, wrong ones, none at all."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from vggt4d_ros.model import two_view
from vggt4d_ros.model.two_view import (
    fit_motion,
    fit_motion_from,
    fit_rotation,
    fit_shift,
    solve,
    triangulate,
    turn,
    turns,
)

PAIRS, POINTS = 20, 120


@pytest.fixture
def scene() -> tuple[Tensor, Tensor, Tensor]:
    """Points (N, P, 3) about 0.5 to 2 away, rotations up to 0.5 rad, shifts about 0.1."""
    generator = torch.Generator().manual_seed(7)
    size = torch.tensor([2.0, 1.4, 1.5])
    points = torch.rand(PAIRS, POINTS, 3, generator=generator) * size
    points = points + torch.tensor([-1.0, -0.7, 0.5])
    axis = functional.normalize(torch.randn(PAIRS, 3, generator=generator), dim=-1)
    angle = 0.5 * torch.rand(PAIRS, 1, generator=generator)
    skew = torch.zeros(PAIRS, 3, 3)
    x, y, z = (axis * angle).unbind(-1)
    skew[:, 0, 1], skew[:, 0, 2], skew[:, 1, 2] = -z, y, -x
    rotation = torch.linalg.matrix_exp(skew - skew.transpose(1, 2))
    return points, rotation, 0.1 * torch.randn(PAIRS, 3, generator=generator)


def seen(points: Tensor, rotation: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """Normalised places, and weights that leave out what is beside or behind the camera."""
    moved = points @ rotation.transpose(1, 2) + shift[:, None]
    ahead = moved[..., 2] > 0.2
    return moved[..., :2] / moved[..., 2:].clamp(min=0.2), ahead.float()


def degrees(first: Tensor, second: Tensor) -> Tensor:
    cosine = ((first.transpose(1, 2) @ second).diagonal(dim1=1, dim2=2).sum(1) - 1) / 2
    return torch.rad2deg(cosine.clamp(-1, 1).acos())


def rays(places: Tensor) -> Tensor:
    return functional.normalize(torch.cat([places, torch.ones_like(places[..., :1])], -1), dim=-1)


def test_elimination_solves_definite_systems() -> None:
    generator = torch.Generator().manual_seed(1)
    root = torch.randn(5, 6, 6, generator=generator, dtype=torch.float64)
    matrix = root @ root.transpose(1, 2) + 0.1 * torch.eye(6)
    right = torch.randn(5, 6, generator=generator, dtype=torch.float64)

    torch.testing.assert_close(solve(matrix, right), torch.linalg.solve(matrix, right))


def test_small_turns_are_rotations_by_their_length() -> None:
    matrix = turn(torch.tensor([[0.0, 0.02, 0.0]]))[0]

    torch.testing.assert_close(matrix @ matrix.T, torch.eye(3))
    assert float(matrix[0, 2]) == pytest.approx(0.02, rel=1e-3)


def test_cameras_on_one_spot_need_rays_only(scene: tuple[Tensor, Tensor, Tensor]) -> None:
    points, rotation, _ = scene
    places, weight = seen(points, rotation, torch.zeros(PAIRS, 3))

    found = fit_rotation(functional.normalize(points, dim=-1), rays(places), weight)

    assert degrees(found, rotation).max() < 0.5


def test_motion_from_exact_matches_though_a_third_is_wrong(
    scene: tuple[Tensor, Tensor, Tensor],
) -> None:
    points, rotation, shift = scene
    places, weight = seen(points, rotation, shift)
    wrong = torch.rand(PAIRS, POINTS, generator=torch.Generator().manual_seed(2)) < 0.3
    places = torch.where(wrong[..., None], -places.flip(1), places)
    start = fit_rotation(functional.normalize(points, dim=-1), rays(places), weight)

    motion = fit_motion(points, places, weight, start)

    assert degrees(motion.rotation, rotation).median() < 0.5
    assert (motion.shift - shift).norm(dim=-1).median() < 0.02
    assert 0.4 < motion.inliers.median() < 0.8
    assert motion.error.median() < 0.005


def test_wrong_depths_do_less_harm_than_to_plain_reprojection(
    scene: tuple[Tensor, Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    points, rotation, shift = scene
    places, weight = seen(points, rotation, shift)
    noise = torch.randn(PAIRS, POINTS, 1, generator=torch.Generator().manual_seed(3))

    points = points * torch.exp(0.3 * noise)

    ours = fit_motion(points, places, weight, rotation)
    monkeypatch.setattr(two_view, "DEPTH_NOISE", 1e-6)
    plain = fit_motion(points, places, weight, rotation)

    error = degrees(ours.rotation, rotation).median()
    assert error < 1.5
    assert error < 0.8 * degrees(plain.rotation, rotation).median()


def test_without_matches_nothing_moves() -> None:
    identity = torch.eye(3)[None]
    points = torch.ones(1, 4, 3)

    motion = fit_motion(points, torch.zeros(1, 4, 2), torch.zeros(1, 4), identity)

    torch.testing.assert_close(motion.rotation, identity)
    torch.testing.assert_close(motion.shift, torch.zeros(1, 3))
    assert float(motion.inliers) == 0.0
    assert all(bool(torch.isfinite(value).all()) for value in motion)


def test_parallax_gives_the_inverse_depth(scene: tuple[Tensor, Tensor, Tensor]) -> None:
    points, rotation, shift = scene
    places, weight = seen(points, rotation, 3 * shift)
    along = points / points[..., 2:]

    inverse, parallax = triangulate(along, places, rotation, 3 * shift)

    plain = (weight > 0) & (parallax > 0.1)
    error = ((inverse * points[..., 2] - 1).abs())[plain]
    assert plain.float().mean() > 0.5
    assert error.median() < 0.01


def test_no_shift_gives_no_parallax(scene: tuple[Tensor, Tensor, Tensor]) -> None:
    points, rotation, _ = scene
    places, _ = seen(points, rotation, torch.zeros(PAIRS, 3))

    _, parallax = triangulate(points / points[..., 2:], places, rotation, torch.zeros(PAIRS, 3))

    assert parallax.max() < 1e-3


def test_best_of_several_starts_finds_a_turn_that_one_misses(
    scene: tuple[Tensor, Tensor, Tensor],
) -> None:
    points, _, shift = scene
    identity = torch.eye(3).expand(PAIRS, 3, 3)
    rotation = turns((0.8,), identity)[0]
    places, weight = seen(points, rotation, shift)
    generator = torch.Generator().manual_seed(2)
    wrong = torch.rand(PAIRS, POINTS, generator=generator) < 0.5
    anywhere = 2 * torch.rand(PAIRS, POINTS, 2, generator=generator) - 1
    places = torch.where(wrong[..., None], anywhere, places)

    one = fit_motion(points, places, weight, identity)
    starts = torch.cat([identity[None], turns((0.4, -0.4, 0.7), identity)])
    best = fit_motion_from(points, places, weight, starts)

    missed = degrees(one.rotation, rotation) > 5
    assert missed.any()
    # which start is best shows on a third of the points, half of them anywhere
    found = degrees(best.rotation, rotation) < 3
    assert found.float().mean() >= 0.9
    assert (best.inliers > one.inliers)[missed & found].all()


def test_turns_about_the_vertical_are_by_the_angle() -> None:
    matrix = turns((0.7,), torch.eye(3)[None])[0, 0]

    torch.testing.assert_close(matrix[0, 0], torch.tensor(0.7).cos())
    torch.testing.assert_close(matrix[0, 2], torch.tensor(0.7).sin())


@pytest.mark.parametrize("wide", [(1.2, 1.2), (0.85, 1.15)])
def test_turn_is_better_where_wrong_fields_of_view_may_change(
    scene: tuple[Tensor, Tensor, Tensor], wide: tuple[float, float]
) -> None:
    points, _, shift = scene
    identity = torch.eye(3).expand(PAIRS, 3, 3)
    rotation = turns((0.4,), identity)[0]
    places, weight = seen(points, rotation, shift)
    believed = points * torch.tensor([wide[0], wide[0], 1.0])
    places = places * wide[1]

    fixed = fit_motion(believed, places, weight, identity)
    unsure = torch.ones(PAIRS, 2, dtype=torch.bool)
    free = fit_motion(believed, places, weight, identity, unsure)

    assert free.sure.shape == fixed.sure.shape
    better = degrees(free.rotation, rotation)
    assert better.median() < 0.5 * degrees(fixed.rotation, rotation).median()


def test_a_known_field_of_view_is_held() -> None:
    # a slanted wall: a turn, a shift and other fields of view look much alike
    cells = torch.stack(torch.meshgrid(torch.arange(8), torch.arange(6), indexing="xy"), -1)
    rays = ((cells.flatten(0, 1) + 0.5) / torch.tensor([4.0, 3.0]) - 1) * torch.tensor([0.7, 0.5])
    points = torch.cat([rays, torch.ones(48, 1)], dim=1) * (2 + 0.5 * rays[:, :1])
    moved = points + torch.tensor([0.2, -0.1, 0.05])
    places, weight = (moved[:, :2] / moved[:, 2:])[None], torch.ones(1, 48)
    identity = torch.eye(3)[None]

    def turned(unsure: list[bool]) -> float:
        found = fit_motion(points[None], places, weight, identity, torch.tensor([unsure]))
        return float(degrees(found.rotation, identity))

    none = fit_motion(points[None], places, weight, identity)
    assert turned([False, False]) == pytest.approx(
        float(degrees(none.rotation, identity)), abs=0.01
    )
    assert turned([False, False]) < 0.7 * turned([True, True])
    # one is enough to change, whichever it is
    assert min(turned([True, False]), turned([False, True])) > turned([False, False])


def test_shift_of_a_known_turn_though_a_third_of_the_matches_is_wrong(
    scene: tuple[Tensor, Tensor, Tensor],
) -> None:
    points, rotation, shift = scene
    places, weight = seen(points, rotation, shift)
    generator = torch.Generator().manual_seed(2)
    wrong = torch.rand(PAIRS, POINTS, generator=generator) < 0.3
    anywhere = 2 * torch.rand(PAIRS, POINTS, 2, generator=generator) - 1

    exact = fit_shift(points, places, weight, rotation)
    found = fit_shift(points, torch.where(wrong[..., None], anywhere, places), weight, rotation)

    assert (exact - shift).norm(dim=-1).max() < 0.03
    # without the robust weight the median is 0.08
    assert (found - shift).norm(dim=-1).median() < 0.04


def test_cameras_around_a_common_target_are_told_apart_from_one_that_stays() -> None:
    generator = torch.Generator().manual_seed(5)
    points = torch.rand(PAIRS, POINTS, 3, generator=generator) * 2 - 1
    rotation = turns((0.8,), torch.eye(3).expand(PAIRS, 3, 3))[0]
    middle = torch.tensor([0.0, 0.0, 2.5])
    shift = (middle - rotation @ middle).contiguous()  # the middle stays where it is
    points = points + middle
    places, weight = seen(points, rotation, shift)
    identity = torch.eye(3).expand(PAIRS, 3, 3)

    found = fit_motion(points, places, weight, identity)

    # a prior that holds back long shifts as it does short ones gives 30 degrees
    assert degrees(found.rotation, rotation).max() < 1.0
    torch.testing.assert_close(found.shift, shift.expand(PAIRS, 3), atol=0.1, rtol=0)


def test_exported_error_is_finite_where_nothing_moves(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")

    class Compare(torch.nn.Module):
        def forward(self, points: Tensor, shift: Tensor, target: Tensor) -> Tensor:
            rotation = torch.eye(3).expand(2, 3, 3)
            return two_view.compare(points, target, points[:, 2], rotation, shift, 0.1).error

    points = torch.rand(2, 3, 5) + 1
    inputs = (points, torch.zeros(2, 3), points[:, :2])
    program = torch.export.export(Compare(), inputs)
    # the exporter's rewriting drops an addition of less than 1e-8: no quotient may lean on one
    path = str(tmp_path / "error.onnx")
    torch.onnx.export(program, (), path, dynamo=True, opset_version=18, verbose=False)

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [item.name for item in session.get_inputs()]
    found = session.run(None, dict(zip(names, (x.numpy() for x in inputs), strict=True)))[0]

    torch.testing.assert_close(torch.from_numpy(found), Compare()(*inputs))
