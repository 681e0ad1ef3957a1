# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Poses fitted to the dense depth, and depth corrected by the poses, in turn."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from model_cases import grid_images, lively, small_compact, small_full  # noqa: E402

from vggt4d_ros.model.camera_head import quaternion_to_matrix  # noqa: E402
from vggt4d_ros.model.correction import ROUNDS  # noqa: E402
from vggt4d_ros.model.grid import GridShape  # noqa: E402
from vggt4d_ros.model.pair_geometry import cell_rays, fit_pairs, tangents_of  # noqa: E402
from vggt4d_ros.model.pair_head import PairHead  # noqa: E402
from vggt4d_ros.model.pair_output import Fitted, PairOutput  # noqa: E402
from vggt4d_ros.model.two_view import turn  # noqa: E402

SIZE = (12, 16)  # cells at 1/8
SHAPE = GridShape(1, 2, 1, SIZE[0] // 2, SIZE[1] // 2)


def scene() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Log depth (h, w) of the second frame, its true rotation, shift, and matches (P, 2)."""
    generator = torch.Generator().manual_seed(4)
    coarse = torch.rand(1, 1, 3, 4, generator=generator)
    log_depth = torch.nn.functional.interpolate(coarse, SIZE, mode="bicubic")[0, 0].mul(1.5)
    rotation = turn(torch.tensor([[0.05, -0.2, 0.03]]))  # from the second frame to the first
    shift = torch.tensor([[0.25, 0.05, -0.1]])
    tangents = tangents_of(torch.ones(1, 2))
    points = cell_rays(tangents, SIZE)[0] * log_depth.flatten()[:, None].exp()
    moved = points @ rotation[0].T + shift
    place = moved[:, :2] / moved[:, 2:] / tangents
    extent = torch.tensor([SIZE[1], SIZE[0]])
    return log_depth, rotation, shift, (place + 1) * extent / 2 - 0.5


def pairs_of(head: PairHead, log_depth: torch.Tensor, found: torch.Tensor) -> PairOutput:
    """What a head would give that believes some depth of both frames."""
    first, pose = torch.tensor([[True, False]]), torch.zeros(1, 2, 9)
    pose[..., 6], pose[..., 7:] = 1.0, 1.0
    sure = torch.where((found > -0.5).all(-1), 1.0, 0.0)
    found, sure = torch.stack([found, found]), torch.stack([0 * sure, sure])
    sight = tangents_of(pose[..., 7:])
    motion = fit_pairs(
        found, sure, torch.stack([log_depth] * 2)[None], sight, sight[:, 0], ~first, SIZE
    )
    none = torch.zeros(0)
    fitted = Fitted(found, sure, motion, pose, first, ~first)
    better = head._blend(pose, motion, first)
    return PairOutput(better, none, none, none, none, none, none, none, None, None, fitted)


@pytest.fixture
def head() -> PairHead:
    """One that believes the fit."""
    made = PairHead(small_compact(pairs=True))
    torch.nn.init.zeros_(made.trust.fc2.weight)
    torch.nn.init.constant_(made.trust.fc2.bias, 20.0)
    return made


def errors(pose: torch.Tensor) -> tuple[float, float]:
    """Of the second frame: rotation in radians, shift as a share of its length."""
    _, rotation, shift, _ = scene()
    turned = quaternion_to_matrix(pose[0, 1, 3:7])  # second from first
    angle = (turned @ rotation[0] - torch.eye(3)).norm() / 2**0.5
    true = -rotation[0].T @ shift[0]
    return float(angle), float((pose[0, 1, :3] - true).norm() / true.norm())


def test_poses_are_better_with_better_depth(head: PairHead) -> None:
    log_depth, _, _, found = scene()
    with torch.no_grad():
        coarse = pairs_of(head, torch.full(SIZE, 0.7), found)
        dense = log_depth.exp().repeat_interleave(8, 0).repeat_interleave(8, 1)

        better = head.refit(coarse, dense[None].expand(1, -1, -1), SHAPE, (1,))

    before, after = errors(coarse.pose), errors(better.pose)
    assert before[0] > 0.01
    assert after[0] < 0.1 * before[0]
    assert after[1] < 0.3 * before[1]
    assert torch.equal(better.pose[:, 0], coarse.pose[:, 0])  # the reference


def test_only_poses_of_dense_frames_change(head: PairHead) -> None:
    _, _, _, found = scene()
    with torch.no_grad():
        coarse = pairs_of(head, torch.full(SIZE, 0.7), found)

        same = head.refit(coarse, torch.ones(1, 8 * SIZE[0], 8 * SIZE[1]), SHAPE, (0,))

    torch.testing.assert_close(same.pose, coarse.pose)


def test_depth_and_poses_are_corrected_of_the_steps_that_are_named() -> None:
    model = lively(small_full()).eval()
    images = grid_images(model, 3, 2)
    with torch.no_grad():
        encoded = model.encode(images.flatten(0, 2))
        shape = GridShape(1, 3, 2, 2, 3)
        tokens = model.cross_view_global_fusion.add_specials(encoded.tokens, shape, None)
        spatial = model.fuse_views(tokens, shape, None)
        taps = model.fuse_steps(tokens, spatial, shape, None)

        def heads(steps: tuple[int, ...], corrected: tuple[int, ...] | None = None):  # type: ignore[no-untyped-def]
            skips = [skip.unflatten(0, (3, 2))[list(steps)].flatten(0, 1) for skip in encoded.skips]
            return model.apply_heads(
                encoded._replace(skips=tuple(skips)),
                taps,
                shape,
                None,
                steps=steps,
                points=False,
                corrected=corrected,
                held=steps,
                compared=encoded.skips[1:],
                motion_of="none",
            )

        every, plain, some = heads((0, 1, 2)), heads((0, 1, 2), ()), heads((0, 1, 2), (2,))
        alone = heads((2,))

    torch.testing.assert_close(some.depth[:, :2], plain.depth[:, :2])
    torch.testing.assert_close(some.depth[:, 2:], alone.depth)
    torch.testing.assert_close(some.pose_enc[-1], alone.pose_enc[-1])
    assert not torch.allclose(some.depth[:, 2], plain.depth[:, 2], rtol=1e-2)
    assert not torch.allclose(every.depth[:, 0], plain.depth[:, 0], rtol=1e-2)


def test_depth_is_swept_as_often_as_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    model = lively(small_full()).eval()
    counts = {"sweep": 0, "refit": 0}
    for name, owner, method in (
        ("sweep", model.dense_head["sweep"], "forward"),
        ("refit", model.pair_head, "refit"),
    ):

        def counted(*args: object, name: str = name, call: object = getattr(owner, method)):  # type: ignore[no-untyped-def]
            counts[name] += 1
            return call(*args)  # type: ignore[operator]

        monkeypatch.setattr(owner, method, counted)

    with torch.no_grad():
        model(grid_images(model, 1, 2))

    assert counts == {"sweep": ROUNDS, "refit": ROUNDS + 1}
