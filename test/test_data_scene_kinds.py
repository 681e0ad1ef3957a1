# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Kinds of scenes for training beside the usual ones: flying things, furnished rooms, lamps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from vggt4d_ros.data.furniture import box, least_gap, pillar
from vggt4d_ros.data.lamps import lamp_light
from vggt4d_ros.data.looks import fade
from vggt4d_ros.data.primitives import Scene
from vggt4d_ros.data.rigs import sample_photometry
from vggt4d_ros.data.scenes import FLYING, FURNISHED, SceneConfig
from vggt4d_ros.data.synthetic import SyntheticWindows, render
from vggt4d_ros.data.things import Part, sample_chair

HEIGHT, WIDTH = 64, 96
STILL_CAMERAS = replace(FLYING, standing_share=2.0, static_things=(0, 0), moving_things=(0, 0))


def scenes_of(config: SceneConfig, count: int, views: int = 1) -> list[Scene]:
    source = SyntheticWindows(replace(config, drop_share=0.0), seed=6)
    return [source.scene(index, 2, views) for index in range(count)]


def eyes_of(scene: Scene) -> np.ndarray:
    world_from_cam = np.linalg.inv(scene.cam_from_world)
    return world_from_cam[..., :3, 3].reshape(-1, 3)


# what the held-out windows were before these kinds of scenes came
@pytest.mark.parametrize(
    ("index", "steps", "views", "expected"),
    [
        (0, 2, 2, (34, 1807.3618298657705, 516.9677601790131, 12.557117504782466)),
        (39, 2, 2, (21, 702.3905554853479, 385.3408046482531, 13.528159371774194)),
        (12, 4, 1, (23, 3165.371883870071, 381.6788982149652, 14.84408259622888)),
    ],
)
def test_held_out_windows_stay_as_they_were(
    index: int, steps: int, views: int, expected: tuple[int, float, float, float]
) -> None:
    scene = SyntheticWindows(seed=1_000_003).scene(index, steps, views)

    parts = scene.primitives
    found = (
        len(parts),
        sum(np.abs(part.world_from_part).sum() for part in parts),
        sum(part.surface.colors.sum() for part in parts),
        scene.photometry.gain.sum(),
    )
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert len(scene.lamps) == 0


def test_fliers_move_up_and_down_as_much_as_sideways_before_a_still_background() -> None:
    batch = render(scenes_of(STILL_CAMERAS, 24), HEIGHT, WIDTH)

    flow = batch.flow_forward[:, 0][batch.flow_forward_valid[:, 0]]
    moves = batch.dynamic[:, 0][batch.flow_forward_valid[:, 0]]
    across, down = flow[moves].abs().clamp(max=20.0).mean(0)

    assert 0.05 < moves.float().mean() < 0.6
    assert flow[~moves].abs().max() < 0.01
    assert 0.5 < down / across < 2.0
    assert flow[moves].norm(dim=-1).quantile(0.9) > 8.0


def test_fliers_of_one_window_have_speeds_of_their_own() -> None:
    batch = render(scenes_of(STILL_CAMERAS, 12), HEIGHT, WIDTH)
    several = 0
    for row in range(12):
        own, flow = batch.instance[row, 0, 0], batch.flow_forward[row, 0, 0]
        means = [flow[own == n].mean(0) for n in own.unique() if n > 0 and (own == n).sum() > 20]
        if len(means) > 1:
            several += int((torch.stack(means) - means[0]).norm(dim=-1).max() > 2.0)

    assert several >= 6


def test_flier_turns_so_that_its_points_move_unlike_each_other() -> None:
    turned = []
    for scene in scenes_of(STILL_CAMERAS, 12):
        for part in scene.primitives[:-1]:
            start, end = part.world_from_part[:, :3, :3]
            turned.append(np.arccos(np.clip((np.trace(end @ start.T) - 1) / 2, -1, 1)))

    assert 0.05 < np.median(turned) < 0.6


def test_chair_has_four_thin_legs_under_its_seat() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        parts = sample_chair(rng, 0.5)
        seat, legs = parts[0], [part for part in parts[1:] if part.bottom > 0.499]

        assert len(legs) == 4
        assert all(part.half[0] < 0.05 and part.half[1] > 0.15 for part in legs)
        assert all(abs(part.joint[0]) < seat.half[0] for part in legs)
        assert max(part.bottom for part in parts) == pytest.approx(0.5)


def test_furniture_is_nowhere_near_a_camera() -> None:
    still = replace(FURNISHED, kinds=("room",), kind_weights=(1.0,), static_things=(0, 0))
    pieces = 0
    for scene in scenes_of(replace(still, moving_things=(0, 0)), 20, views=2):
        for piece in scene.primitives[:-1]:
            part = Part(piece.kind, piece.half, np.zeros(3), np.zeros(3), np.eye(3))
            assert least_gap([part], piece.world_from_part[0], eyes_of(scene)) > 0.3
            pieces += 1

    assert pieces > 400


def test_box_and_pillar_stand_where_their_limits_say() -> None:
    chest = box((-1, 2), (0.5, 1.5), (0, 0.4))
    pole = pillar(0.3, (0, 2), 0.1, 0.05)

    np.testing.assert_allclose(chest.joint, [0.5, -1.0, 0.2])
    np.testing.assert_allclose(chest.half, [1.5, 0.5, 0.2])
    np.testing.assert_allclose(pole.joint, [0.3, -1.0, 0.1])
    np.testing.assert_allclose(pole.half, [0.05, 1.0, 0.05])


def test_gap_is_measured_from_the_box_of_the_nearest_part() -> None:
    turned = np.array([[0.0, 0, 1, 5], [0, 1, 0, 0], [-1, 0, 0, 0], [0, 0, 0, 1]])
    parts = [box((-1, 1), (0, 1), (0, 2)), box((-1, 1), (0, 1), (8, 9))]

    # the piece's z is the world's x: it fills x from 5 to 7
    outside = least_gap(parts, turned, np.array([[4.0, -0.5, 0.0], [-3.0, -0.5, 0.0]]))
    inside = least_gap(parts, turned, np.array([[6.0, -0.5, 0.0]]))

    assert outside == pytest.approx(1.0)
    assert inside == 0.0


def test_lamp_gives_half_its_light_at_its_reach_and_a_fifth_of_it_to_what_looks_away() -> None:
    lamp = torch.tensor([[[0.0, 3.0, 4.0, 5.0, 2.0]]])  # 5 m from the origin, reach 5, strength 2
    toward, length = torch.tensor([[0.0, 6.0, 8.0]]), torch.tensor([10.0])

    def light(point: Tensor, normal: Tensor) -> float:
        return float(lamp_light(lamp, point, normal, length))

    origin = torch.zeros(1, 3)
    assert light(origin, toward) == pytest.approx(1.0)
    assert light(origin, -toward) == pytest.approx(0.2)
    assert light(lamp[0, :, :3] + toward / 1e4, -toward) == pytest.approx(2.0, rel=1e-3)


def test_lamp_lights_the_room_around_it_and_several_add_up() -> None:
    config = replace(FURNISHED, kinds=("room",), kind_weights=(1.0,), moving_things=(0, 0))
    config = replace(config, static_things=(0, 0), furniture=(0, 0), lamps=(0, 0))
    room = scenes_of(config, 1)[0]
    middle = room.primitives[-1].world_from_part[0, :3, 3]
    lamp = np.array([[*middle, 1.5, 1.0]])

    def images(lamps: np.ndarray) -> Tensor:
        return render([replace(room, lamps=lamps)], HEIGHT, WIDTH).images

    dark = images(lamp[:0])
    gain = images(lamp) - dark

    assert (gain > 0).all()  # from the middle of a room it shines on every wall
    torch.testing.assert_close(images(np.tile(lamp, (2, 1))) - dark, 2 * gain, rtol=1e-3, atol=1e-4)
    # beside a scene with a lamp in the same batch, one without looks as alone
    both = render([room, replace(room, lamps=lamp)], HEIGHT, WIDTH).images
    torch.testing.assert_close(both[:1], dark)


def test_faded_surface_keeps_its_first_colours_and_nears_the_second() -> None:
    surface = scenes_of(SceneConfig(), 1)[0].primitives[-1].surface

    plain, half = fade(surface, 0.0), fade(surface, 0.5)

    np.testing.assert_allclose(plain.colors[:, 1], surface.colors[:, 0])
    np.testing.assert_allclose(half.colors[:, 0], surface.colors[:, 0])
    np.testing.assert_allclose(half.colors[:, 1], surface.colors.mean(1))


def test_harsh_cameras_cast_colours_that_usual_ones_do_not() -> None:
    def casts(harsh: float) -> float:
        rng = np.random.default_rng(1)
        gains = [sample_photometry(rng, 2, 1, harsh).gain.mean((0, 1)) for _ in range(100)]
        return float(np.median([gain.max() / gain.min() for gain in gains]))

    assert casts(0.0) < 1.3
    assert casts(1.0) > 1.4


def test_border_is_drawn_over_the_margins_alone() -> None:
    scene = scenes_of(SceneConfig(), 1)[0]
    plain = render([scene], 40, 80, noise_seeds=[3]).images
    border = np.array([[0.1, 0.0, 0.05, 0.2, 1.0, 0.0, 0.5]])  # left right top bottom, colour
    framed = replace(scene, photometry=replace(scene.photometry, border=border))

    images = render([framed], 40, 80, noise_seeds=[3]).images

    inside = (..., slice(2, 32), slice(8, 80))
    assert torch.equal(images[inside], plain[inside])
    margins = torch.ones(40, 80, dtype=torch.bool)
    margins[2:32, 8:] = False
    expected = torch.tensor([1.0, 0.0, 0.5])[:, None]
    assert (images[..., margins] == expected).all()


def test_bordered_windows_are_as_many_as_asked_for() -> None:
    def bordered(share: float) -> int:
        scenes = scenes_of(SceneConfig(bordered=share), 60)
        return sum(bool(scene.photometry.border[:, :4].any()) for scene in scenes)

    assert bordered(0.0) == 0
    assert 18 <= bordered(0.5) <= 42
