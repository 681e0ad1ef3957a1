# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Configuration: every default passes its own check, every wrong value is named."""

from __future__ import annotations

import pytest

from vggt4d_ros.config import Config, config_from_flat, depth_topics, leaves
from vggt4d_ros.options import ConfigError, check_value


def test_nothing_given_is_the_default() -> None:
    assert config_from_flat({}) == Config()


@pytest.mark.parametrize("leaf", list(leaves()), ids=lambda leaf: leaf.name)
def test_every_default_is_allowed_and_described(leaf: object) -> None:
    assert check_value(leaf, leaf.default) == leaf.default
    assert len(leaf.option.description) > 10
    if isinstance(leaf.default, (int, float)) and not isinstance(leaf.default, bool):
        assert leaf.option.minimum is not None
        assert leaf.option.maximum is not None


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"sync.tolerence_s": 1.0}, "unknown parameter 'sync.tolerence_s'"),
        ({"sync.tolerance_s": -0.1}, r"sync.tolerance_s must be in \[0, 10\] s, got -0.1"),
        ({"sync.tolerance_s": float("nan")}, "sync.tolerance_s must be in"),
        ({"sync.tolerance_s": "soon"}, "must be of type float, got 'soon'"),
        ({"window.length": 2.5}, "must be of type int"),
        ({"window.length": True}, "must be of type int"),
        ({"output.lazy": 1}, "must be of type bool"),
        ({"cameras.names": "front"}, "must be a list of strings"),
        ({"cameras.names": ["a", 1]}, "must be a list of strings"),
        ({"tf.mode": "both"}, "must be one of none, map_to_odom"),
        ({"cameras.names": ["a", "a"]}, "differ"),
        ({"cameras.names": ["a"], "cameras.image_topics": ["x", "y"]}, "2 entries for 1"),
        ({"cameras.names": ["a"], "sync.min_cameras": 2}, "2 for 1 cameras"),
        ({"window.length": 2, "window.stride": 3}, "must not exceed window.length"),
        ({"geometry.range_min": 5.0, "geometry.range_max": 4.0}, "must exceed range_min"),
        ({"geometry.motion_source": "tf", "tf.mode": "odom_to_base"}, "take another mode"),
        ({"geometry.motion_source": "odometry", "geometry.odometry_topic": ""}, "needs geometry"),
        ({"cameras.names": ["a"], "geometry.camera_height_of": "b"}, "'b', not one of"),
        ({"cameras.names": ["a"], "geometry.depth_topics": ["b=depth"]}, "names 'b', not one of"),
        ({"cameras.names": ["a"], "geometry.depth_topics": ["depth"]}, "must be camera=topic"),
        (
            {"cameras.names": ["a"], "geometry.depth_topics": ["a=near", "a=far"]},
            "gives 'a' two topics, near and far",
        ),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(values: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        config_from_flat(values)


def test_a_whole_number_does_for_a_float() -> None:
    assert config_from_flat({"sync.tolerance_s": 1}).sync.tolerance_s == 1.0


def test_a_list_of_one_empty_string_is_an_empty_list() -> None:
    assert config_from_flat({"cameras.names": [""]}).cameras.names == ()


def test_depth_topics_are_read_by_camera() -> None:
    values = {"cameras.names": ["a", "b"], "geometry.depth_topics": ["b=/b/depth=raw"]}

    assert depth_topics(config_from_flat(values)) == {"b": "/b/depth=raw"}
