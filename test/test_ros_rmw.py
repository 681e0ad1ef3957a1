# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The node's main tests again over the other DDS: a process has one RMW, so they get their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

pytestmark = pytest.mark.ros

MAIN = "outputs_carry or dies_and_returns or cannot_be_used or mismatched_qos or signal_ends"


@pytest.mark.timeout(600)
def test_the_node_works_over_cyclone_dds() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", MAIN]
    result = subprocess.run(
        [*command, str(Path(__file__).with_name("test_ros_node.py"))],
        env={**os.environ, "RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp"},
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )

    assert result.returncode == 0, result.stdout + result.stderr
