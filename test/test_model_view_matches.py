# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Fields of view that are known, and what two cameras both see, through the predictor."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

torch = pytest.importorskip("torch")

from model_cases import lively, small_compact  # noqa: E402

from vggt4d_ros.datatypes import CameraModel, Frame, FrameSet, LazyImage, Window  # noqa: E402
from vggt4d_ros.model.config import tiny  # noqa: E402
from vggt4d_ros.model.predictor import Predictor  # noqa: E402
from vggt4d_ros.model.window_grid import WindowGrid  # noqa: E402

SIZES = [(96, 128), (120, 120)]  # the second is padded at its sides
PAIRS = [(0, 1), (1, 0)]


@pytest.fixture(scope="module")
def network() -> Predictor:
    return Predictor(
        lively(small_compact(pairs=True, mutual=True, fine_matches=True)), device="cpu"
    )


def images(model: CameraModel | None = None, seed: int = 0) -> Window:
    """Two steps of two cameras; the first one has this calibration."""
    rng = np.random.default_rng(seed)

    def frame(step: int, view: int) -> Frame:
        small = rng.integers(0, 256, (SIZES[view][0] // 8, SIZES[view][1] // 8, 3))
        rgb = np.kron(small, np.ones((8, 8, 1))).astype(np.uint8)
        given = model if view == 0 else None
        return Frame(view, step, LazyImage.from_array(rgb), model=given)

    return Window(tuple(FrameSet((frame(step, 0), frame(step, 1))) for step in range(2)))


def poses_enc(network: Predictor, window: Window) -> np.ndarray:
    """Raw pose encodings (T, V, 9) of the very last estimate."""
    seen = []
    hook = network.model.pair_head.register_forward_hook(
        lambda module, args, output: seen.append(output.pose)
    )
    network.predict(window)
    hook.remove()
    return seen[0][0].unflatten(0, (2, 2)).numpy()


def test_a_known_field_of_view_takes_the_place_of_the_networks_own(network: Predictor) -> None:
    # 128 wide at 64 px focal length: 90 degrees; upright as much, padding included
    model = CameraModel(128, 96, 64.0, 64.0, 63.5, 47.5)

    found = poses_enc(network, images(model))

    assert_allclose(found[:, 0, 7:], np.pi / 2, rtol=1e-6)
    assert_allclose(found[:, 1, 7:], poses_enc(network, images())[:, 1, 7:], rtol=1e-5)


def test_poses_follow_the_known_field_of_view_and_the_prediction_keeps_its_own(
    network: Predictor,
) -> None:
    narrow = CameraModel(128, 96, 300.0, 300.0, 63.5, 47.5)

    without, given = network.predict(images()), network.predict(images(narrow))

    assert not np.allclose(given.cam_from_world[1, 0], without.cam_from_world[1, 0], atol=1e-4)
    # so that a wrong CameraInfo still shows beside what the network sees
    assert_allclose(given.intrinsics, without.intrinsics, rtol=1e-5)


def test_the_network_can_be_told_to_look_for_itself() -> None:
    network = Predictor(
        lively(small_compact(pairs=True, mutual=True)), device="cpu", use_camera_info=False
    )
    narrow = CameraModel(128, 96, 300.0, 300.0, 63.5, 47.5)

    without, given = network.predict(images()), network.predict(images(narrow))

    np.testing.assert_array_equal(given.cam_from_world, without.cam_from_world)


def test_the_field_of_view_is_that_of_the_padded_image_and_of_pinholes_alone() -> None:
    square = CameraModel(240, 240, 100.0, 120.0, 119.5, 119.5)  # of the image at twice the size
    window = images()
    for frame_set in window.sets:
        assert frame_set.frames[1] is not None
    sets = tuple(FrameSet((s.frames[0], replace(s.frames[1], model=square))) for s in window.sets)

    grid = WindowGrid(Window(sets), 128, 16)
    found = grid.known_views(torch.device("cpu"))

    # 120 px are 128 in the network: no padding above, none beside (the first is 128 wide)
    assert grid.size == (128, 128)
    assert found is not None
    assert found[0, :, 0].isnan().all()
    expected = [2 * np.arctan(120 / 120.0), 2 * np.arctan(120 / 100.0)]
    assert_allclose(found[0, :, 1].numpy(), [expected] * 2, rtol=1e-6)

    fish = replace(square, distortion_model="equidistant", distortion=(0.1, 0.0, 0.0, 0.0))
    sets = tuple(FrameSet((s.frames[0], replace(s.frames[1], model=fish))) for s in sets)
    assert WindowGrid(Window(sets), 128, 16).known_views(torch.device("cpu")) is None


def test_matches_are_in_the_cameras_own_pixels(
    network: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shifted(self, pairs, first, second):  # noqa: ANN001, ANN202
        """Every cell is found one cell to the right; the last column nowhere."""
        rows, columns = pairs.log_depth.shape[-2:]
        at = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1).reshape(-1, 2)
        sure = torch.from_numpy((at[:, 0] < columns - 1).astype(np.float32))
        found = torch.from_numpy(at + [1.0, 0.0]).float()
        return found.expand(len(first), -1, -1), sure.expand(len(first), -1)

    monkeypatch.setattr(type(network.model.pair_head), "find", shifted)

    matches = network.predict(images(), view_pairs=PAIRS).matches

    assert matches is not None
    assert [match.views for match in matches] == PAIRS
    assert {match.step for match in matches} == {1}
    first, second = matches
    size = network.image_size  # the network's image is square, as its padded second image
    # a cell is 8 px of the network's image
    cell = 8 * 128 / size
    assert_allclose(
        first.first[0], [cell / 2 - 0.5, (4 - (size - size * 0.75) / 2) / size * 128 - 0.5]
    )
    wide = 8 * 120 / size
    assert_allclose(first.second[0], [1.5 * wide - 0.5, wide / 2 - 0.5])
    assert_allclose(second.second[0] - [cell, 0], first.first[0])
    assert len(first.weight) == (size // 8) * (size // 8 - 1)


def test_matches_are_given_where_asked_for_and_both_cameras_are_there(network: Predictor) -> None:
    window = images()
    alone = Window((window.sets[0], FrameSet((window.sets[1].frames[0], None))))

    assert network.predict(window).matches is None
    assert network.predict(alone, view_pairs=PAIRS).matches == ()
    plain = Predictor(lively(tiny()), device="cpu")
    assert plain.predict(window, view_pairs=PAIRS).matches is None


def test_a_picture_is_found_in_itself() -> None:
    model = lively(small_compact(pairs=True, mutual=True, fine_matches=True))
    with torch.no_grad():  # untrained corrections are of random places
        for value in model.pair_head.finer.out.parameters():
            value.zero_()
    network = Predictor(model, device="cpu")
    one = images().sets[1].frames[0]
    assert one is not None
    twice = Window((FrameSet((one, replace(one, camera=1))),))

    match = network.predict(twice, view_pairs=PAIRS).matches[0]

    assert len(match.weight) > 0
    assert np.median(np.linalg.norm(match.first - match.second, axis=1)) < match.noise_px * 3
