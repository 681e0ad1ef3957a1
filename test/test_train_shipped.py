# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The weights in the package still do what their card says, on a few fixed windows."""

from __future__ import annotations

import pytest
import torch

from vggt4d_ros.model import checkpoint
from vggt4d_ros.model.catalogue import PACKAGED
from vggt4d_ros.train.config import from_dict
from vggt4d_ros.train.loop import CHECKED
from vggt4d_ros.train.metrics import evaluate
from vggt4d_ros.train.sampler import held_out

LARGEST = 16 * 2**20  # bytes


@pytest.fixture(scope="module")
def shipped() -> checkpoint.Checkpoint:
    if not PACKAGED.is_file():
        pytest.skip(f"the package was built without weights: no {PACKAGED.name}")
    return checkpoint.read(PACKAGED)


def test_weights_are_small_and_say_where_they_come_from(shipped: checkpoint.Checkpoint) -> None:
    card = (PACKAGED.parent / "README.md").read_text()

    assert PACKAGED.stat().st_size < LARGEST
    assert shipped.config.name == "compact"
    assert shipped.extra["licence"] == "Apache-2.0"
    assert shipped.extra["held_out"]["windows"] >= 200
    assert f"{shipped.extra['step']} steps" in card


def test_card_states_the_metrics_inside_the_file(shipped: checkpoint.Checkpoint) -> None:
    card = (PACKAGED.parent / "README.md").read_text()

    for name in ("abs_rel", "delta125", "epe", "epe_zero", "mask_iou", "rotation_deg"):
        assert f"{shipped.extra['held_out'][name]:.3f}" in card, name


def test_weights_still_reach_their_metrics(shipped: checkpoint.Checkpoint) -> None:
    stated = shipped.extra["check"]
    config = from_dict(shipped.extra["train_config"])
    model = checkpoint.build(shipped)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        windows = held_out(config, CHECKED, config.evaluate_grid, config.evaluate_size)
        found = evaluate(model, windows)
    finally:
        torch.set_num_threads(threads)

    assert found["abs_rel"] < 1.03 * stated["abs_rel"]
    assert found["delta125"] > stated["delta125"] - 0.02
    assert found["epe"] < 1.03 * stated["epe"]
    assert found["mask_iou"] > stated["mask_iou"] - 0.02
    assert found["rotation_deg"] < 1.1 * stated["rotation_deg"]
    assert found["track_px"] < 1.05 * stated["track_px"]
    # whatever was stated, it must beat saying nothing
    assert found["abs_rel"] < found["abs_rel_constant"]
    assert found["epe"] < 0.5 * found["epe_zero"]
    assert found["rotation_deg"] < found["rotation_deg_static"]
    assert found["mask_iou"] > 2 * found["mask_iou_all"]
    assert found["track_px"] < 0.8 * found["track_px_still"]
