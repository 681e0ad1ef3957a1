# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Memory of large messages: reused where it may be, never shared by accident."""

from __future__ import annotations

import os
import subprocess
import sys
from array import array

import numpy as np
import pytest

from vggt4d_ros.ros import status
from vggt4d_ros.ros.memory import MessageMemory, bytes_of


def test_memory_is_the_same_until_the_shape_changes():
    memory = MessageMemory()

    first = memory.plane("depth", 0, (4, 6))

    assert memory.plane("depth", 0, (4, 6)) is first
    others = [memory.plane("depth", 1, (4, 6)), memory.plane("cloud", 0, (4, 6))]
    assert not any(np.shares_memory(first, other) for other in others)
    assert memory.plane("depth", 0, (4, 7)).shape == (4, 7)


def test_bytes_of_message_memory_are_that_memory():
    plane = MessageMemory().plane("depth", 0, (2, 3))
    data = bytes_of(plane)

    plane[:] = 5.0

    assert np.frombuffer(data, np.float32).tolist() == [5.0] * 6


@pytest.mark.parametrize(
    "values",
    [
        np.arange(6, dtype=np.float32),
        MessageMemory().plane("depth", 0, (2, 3))[:1],
        MessageMemory().plane("depth", 0, (2, 3)).T,
        np.frombuffer(array("f", [1.0, 2.0]), dtype=np.float32),
        np.frombuffer(bytes(8), dtype=np.float32),
    ],
    ids=["own", "part", "turned", "other type", "bytes"],
)
def test_bytes_of_anything_else_are_a_copy(values):
    data = bytes_of(values)

    assert data.typecode == "B"
    assert data.tobytes() == np.ascontiguousarray(values).tobytes()
    assert not np.shares_memory(np.frombuffer(data, np.uint8), values)


PROBE = """
import resource, numpy as np
from vggt4d_ros.ros.memory import keep_freed_memory
kept = {kept} and keep_freed_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        blocks = [np.ones(6_000_000, np.uint8) for _ in range(4)]
        del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(kept, faults())
"""


def probe(kept: bool, **environment: str) -> tuple[str, int]:
    code = PROBE.format(kept=kept)
    env = {**os.environ, **environment}
    out = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True)
    answer, faults = out.stdout.split()
    return answer.decode(), int(faults)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc")
def test_freed_memory_is_kept_unless_the_user_says_otherwise():
    kept, faults = probe(True)
    if kept != "True":
        pytest.skip("no glibc")
    _, faults_else = probe(False)

    assert faults < faults_else / 10
    assert probe(True, MALLOC_TRIM_THRESHOLD_="131072")[0] == "False"


def test_the_resident_set_is_looked_at_once_a_second(monkeypatch):
    now, looks = [50.0], []

    def resident_bytes():
        looks.append(now[0])
        return int(now[0]) * 1000

    monkeypatch.setattr(status.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(status, "resident_bytes", resident_bytes)
    meter, found = status.MemoryMeter(), []
    for now[0] in (50.0, 50.5, 50.9, 51.0, 52.5):
        found.append(meter.read())

    assert found == [50_000, 50_000, 50_000, 51_000, 52_000]
    assert looks == [50.0, 51.0, 52.5]
