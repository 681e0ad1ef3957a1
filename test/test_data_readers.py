# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Readers on tiny files in the published formats, and on real recordings where they are at hand."""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from vggt4d_ros.data.readers.kitti import open_kitti_flow, open_kitti_odometry
from vggt4d_ros.data.readers.nuscenes import CAMERAS, open_nuscenes
from vggt4d_ros.data.readers.pointodyssey import open_pointodyssey
from vggt4d_ros.data.readers.recording import (
    DatasetError,
    RawFrame,
    Recording,
    make_window,
    rasterise,
    scale_intrinsics,
)
from vggt4d_ros.data.readers.sintel import open_sintel, read_cam, read_dpt, read_flo
from vggt4d_ros.data.readers.tartanair import open_tartanair
from vggt4d_ros.data.readers.tum import open_tum
from vggt4d_ros.data.windows import project_points, transform_points

ROOT = Path(__file__).parent.parent
SAMPLES = Path(os.environ.get("VGGT4D_SAMPLES", ROOT.parent / "shared" / "data"))


def sample(name: str) -> Path:
    if not (SAMPLES / name).is_dir():
        pytest.skip(f"no real recording {name} in {SAMPLES} (set VGGT4D_SAMPLES)")
    return SAMPLES / name


def write_rgb(path: Path, width: int = 32, height: int = 24, blue: int = 7) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = blue  # BGR
    image[..., 2] = 200
    assert cv2.imwrite(str(path), image)


def write_raw(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), values.astype(np.uint16))


# --- windows ---------------------------------------------------------------------------------


def recording_of(frames: list[list[RawFrame | None]]) -> Recording:
    views = tuple(f"cam{i}" for i in range(len(frames[0])))
    return Recording("made up", views, len(frames), lambda t, v: frames[t][v], "none")


def test_resized_window_keeps_the_geometry() -> None:
    k = np.array([[40.0, 0, 31.5], [0, 50.0, 23.5], [0, 0, 1]])
    v, u = np.mgrid[:48, :64].astype(np.float32)
    depth = 2 + 0.01 * u
    flow = np.stack([0.25 * u, -0.5 * np.ones_like(v)], -1)
    rgb = np.zeros((48, 64, 3), np.uint8)
    frame = RawFrame(rgb, k, np.eye(4), depth, flow_forward=flow)

    window = make_window(recording_of([[frame], [frame]]), [0, 1], [0], (24, 32))

    torch.testing.assert_close(
        window.intrinsics[0, 0, 0],
        torch.tensor([[20.0, 0, 15.5], [0, 25.0, 11.5], [0, 0, 1]]),
    )
    # new pixel (4, 3) covers old columns 8, 9 and rows 6, 7; the reader takes column 9
    assert float(window.depth[0, 0, 0, 3, 4]) == pytest.approx(2.09)
    torch.testing.assert_close(
        window.flow_forward[0, 0, 0, 3, 4], torch.tensor([0.25 * 9 / 2, -0.25])
    )
    assert window.flow_forward_valid[0, 0].all()
    assert not window.flow_forward_valid[0, 1].any()
    assert not window.dynamic_valid.any()


def test_flow_is_dropped_where_steps_are_left_out_or_missing() -> None:
    rgb, flow = np.zeros((16, 16, 3), np.uint8), np.zeros((16, 16, 2), np.float32)
    frame = RawFrame(rgb, flow_forward=flow)
    frames: list[list[RawFrame | None]] = [[frame, frame], [frame, None], [frame, frame]]

    window = make_window(recording_of(frames), [0, 1, 2], [0, 1], (16, 16))
    gap = make_window(recording_of(frames), [0, 2], [0, 1], (16, 16))

    known = window.flow_forward_valid[0].flatten(2).all(-1)
    assert known.tolist() == [[True, False], [True, False], [False, False]]
    assert window.valid[0].tolist() == [[True, True], [True, False], [True, True]]
    assert not gap.flow_forward_valid.any()


def test_frame_without_camera_has_no_pose_but_an_image() -> None:
    frame = RawFrame(np.full((16, 16, 3), 51, np.uint8), cam_from_world=np.eye(4))

    window = make_window(recording_of([[frame]]), [0], [0], (16, 16))

    assert not window.pose_valid.any()
    torch.testing.assert_close(window.images, torch.full_like(window.images, 0.2))


def test_sparse_depth_survives_shrinking_and_the_nearest_wins() -> None:
    k = np.array([[16.0, 0, 15.5], [0, 16.0, 15.5], [0, 0, 1]])
    points = np.array([[0.5 / 16 * 4, 0.5 / 16 * 4, 4.0], [1.5 / 16 * 2, 0.5 / 16 * 2, 2.0]])

    depth = rasterise(points, k, 32, 32)
    frame = RawFrame(np.zeros((32, 32, 3), np.uint8), k, np.eye(4), depth, sparse=True)
    window = make_window(recording_of([[frame]]), [0], [0], (8, 8))

    assert depth[16, 16] == 4.0
    assert depth[16, 17] == 2.0
    assert int(window.depth_valid.sum()) == 1
    assert float(window.depth[window.depth_valid]) == 2.0


def test_intrinsics_scale_about_the_image_corner() -> None:
    k = np.array([[100.0, 0, 49.5], [0, 100.0, 24.5], [0, 0, 1]])  # the middle of 100 x 50

    half = scale_intrinsics(k, np.array([0.5, 0.5]))

    np.testing.assert_allclose(half[:2, 2], [24.5, 12.0])  # the middle of 50 x 25


# --- formats -----------------------------------------------------------------------------------


def test_tum_pairs_image_depth_and_pose_by_stamp(tmp_path: Path) -> None:
    folder = tmp_path / "rgbd_dataset_freiburg3_walking"
    for name in ("a", "b", "c"):
        write_rgb(folder / f"rgb/{name}.png")
    write_raw(folder / "depth/d.png", np.full((24, 32), 10000))
    head = "# comment\n"
    (folder / "rgb.txt").write_text(head + "1.00 rgb/a.png\n1.10 rgb/b.png\n1.20 rgb/c.png\n")
    (folder / "depth.txt").write_text(head + "1.015 depth/d.png\n1.11 depth/d.png\n")
    (folder / "groundtruth.txt").write_text(
        head + "1.005 1 2 3 0 0 0 1\n1.10 1 2 3 0 0.70710678 0 0.70710678\n"
    )

    recording = open_tum(folder)
    first, second = recording.read(0, 0), recording.read(1, 0)

    assert recording.steps == 2
    assert first is not None
    assert second is not None
    assert first.depth is not None
    assert float(first.depth[0, 0]) == 2.0
    assert first.rgb[0, 0].tolist() == [200, 0, 7]
    assert first.intrinsics is not None
    assert first.intrinsics[0, 0] == 535.4
    assert first.cam_from_world is not None
    np.testing.assert_allclose(first.cam_from_world[:3, 3], [-1, -2, -3])
    # turned by 90 degrees about y: what lies along world +x of the camera is ahead of it
    assert second.cam_from_world is not None
    ahead = second.cam_from_world @ [2, 2, 3, 1]
    np.testing.assert_allclose(ahead, [0, 0, 1, 1], atol=1e-6)


def kitti_tree(root: Path) -> Path:
    for camera in ("image_2", "image_3"):
        for step in range(2):
            write_rgb(root / f"sequences/00/{camera}/{step:06d}.png")
    (root / "sequences/00/calib.txt").write_text(
        "P2: 700 0 16 14 0 700 12 0 0 0 1 0\n"
        "P3: 700 0 16 -364 0 700 12 0 0 0 1 0\n"
        "Tr: 1 0 0 0 0 1 0 0 0 0 1 0\n"
    )
    (root / "poses").mkdir()
    (root / "poses/00.txt").write_text("1 0 0 0 0 1 0 0 0 0 1 0\n1 0 0 0 0 1 0 0 0 0 1 5\n")
    return root


def test_kitti_odometry_poses_and_baseline(tmp_path: Path) -> None:
    recording = open_kitti_odometry(kitti_tree(tmp_path), "00")

    left, right = recording.read(1, 0), recording.read(1, 1)

    assert (recording.steps, recording.cameras) == (2, ("image_2", "image_3"))
    assert left is not None
    assert right is not None
    assert left.cam_from_world is not None
    assert right.cam_from_world is not None
    np.testing.assert_allclose(left.cam_from_world[:3, 3], [0.02, 0, -5])
    np.testing.assert_allclose(right.cam_from_world[:3, 3], [-0.52, 0, -5])


def test_kitti_flow_units_signs_and_masks(tmp_path: Path) -> None:
    write_rgb(tmp_path / "image_2/000007_10.png")
    write_rgb(tmp_path / "image_2/000007_11.png")
    write_rgb(tmp_path / "image_3/000007_10.png")
    disparity = np.full((24, 32), 256 * 20)
    disparity[0] = 0
    write_raw(tmp_path / "disp_occ_0/000007_10.png", disparity)
    flow = np.zeros((24, 32, 3), np.uint16)
    flow[..., 2], flow[..., 1], flow[..., 0] = 2**15 + 64 * 3, 2**15 - 64 * 2, 1  # u, v, valid
    flow[1, :, 0] = 0
    write_raw(tmp_path / "flow_occ/000007_10.png", flow)
    flow[2, :, 0] = 0
    write_raw(tmp_path / "flow_noc/000007_10.png", flow)
    objects = np.zeros((24, 32), np.uint8)
    objects[5, 5] = 2
    (tmp_path / "obj_map").mkdir()
    cv2.imwrite(str(tmp_path / "obj_map/000007_10.png"), objects)
    (tmp_path / "calib_cam_to_cam").mkdir()
    (tmp_path / "calib_cam_to_cam/000007.txt").write_text(
        "calib_time: 09-Jan-2012\nP_rect_02: 700 0 16 35 0 700 12 0 0 0 1 0\n"
        "P_rect_03: 700 0 16 -343 0 700 12 0 0 0 1 0\n"
    )

    recording = open_kitti_flow(tmp_path, 7)
    first, after = recording.read(0, 0), recording.read(1, 0)

    assert first is not None
    assert after is not None
    assert first.depth is not None
    assert float(first.depth[3, 3]) == pytest.approx(700 * 0.54 / 20)
    assert np.isnan(first.depth[0]).all()
    assert first.flow_forward is not None
    assert first.flow_forward[0, 0].tolist() == [3.0, -2.0]
    assert np.isnan(first.flow_forward[1]).all()
    assert first.occluded_forward is not None
    assert first.occluded_forward[2].all()
    assert not first.occluded_forward[:2].any()
    assert first.dynamic is not None
    assert first.dynamic.sum() == 1
    assert after.cam_from_world is None
    assert recording.read(1, 1) is None


def test_tartanair_turns_its_body_frame_into_an_optical_one(tmp_path: Path) -> None:
    folder = tmp_path / "abandonedfactory" / "P000"
    for step in range(2):
        write_rgb(folder / f"image_left/{step:06d}_left.png")
        depth = np.full((24, 32), 3.0, np.float32)
        depth[0] = 10000.0
        (folder / "depth_left").mkdir(exist_ok=True)
        np.save(folder / f"depth_left/{step:06d}_left_depth.npy", depth)
    (folder / "flow").mkdir()
    np.save(folder / "flow/000000_000001_flow.npy", np.ones((24, 32, 2), np.float32))
    mask = np.zeros((24, 32), np.uint8)
    mask[1], mask[2] = 1, 100
    np.save(folder / "flow/000000_000001_mask.npy", mask)
    (folder / "pose_left.txt").write_text("0 0 0 0 0 0 1\n4 0 0 0 0 0 1\n")

    recording = open_tartanair(folder)
    first, second = recording.read(0, 0), recording.read(1, 0)

    assert first is not None
    assert second is not None
    assert second.cam_from_world is not None
    # five metres ahead (x), one right (y), two down (z) of a camera that went four metres ahead
    np.testing.assert_allclose(second.cam_from_world @ [5, 1, 2, 1], [1, 2, 1, 1])
    assert first.depth is not None
    assert np.isnan(first.depth[0]).all()
    assert first.flow_forward is not None
    assert np.isnan(first.flow_forward[2]).all()
    assert first.occluded_forward is not None
    assert first.occluded_forward[1].all()
    assert second.flow_forward is None


def test_sintel_binary_files(tmp_path: Path) -> None:
    tag = struct.pack("<f", 202021.25)
    size = struct.pack("<ii", 3, 2)
    values = np.arange(12, dtype="<f4")
    values[2] = 1e10
    for name in ("flow", "depth", "camdata_left"):
        (tmp_path / name / "alley_1").mkdir(parents=True)
    flow, depth = (
        tmp_path / "flow/alley_1/frame_0001.flo",
        tmp_path / "depth/alley_1/frame_0001.dpt",
    )
    camera = tmp_path / "camdata_left/alley_1/frame_0001.cam"
    flow.write_bytes(tag + size + values.tobytes())
    depth.write_bytes(tag + size + values[6:].tobytes())
    k, pose = np.diag([9.0, 9, 1]), np.hstack([np.eye(3), [[1], [2], [3]]])
    camera.write_bytes(tag + k.astype("<f8").tobytes() + pose.astype("<f8").tobytes())
    write_rgb(tmp_path / "final/alley_1/frame_0001.png", 3, 2)

    frame = open_sintel(tmp_path, "alley_1").read(0, 0)

    assert read_flo(flow)[1, 2].tolist() == [10.0, 11.0]
    assert np.isnan(read_flo(flow)[0, 1, 0])
    assert read_dpt(depth)[1].tolist() == [9.0, 10.0, 11.0]
    assert read_cam(camera)[1][:3, 3].tolist() == [1.0, 2.0, 3.0]
    assert frame is not None
    assert frame.depth is not None
    assert frame.intrinsics is not None
    assert frame.intrinsics[0, 0] == 9.0
    depth.write_bytes(b"NOPE" * 9)
    with pytest.raises(DatasetError, match="tag"):
        read_dpt(depth)
    flow.write_bytes(tag + size + values[:5].tobytes())
    with pytest.raises(DatasetError, match="5 values for 3 x 2 x 2"):
        read_flo(flow)


def test_pointodyssey_depth_unit(tmp_path: Path) -> None:
    write_rgb(tmp_path / "rgbs/rgb_00000.jpg")
    raw = np.full((24, 32), 65535)
    raw[0] = 0
    write_raw(tmp_path / "depths/depth_00000.png", raw)
    np.savez(tmp_path / "anno.npz", intrinsics=np.eye(3)[None], extrinsics=np.eye(4)[None])

    frame = open_pointodyssey(tmp_path).read(0, 0)

    assert frame is not None
    assert frame.depth is not None
    assert float(frame.depth[1, 1]) == pytest.approx(1000.0)
    assert np.isnan(frame.depth[0]).all()


@pytest.mark.parametrize(
    ("opener", "expected"),
    [
        (open_tum, "rgb.txt"),
        (lambda folder: open_kitti_odometry(folder, "03"), "sequences/03/calib.txt"),
        (lambda folder: open_kitti_flow(folder, 3), "image_2/000003_1[01].png"),
        (open_tartanair, "image_left/*_left.png"),
        (lambda folder: open_sintel(folder, "alley_1"), "final/alley_1/frame_0001.png"),
        (open_pointodyssey, "rgbs/rgb_*.jpg"),
        (lambda folder: open_nuscenes(folder, "scene-0061"), "v1.0-mini/scene.json"),
    ],
)
def test_wrong_folder_names_what_was_expected(
    tmp_path: Path, opener: Callable[[Path], Recording], expected: str
) -> None:
    with pytest.raises(DatasetError, match=re.escape(f"expected {expected}")) as caught:
        opener(tmp_path)

    assert "\n" not in str(caught.value)


# --- real recordings ---------------------------------------------------------------------------


def test_real_rgbd_in_tum_layout_reprojects_onto_itself(tmp_path: Path) -> None:
    source = sample("icl_nuim_rgbd")
    folder = tmp_path / "living_room"
    folder.mkdir()
    frames = json.loads((source / "frames.json").read_text())
    k = np.array(json.loads((source / "calib.json").read_text())["K"], dtype=float)
    lines: dict[str, list[str]] = {"rgb": [], "depth": [], "groundtruth": []}
    from vggt4d_ros.geometry.se3 import quat_xyzw_from_matrix

    for index, frame in enumerate(frames):
        pose = np.array(frame["T_world_cam"])
        quat = quat_xyzw_from_matrix(pose[:3, :3])
        numbers = " ".join(f"{x:.9f}" for x in (*pose[:3, 3], *quat))
        lines["rgb"].append(f"{index} {source / frame['color']}")
        lines["depth"].append(f"{index} {source / frame['depth']}")
        lines["groundtruth"].append(f"{index} {numbers}")
    for name, rows in lines.items():
        (folder / f"{name}.txt").write_text("\n".join(rows))

    window = make_window(open_tum(folder, intrinsics=k), range(5), [0], (240, 320))
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
        there = window.depth[0, step + 1, 0][v, u]
        known = window.depth_valid[0, step + 1, 0][v, u]
        errors.append(((there - points[..., 2][inside]).abs() / there)[known])

    assert float(torch.cat(errors).median()) < 0.03


def test_real_nuscenes_sample_in_its_own_layout_puts_lidar_into_the_images(tmp_path: Path) -> None:
    source = sample("nuscenes_mini_ca9a28")
    calib = json.loads((source / "calib.json").read_text())
    from vggt4d_ros.geometry.se3 import quat_xyzw_from_matrix

    def pose(token: str, matrix: object) -> dict[str, object]:
        array = np.array(matrix)
        x, y, z, w = quat_xyzw_from_matrix(array[:3, :3]).tolist()
        return {"token": token, "rotation": [w, x, y, z], "translation": array[:3, 3].tolist()}

    lidar = np.load(source / "lidar.npz")["xyzi_ring"].astype(np.float32)
    lidar.tofile(tmp_path / "lidar.pcd.bin")
    sensors, calibrated, data = [], [], []
    rows = [("LIDAR_TOP", calib["T_ego_lidar"], None, str(tmp_path / "lidar.pcd.bin"))]
    for name, camera in calib["cameras"].items():
        rows.append((name, camera["T_ego_cam"], camera["K"], str(source / camera["file"])))
    for name, matrix, k, path in rows:
        sensors.append({"token": f"s{name}", "channel": name})
        row = {**pose(f"c{name}", matrix), "sensor_token": f"s{name}", "camera_intrinsic": k}
        calibrated.append(row)
        data.append(
            {
                "token": f"d{name}",
                "sample_token": "only",
                "ego_pose_token": "e",
                "calibrated_sensor_token": f"c{name}",
                "filename": path,
                "is_key_frame": True,
            }
        )
    tables = {
        "scene": [{"token": "a", "name": "scene-0061", "first_sample_token": "only"}],
        "sample": [{"token": "only", "next": ""}],
        "sample_data": data,
        "calibrated_sensor": calibrated,
        "sensor": sensors,
        "ego_pose": [pose("e", calib["T_global_ego"])],
    }
    (tmp_path / "v1.0-mini").mkdir()
    for name, values in tables.items():
        (tmp_path / "v1.0-mini" / f"{name}.json").write_text(json.dumps(values))

    recording = open_nuscenes(tmp_path, "scene-0061")
    window = make_window(recording, [0], range(6), (144, 256))

    assert window.valid.all()
    assert window.depth_valid[0, 0].flatten(1).sum(-1).min() > 1000
    # the sky above the horizon has no returns, the road below has
    for view, name in enumerate(CAMERAS):
        known = window.depth_valid[0, 0, view].float()
        assert known[:30].mean() < 0.2 * known[72:].mean(), name
    with pytest.raises(DatasetError, match="no scene scene-1; there are: scene-0061"):
        open_nuscenes(tmp_path, "scene-1")


def test_real_kitti_stereo_in_its_own_layout_matches_along_rows(tmp_path: Path) -> None:
    source = sample("kitti_stereo_seq1")
    calib = json.loads((source / "calib.json").read_text())
    frames = json.loads((source / "frames.json").read_text())
    folder = tmp_path / "sequences" / "00"
    for camera, side in (("image_0", "left"), ("image_1", "right")):
        (folder / camera).mkdir(parents=True)
        for frame in frames:
            target = folder / camera / f"{frame['index']:06d}.png"
            target.symlink_to(source / frame["cameras"][side])
    k = np.array(calib["cameras"]["left"]["K"])
    lines = []
    for name, baseline in (("P0", 0.0), ("P1", calib["baseline_m"])):
        shift = k @ np.hstack([np.eye(3), [[-baseline], [0], [0]]])
        lines.append(f"{name}: " + " ".join(map(str, shift.ravel())))
    (folder / "calib.txt").write_text("\n".join(lines))
    (tmp_path / "poses").mkdir()
    rows = [np.array(frame["T_world_left"])[:3].ravel() for frame in frames]
    np.savetxt(tmp_path / "poses" / "00.txt", np.stack(rows))

    recording = open_kitti_odometry(tmp_path, "00", ("image_0", "image_1"))
    window = make_window(recording, [0, 1], [0, 1], (370, 1226))
    left, right = ((window.images[0, 0, v].mean(0) * 255).byte().numpy() for v in range(2))
    matcher = cv2.StereoSGBM_create(0, 96, 7)
    disparity = torch.from_numpy(matcher.compute(left, right)) / 16.0
    depth = 707.0912 * 0.5371506 / disparity
    # the depth that stereo gives, moved by the poses of the reader, must fit the next stereo pair
    after = [(window.images[0, 1, v].mean(0) * 255).byte().numpy() for v in range(2)]
    later = 707.0912 * 0.5371506 / (torch.from_numpy(matcher.compute(*after)) / 16.0)
    from vggt4d_ros.data.windows import pixel_rays

    rays = pixel_rays(window.intrinsics[0, 0, 0], 370, 1226)
    next_from_this = window.cam_from_world[0, 1, 0] @ torch.linalg.inv(
        window.cam_from_world[0, 0, 0]
    )
    points = transform_points(next_from_this, rays * depth[..., None])
    pixels = project_points(points, window.intrinsics[0, 1, 0]).round()
    near = (disparity > 8) & (points[..., 2] > 3)  # nearer than 48 m
    inside = near & (pixels >= 0).all(-1) & (pixels < torch.tensor([1226, 370])).all(-1)
    u, v = pixels[inside].long().unbind(-1)
    error = (later[v, u] - points[..., 2][inside]).abs() / points[..., 2][inside]

    assert int(inside.sum()) > 20000
    assert float(error[later[v, u] > 0].median()) < 0.06
