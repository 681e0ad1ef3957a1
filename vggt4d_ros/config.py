# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The configuration of node, YAML, CLI and tests; ``config_sections`` has each default."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, replace

from vggt4d_ros.config_sections import (
    CamerasConfig,
    DeadlineConfig,
    EngineConfig,
    GeometryConfig,
    NodeConfig,
    OutputConfig,
    SyncConfig,
    TfConfig,
    WindowConfig,
)
from vggt4d_ros.options import ConfigError, Leaf, Option, Value, check_value

__all__ = [
    "CamerasConfig",
    "Config",
    "ConfigError",
    "DeadlineConfig",
    "EngineConfig",
    "GeometryConfig",
    "NodeConfig",
    "OutputConfig",
    "SyncConfig",
    "TfConfig",
    "WindowConfig",
    "config_from_flat",
    "depth_topics",
    "leaves",
    "validate",
]

_CAMERA_NAME = re.compile(r"[A-Za-z]\w*(/[A-Za-z]\w*)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Config:
    """All parameters of the node."""

    cameras: CamerasConfig = CamerasConfig()
    sync: SyncConfig = SyncConfig()
    window: WindowConfig = WindowConfig()
    model: EngineConfig = EngineConfig()
    deadline: DeadlineConfig = DeadlineConfig()
    geometry: GeometryConfig = GeometryConfig()
    output: OutputConfig = OutputConfig()
    tf: TfConfig = TfConfig()
    node: NodeConfig = NodeConfig()


def leaves() -> Iterator[Leaf]:
    """Gives every parameter, in declaration order."""
    for section in fields(Config):
        assert section.default is not MISSING
        for spec in fields(section.default):
            default: Value = getattr(section.default, spec.name)
            known: Option = spec.metadata["option"]
            yield Leaf(f"{section.name}.{spec.name}", default, known)


def config_from_flat(values: Mapping[str, object]) -> Config:
    """Builds a Config from ``section.field`` names; what is not named keeps its default.

    Raises:
        ConfigError: unknown name, wrong value, or values that contradict each other.
    """
    known = {leaf.name: leaf for leaf in leaves()}
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ConfigError(f"unknown parameter {unknown[0]!r}; known: {', '.join(known)}")
    sections: dict[str, dict[str, Value]] = {}
    for name, value in values.items():
        section, _, key = name.partition(".")
        sections.setdefault(section, {})[key] = check_value(known[name], value)
    default = Config()
    config = replace(
        default,
        **{name: replace(getattr(default, name), **part) for name, part in sections.items()},
    )
    validate(config)
    return config


def validate(config: Config) -> None:
    """Checks what one value alone cannot show.

    Raises:
        ConfigError: names the contradiction.
    """
    cameras = config.cameras
    count = len(cameras.names)
    if len(set(cameras.names)) != count:
        raise ConfigError(f"cameras.names must differ from each other, got {list(cameras.names)}")
    for name in cameras.names:
        if not _CAMERA_NAME.fullmatch(name):
            raise ConfigError(
                f"cameras.names: {name!r} cannot be part of a topic: letters, digits and '_', "
                "parts joined by '/', no '/' at the ends; give other topics in cameras.image_topics"
            )
    for key in ("image_topics", "info_topics"):
        topics = getattr(cameras, key)
        if topics and len(topics) != count:
            raise ConfigError(
                f"cameras.{key} has {len(topics)} entries for {count} cameras.names; "
                "give one for each or none"
            )
    if config.sync.min_cameras > count > 0:
        raise ConfigError(f"sync.min_cameras is {config.sync.min_cameras} for {count} cameras")
    if config.window.stride > config.window.length:
        raise ConfigError(
            f"window.stride ({config.window.stride}) must not exceed window.length "
            f"({config.window.length}): frames between windows would never be used"
        )
    _validate_scale_sources(config)
    limits = config.geometry
    if limits.range_max and limits.range_max <= limits.range_min:
        raise ConfigError(
            f"geometry.range_max ({limits.range_max}) must exceed range_min ({limits.range_min})"
        )


def _validate_scale_sources(config: Config) -> None:
    geometry, names = config.geometry, config.cameras.names
    if geometry.motion_source == "tf" and config.tf.mode == "odom_to_base":
        raise ConfigError(
            "geometry.motion_source tf reads the transform that tf.mode odom_to_base publishes; "
            "take another mode or another source"
        )
    if geometry.motion_source == "odometry" and not geometry.odometry_topic:
        raise ConfigError("geometry.motion_source odometry needs geometry.odometry_topic")
    if geometry.camera_height_of and geometry.camera_height_of not in names:
        raise ConfigError(
            f"geometry.camera_height_of is {geometry.camera_height_of!r}, "
            f"not one of cameras.names {list(names)}"
        )
    for camera in depth_topics(config):
        if camera not in names:
            raise ConfigError(
                f"geometry.depth_topics names {camera!r}, not one of cameras.names {list(names)}"
            )


def depth_topics(config: Config) -> dict[str, str]:
    """Gives the topic of given depth by camera name.

    Raises:
        ConfigError: an entry is not of the form camera=topic.
    """
    found: dict[str, str] = {}
    for entry in config.geometry.depth_topics:
        camera, _, topic = entry.partition("=")
        if not camera or not topic:
            raise ConfigError(f"geometry.depth_topics: {entry!r} must be camera=topic")
        if camera in found:
            raise ConfigError(
                f"geometry.depth_topics gives {camera!r} two topics, {found[camera]} and {topic}"
            )
        found[camera] = topic
    return found
