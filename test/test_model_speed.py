# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the network may trade for time: each is near, and says so; fixed shapes cost nothing."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

torch = pytest.importorskip("torch")

from model_cases import lively, small_compact, small_full, tiny_motion  # noqa: E402
from test_model_reuse import assert_same, one_thread, stream  # noqa: E402, F401

from vggt4d_ros.benchmark_reference import NaiveReference, largest_differences  # noqa: E402
from vggt4d_ros.config import EngineConfig  # noqa: E402
from vggt4d_ros.model.errors import EngineError  # noqa: E402
from vggt4d_ros.model.predictor import Predictor, smaller_sizes  # noqa: E402
from vggt4d_ros.model.speed import Speed, compile_stages  # noqa: E402


def make(speed: Speed, config=None) -> Predictor:  # type: ignore[no-untyped-def]
    return Predictor(lively(config or small_compact()), device="cpu", speed=speed)


def test_the_configuration_means_the_same_as_the_predictors_default() -> None:
    config = EngineConfig()

    assert Speed() == Speed(
        config.head_precision, config.cross_view, config.frame_wise_layers, config.compile
    )
    assert make(Speed()).warnings == ()


@pytest.mark.parametrize(
    ("config", "median", "most"),
    [
        (small_compact(), 0.005, 0.06),
        (small_compact(pairs=True), 0.005, 0.06),
        (tiny_motion(), 0.005, 0.06),
        (small_full(), 0.02, 0.2),  # depth that is swept goes through more such layers
    ],
    ids=["pyramid", "pairs", "dpt", "sweep"],
)
def test_bf16_heads_are_near_float32_and_leave_poses_alone(
    config: object, median: float, most: float
) -> None:
    shown = next(stream(3))
    exact = make(Speed(), config).predict(shown, points=True)
    coarse = make(Speed(head_precision="bf16"), config).predict(shown, points=True)

    assert_array_equal(coarse.cam_from_world, exact.cam_from_world)
    for slot, frame in coarse.frames.items():
        error = np.abs(frame.depth / exact.frames[slot].depth - 1)
        assert 0 < np.median(error) < median
        assert error.max() < most
        assert frame.points is not None
        assert np.isfinite(frame.points).all()


def test_tf32_changes_nothing_on_a_cpu() -> None:
    shown = next(stream(3))

    exact, other = (make(Speed(head_precision=p)).predict(shown) for p in ("fp32", "tf32"))

    assert_array_equal(other.frames[2, 0].depth, exact.frames[2, 0].depth)


def test_step_scope_by_choice_is_the_step_scope_of_the_model() -> None:
    chosen = make(Speed(cross_view="step"))
    built = make(Speed(), small_compact(cross_view_scope="step"))
    shown = next(stream(3))

    assert "trained with 'window'" in chosen.warnings[0]
    assert built.warnings == ()
    found, wanted = chosen.predict(shown), built.predict(shown)
    assert_array_equal(found.frames[2, 0].depth, wanted.frames[2, 0].depth)
    whole = make(Speed()).predict(shown)
    assert np.abs(found.frames[2, 0].depth - whole.frames[2, 0].depth).max() > 1e-5


def test_frame_wise_layers_are_kept_and_never_see_another_frame() -> None:
    speed = Speed(frame_wise_layers=1)
    config = small_compact(depth=3, taps=(0, 1, 2))
    kept, fresh = make(speed, config), make(speed, config)
    model = lively(config).to(memory_format=torch.channels_last)
    model.cross_view_global_fusion.frame_wise = 1
    naive = NaiveReference(model, "fp32", config.img_size)

    assert "first 1 of 3 layers" in kept.warnings[0]
    for shown in stream(3):
        fresh.trunk.clear()
        assert_same(kept, fresh, shown, (-1,))
    errors = largest_differences(kept.predict(shown), naive.predict(shown))
    assert all(value < 3e-4 for value in errors.values()), errors


def test_too_many_frame_wise_layers_are_refused() -> None:
    with pytest.raises(EngineError, match="frame_wise_layers must be below 2"):
        make(Speed(frame_wise_layers=2))


def test_fixed_shapes_give_the_same_and_never_change(monkeypatch: pytest.MonkeyPatch) -> None:
    fixed, free = make(Speed()), make(Speed())
    fixed._known = {}
    shapes = []
    plain = fixed.model.finish_views

    def note(start: object, shape: object, *rest: object) -> object:
        shapes.append(shape)
        return plain(start, shape, *rest)

    monkeypatch.setattr(fixed.model, "finish_views", note)
    for shown in stream(3):
        errors = largest_differences(fixed.predict(shown), free.predict(shown))
        # the picture of a lone smaller camera is padded as if the larger one were there
        limit = 1e-3 if shown.index < 10 else np.inf
        assert errors["slots"] == 0
        assert all(value < limit for value in errors.values()), (shown.index, errors)

    assert {(s.steps, s.views) for s in shapes} == {(3, 3)}
    assert len(set(shapes)) == 2  # once larger, when a camera turned upright, and never smaller


def test_fixed_shapes_have_a_mask_whether_or_not_a_step_is_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No mask, or one, would be two graphs: the second would be made when a camera drops."""
    fixed, free = make(Speed(cross_view="step")), make(Speed(cross_view="step"))
    fixed._known = {}
    masks = []
    plain = fixed.model.finish_views

    def note(start: object, shape: object, valid: object, *rest: object) -> object:
        masks.append(valid)
        return plain(start, shape, valid, *rest)

    monkeypatch.setattr(fixed.model, "finish_views", note)
    for shown in list(stream(3))[:3]:
        errors = largest_differences(fixed.predict(shown), free.predict(shown))
        assert all(value < 1e-3 for value in errors.values()), (shown.index, errors)

    assert len(masks) >= 5
    assert any(bool(mask.all()) for mask in masks)
    assert not all(bool(mask.all()) for mask in masks)


@pytest.mark.slow
def test_nothing_is_compiled_again_when_cameras_come_and_go() -> None:
    from torch._dynamo.testing import CompileCounter

    counter = CompileCounter()
    predictor, plain = make(Speed()), make(Speed())
    predictor._known = {}
    compile_stages(predictor.model, predictor.device, backend=counter)
    windows = list(stream(3))[:8]

    predictor.predict(windows[0])
    early = counter.frame_count
    for shown in windows[1:]:
        found = predictor.predict(shown)

    assert early > 0
    assert counter.frame_count == early
    errors = largest_differences(found, plain.predict(windows[-1]))
    assert all(value < 1e-3 for value in errors.values()), errors


def test_image_sizes_to_fall_back_to_are_whole_patches() -> None:
    assert smaller_sizes(160, 16) == (160, 128, 80)
    assert smaller_sizes(518, 14) == (518, 392, 252)  # 37 patches; 18.5 round to even
    assert smaller_sizes(64, 16) == (64,)
