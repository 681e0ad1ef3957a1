# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which messages a window becomes, in which frame; no ROS."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from record_windows import config, processed_windows, stamp

from vggt4d_ros.messages import topics
from vggt4d_ros.messages.encode import Encoder
from vggt4d_ros.messages.frames import FrameNames
from vggt4d_ros.messages.outputs import WindowMessages
from vggt4d_ros.messages.stamps import ns_from_stamp
from vggt4d_ros.messages.topics import Topic


class PlainTypes:
    """Makes messages that are nothing but their fields."""

    @staticmethod
    def maker(kind: str) -> Any:
        return SimpleNamespace

    data = numbers = booleans = staticmethod(np.asarray)


class Kept:
    """Takes what is wanted at present."""

    def __init__(self, *wanted: Topic) -> None:
        self.wanted = wanted
        self.messages: list[Any] = []

    def wants(self, topic: Topic, view: int = 0) -> bool:
        return topic in self.wanted

    def send(self, topic: Topic, message: Any, view: int = 0) -> None:
        self.messages.append(message)


def emit(outlet: Kept, fixed_frames: list[str], **settings: object) -> None:
    messages = WindowMessages(Encoder(PlainTypes()), outlet)
    windows = processed_windows(len(fixed_frames))
    for processed, fixed in zip(windows, fixed_frames, strict=True):
        messages.emit(processed, [], config(**settings), FrameNames(fixed, "base"))


def stamps(path: Any) -> list[int]:
    return [ns_from_stamp(pose.header.stamp) for pose in path.poses]


def test_a_path_grows_window_by_window_up_to_its_length() -> None:
    outlet = Kept(topics.PATH)

    emit(outlet, ["odom"] * 4, **{"output.path_length": 3})

    newest = [stamp(1, step) for step in (1, 2, 3, 4)]
    assert [stamps(path) for path in outlet.messages] == [
        newest[:1],
        newest[:2],
        newest[:3],
        newest[1:],
    ]


def test_a_path_begins_anew_in_a_frame_of_another_name() -> None:
    outlet = Kept(topics.PATH)

    emit(outlet, ["own_odom", "own_odom", "odom", "odom"])

    assert [len(path.poses) for path in outlet.messages] == [1, 2, 1, 2]
    for path, fixed in zip(outlet.messages, ["own_odom"] * 2 + ["odom"] * 2, strict=True):
        assert path.header.frame_id == fixed
        assert {pose.header.frame_id for pose in path.poses} == {fixed}


def test_who_listens_late_gets_the_path_from_its_beginning() -> None:
    outlet = Kept()
    messages = WindowMessages(Encoder(PlainTypes()), outlet)
    for index, processed in enumerate(processed_windows(3)):
        outlet.wanted = (topics.PATH,) if index == 2 else ()
        messages.emit(processed, [], config(), FrameNames("odom", "base"))

    (path,) = outlet.messages
    assert stamps(path) == [stamp(1, step) for step in (1, 2, 3)]
