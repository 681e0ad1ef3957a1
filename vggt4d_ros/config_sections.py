# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every parameter by section: the one place where a default lives.

Each leaf is declared with ``option``: default, description, unit, range or choices, and whether it
may change while the node runs. The ROS name of a leaf is ``section.field``; ``config`` gives the
sections their names.
"""

from __future__ import annotations

from dataclasses import dataclass

from vggt4d_ros.options import option


@dataclass(frozen=True, slots=True)
class CamerasConfig:
    names: tuple[str, ...] = option(
        (), "Camera names, in view order; outputs of a camera are ~/<name>/..."
    )
    image_topics: tuple[str, ...] = option(
        (), "Image topic of each camera; empty: <name>/image_raw (remappable)"
    )
    info_topics: tuple[str, ...] = option(
        (), "CameraInfo topic of each camera; empty: camera_info beside the image topic"
    )
    transport: str = option(
        "raw",
        "raw: sensor_msgs/Image; compressed: sensor_msgs/CompressedImage on "
        "<image topic>/compressed",
        choices=("raw", "compressed"),
    )
    require_info: bool = option(
        False, "Drop frames until a CameraInfo that fits has come; false: use predicted intrinsics"
    )


@dataclass(frozen=True, slots=True)
class SyncConfig:
    tolerance_s: float = option(
        0.02, "Largest spread of the stamps in one frame set", unit="s", minimum=0.0, maximum=10.0
    )
    min_cameras: int = option(
        0,
        "A set may go on with this many cameras once the deadline has passed; 0: all are needed",
        minimum=0,
        maximum=64,
    )
    deadline_s: float = option(
        0.1,
        "How far the stream may run ahead before an incomplete set goes on",
        unit="s",
        minimum=0.0,
        maximum=10.0,
    )
    max_future_s: float = option(
        1.0,
        "Frames stamped later than this after the node's clock are dropped; 0: no limit",
        unit="s",
        minimum=0.0,
        maximum=1e9,
    )
    queue_size: int = option(
        10, "Frames kept per camera while their set is incomplete", minimum=1, maximum=1000
    )


@dataclass(frozen=True, slots=True)
class WindowConfig:
    length: int = option(4, "Time steps T in a window", minimum=1, maximum=64)
    stride: int = option(1, "New frame sets between two windows", minimum=1, maximum=64)
    max_gap_s: float = option(
        5.0,
        "A longer gap between two sets starts a new window; 0: never",
        unit="s",
        minimum=0.0,
        maximum=3600.0,
    )


@dataclass(frozen=True, slots=True)
class EngineConfig:
    engine: str = option(
        "vggt4d",
        "vggt4d: the network; null: returns at once with made-up depth (benchmarks, dry runs)",
        choices=("vggt4d", "null"),
    )
    checkpoint: str = option(
        "",
        "Checkpoint file or catalogue name; empty: the compact model that ships with the package",
    )
    device: str = option(
        "auto", "auto, cpu, cuda or cuda:N; auto takes a GPU where there is one, and says so"
    )
    precision: str = option(
        "auto",
        "Number format of the weights and the network; auto: bf16 on a GPU that has it, else fp32",
        choices=("auto", "fp32", "bf16", "fp16"),
    )
    image_size: int = option(
        0,
        "Longer side of the network's image, a multiple of its patch size (release 14, compact "
        "16); 0: what the checkpoint was made for",
        unit="px",
        minimum=0,
        maximum=2072,
    )
    use_camera_info: bool = option(
        True,
        "Whether a network that compares frames (compact) takes the fields of view of calibrated "
        "cameras for its own; false: it works with what it sees. Others never take them",
    )
    head_precision: str = option(
        "fp32",
        "Number format of the dense heads; fp32: as the release; tf32: products rounded on a GPU; "
        "bf16: weights too",
        choices=("fp32", "tf32", "bf16"),
    )
    weights: str = option(
        "precision",
        "How the matrices of encoder and fusions are kept; precision: in that one; int8: rounded "
        "to 8 bits when they are loaded, for less memory (approximate; needs the package torchao)",
        choices=("precision", "int8"),
    )
    cross_view: str = option(
        "checkpoint",
        "Which frames see one another in the space branch; checkpoint: those it was trained with; "
        "step: those of one time step only, kept from window to window (approximate)",
        choices=("checkpoint", "window", "step"),
    )
    frame_wise_layers: int = option(
        0,
        "First layers of the space branch that run within each frame alone and are kept from "
        "window to window; 0: exact, more: approximate",
        minimum=0,
        maximum=64,
    )
    compile: bool = option(
        False,
        "Compile the network at the first window (torch.compile; CUDA graphs on a GPU): slow to "
        "start; the grid keeps its shape when cameras come and go",
    )
    threads: int = option(
        0, "CPU threads of the network; 0: torch's own choice", minimum=0, maximum=256
    )


@dataclass(frozen=True, slots=True)
class DeadlineConfig:
    latency_s: float = option(
        0.0,
        "Longest time from the start of the work on a window to its last message, not counting the "
        "wait for late motion or TF: time steps, then resolution are given up for it and return "
        "when the load falls; 0: no limit",
        unit="s",
        minimum=0.0,
        maximum=60.0,
        live=True,
    )
    rate_hz: float = option(
        0.0,
        "Windows a second: no more are run, and the same is given up for no fewer; 0: as many as "
        "can be",
        unit="Hz",
        minimum=0.0,
        maximum=1000.0,
        live=True,
    )


@dataclass(frozen=True, slots=True)
class GeometryConfig:
    motion_source: str = option(
        "none",
        "Where the platform's motion comes from, which gives the scale where the rig does not: "
        "tf: tf.odom_frame to tf.base_frame, by somebody else; odometry: odometry_topic",
        choices=("none", "tf", "odometry"),
    )
    odometry_topic: str = option("odom", "nav_msgs/Odometry, with motion_source odometry")
    motion_wait_s: float = option(
        0.1,
        "How long a window waits for motion that is late; what has not come then is counted and "
        "left out",
        unit="s",
        minimum=0.0,
        maximum=10.0,
        live=True,
    )
    camera_height: float = option(
        0.0,
        "Height of a camera above flat ground, which gives the scale where neither rig nor motion "
        "nor depth does; 0: not known",
        unit="m",
        minimum=0.0,
        maximum=1000.0,
        live=True,
    )
    camera_height_of: str = option("", "Name of that camera; empty: the first", live=True)
    depth_topics: tuple[str, ...] = option(
        (),
        "Depth images (REP-118) aligned with a camera's own, which give the scale where neither "
        "rig nor motion does: camera=topic",
    )
    allow_unscaled: bool = option(
        False,
        "Publish depth, clouds and poses in network units while no metric scale is known",
        live=True,
    )
    confidence_min: float = option(
        1.0,
        "Depth pixels with less confidence are invalid",
        minimum=0.0,
        maximum=1000.0,
        live=True,
    )
    confidence_percentile: float = option(
        0.0,
        "This share of a frame's least confident pixels is invalid",
        unit="%",
        minimum=0.0,
        maximum=100.0,
        live=True,
    )
    range_min: float = option(
        0.0, "Nearer points are invalid", unit="m", minimum=0.0, maximum=1e6, live=True
    )
    range_max: float = option(
        0.0,
        "Farther points are invalid; 0: no limit",
        unit="m",
        minimum=0.0,
        maximum=1e6,
        live=True,
    )
    dynamic_sigma: float = option(
        3.0,
        "A point moves when its speed is above this many sigma of its own uncertainty",
        minimum=0.1,
        maximum=100.0,
        live=True,
    )


@dataclass(frozen=True, slots=True)
class OutputConfig:
    depth_encoding: str = option(
        "32FC1",
        "32FC1: metres, NaN invalid; 16UC1: millimetres, 0 invalid (REP-118)",
        choices=("32FC1", "16UC1"),
        live=True,
    )
    merged_rate_hz: float = option(
        0.0,
        "Highest rate of ~/points; 0: every window",
        unit="Hz",
        minimum=0.0,
        maximum=1000.0,
        live=True,
    )
    voxel_size: float = option(
        0.02,
        "Voxel edge of ~/points; 0: every point",
        unit="m",
        minimum=0.0,
        maximum=100.0,
        live=True,
    )
    markers_max: int = option(
        2000, "Arrows in ~/scene_flow/markers", minimum=0, maximum=100000, live=True
    )
    path_length: int = option(1000, "Poses kept in ~/path", minimum=1, maximum=1000000, live=True)
    lazy: bool = option(True, "Skip work whose result nobody subscribes to", live=True)


@dataclass(frozen=True, slots=True)
class TfConfig:
    mode: str = option(
        "none",
        "Which transform the node publishes",
        choices=("none", "map_to_odom", "odom_to_base", "standalone"),
    )
    base_frame: str = option("base_link", "Robot body frame")
    odom_frame: str = option("odom", "Continuous fixed frame")
    map_frame: str = option("map", "Global fixed frame")


@dataclass(frozen=True, slots=True)
class NodeConfig:
    autostart: bool = option(True, "Configure and activate at start")
    executor: str = option(
        "auto",
        "rclpy executor; events takes a third less CPU, auto takes it where the distribution has "
        "it (Jazzy and later), else single",
        choices=("auto", "single", "events"),
    )
    no_data_report_s: float = option(
        5.0,
        "Without a window for this long, say why; 0: never",
        unit="s",
        minimum=0.0,
        maximum=3600.0,
        live=True,
    )
