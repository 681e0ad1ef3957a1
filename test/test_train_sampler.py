# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which kind of scene a training step sees."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from vggt4d_ros.data.windows import WindowBatch
from vggt4d_ros.train.config import Phase, TrainConfig, TrainConfigError
from vggt4d_ros.train.sampler import is_calibrated, training_batch


def seen(step: int, **shares: float) -> WindowBatch:
    grids = ((2, 1),)
    phase = Phase(until=200, batch=1, grids=grids, sizes=((16, 32),), pose_every=2, **shares)
    phase = replace(phase, pose_grids=grids)
    return training_batch(TrainConfig(phases=(phase,)), step)


@pytest.mark.parametrize("name", ["bold_share", "furnished_share", "flying_share"])
def test_share_of_one_replaces_every_dense_batch(name: str) -> None:
    assert not torch.equal(seen(0).images, seen(0, **{name: 1.0}).images)


def test_pose_steps_see_no_flying_things_but_furnished_rooms() -> None:
    usual = seen(1)

    assert torch.equal(usual.images, seen(1, flying_share=1.0).images)
    assert not torch.equal(usual.images, seen(1, furnished_share=1.0).images)


def test_shares_are_told_apart_in_the_order_bold_furnished_flying() -> None:
    bold = seen(0, bold_share=1.0, furnished_share=1.0, flying_share=1.0)
    furnished = seen(0, furnished_share=1.0, flying_share=1.0)

    assert torch.equal(bold.images, seen(0, bold_share=1.0).images)
    assert torch.equal(furnished.images, seen(0, furnished_share=1.0).images)


def test_batches_are_shared_out_as_told() -> None:
    usual = [seen(step, flying_share=0.0).images for step in range(0, 48, 2)]
    mixed = [seen(step, flying_share=0.5).images for step in range(0, 48, 2)]

    other = sum(not torch.equal(a, b) for a, b in zip(usual, mixed, strict=True))
    assert 5 <= other <= 19


def test_shares_that_fill_the_whole_leave_no_usual_batch() -> None:
    for step in range(0, 24, 2):
        filled = seen(step, bold_share=0.3, furnished_share=0.4, flying_share=0.3)
        assert not torch.equal(filled.images, seen(step).images)


def test_large_images_come_in_grids_and_batches_that_fit() -> None:
    grids = ((1, 1), (2, 1), (2, 2))
    phase = Phase(until=200, batch=2, grids=grids, sizes=((16, 32), (32, 48)), most_pixels=4096)
    shapes = [training_batch(TrainConfig(phases=(phase,)), s).images.shape for s in range(24)]

    pixels = [count * t * v * h * w for count, t, v, _, h, w in shapes]
    assert max(pixels) <= 4096
    assert {tuple(shape[1:3]) for shape in shapes if shape[-1] == 48} == {(1, 1), (2, 1)}
    assert {tuple(shape[1:3]) for shape in shapes if shape[-1] == 32} == set(grids)


def test_room_for_no_grid_at_all_is_an_error() -> None:
    phase = Phase(until=9, grids=((2, 2),), sizes=((32, 48),), most_pixels=3000)
    with pytest.raises(TrainConfigError, match="most_pixels.*32x48"):
        training_batch(TrainConfig(phases=(phase,)), 0)


def test_fields_of_view_are_told_in_the_share_asked_for() -> None:
    phase = Phase(until=200, calibrated_share=0.5)
    config = TrainConfig(phases=(phase,))
    told = [is_calibrated(config, step) for step in range(200)]

    assert 60 < sum(told) < 140
    assert told == [is_calibrated(config, step) for step in range(200)]
    assert not any(is_calibrated(TrainConfig(), step) for step in range(50))
