# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A run as an evaluation writes it: two cameras, truth, baselines, drops, faults, pictures."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from vggt4d_ros.evaluation.metrics.trajectory import Trajectory
from vggt4d_ros.evaluation.results import Picture, RunResult

START = 1_700_000_000_000_000_000
HOSTILE = '<script>alert("x")</script> & </style>'
KINDS = ("input", "depth", "depth_truth", "error", "confidence", "flow", "dynamic")


def png(seed: int, width: int = 64, height: int = 48) -> bytes:
    rng = np.random.default_rng(seed)
    image = cv2.resize(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8), (width, height))
    return cv2.imencode(".png", image)[1].tobytes()


def trajectory(count: int, offset: float) -> Trajectory:
    angle = np.linspace(0, 3, count)
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, 0, 3], poses[:, 1, 3] = 5 * np.sin(angle) + offset, 5 - 5 * np.cos(angle)
    poses[:, 2, 3] = 0.2 * angle
    return Trajectory(START + np.arange(count) * 100_000_000, poses)


def stages(**milliseconds: float) -> dict[str, dict[str, float]]:
    return {
        name: {"min": value, "p50": value, "p95": 2 * value, "mean": value}
        for name, value in milliseconds.items()
    }


def pictures() -> list[Picture]:
    found = []
    for window in (0, 19):
        for camera in ("front", "rig/left"):
            for index, kind in enumerate(KINDS):
                caption = f"{kind} of it {HOSTILE}" if kind == "input" else f"{kind} 1 to 9 m"
                found.append(
                    Picture(window, START + window, camera, kind, caption, png(index + window))
                )
        found.append(Picture(window, START + window, "", "cloud", "cloud", png(window + 99)))
    return found


def run(**changes: Any) -> RunResult:
    """A good run; ``changes`` replace fields."""
    rng = np.random.default_rng(0)
    rows = [
        {
            "index": index,
            "epoch": 0,
            "stamp_ns": START + index * 100_000_000,
            "steps": 4,
            "views": 2,
            "valid_slots": 8,
            "scale": 1.7,
            "scale_sigma": 0.02,
            "scale_source": "rig",
            "residual_m": 0.01,
            "residual_rad": 0.001,
            "abs_rel": float("nan") if index == 7 else 0.1 + 0.05 * float(rng.random()),
            "epe": 1.0 + float(rng.random()),
        }
        for index in range(20)
    ]
    timings = [
        {"index": index, "decode_ms": 4.0, "heads_ms": 30.0 + index, "total_ms": 40.0 + index}
        for index in range(20)
    ]
    values: dict[str, Any] = {
        "source": {
            "kind": "bag",
            "name": "drive & <b>park</b>",
            "policy": "every window, in order",
            "duration_s": 2.3,
            "left_out": ["/depth: no camera"],
        },
        "model": {
            "name": "compact",
            "checkpoint": "compact.safetensors",
            "parameters": 6_515_479,
            "precision": "fp32",
            "device": "cpu",
            "sha256": "ab" * 32,
            "warnings": ["WEAK WEIGHTS"],
        },
        "config": {"window.length": 4, "cameras.names": ["front", "rig/left"], "tf.mode": "none"},
        "topics": {"front": "/front/image_raw", "rig/left": HOSTILE},
        "counts": {
            "front": {"received": 30, "used": 23, "dropped": {"late": 4, "corrupt_data": 3}},
            "rig/left": {"received": 25, "used": 23, "dropped": {"late": 2}},
        },
        "windows": {"formed": 21, "done": 20, "dropped": {"undecodable": 1}, "sets": 23},
        "faults": [f"/front: a message is cut short {HOSTILE}"],
        "truth": {
            "depth": {"source": "/front/depth", "matched": 38, "of": 40, "tolerance_s": 0.02},
            "trajectory": {
                "source": "/odom",
                "matched": 0,
                "of": 40,
                "tolerance_s": 0.02,
                "why": "ranges do not overlap",
            },
        },
        "metrics": {
            "depth": {
                "median": {"abs_rel": 0.12, "delta1": 0.81, "rmse": 0.9, "frames": 38.0},
                "metric": {"abs_rel": 0.2, "delta1": 0.6, "rmse": 1.1, "frames": 38.0},
                "median_sequence": {"abs_rel": 0.14},
            },
            "flow": {"all": {"epe": 1.5, "fl_all": 0.1, "px3": 0.9, "pixels": 1e6}},
            "trajectory": {"none": {"ate_rmse": 0.31, "matched": 40.0}},
        },
        "baselines": {
            "constant_depth": {"depth": {"median": {"abs_rel": 0.4, "delta1": 0.9}}},
            "dis": {"flow": {"all": {"epe": 1.2, "fl_all": 0.1}}},
            "static_camera": {"trajectory": {"se3": {"ate_rmse": 2.0}}},
        },
        "curves": {
            "sparsification": {
                "share": [0.0, 0.5, 0.9],
                "found": [0.2, 0.15, 0.1],
                "oracle": [0.2, 0.05, 0.01],
            }
        },
        "timing": {
            "windows_per_s": 20.0,
            "images_per_s": 160.0,
            "rss_most_bytes": 500 * 2**20,
            "read_decode_share": 0.1,
            "parts_s": {"read": 0.1, "network": 0.9},
            "stages_ms": stages(decode=4.0, heads=39.0, total=49.0),
        },
        "rows": rows,
        "timings": timings,
        "trajectory": trajectory(30, 0.1),
        "truth_trajectory": trajectory(30, 0.0),
        "pictures": pictures(),
    }
    return RunResult(**(values | changes))
