# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Metrics against hand-made predictions, and the flow baseline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from vggt4d_ros.data.scenes import SceneConfig
from vggt4d_ros.data.synthetic import SyntheticWindows
from vggt4d_ros.data.windows import WindowBatch
from vggt4d_ros.model.model_output import ModelOutput
from vggt4d_ros.model.motion import FlowField, MotionOutput
from vggt4d_ros.train.baselines import evaluate_dis
from vggt4d_ros.train.metrics import evaluate, rotation_angle
from vggt4d_ros.train.targets import make_targets


class Oracle:
    """Answers with the truth, changed as asked for."""

    training = False

    def __init__(self, batch: WindowBatch, **changes: Callable[[Tensor], Tensor]) -> None:
        self.batch, self.changes = batch, changes

    def eval(self) -> None: ...

    def train(self, mode: bool) -> None: ...

    def __call__(self, images: Tensor, valid: Tensor, queries: Tensor | None = None) -> ModelOutput:
        def changed(name: str, value: Tensor) -> Tensor:
            return self.changes.get(name, lambda x: x)(value)

        batch, targets = self.batch, make_targets(self.batch)
        steps = range(batch.shape[1])
        flow = changed("flow", batch.flow_forward[:, :-1])
        fields = [
            FlowField(tuple(steps)[:-1], flow, torch.zeros_like(flow[..., 0]), []),
            FlowField(
                tuple(steps)[1:],
                changed("flow", batch.flow_backward[:, 1:]),
                torch.zeros_like(flow[..., 0]),
                [],
            ),
        ]
        mask = changed("dynamic", torch.where(batch.dynamic, 5.0, -5.0))
        depth = changed("depth", targets.depth)
        return ModelOutput(
            [changed("pose", targets.pose_encoding)],
            depth,
            depth,
            None,
            None,
            MotionOutput(fields[0], fields[1], mask, None, None),
        )


@pytest.fixture(scope="module")
def batch() -> WindowBatch:
    return SyntheticWindows(SceneConfig(drop_share=0.0), seed=21).batch(range(3), 2, 2, 48, 64)


def measure(batch: WindowBatch, **changes: Callable[[Tensor], Tensor]) -> dict[str, Any]:
    return evaluate(Oracle(batch, **changes), [batch])  # type: ignore[arg-type]


def test_truth_is_perfect(batch: WindowBatch) -> None:
    found = measure(batch)

    for name in ("abs_rel", "epe", "epe_visible", "fl", "fov_deg"):
        assert found[name] == pytest.approx(0.0, abs=1e-3), name
    assert found["rotation_deg"] < 0.1
    assert found["translation_deg"] < 0.5
    assert found["delta125"] == 1.0
    assert found["mask_iou"] == 1.0
    assert found["windows"] == 3
    assert found["epe_zero"] > 0.5
    assert 0.05 < found["abs_rel_constant"] < 2


def test_depth_is_scaled_by_the_median_before_it_is_judged(batch: WindowBatch) -> None:
    assert measure(batch, depth=lambda d: 3 * d)["abs_rel"] == pytest.approx(0.0, abs=1e-4)
    curved = measure(batch, depth=lambda d: d**2)
    assert curved["abs_rel"] > 0.1
    assert curved["delta125"] < 0.9


def test_flow_that_is_off_by_five_pixels(batch: WindowBatch) -> None:
    found = measure(batch, flow=lambda f: f + torch.tensor([3.0, 4.0]))

    assert found["epe"] == pytest.approx(5.0, abs=1e-3)
    assert found["epe_visible"] == pytest.approx(5.0, abs=1e-3)
    assert found["fl"] > 0.9
    assert measure(batch, flow=torch.zeros_like)["epe"] == pytest.approx(found["epe_zero"])


def test_mask_that_takes_everything(batch: WindowBatch) -> None:
    found = measure(batch, dynamic=torch.ones_like)

    assert found["mask_iou"] == pytest.approx(found["mask_iou_all"])
    assert measure(batch, dynamic=lambda x: -torch.ones_like(x))["mask_iou"] == 0.0


def test_rotation_angle_of_known_turns() -> None:
    turn = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    small = torch.tensor([[1.0, -1e-3, 0], [1e-3, 1, 0], [0, 0, 1]])

    assert float(rotation_angle(turn, torch.eye(3))) == pytest.approx(90.0, abs=1e-3)
    assert float(rotation_angle(turn @ turn, torch.eye(3))) == pytest.approx(180.0, abs=0.1)
    assert float(rotation_angle(small, torch.eye(3))) == pytest.approx(0.0573, abs=1e-3)


def test_dis_finds_a_shifted_texture() -> None:
    batch = SyntheticWindows(SceneConfig(drop_share=0.0), seed=21).batch([0], 2, 1, 64, 96)
    shifted = batch.images.clone()
    shifted[:, 1] = shifted[:, 0].roll(2, dims=-1)
    flow = torch.zeros_like(batch.flow_forward)
    flow[:, 0, ..., 0] = 2.0
    known = torch.zeros_like(batch.flow_forward_valid)
    known[:, 0, :, 16:48, 16:80] = True
    values = {name: getattr(batch, name) for name in batch.__dataclass_fields__}
    values |= {
        "images": shifted,
        "flow_forward": flow,
        "flow_forward_valid": known,
        "flow_backward_valid": torch.zeros_like(known),
        "occluded_forward": torch.zeros_like(known),
    }

    found = evaluate_dis([WindowBatch(**values)])

    assert found["epe_dis"] < 0.7
    assert evaluate_dis([]) == {}
