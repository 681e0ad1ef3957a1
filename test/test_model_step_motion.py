# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The camera's motion from one step to another, by matches of its own two frames."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).parent))
from model_cases import grid_images, lively, small_full  # noqa: E402

from vggt4d_ros.model import heads  # noqa: E402
from vggt4d_ros.model.correlation import cell_grid  # noqa: E402
from vggt4d_ros.model.dynamic_mask import rigid_flow  # noqa: E402
from vggt4d_ros.model.pair_refine import FineMatches  # noqa: E402
from vggt4d_ros.model.step_motion import step_motion  # noqa: E402
from vggt4d_ros.model.two_view import Motion, turn  # noqa: E402

SIZE = (10, 14)
SHIFT = (0.06, -0.02, 0.08)
TURN = (0.02, -0.05, 0.03)


def poses() -> tuple[Tensor, Tensor]:
    """Encodings of a source at the origin and a target that looks with another field of view."""
    source = torch.tensor([[0.0, 0, 0, 0, 0, 0, 1, 0.9, 1.1]])
    half = torch.tensor(TURN) / 2
    target = source.clone()
    target[0, :3] = torch.tensor(SHIFT)
    target[0, 3:7] = functional.normalize(torch.cat([half, torch.ones(1)]), dim=0)
    target[0, 7:] = torch.tensor([1.0, 1.2])
    return source, target


def matches(flow: Tensor, wrong: Tensor, spread: float) -> FineMatches:
    """Matches of exact cells, and of ``wrong`` ones that say they are exact up to ``spread``."""
    place = (flow + cell_grid(*SIZE, flow.device)).flatten(2).transpose(1, 2)
    spreads = torch.where(wrong, spread, -5.0)[None].flatten(1)
    sure = torch.ones_like(spreads)
    return FineMatches([place], sure, torch.full_like(sure, 4.0), [], (spreads,))


def far_off(motion: Motion) -> float:
    turned = motion.rotation @ turn(torch.tensor([TURN])).transpose(1, 2)
    return float(torch.rad2deg(torch.linalg.matrix_norm(turned - torch.eye(3)) / 2**0.5))


def test_it_is_that_of_the_camera_where_some_things_move_by_themselves() -> None:
    source, target = poses()
    depth = 1 + torch.rand(1, *SIZE, generator=torch.Generator().manual_seed(1))
    flow = rigid_flow(depth, source, target)
    moving = torch.zeros(SIZE, dtype=torch.bool)
    moving[2:6, 3:8] = True
    flow = torch.where(moving, flow + torch.tensor([0.5, 1.0]).view(2, 1, 1), flow)
    # of the size of images: it is made small by means of areas
    large = depth.repeat_interleave(8, 1).repeat_interleave(8, 2)

    found = step_motion(matches(flow, moving, -5.0), large, source, target, SIZE)

    assert far_off(found) < 0.1
    torch.testing.assert_close(found.shift, torch.tensor([SHIFT]), atol=0.005, rtol=0)


def test_vague_matches_count_less() -> None:
    source, target = poses()
    depth = 1 + torch.rand(1, *SIZE, generator=torch.Generator().manual_seed(2))
    flow = rigid_flow(depth, source, target)
    wrong = torch.zeros(SIZE, dtype=torch.bool)
    wrong[:, ::2] = True
    flow = torch.where(wrong, flow + torch.tensor([0.08, 0.12]).view(2, 1, 1), flow)

    vague, exact = (
        far_off(step_motion(matches(flow, wrong, spread), depth, source, target, SIZE))
        for spread in (0.5, -5.0)
    )

    assert vague < 0.2 * exact


def test_matches_with_the_reference_are_those_that_poses_are_fitted_to() -> None:
    model = lively(small_full())
    images = grid_images(model, 2, 2, batch=2)
    with torch.inference_mode():
        pairs = model(images).pairs
        found = model.pair_head.match_frames(pairs, [3, 1], [0, 0])

    every, _ = pairs.corrected[-1]
    for own, wanted in ((found.stages[-1], every.stages[-1]), (found.sure, every.sure)):
        own, wanted = own.unflatten(0, (2, 2)), wanted.unflatten(0, (2, 4))
        torch.testing.assert_close(own, wanted[:, [3, 1]], atol=1e-3, rtol=1e-3)


def test_each_pair_of_frames_has_the_motion_of_its_own_camera(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The pairs whose motion is fitted are those that flow compares, in the same order."""
    model = lively(small_full())
    images = grid_images(model, 3, 2)
    asked = {}

    def fit(
        found: FineMatches, depth: Tensor, pose: Tensor, target: Tensor, size: object
    ) -> Motion:
        asked.update(place=found.stages[-1], depth=depth, pose=pose, target=target)
        return step_motion(found, depth, pose, target, size)  # type: ignore[arg-type]

    monkeypatch.setattr(heads, "step_motion", fit)
    with torch.inference_mode():
        output = model(images)

    pose, depth = output.pose_enc[-1][0], output.depth[0]
    ways = [(0, 1), (1, 2), (1, 0), (2, 1)]  # as flow: forward, then backward
    sources, targets = ([way[k] for way in ways] for k in (0, 1))
    torch.testing.assert_close(asked["pose"], pose[sources].flatten(0, 1))
    torch.testing.assert_close(asked["target"], pose[targets].flatten(0, 1))
    torch.testing.assert_close(asked["depth"], depth[sources].flatten(0, 1))
    with torch.inference_mode():  # the second camera from the last step to the one before
        last = model.pair_head.match_frames(output.pairs, [5], [3])
    torch.testing.assert_close(asked["place"][7:], last.stages[-1], atol=1e-3, rtol=1e-3)


def test_the_mask_hangs_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    model = lively(small_full())
    images = grid_images(model, 2, 1)
    with torch.inference_mode():
        plain = model(images)

        def other(*args: object) -> Motion:
            found = step_motion(*args)  # type: ignore[arg-type]
            return found._replace(rotation=turn(torch.full((2, 3), 0.1)) @ found.rotation)

        monkeypatch.setattr(heads, "step_motion", other)
        moved = model(images)

    assert not torch.allclose(plain.motion.dynamic, moved.motion.dynamic, atol=1e-4)
    assert torch.equal(plain.motion.forward.flow, moved.motion.forward.flow)
    assert torch.equal(plain.pose_enc[-1], moved.pose_enc[-1])
