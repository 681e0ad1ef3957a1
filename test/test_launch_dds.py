# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The launch argument `rmw` and the environment it makes for the node."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

pytest.importorskip("vggt4d_ros.msg", reason="the package is not built")

pytestmark = pytest.mark.ros

FILE = Path(__file__).resolve().parents[1] / "launch" / "vggt4d.launch.py"
FAST_NAMES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")


@pytest.fixture
def environment(monkeypatch):
    """Gives a function: value of `rmw`, variables of the user -> variables that are set."""

    def make(rmw: str, **users: str) -> dict[str, str]:
        for name in (*FAST_NAMES, "CYCLONEDDS_URI", "RMW_IMPLEMENTATION"):
            monkeypatch.delenv(name, raising=False)
        for name, value in users.items():
            monkeypatch.setenv(name, value)
        # not above: launch takes over Python's logging, which tests collected after it listen to
        from launch import LaunchContext

        context = LaunchContext()
        context.launch_configurations["rmw"] = rmw
        return {
            "".join(part.perform(context) for part in action.name): "".join(
                part.perform(context) for part in action.value
            )
            for action in runpy.run_path(str(FILE))["dds_profile"](context)
        }

    return make


def test_fast_dds_gets_its_profile_under_its_old_and_its_new_name(environment):
    found = environment("auto")
    assert set(found) == set(FAST_NAMES)
    for path in found.values():
        assert "<segment_size>" in Path(path).read_text()


def test_cyclone_is_chosen_with_its_profile(environment):
    found = environment("cyclonedds")
    assert found.pop("RMW_IMPLEMENTATION") == "rmw_cyclonedds_cpp"
    assert set(found) == {"CYCLONEDDS_URI"}
    assert Path(found["CYCLONEDDS_URI"].removeprefix("file://")).is_file()


@pytest.mark.parametrize("name", FAST_NAMES)
def test_a_profile_of_the_users_own_stays(environment, name):
    assert environment("auto", **{name: "/mine.xml"}) == {}


def test_none_and_an_unknown_rmw_set_nothing(environment):
    assert environment("none") == {}
    assert environment("auto", RMW_IMPLEMENTATION="rmw_zenoh_cpp") == {}


def test_a_wrong_name_is_refused(environment):
    with pytest.raises(RuntimeError, match="rmw must be auto, .* got 'opendds'"):
        environment("opendds")
