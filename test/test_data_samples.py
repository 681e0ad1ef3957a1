# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The real recordings read as windows whose ground truth agrees with itself."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from vggt4d_ros.data.readers.recording import DatasetError, make_window
from vggt4d_ros.data.readers.samples import FOLDERS, OPENERS, open_samples
from vggt4d_ros.data.windows import project_points, transform_points

ROOT = Path(__file__).parent.parent
SAMPLES = Path(os.environ.get("VGGT4D_SAMPLES", ROOT.parent / "shared" / "data"))


@pytest.mark.parametrize("name", sorted(OPENERS))
def test_real_recording_reads_as_a_window(name: str) -> None:
    folder = SAMPLES / FOLDERS.get(name, name)
    if not folder.is_dir():
        pytest.skip(f"no real recording {name} in {SAMPLES} (set VGGT4D_SAMPLES)")
    recording = OPENERS[name](folder)

    steps = range(min(2, recording.steps))
    window = make_window(recording, steps, range(len(recording.cameras)), (112, 160))

    assert window.valid.all()
    assert 0.1 < window.images.mean() < 0.9
    assert window.depth_valid.any() or window.pose_valid.all() or window.flow_forward_valid.any()
    rotation = window.cam_from_world[..., :3, :3]
    torch.testing.assert_close(
        torch.linalg.det(rotation), torch.ones(rotation.shape[:-2]), atol=1e-3, rtol=0
    )
    assert (window.intrinsics[..., 1, 1] > 0).all()


@pytest.mark.parametrize("name", ["icl_nuim_rgbd", "slambook_room_rgbd"])
def test_real_depth_reprojects_into_the_next_frame(name: str) -> None:
    if not (SAMPLES / name).is_dir():
        pytest.skip(f"no real recording {name} in {SAMPLES} (set VGGT4D_SAMPLES)")
    window = make_window(OPENERS[name](SAMPLES / name), range(5), [0], (240, 320))

    errors = []
    for step in range(4):
        points = transform_points(
            window.cam_from_world[0, step + 1, 0], window.points()[0, step, 0]
        )
        pixels = project_points(points, window.intrinsics[0, step + 1, 0]).round()
        inside = (
            window.depth_valid[0, step, 0]
            & (points[..., 2] > 0)
            & (pixels >= 0).all(-1)
            & (pixels < torch.tensor([320, 240])).all(-1)
        )
        u, v = pixels[inside].long().unbind(-1)
        there, known = (x[0, step + 1, 0][v, u] for x in (window.depth, window.depth_valid))
        errors.append(((there - points[..., 2][inside]).abs() / there)[known])

    assert float(torch.cat(errors).median()) < 0.03


def test_absent_recordings_are_left_out_and_odd_ones_named(tmp_path: Path) -> None:
    assert open_samples(tmp_path) == {}
    (tmp_path / "icl_nuim_rgbd").mkdir()
    with pytest.raises(DatasetError, match=r"expected calib.json"):
        open_samples(tmp_path)


def test_each_pair_with_flow_is_a_recording() -> None:
    folder = SAMPLES / "flyingchairs_pairs"
    if not folder.is_dir():
        pytest.skip(f"no {folder} (set VGGT4D_SAMPLES)")
    there = sorted(path.name.removesuffix("_flow.npz") for path in folder.glob("*_flow.npz"))

    found = {name: r for name, r in open_samples(SAMPLES).items() if "chairs" in name}

    assert [recording.name for recording in found.values()] == list(found)
    assert list(found) == [f"flyingchairs_pairs_{number}" for number in there]
    for number, recording in zip(there, found.values(), strict=True):
        first = recording.read(0, 0)
        assert first is not None
        assert first.flow_forward is not None
        truth = np.load(folder / f"{number}_flow.npz")["flow"]
        np.testing.assert_array_equal(first.flow_forward, truth)


def test_middlebury_offset_is_in_the_right_camera() -> None:
    name = "middlebury_motorcycle"
    if not (SAMPLES / name).is_dir():
        pytest.skip(f"no real recording {name} in {SAMPLES} (set VGGT4D_SAMPLES)")
    recording = OPENERS[name](SAMPLES / name)
    left, right = recording.read(0, 0), recording.read(0, 1)
    assert left is not None
    assert right is not None
    assert left.depth is not None
    disparity = np.load(SAMPLES / name / "disparity.npz")["disp"]
    v, u = np.argwhere(np.isfinite(disparity))[5000]

    point = np.linalg.inv(left.intrinsics) @ [u, v, 1] * left.depth[v, u]
    pixel = right.intrinsics @ (right.cam_from_world @ [*point, 1])[:3]

    assert pixel[0] / pixel[2] == pytest.approx(u - disparity[v, u], abs=0.01)
