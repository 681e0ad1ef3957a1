# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From camera frames to windows: plain Python, integer nanoseconds, every frame accounted for."""

from vggt4d_ros.stream.ledger import STREAM_CAUSES, CameraCounts, FrameLedger, LedgerCounts
from vggt4d_ros.stream.mailbox import Mailbox
from vggt4d_ros.stream.pipeline import StreamCounts, StreamPipeline
from vggt4d_ros.stream.sync import CameraReport, Synchronizer, SyncOutput, SyncReport
from vggt4d_ros.stream.timeline import TimeJump
from vggt4d_ros.stream.window import SlidingWindow

__all__ = [
    "STREAM_CAUSES",
    "CameraCounts",
    "CameraReport",
    "FrameLedger",
    "LedgerCounts",
    "Mailbox",
    "SlidingWindow",
    "StreamCounts",
    "StreamPipeline",
    "SyncOutput",
    "SyncReport",
    "Synchronizer",
    "TimeJump",
]
