#!/usr/bin/env python3
# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Installs what pyproject.toml names into the running virtual environment, torch the cheapest way.

Usage: ENV/bin/python python_packages.py [--beside-ros | --for-tests]. With --beside-ros the
environment lies on an installed ROS: that machine's numpy and OpenCV stay, since its compiled
packages need them. --for-tests adds the optional packages that only the tests need all of.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path

from pip._vendor.packaging.requirements import Requirement

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    from pip._vendor import tomli as tomllib  # type: ignore[no-redef]

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
PROBE_TIMEOUT_S = 5.0
FOR_USE = ("eval", "download", "dev")
FOR_TESTS = ("fleet", "rerun", "train", "int8", "browser")


def main() -> int:
    """Installs all; the exit status is pip's."""
    beside_ros = "--beside-ros" in sys.argv[1:]
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    extras = project["optional-dependencies"]
    if "--for-tests" in sys.argv[1:]:
        return install_missing([line for name in FOR_TESTS for line in extras[name]])
    wanted = project["dependencies"] + [line for name in FOR_USE for line in extras[name]]
    torch = next(line for line in wanted if Requirement(line).name == "torch")
    others = [line for line in wanted if line != torch]
    fixed = {}
    if beside_ros:
        others = [line for line in others if "opencv" not in line or not has_cv2()]
        fixed = {name: installed(name) for name in ("numpy", "scipy") if installed(name)}
    else:
        others.append("setuptools<80")  # torch asks for it, colcon-core bears no newer one
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraints:
        constraints.writelines(f"{name}=={number}\n" for name, number in fixed.items())
        constraints.flush()
        os.environ["PIP_CONSTRAINT"] = constraints.name
        return install_torch(torch) or pip("install", "-qq", *others)


def install_missing(requirements: list[str]) -> int:
    """Installs what is not there in a fitting version; silent where nothing is missing."""
    missing = []
    for line in requirements:
        present = installed(Requirement(line).name)
        if not present or not Requirement(line).specifier.contains(present, prereleases=True):
            missing.append(line)
    if not missing:
        return 0
    say(f"for the tests: {', '.join(missing)} (about 200 MB to download)")
    # what is there keeps its version: torch and numpy above all
    present_torch = installed("torch")
    held = [f"torch=={present_torch}"] if present_torch else []
    return pip("install", "-qq", *missing, *held)


def install_torch(requirement: str) -> int:
    """CUDA build where there is an NVIDIA GPU, else PyTorch's CPU build, else the plain one."""
    present = installed("torch")
    if present and Requirement(requirement).specifier.contains(present, prereleases=True):
        say(f"torch {present} is there already")
        return 0
    index = os.environ.get("VGGT4D_TORCH_INDEX")
    if index:
        say(f"torch from {index} (VGGT4D_TORCH_INDEX)")
        return pip("install", requirement, "--index-url", index)
    if has_nvidia_gpu():
        say(
            "torch, CUDA build, for the NVIDIA GPU found: about 3 GB to download, 5.5 GB on disk; "
            "its CUDA libraries are under NVIDIA's own licence"
        )
        return pip("install", requirement)
    if reachable(f"{TORCH_CPU_INDEX}/torch/"):
        say("torch, CPU build: about 200 MB to download, 1 GB on disk")
        return pip("install", requirement, "--index-url", TORCH_CPU_INDEX)
    say(
        f"torch: no NVIDIA GPU, and {TORCH_CPU_INDEX} cannot be reached, so the plain build with "
        "CUDA: about 2.7 GB to download, 4.5 GB on disk; its CUDA libraries are under NVIDIA's own "
        "licence"
    )
    # All it names but triton (0.3 GB, 1 GB on disk), the compiler of GPU kernels: without a GPU
    # nothing imports it.
    status = pip("install", "--no-deps", requirement)
    needed = [line for line in requires("torch") or [] if "extra ==" not in line]
    needed = [line for line in needed if Requirement(line).name != "triton"]
    return status or pip("install", *needed)


def installed(name: str) -> str | None:
    """The version of an installed package."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def has_cv2() -> bool:
    """Whether OpenCV is there: Debian's has no Python package metadata."""
    return find_spec("cv2") is not None


def has_nvidia_gpu() -> bool:
    """Whether a driver sees an NVIDIA GPU, a Jetson's included."""
    if Path("/etc/nv_tegra_release").exists():
        return True
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return False
    found = subprocess.run([tool, "-L"], capture_output=True, text=True, check=False)
    return found.returncode == 0 and "GPU" in found.stdout


def reachable(url: str) -> bool:
    """Whether an address answers soon."""
    try:
        with urllib.request.urlopen(url, timeout=PROBE_TIMEOUT_S):
            return True
    except (urllib.error.URLError, OSError):
        return False


def pip(command: str, *arguments: str) -> int:
    """Runs pip: with its progress where somebody watches, else silent unless it fails."""
    call = [sys.executable, "-m", "pip", command, "--disable-pip-version-check", *arguments]
    if sys.stderr.isatty() and "-qq" not in arguments:
        return subprocess.run(call, stdout=sys.stderr, check=False).returncode
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.stderr.write(done.stderr)
    return done.returncode


def say(text: str) -> None:
    """Tells the user what comes, before it comes."""
    print(f"[setup] {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
