# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The adaptive grid: any T and V, missing frames, scopes, mixers, gradients."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from model_cases import CONFIGS, grid_images, lively, small_compact  # noqa: E402

from vggt4d_ros.model.config import ModelConfig, tiny, tiny_motion  # noqa: E402
from vggt4d_ros.model.cross_time import WindowAttention, WindowConv  # noqa: E402
from vggt4d_ros.model.layers import MASKED, Attention, attend  # noqa: E402
from vggt4d_ros.model.model_output import ModelOutput  # noqa: E402
from vggt4d_ros.model.precision import cast_trunk  # noqa: E402
from vggt4d_ros.model.vggt4d import VGGT4D  # noqa: E402

ROUNDING = {"rtol": 2e-4, "atol": 2e-5}
BOTH = pytest.mark.parametrize("kind", sorted(CONFIGS))


def run(model: VGGT4D, images: torch.Tensor, valid: torch.Tensor | None = None) -> ModelOutput:
    with torch.inference_mode():
        return model(images, valid)


def per_frame(output: ModelOutput) -> dict[str, torch.Tensor]:
    """Outputs with one entry a frame, (B, T, V, ...)."""
    assert output.motion is not None
    assert output.motion.dynamic is not None
    found = {
        "pose": output.pose_enc[-1],
        "depth": output.depth,
        "depth_conf": output.depth_conf,
        "world_points": output.world_points,
        "world_points_conf": output.world_points_conf,
        "dynamic": output.motion.dynamic,
    }
    assert all(value is not None for value in found.values())
    return found


def flows(output: ModelOutput) -> Iterator[tuple[int, torch.Tensor]]:
    """Direction (+1, -1) and flow with its logits, (B, F, V, H, W, 3)."""
    assert output.motion is not None
    for sign, field in ((1, output.motion.forward), (-1, output.motion.backward)):
        if field is not None:
            yield sign, torch.cat([field.flow, field.logits[..., None]], dim=-1)


def assert_same(ours: torch.Tensor, other: torch.Tensor, what: str) -> None:
    torch.testing.assert_close(ours, other, **ROUNDING, msg=lambda text: f"{what}: {text}")


@BOTH
def test_cameras_beyond_the_reference_may_come_in_any_order(kind: str) -> None:
    model = lively(CONFIGS[kind]())
    images = grid_images(model, 3, 4)
    order = [0, 3, 1, 2]

    straight, shuffled = run(model, images), run(model, images[:, :, order])

    for name, value in per_frame(straight).items():
        assert_same(per_frame(shuffled)[name], value[:, :, order], name)
    for (_, ours), (_, other) in zip(flows(shuffled), flows(straight), strict=True):
        assert_same(ours, other[:, :, order], "flow")


@BOTH
def test_order_of_time_matters(kind: str) -> None:
    model = lively(CONFIGS[kind]())
    images = grid_images(model, 4, 1)

    straight, turned = run(model, images), run(model, images[:, [0, 2, 1, 3]])

    assert straight.depth is not None
    assert turned.depth is not None
    assert (turned.depth[:, [0, 2, 1, 3]] - straight.depth).abs().max() > 1e-5


@BOTH
def test_pixels_of_a_missing_frame_reach_nothing(kind: str) -> None:
    model = lively(CONFIGS[kind]())
    images = grid_images(model, 3, 2)
    valid = torch.ones(1, 3, 2, dtype=torch.bool)
    valid[0, 1, 1] = valid[0, 0, 0] = False
    dirty = images.clone()
    dirty[0, 1, 1] = float("nan")
    dirty[0, 0, 0] = 1e6

    clean, other = run(model, images, valid), run(model, dirty, valid)

    for name, value in per_frame(clean).items():
        assert torch.equal(per_frame(other)[name][valid], value[valid]), name
        assert torch.isfinite(per_frame(other)[name]).all(), name
    for (sign, ours), (_, theirs) in zip(flows(other), flows(clean), strict=True):
        there = valid[:, :-1] & valid[:, 1:]
        assert torch.equal(ours[there], theirs[there]), sign


@BOTH
def test_a_camera_that_is_always_missing_is_as_if_it_were_not_there(kind: str) -> None:
    model = lively(CONFIGS[kind]())
    images = grid_images(model, 3, 3)
    valid = torch.ones(1, 3, 3, dtype=torch.bool)
    valid[:, :, 0] = False  # the reference camera: the next one takes its part

    masked, without = run(model, images, valid), run(model, images[:, :, 1:])

    for name, value in per_frame(without).items():
        assert_same(per_frame(masked)[name][:, :, 1:], value, name)
    for (_, ours), (_, other) in zip(flows(masked), flows(without), strict=True):
        assert_same(ours[:, :, 1:], other, "flow")


@BOTH
@pytest.mark.parametrize("mixer", ["attention", "conv"])
def test_a_step_that_is_missing_at_the_end_is_as_if_it_were_not_there(
    kind: str, mixer: str
) -> None:
    model = lively(replace(CONFIGS[kind](), temporal_mixer=mixer))
    images = grid_images(model, 4, 2)
    valid = torch.ones(1, 4, 2, dtype=torch.bool)
    valid[:, 3] = False

    masked, without = run(model, images, valid), run(model, images[:, :3])

    for name, value in per_frame(without).items():
        assert_same(per_frame(masked)[name][:, :3], value, name)


@BOTH
def test_windows_of_a_batch_do_not_see_each_other(kind: str) -> None:
    model = lively(CONFIGS[kind]())
    images = grid_images(model, 2, 2, batch=2)
    valid = torch.tensor([[[True, True], [True, True]], [[False, True], [True, False]]])

    together = run(model, images, valid)

    for index in range(2):
        alone = run(model, images[index : index + 1], valid[index : index + 1])
        for name, value in per_frame(alone).items():
            there = valid[index]
            assert_same(per_frame(together)[name][index][there], value[0][there], name)


@BOTH
@pytest.mark.parametrize(("steps", "views"), [(1, 1), (1, 3), (3, 1), (7, 2)])
def test_any_number_of_steps_and_views_works(kind: str, steps: int, views: int) -> None:
    model = lively(CONFIGS[kind]())

    output = run(model, grid_images(model, steps, views))

    for name, value in per_frame(output).items():
        assert value.shape[:3] == (1, steps, views), name
        assert torch.isfinite(value).all(), name
    assert sum(1 for _ in flows(output)) == (2 if steps > 1 else 0)


@BOTH
def test_an_image_of_one_patch_works(kind: str) -> None:
    model = lively(CONFIGS[kind]())

    output = run(model, grid_images(model, 2, 2, size=(1, 1)))

    for name, value in per_frame(output).items():
        assert torch.isfinite(value).all(), name


@BOTH
def test_step_scope_of_one_step_equals_window_scope(kind: str) -> None:
    config = CONFIGS[kind]()
    window, step = lively(config), lively(replace(config, cross_view_scope="step"))
    images = grid_images(window, 1, 3)

    assert torch.equal(run(window, images).depth, run(step, images).depth)


@BOTH
def test_step_scope_of_two_steps_differs_from_window_scope(kind: str) -> None:
    config = CONFIGS[kind]()
    window, step = lively(config), lively(replace(config, cross_view_scope="step"))
    images = grid_images(window, 2, 2)

    assert (run(window, images).depth - run(step, images).depth).abs().max() > 1e-5


@BOTH
def test_same_window_twice_gives_the_same(kind: str) -> None:
    model = lively(CONFIGS[kind]())
    images = grid_images(model, 3, 2)

    first, second = run(model, images), run(model, images)

    for name, value in per_frame(first).items():
        assert torch.equal(per_frame(second)[name], value), name


@BOTH
def test_dense_steps_give_the_same_as_all_steps(kind: str) -> None:
    model = lively(CONFIGS[kind]())
    images = grid_images(model, 4, 2)

    every = run(model, images)
    with torch.inference_mode():
        some = model(images, dense_steps=(1, 3))

    for name in ("depth", "depth_conf", "world_points"):
        assert_same(getattr(some, name), getattr(every, name)[:, [1, 3]], name)
    assert some.motion.forward.steps == (1,)
    assert some.motion.backward.steps == (1, 3)
    assert_same(some.motion.forward.flow, every.motion.forward.flow[:, [1]], "forward")
    assert_same(some.motion.backward.flow, every.motion.backward.flow[:, [0, 2]], "backward")
    assert_same(some.motion.dynamic, every.motion.dynamic[:, [1, 3]], "dynamic")


VARIANTS = {
    "release-like": tiny_motion(),
    "compact-like": small_compact(),
    "conv mixer": small_compact(temporal_mixer="conv"),
    "serial": small_compact(arrangement="serial"),
    "unified": small_compact(arrangement="unified"),
    "spatial": small_compact(arrangement="spatial"),
    "step scope": small_compact(cross_view_scope="step"),
    "dino": replace(
        tiny_motion(), encoder=replace(tiny().encoder, kind="dinov2", depth=1, num_heads=4)
    ),
}


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_gradient_reaches_every_parameter(variant: str) -> None:
    model = lively(VARIANTS[variant]).train()
    images = grid_images(model, 3, 2)
    valid = torch.ones(1, 3, 2, dtype=torch.bool)
    valid[0, 1, 0] = False
    queries = torch.tensor([[[0, 1, 5, 7], [2, 0, 20, 3]]])

    output = model(images, valid, queries=queries)
    motion = output.motion
    parts = [*output.pose_enc, *per_frame(output).values(), motion.tracks, motion.track_logits]
    parts += [flow for _, flow in flows(output)]
    sum(part.square().mean() for part in parts).backward()

    silent = [
        name
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and not (parameter.grad is not None and parameter.grad.any())
    ]
    assert silent == []
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_only_the_encoder_mask_token_is_left_out_of_training() -> None:
    model = lively(VARIANTS["dino"])

    frozen = [name for name, p in model.named_parameters() if not p.requires_grad]

    assert frozen == ["cross_view_global_fusion.patch_embed.mask_token"]


@BOTH
def test_no_attention_gets_a_mask(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = lively(CONFIGS[kind]())
    plain = torch.nn.functional.scaled_dot_product_attention
    masks = []

    def spy(query: torch.Tensor, *args: torch.Tensor, **options: object) -> torch.Tensor:
        masks.append(len(args) > 2 or options.get("attn_mask") is not None)
        return plain(query, *args, **options)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", spy)
    valid = torch.ones(1, 3, 2, dtype=torch.bool)
    valid[0, 1, 1] = False
    run(model, grid_images(model, 3, 2), valid)

    assert masks
    assert not any(masks)


def test_bias_in_extra_channels_equals_a_bias_on_the_logits() -> None:
    generator = torch.Generator().manual_seed(3)
    query, key, value = (torch.randn(2, 3, n, 16, generator=generator) for n in (5, 7, 7))
    rank = (
        torch.randn(1, 3, 5, 2, generator=generator),
        torch.randn(2, 1, 7, 2, generator=generator),
    )
    bias = rank[0] @ rank[1].transpose(-1, -2)

    expected = (query @ key.transpose(-1, -2) / 4 + bias).softmax(-1) @ value

    torch.testing.assert_close(attend(query, key, value, *rank), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("steps", [1, 2, 3, 6])
@pytest.mark.parametrize("masked", [False, True])
def test_window_attention_equals_its_definition(steps: int, masked: bool) -> None:
    torch.manual_seed(0)
    mixer = WindowAttention(16, 2, 3)
    torch.nn.init.normal_(mixer.relative_time_bias)
    x = torch.randn(2, steps, 4, 16)
    out = torch.zeros(2, steps, dtype=torch.bool)
    if masked and steps > 1:
        out[0, 1] = True

    ours = mixer(x, None, torch.where(out, MASKED, 0.0) if masked else None)

    # every key with a logit bias by its distance in time, minus infinity out of the window
    query, key, value = mixer.project(x.flatten(1, 2), None)
    step = torch.arange(steps).repeat_interleave(4)
    offset = step[None] - step[:, None]
    bias = mixer.relative_time_bias[:, (offset + 1).clamp(0, 2)]
    logits = query @ key.transpose(-1, -2) / 8**0.5 + bias
    blocked = (offset.abs() > 1) | out[:, step][:, None, None]
    mixed = logits.masked_fill(blocked, -torch.inf).softmax(-1) @ value
    expected = mixer.proj(mixed.transpose(1, 2).flatten(2)).unflatten(1, (steps, 4))
    expected = torch.where(torch.isnan(expected), ours, expected)  # rows with no key at all
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("dim", "heads", "window"), [(1024, 16, 5), (160, 5, 5), (64, 4, 3)])
def test_temporal_convolution_has_as_many_parameters_as_attention(
    dim: int, heads: int, window: int
) -> None:
    with torch.device("meta"):
        attention, conv = WindowAttention(dim, heads, window), WindowConv(dim, heads, window)

    counts = [sum(p.numel() for p in m.parameters()) for m in (attention, conv)]

    assert counts[1] == pytest.approx(counts[0], rel=0.02)


def test_attention_without_bias_is_softmax_attention() -> None:
    torch.manual_seed(0)
    mixer = Attention(8, 2, qk_norm=False)
    x = torch.randn(1, 3, 8)

    query, key, value = mixer.project(x, None)
    mixed = (query @ key.transpose(-1, -2) / 2).softmax(-1) @ value

    torch.testing.assert_close(mixer(x), mixer.proj(mixed.transpose(1, 2).flatten(2)))


def test_bf16_trunk_stays_near_fp32() -> None:
    exact = lively(small_compact())
    coarse = cast_trunk(lively(small_compact()), "bf16")
    images = grid_images(exact, 3, 2)

    ours, theirs = run(coarse, images), run(exact, images)

    # bfloat16 has 8 bits: 0.4 % a rounding, some tens of them in a row
    assert (ours.depth / theirs.depth).log().abs().max() < 0.05
    assert (ours.pose_enc[-1] - theirs.pose_enc[-1]).abs().max() < 0.02
    assert ours.depth.dtype == torch.float32
    assert not torch.equal(ours.depth, theirs.depth)


def test_trunk_in_bf16_holds_matrices_in_bf16_and_norms_in_fp32() -> None:
    model = cast_trunk(lively(tiny_motion()), "bf16")

    kinds = {
        (name.rpartition(".")[0].rpartition(".")[2], p.dtype)
        for name, p in model.named_parameters()
        if name.startswith("cross_view_global_fusion.global_blocks")
    }

    assert ("qkv", torch.bfloat16) in kinds
    assert ("norm1", torch.float32) in kinds
    assert ("norm1", torch.bfloat16) not in kinds
    assert ("qkv", torch.float32) not in kinds


@pytest.mark.parametrize(
    ("images", "valid", "message"),
    [
        (torch.zeros(1, 2, 3, 32, 48), None, r"\(B, T, V, 3, H, W\)"),
        (torch.zeros(1, 2, 2, 1, 32, 48), None, r"\(B, T, V, 3, H, W\)"),
        (torch.zeros(1, 2, 2, 3, 32, 50), None, "multiples of 16, got 32 x 50"),
        (torch.zeros(1, 2, 2, 3, 32, 48, dtype=torch.uint8), None, "uint8"),
        (torch.zeros(1, 2, 2, 3, 32, 48), torch.ones(1, 2, 3, dtype=torch.bool), "valid must be"),
        (torch.zeros(1, 2, 2, 3, 32, 48), torch.ones(1, 2, 2), "float32"),
    ],
)
def test_wrong_input_is_named(
    images: torch.Tensor, valid: torch.Tensor | None, message: str
) -> None:
    model = lively(small_compact())

    with pytest.raises(ValueError, match=message):
        model(images, valid)


@pytest.mark.parametrize("steps", [(), (2,), (1, 0), (0, 0), (-1,)])
def test_wrong_dense_steps_are_named(steps: tuple[int, ...]) -> None:
    model = lively(small_compact())

    with pytest.raises(ValueError, match="dense_steps must rise within 0..1"):
        model(grid_images(model, 2, 1), dense_steps=steps)


def test_configuration_round_trips_and_refuses_what_it_does_not_know() -> None:
    config = small_compact()
    values = config.to_dict()

    assert ModelConfig.from_dict(values) == config
    with pytest.raises(ValueError, match="unknown or missing key 'extra'"):
        ModelConfig.from_dict(values | {"extra": 1})
    with pytest.raises(ValueError, match="config.depth must be of type int, got '2'"):
        ModelConfig.from_dict(values | {"depth": "2"})
    with pytest.raises(ValueError, match="temporal_mixer must be one of"):
        ModelConfig.from_dict(values | {"temporal_mixer": "gru"})
