# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Flow chosen between motions found nearby, and the mask that sees the whole frame."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).parent))
from model_cases import grid_images, lively, small_full  # noqa: E402

from vggt4d_ros.model.correlation import cell_grid  # noqa: E402
from vggt4d_ros.model.dynamic_mask import CUES, MORE_CUES  # noqa: E402
from vggt4d_ros.model.flow_choice import FlowChoice, best_matches  # noqa: E402
from vggt4d_ros.model.initialise import initialise  # noqa: E402

WIDTH = 16


def choice() -> FlowChoice:
    """Where only the likeness of the images counts, and all motions are equal."""
    made = FlowChoice(WIDTH)
    initialise(made)
    with torch.no_grad():
        made.bias.zero_()
        made.gain.copy_(torch.tensor([50.0, 0.0, 0.0, 0.0]))
    return made.eval()


def texture(height: int, width: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, WIDTH, height, width, generator=generator)


def test_the_best_match_of_the_whole_image_is_found_at_any_distance() -> None:
    source = 24 * functional.normalize(texture(8, 10), dim=1)
    target = torch.roll(source, shifts=(2, -3), dims=(2, 3))

    flow, logit = best_matches(source, target)

    inner = flow[:, :, :-2, 3:]
    expected = torch.tensor([-3.0, 2.0]).view(1, 2, 1, 1).expand_as(inner)
    torch.testing.assert_close(inner, expected, atol=0.05, rtol=0)
    assert (logit <= 0).all()


def test_cells_beside_a_moving_thing_choose_what_is_behind() -> None:
    # the thing covers the columns from 8 on and moves 4 cells at 1/4; what is behind stands still
    quarter = texture(12, 16)
    moved = quarter.clone()
    moved[..., 12:] = quarter[..., 8:12]
    moved[..., 8:12] = texture(12, 4, 9)  # what was hidden
    flow = torch.zeros(1, 2, 6, 8)
    flow[:, 0, :, 4:] = 2.0  # cells at 1/8
    flow[:, 0, :, 3] = 1.0  # the mixture at the edge: of neither
    blank = torch.zeros(1, WIDTH, 6, 8)
    logits = torch.zeros(1, 1, 6, 8)

    with torch.inference_mode():
        found, surety = choice()((blank, quarter), (blank, moved), flow, logits)

    edge = found[0, 0, :, 6:8]  # the cells at 1/4 of the mixture
    assert edge.abs().max() < 0.1
    torch.testing.assert_close(found[0, 0, :, 8:12], torch.full((12, 4), 4.0), atol=0.1, rtol=0)
    assert surety.shape == (1, 1, 12, 16)


def test_a_missed_motion_is_taken_from_the_best_match() -> None:
    quarter, eighth = texture(16, 20), 6 * texture(8, 10, 1)
    target = torch.roll(eighth, shifts=3, dims=3)
    fine = torch.roll(quarter, shifts=6, dims=3)

    with torch.inference_mode():
        found, _ = choice()(
            (eighth, quarter), (target, fine), torch.zeros(1, 2, 8, 10), torch.zeros(1, 1, 8, 10)
        )

    inner = found[0, 0, :, 2:12]
    torch.testing.assert_close(inner, torch.full_like(inner, 6.0), atol=0.3, rtol=0)


def test_best_matches_at_edges_of_things_and_images_are_their_own() -> None:
    # cells that are quite themselves: the columns from 6 on move 3 to the right, out of the image
    source = 24 * torch.eye(60).view(1, 60, 6, 10)
    target = source.clone()
    target[..., 9:] = source[..., 6:7]
    target[..., 6:9] = 0.0

    flow, _ = best_matches(source, target)

    still = flow[0, :, :, :6]
    torch.testing.assert_close(still, torch.zeros_like(still), atol=1e-3, rtol=0)
    moved = flow[0, :, :, 6]
    expected = torch.tensor([3.0, 0.0])[:, None].expand_as(moved)
    torch.testing.assert_close(moved, expected, atol=1e-3, rtol=0)


def test_like_cells_hand_on_their_motion() -> None:
    made = choice()
    with torch.no_grad():
        for part in (made.fine, made.coarse):
            part.weight.copy_(torch.eye(WIDTH)[:, :, None, None])
    # two plain things side by side: only which is which tells the motion of their edge
    eighth, quarter = torch.zeros(1, WIDTH, 6, 8), torch.zeros(1, WIDTH, 12, 16)
    eighth[:, 0, :, :4], eighth[:, 1, :, 4:] = 1.0, 1.0
    quarter[:, 0, :, :8], quarter[:, 1, :, 8:] = 1.0, 1.0
    flow = torch.zeros(1, 2, 6, 8)
    flow[:, 1, :, 4:] = 3.0

    def edges(gain: float) -> tuple[Tensor, Tensor]:
        with torch.inference_mode():
            made.gain.copy_(torch.tensor([0.0, 0.0, gain, 0.0]))
            blank = torch.zeros(1, 1, 6, 8)
            found, _ = made((eighth, quarter), (eighth, quarter), flow, blank)
        return found[0, 1, 4:8, 6:8].abs().max(), found[0, 1, 4:8, 8:10].min()

    behind, thing = edges(50.0)
    assert behind < 0.01  # nothing of the motion beside it
    assert thing > 1.2 * edges(0.0)[1]  # and most of its own
    assert edges(0.0)[0] > 0.5


def test_turned_round_images_give_flow_turned_round() -> None:
    made = choice()
    quarter, eighth = texture(12, 16), texture(6, 8, 1)
    target = texture(12, 16, 2), texture(6, 8, 3)
    flow = 0.3 * cell_grid(6, 8, torch.device("cpu"))[None]
    logits = texture(6, 8, 4)[:, :1]
    sign = torch.tensor([-1.0, 1.0]).view(1, 2, 1, 1)

    with torch.inference_mode():
        found, _ = made((eighth, quarter), target[::-1], flow, logits)
        mirrored, _ = made(
            (eighth.flip(3), quarter.flip(3)),
            (target[1].flip(3), target[0].flip(3)),
            sign * flow.flip(3),
            logits.flip(3),
        )

    torch.testing.assert_close(sign * mirrored.flip(3), found, atol=1e-3, rtol=1e-3)


def test_mask_of_a_frame_without_neighbours_is_finite_and_follows_the_finest_map() -> None:
    model = lively(small_full())
    images = grid_images(model, 1, 1)
    with torch.inference_mode():
        alone = model(images).motion.dynamic
        head, shape = model.motion_head.dynamic, (2, 3)
        tokens = torch.randn(1, 6, 64)
        quarter = torch.randn(1, 8, 8, 12)
        cues = [torch.zeros(1, CUES + MORE_CUES, 8, 12)] * 2
        half = torch.randn(1, 8, 16, 24)
        one = head(tokens, quarter, cues, torch.ones(1, 8, 12), half)
        half[..., 3] += 1.0
        other = head(tokens, quarter, cues, torch.ones(1, 8, 12), half)

    assert alone.shape == images.shape[:3] + images.shape[-2:]
    assert alone.isfinite().all()
    assert one.shape == (1, 16 * shape[0], 16 * shape[1])
    changed = (one - other).abs().amax((0, 1))
    assert changed[6:8].min() > 1e-5  # the pixels of that column
