# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A window in, a prediction out: sizes, missing frames, reuse, what is degenerate."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

torch = pytest.importorskip("torch")

from model_cases import lively, small_compact, window  # noqa: E402

from vggt4d_ros.config import EngineConfig  # noqa: E402
from vggt4d_ros.datatypes import Prediction, Window  # noqa: E402
from vggt4d_ros.model.config import tiny  # noqa: E402
from vggt4d_ros.model.engine import load_engine, resolve_steps  # noqa: E402
from vggt4d_ros.model.errors import CheckpointError, EngineError, OutOfMemory  # noqa: E402
from vggt4d_ros.model.motion import MotionOutput  # noqa: E402
from vggt4d_ros.model.null import NullPredictor  # noqa: E402
from vggt4d_ros.model.postprocess import (  # noqa: E402
    camera_matrix,
    pose_matrix,
    to_camera,
    unusable_pose,
)
from vggt4d_ros.model.predictor import Predictor  # noqa: E402
from vggt4d_ros.model.preprocess import fitted_size, place  # noqa: E402

SIZES = [(48, 64), (90, 160), (100, 60)]  # 4:3, 16:9, portrait


def make(**changes: object) -> Predictor:
    return Predictor(lively(small_compact(**changes)), device="cpu")


def equal(ours: Prediction, other: Prediction) -> bool:
    """Bit-equal, NaN included."""
    same = np.array_equal(ours.cam_from_world, other.cam_from_world, equal_nan=True)
    same &= np.array_equal(ours.intrinsics, other.intrinsics, equal_nan=True)
    same &= ours.frames.keys() == other.frames.keys()
    for slot, frame in ours.frames.items():
        for name in type(frame).__dataclass_fields__:
            a, b = getattr(frame, name), getattr(other.frames[slot], name)
            same &= (a is None) == (b is None) and (a is None or np.array_equal(a, b, True))
    return bool(same)


def test_every_output_has_its_cameras_own_size_and_unit() -> None:
    predictor = make()

    found = predictor.predict(window(3, SIZES), points=True)

    assert found.valid.all()
    assert sorted(found.frames) == [(2, 0), (2, 1), (2, 2)]
    for (_, view), frame in found.frames.items():
        size = SIZES[view]
        for name, shape in {
            "depth": size,
            "depth_confidence": size,
            "points": (*size, 3),
            "points_confidence": size,
            "flow_backward": (*size, 2),
            "flow_backward_confidence": size,
            "dynamic": size,
        }.items():
            array = getattr(frame, name)
            assert array.shape == shape, name
            assert array.dtype == np.float32, name
            assert np.isfinite(array).all(), name
        assert frame.flow_forward is None
        assert (frame.depth > 0).all()
        assert (frame.depth_confidence > 1).all()
        for probability in (frame.flow_backward_confidence, frame.dynamic):
            assert ((probability >= 0) & (probability <= 1)).all()
            assert probability.std() > 0


def test_flow_exists_towards_the_neighbours_that_exist() -> None:
    predictor = make()
    shown = window(3, [(48, 64)] * 2, missing=frozenset({(1, 1)}))

    found = predictor.predict(shown, dense_steps=(-2, -1))

    here = {
        slot: (f.flow_forward is not None, f.flow_backward is not None)
        for slot, f in found.frames.items()
    }
    assert here == {(1, 0): (True, True), (2, 0): (False, True), (2, 1): (False, False)}
    assert found.outputs() >= {"flow_forward", "flow_backward", "dynamic"}


def test_missing_and_corrupt_frames_are_invalid_with_a_reason() -> None:
    predictor = make()
    shown = window(2, SIZES, missing=frozenset({(0, 1)}), corrupt=frozenset({(1, 2)}))

    found = predictor.predict(shown)

    assert found.invalid_reasons == {(0, 1): "missing", (1, 2): "not decoded: corrupt"}
    assert_array_equal(found.valid, [[True, False, True], [True, True, False]])
    assert np.isnan(found.cam_from_world[0, 1]).all()
    assert np.isnan(found.intrinsics[1, 2]).all()
    assert sorted(found.frames) == [(1, 0), (1, 1)]


def test_window_without_one_usable_image_is_all_invalid() -> None:
    predictor = make()
    shown = window(2, [(48, 64)], missing=frozenset({(0, 0)}), corrupt=frozenset({(1, 0)}))

    found = predictor.predict(shown)

    assert not found.valid.any()
    assert found.frames == {}
    assert set(found.invalid_reasons) == {(0, 0), (1, 0)}


def test_newest_step_that_is_missing_has_no_dense_output() -> None:
    predictor = make()
    shown = window(2, [(48, 64)] * 2, missing=frozenset({(1, 0), (1, 1)}))

    found = predictor.predict(shown)

    assert found.frames == {}
    assert_array_equal(found.valid, [[True, True], [False, False]])


def test_camera_that_is_missing_all_the_time_changes_nothing_for_the_others() -> None:
    both = window(3, [(48, 64), (48, 64)], missing=frozenset({(0, 1), (1, 1), (2, 1)}))
    alone = Window(tuple(type(s)(s.frames[:1]) for s in both.sets))

    with_slot, without = make().predict(both), make().predict(alone)

    # only rounding: the encoder ran in batches of another size
    assert_allclose(with_slot.cam_from_world[:, :1], without.cam_from_world, atol=1e-5)
    assert_allclose(with_slot.frames[2, 0].depth, without.frames[2, 0].depth, rtol=1e-5)


def test_reused_tokens_give_the_same_bits_as_fresh_ones() -> None:
    predictor = make()
    long = window(6, [(48, 64), (48, 64), (90, 160)], missing=frozenset({(2, 1), (4, 0)}))

    for start in range(4):
        shown = Window(long.sets[start : start + 3], start)
        assert equal(predictor.predict(shown), make().predict(shown)), start


def test_frames_of_the_last_window_are_not_encoded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = make()
    batches: list[int] = []
    plain = predictor.model.encode

    def count(images: torch.Tensor) -> object:
        batches.append(len(images))
        return plain(images)

    monkeypatch.setattr(predictor.model, "encode", count)
    long = window(6, [(48, 64), (48, 64)])
    frames = []
    for start in range(3):
        predictor.predict(Window(long.sets[start : start + 4]))
        frames.append(sum(batches))
        batches.clear()

    assert frames == [8, 2, 2]  # four steps, then one new step at a time
    assert len(predictor.trunk) == 8


def test_same_picture_in_another_frame_is_encoded_again() -> None:
    predictor = make()
    first = predictor.predict(window(2, [(48, 64)], seed=1))
    second = predictor.predict(window(2, [(48, 64)], seed=2))

    assert not equal(first, second)


def test_prediction_is_what_the_network_says() -> None:
    predictor = make()
    shown = window(2, [(48, 64)] * 2)  # as large as the network's own image

    found = predictor.predict(shown)

    pixels = [[shown.frame(t, v).image.rgb() for v in range(2)] for t in range(2)]
    images = torch.from_numpy(np.array(pixels)).permute(0, 1, 4, 2, 3)[None] / 255
    with torch.inference_mode():
        output = predictor.model(images)
    assert_allclose(found.frames[1, 1].depth, output.depth[0, 1, 1].numpy(), rtol=1e-4)
    raw = output.pose_enc[-1][0, 1, 0].double().numpy()
    assert_allclose(found.cam_from_world[1, 0], pose_matrix(raw), atol=1e-4)
    flow = output.motion.backward.flow[0, 0, 1].numpy()
    assert_allclose(found.frames[1, 1].flow_backward, flow, atol=1e-4 * np.abs(flow).max())


def test_images_are_left_as_they_came() -> None:
    shown = window(2, SIZES)
    before = [shown.frame(t, v).image.rgb().copy() for t in range(2) for v in range(3)]

    make().predict(shown)

    after = [shown.frame(t, v).image.rgb() for t in range(2) for v in range(3)]
    for a, b in zip(before, after, strict=True):
        assert_array_equal(a, b)


POSE = np.array([0.1, 0.2, 0.3, 0.0, 0.0, 0.0, 2.0, 1.0, 1.2])


@pytest.mark.parametrize(
    ("index", "value", "reason"),
    [
        (slice(3, 7), 0.0, "zero quaternion"),
        (slice(8, 9), 0.0, "field of view is zero"),
        (slice(7, 8), 3.2, "180 degrees"),
        (slice(0, 1), np.nan, "not finite"),
        (slice(4, 5), np.inf, "not finite"),
    ],
)
def test_degenerate_pose_is_invalid_with_a_reason(
    index: slice, value: float, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = make()
    plain = predictor.model.estimate_poses

    def broken(*args: object) -> list[torch.Tensor]:
        poses = plain(*args)
        poses[-1][0, 1, 1, index] = value
        return poses

    monkeypatch.setattr(predictor.model, "estimate_poses", broken)
    found = predictor.predict(window(2, [(48, 64)] * 2))

    assert list(found.invalid_reasons) == [(1, 1)]
    assert reason in found.invalid_reasons[1, 1]
    assert not found.valid[1, 1]
    assert np.isnan(found.cam_from_world[1, 1]).all()
    assert np.isnan(found.intrinsics[1, 1]).all()
    assert sorted(found.frames) == [(1, 0)]
    assert np.isfinite(found.cam_from_world[found.valid]).all()


def test_depth_that_is_not_finite_becomes_nan(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = make()
    plain = predictor.model.predict_dense

    def broken(*args: object) -> tuple[torch.Tensor, torch.Tensor | None]:
        depth, points = plain(*args)
        depth[:, 0, 5, 6] = torch.inf
        return depth, points

    monkeypatch.setattr(predictor.model, "predict_dense", broken)
    frame = predictor.predict(window(1, [(48, 64)])).frames[0, 0]

    assert np.isnan(frame.depth[5, 6])
    assert np.isnan(frame.depth).sum() == 1
    assert not np.isinf(frame.depth).any()


def test_unit_pose_of_any_quaternion_length() -> None:
    matrix = pose_matrix(POSE)

    assert unusable_pose(POSE) == ""
    assert_allclose(matrix, [[1, 0, 0, 0.1], [0, 1, 0, 0.2], [0, 0, 1, 0.3], [0, 0, 0, 1]])


def test_quarter_turn_about_z_by_hand() -> None:
    turned = POSE.copy()
    turned[3:7] = [0.0, 0.0, np.sqrt(0.5), np.sqrt(0.5)]

    assert_allclose(pose_matrix(turned)[:3, :3], [[0, -1, 0], [1, 0, 0], [0, 0, 1]], atol=1e-12)


def test_values_lie_where_the_documented_pixel_mapping_says() -> None:
    placement = place(90, 160, (32, 64), (48, 64))  # 8 rows of padding above and below
    columns, rows = np.meshgrid(np.arange(64, dtype=np.float32), np.arange(48, dtype=np.float32))

    found = to_camera(np.stack([columns, rows], axis=-1), placement).transpose(2, 0, 1)

    assert found.shape == (2, 90, 160)
    u, v = np.meshgrid(np.arange(160), np.arange(90))
    expected_u = (u + 0.5) * 64 / 160 - 0.5
    expected_v = (v + 0.5) * 32 / 90 - 0.5 + 8
    inside = (slice(2, -2), slice(2, -2))  # at the border the map ends
    assert_allclose(found[0][inside], expected_u[inside], atol=1e-4)
    assert_allclose(found[1][inside], expected_v[inside], atol=1e-4)
    assert found[1].min() >= 8  # no padding
    assert found[1].max() <= 39


def test_intrinsics_follow_resize_and_padding() -> None:
    placement = place(90, 160, (32, 64), (48, 64))
    pose = np.array([0, 0, 0, 0, 0, 0, 1, 2 * np.arctan(24 / 40), 2 * np.arctan(32 / 50)])

    matrix = camera_matrix(pose, placement)

    # 40 and 50 pixels in the network image of 48 x 64, 32 x 64 of it the camera's 90 x 160
    assert matrix[0, 0] == pytest.approx(50 * 160 / 64)
    assert matrix[1, 1] == pytest.approx(40 * 90 / 32)
    assert matrix[0, 2] == pytest.approx((160 - 1) / 2)
    assert matrix[1, 2] == pytest.approx((90 - 1) / 2)


def test_longer_side_fits_the_target_and_both_are_whole_patches() -> None:
    assert fitted_size(480, 640, 160, 16) == (128, 160)  # 7.5 patches round to even
    assert fitted_size(720, 1280, 160, 16) == (96, 160)
    assert fitted_size(1280, 720, 160, 16) == (160, 96)
    assert fitted_size(10, 1000, 160, 16) == (16, 160)


def test_flow_is_in_pixels_of_the_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = make()
    plain = predictor.model.motion_head.forward

    def rightwards_and_down(*args: object) -> MotionOutput:
        motion = plain(*args)
        flow = torch.ones_like(motion.backward.flow) * torch.tensor([1.0, 2.0])
        return motion._replace(backward=motion.backward._replace(flow=flow))

    monkeypatch.setattr(predictor.model.motion_head, "forward", rightwards_and_down)
    found = predictor.predict(window(2, [(48, 64), (96, 192)]))

    # 64 x 48 shows the camera as it is; 192 x 96 goes into 64 x 32
    assert_allclose(found.frames[1, 0].flow_backward[20, 30], [1.0, 2.0], rtol=1e-5)
    assert_allclose(found.frames[1, 1].flow_backward[20, 30], [3.0, 6.0], rtol=1e-5)


def test_memory_error_is_typed_and_the_predictor_lives_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    predictor = make()
    plain = predictor.model.finish_views

    def full(*args: object) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(predictor.model, "finish_views", full)
    shown = window(2, [(48, 64)])
    with pytest.raises(OutOfMemory, match="out of memory"):
        predictor.predict(shown)
    assert len(predictor.trunk) == 0

    monkeypatch.setattr(predictor.model, "finish_views", plain)
    assert predictor.predict(shown).valid.all()


def test_another_error_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = make()

    def wrong(*args: object) -> None:
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(predictor.model, "finish_views", wrong)

    with pytest.raises(RuntimeError, match="shapes differ"):
        predictor.predict(window(2, [(48, 64)]))


def test_every_stage_is_timed() -> None:
    found = make().predict(window(2, [(48, 64)]))

    assert list(found.stage_ms) == [
        "preprocess",
        "encoder",
        "cross_view",
        "cross_time",
        "heads",
        "postprocess",
    ]
    assert all(value > 0 for value in found.stage_ms.values())


def test_warm_up_leaves_nothing_behind() -> None:
    predictor = make()

    predictor.warm_up((2, 3), SIZES)

    assert len(predictor.trunk) == 0
    with pytest.raises(ValueError, match="sizes must have 3 entries, got 2"):
        predictor.warm_up((2, 3), SIZES[:2])


def test_description_says_what_runs() -> None:
    predictor = make()

    about = predictor.description

    assert (about.name, about.device, about.precision) == ("small", "cpu", "fp32")
    assert about.parameters == sum(p.numel() for p in predictor.model.parameters())
    assert predictor.memory_bytes > 10e6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "cuda:99"}, "'cuda:99' is not there"),
        ({"device": "tpu"}, "device must be auto, cpu, cuda"),
        ({"device": "cpu", "precision": "fp16"}, "fp16 needs a GPU"),
        ({"device": "cpu", "image_size": 100}, "multiple of 16 for the small model, got 100"),
        ({"device": "cpu", "precision": "int8"}, "precision must be auto, fp32"),
    ],
)
def test_impossible_wishes_are_one_clear_line(options: dict[str, object], message: str) -> None:
    with pytest.raises(EngineError, match=message) as caught:
        Predictor(lively(small_compact()), **options)  # type: ignore[arg-type]

    assert "\n" not in str(caught.value)


def test_image_size_can_be_chosen() -> None:
    predictor = Predictor(lively(small_compact()), device="cpu", image_size=96)

    assert predictor.predict(window(1, [(48, 64)])).frames[0, 0].depth.shape == (48, 64)


def test_bf16_on_a_cpu_is_near_fp32() -> None:
    shown = window(2, [(48, 64)] * 2)
    exact = make().predict(shown)
    coarse = Predictor(lively(small_compact()), device="cpu", precision="bf16").predict(shown)

    ratio = coarse.frames[1, 0].depth / exact.frames[1, 0].depth
    assert np.abs(np.log(ratio)).max() < 0.05


def test_default_engine_is_the_compact_network() -> None:
    engine = load_engine(EngineConfig(device="cpu"))

    assert engine.description.name == "compact"
    found = engine.predict(window(2, [(120, 160)] * 2))
    assert found.frames[1, 0].depth.shape == (120, 160)
    engine.close()


def test_unknown_checkpoint_is_one_clear_line() -> None:
    with pytest.raises(CheckpointError, match="neither a file nor one of: release"):
        load_engine(EngineConfig(checkpoint="nothing.pt"))


def test_release_that_was_not_downloaded_says_how(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("VGGT4D_HOME", str(tmp_path))

    with pytest.raises(CheckpointError, match="vggt4d download release"):
        load_engine(EngineConfig(checkpoint="release"))


@pytest.mark.parametrize(
    ("steps", "expected"),
    [(None, (3,)), ((-1,), (3,)), ((-1, -2), (2, 3)), ((0, 3, -1), (0, 3)), ((), ())],
)
def test_steps_count_from_either_end(steps: object, expected: tuple[int, ...]) -> None:
    assert resolve_steps(steps, 4) == expected  # type: ignore[arg-type]


def test_step_out_of_range_is_named() -> None:
    with pytest.raises(ValueError, match="dense step 4 is out of range for 4"):
        make().predict(window(4, [(48, 64)]), dense_steps=(4,))


def test_no_dense_step_gives_poses_only() -> None:
    found = make().predict(window(2, [(48, 64)]), dense_steps=())

    assert found.frames == {}
    assert found.valid.all()


def test_null_engine_has_the_same_shapes_as_the_real_one() -> None:
    shown = window(3, SIZES, missing=frozenset({(0, 1)}), corrupt=frozenset({(1, 2)}))

    real, null = make().predict(shown), NullPredictor().predict(shown)

    assert_array_equal(null.valid, real.valid)
    assert null.frames.keys() == real.frames.keys()
    assert null.invalid_reasons == real.invalid_reasons
    assert_array_equal(np.isnan(null.cam_from_world), np.isnan(real.cam_from_world))
    for slot, frame in null.frames.items():
        assert frame.depth.shape == real.frames[slot].depth.shape
        assert frame.depth.min() == 1.0
        assert frame.depth.max() == 2.0
        assert (frame.depth_confidence == 2.0).all()


def test_null_engine_says_that_it_is_one() -> None:
    engine = load_engine(EngineConfig(engine="null"))

    assert "made up" in engine.warnings[0]
    assert engine.description.name == "null"
    engine.warm_up((2, 1), [(48, 64)])
    assert engine.memory_bytes == 2 * 48 * 64 * 4


def python(code: str) -> str:
    blocked = "import sys; sys.modules['torch'] = None\n"
    done = subprocess.run(
        [sys.executable, "-c", blocked + code], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_null_engine_needs_no_torch() -> None:
    out = python(
        "from vggt4d_ros.config import EngineConfig\n"
        "from vggt4d_ros.model.engine import load_engine\n"
        "print(load_engine(EngineConfig(engine='null')).description.name)"
    )

    assert out.strip() == "null"


def test_network_without_torch_says_what_is_missing() -> None:
    out = python(
        "from vggt4d_ros.config import EngineConfig\n"
        "from vggt4d_ros.model.engine import load_engine\n"
        "from vggt4d_ros.model.errors import EngineError\n"
        "try: load_engine(EngineConfig())\n"
        "except EngineError as error: print(error)"
    )

    assert "needs the Python package 'torch'" in out
    assert "model.engine: 'null'" in out


def test_closed_gates_skip_the_time_branch_without_a_trace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = window(3, [(42, 56)] * 2)
    open_gates = Predictor(lively(replace(tiny(), img_size=56)), device="cpu")
    closed = lively(replace(tiny(), img_size=56))
    closed.spatiotemporal_dense_fusion.alpha.data[:] = 0.0
    slow = Predictor(closed, device="cpu")
    slow.model.time_branch = True
    expected = slow.predict(shown, points=True)
    fast = Predictor(closed, device="cpu")
    monkeypatch.delattr(fast.model.cross_time_local_fusion, "frame_blocks")  # nobody needs it

    assert open_gates.model.time_branch
    assert "time branch" in fast.warnings[-1]
    assert equal(fast.predict(shown, points=True), expected)


def test_motion_heads_need_the_time_branch_whatever_the_gates_say() -> None:
    model = lively(small_compact())
    model.spatiotemporal_dense_fusion.alpha.data[:] = 0.0

    assert Predictor(model, device="cpu").model.time_branch
