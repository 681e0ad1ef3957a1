# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Flow corrected at 1/2 of the image."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).parent))
from model_cases import grid_images, lively, small_full  # noqa: E402

from vggt4d_ros.model.initialise import initialise  # noqa: E402
from vggt4d_ros.model.sharp_flow import WIDTH, SharpFlow  # noqa: E402

HIDDEN = 8


def sharpener() -> SharpFlow:
    torch.manual_seed(0)
    made = SharpFlow(HIDDEN)
    initialise(made)
    return made


def texture(height: int, width: int, seed: int) -> Tensor:
    """Smooth unit features that differ from place to place."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(1, WIDTH, height // 2, width // 2, generator=generator)
    wide = functional.interpolate(noise, size=(height, width), mode="bicubic")
    return functional.normalize(wide, dim=1) * WIDTH**0.5


def test_untrained_it_leaves_flow_and_logits_about_as_they_are() -> None:
    columns = torch.linspace(-1, 1, 40).expand(1, 1, 24, 40)
    fine = torch.cat([8 + 2 * columns, -3 * columns, 0.5 * columns], dim=1)

    with torch.inference_mode():
        found = sharpener()(texture(12, 20, 1), texture(12, 20, 2), fine, torch.rand(1, 8, 6, 10))

    assert found.shape == fine.shape
    inner = (found - fine)[..., 4:-4, 4:-4].abs().max()
    assert inner < 0.2  # of the width of a cell: 2 pixels


def test_it_learns_to_follow_what_is_alike_around() -> None:
    # textures moved by up to two cells at 1/2 each way, and a flow that knows nothing of it
    made = sharpener()
    optimizer = torch.optim.Adam(made.parameters(), lr=2e-3)
    shifts = [(rows, columns) for rows in range(-2, 3) for columns in range(-2, 3)]
    moved = 2.0 * torch.tensor([[columns, rows] for rows, columns in shifts])[:, :, None, None]

    def error(seed: int) -> Tensor:
        source = torch.cat([texture(12, 16, seed + row) for row in range(len(shifts))])
        pairs = zip(source.split(1), shifts, strict=True)
        target = torch.cat([torch.roll(one, shift, dims=(2, 3)) for one, shift in pairs])
        blank, hidden = torch.zeros(len(shifts), 3, 24, 32), torch.zeros(len(shifts), HIDDEN, 6, 8)
        found = made(source, target, blank, hidden)
        return (found[:, :2] - moved)[..., 6:-6, 6:-6].norm(dim=1).mean()

    with torch.no_grad():
        before = float(error(5000))
    for step in range(60):
        optimizer.zero_grad()
        error(25 * step).backward()
        optimizer.step()

    with torch.no_grad():
        assert error(5000) < 0.4 * before


def test_only_what_is_finest_changes_with_it() -> None:
    model = lively(small_full())
    images = grid_images(model, 2, 2)
    with torch.inference_mode():
        before = model(images)
        model.motion_head.flow.sharpen.out.bias += 1.0  # of cells at 1/2: 2 pixels
        after = model(images)

    moved = after.motion.forward.flow - before.motion.forward.flow
    torch.testing.assert_close(moved, torch.full_like(moved, 2.0), atol=0.1, rtol=0)
    for one, other in zip(before.motion.forward.stages, after.motion.forward.stages, strict=True):
        assert torch.equal(one, other)
    assert torch.equal(before.motion.dynamic, after.motion.dynamic)


def test_both_maps_are_learned_from_the_flow() -> None:
    model = lively(small_full())
    output = model(grid_images(model, 2, 1))
    output.motion.forward.flow.square().mean().backward()

    parts = (
        "features.sharp.detail",
        "features.sharp.coarse",
        "flow.sharpen.before",
        "flow.weights",
    )
    for part in parts:
        gradient = model.motion_head.get_submodule(part).weight.grad
        assert gradient is not None, part
        assert gradient.abs().max() > 0, part


def test_networks_without_it_keep_their_last_stage_as_the_flow() -> None:
    config = small_full()
    assert config.motion is not None
    without = replace(config, motion=replace(config.motion, sharp_flow=False))
    model, other = lively(config), lively(without)
    images = grid_images(model, 2, 1)
    with torch.inference_mode():
        stages = [len(m(images).motion.forward.stages) for m in (model, other)]

    assert stages[0] == stages[1] + 1  # the flow at 1/4 has a loss of its own where it is not last
    added = set(model.state_dict()) - set(other.state_dict())
    assert added
    assert all(name.split(".")[2] in ("sharp", "sharpen") for name in added)
