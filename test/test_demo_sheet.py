# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The demo's picture from made-up arrays, also where outputs are empty."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("matplotlib")

from vggt4d_ros.demo.observed import Observed
from vggt4d_ros.demo.sheet import FILE, draw


def observed(scale_source: int = 1) -> Observed:
    return Observed(
        frames_received=52,
        frames_used=48,
        frames_dropped={"superseded": 4},
        windows=9,
        steps=4,
        device="cpu",
        model="compact",
        scale_source=scale_source,
        stage_ms={"total": [100.0, 200.0]},
        image_to_depth_ms=[120.0, 150.0],
        warnings=["something that a user should know " * 20],
        picture_stamp_ns=1_700_000_000_000_000_000,
    )


def arrays(names: tuple[str, ...], height: int, width: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    made: dict[str, np.ndarray] = {
        "cameras": np.array(names),
        "frame": np.array("odom"),
        "cloud": rng.normal(size=(5000, 3)).astype(np.float32),
        "cloud_rgb": np.tile(np.array([[200, 30, 30]], np.uint8), (5000, 1)),
        "base": np.tile(np.eye(4), (9, 1, 1)),
    }
    for index, name in enumerate(names):
        made[f"{name}/input"] = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        made[f"{name}/depth"] = rng.uniform(1, 5, (height, width)).astype(np.float32)
        made[f"{name}/confidence"] = rng.uniform(1, 9, (height, width)).astype(np.float32)
        made[f"{name}/flow"] = np.zeros((height, width, 3), np.uint8)
        made[f"{name}/dynamic"] = np.zeros((height, width), np.uint8)
        pose = np.eye(4)
        pose[:3, 3] = index, 0.0, 1.0
        made[f"{name}/base_from_cam"] = pose
    return made


def picture(folder: Path, made: dict[str, np.ndarray], seen: Observed) -> np.ndarray:
    np.savez(folder / FILE, **made)
    draw(folder, folder / "demo.png", seen)
    image = cv2.imread(str(folder / "demo.png"))
    return image[..., ::-1].astype(int)


def count(image: np.ndarray, red: int, green: int, blue: int) -> int:
    """Pixels of about this colour."""
    return int((np.abs(image - [red, green, blue]).max(axis=-1) < 12).sum())


@pytest.mark.parametrize(
    ("names", "height", "width"),
    [
        (("a",), 48, 64),
        (("a", "b", "c", "d"), 96, 54),
        (tuple("abcdef"), 48, 64),
    ],
)
def test_any_number_of_cameras_of_any_shape_fits(tmp_path, names, height, width):
    image = picture(tmp_path, arrays(names, height, width), observed())

    assert image.shape[1] == 2200
    assert 400 < image.shape[0] < 2600
    assert count(image, 200, 30, 30) > 2000  # the cloud, in its own colour


def test_moving_points_are_shown_in_orange(tmp_path):
    made = arrays(("a", "b"), 48, 64)
    still = count(picture(tmp_path, made, observed()), 255 * 65 // 100 + 60, 120, 60)
    made["a/input"][:] = 100
    made["a/dynamic"][:] = 255

    moving = picture(tmp_path, made, observed())

    # 65 % orange over 35 % of the greyed image (100 * 0.55 + 90 = 145)
    orange = (round(0.35 * 145 + 0.65 * 255), round(0.35 * 145 + 0.65 * 90), round(0.35 * 145))
    assert count(moving, *orange) > still + 5000


def test_outputs_without_a_single_valid_value_leave_empty_panels(tmp_path):
    made = arrays(("a", "b"), 48, 64)
    for name in "ab":
        made[f"{name}/depth"][:] = np.nan
        made[f"{name}/confidence"][:] = np.nan
        del made[f"{name}/base_from_cam"]
    made["cloud"], made["cloud_rgb"] = np.zeros((0, 3), np.float32), np.zeros((0, 3), np.uint8)
    made["base"] = np.zeros((0, 4, 4))

    image = picture(tmp_path, made, observed(scale_source=0))

    assert count(image, 0xD9, 0xDC, 0xE0) > 20000  # the grey of invalid pixels


def test_millimetres_are_shown_in_metres(tmp_path):
    made = arrays(("a", "b"), 48, 64)
    metres = picture(tmp_path, made, observed())
    for name in "ab":
        made[f"{name}/depth"] = np.round(made[f"{name}/depth"] * 1000).astype(np.uint16)

    millimetres = picture(tmp_path, made, observed())

    # but for rounding and the labels of the colour bar the pictures are the same
    assert np.abs(metres - millimetres).mean() < 0.5
