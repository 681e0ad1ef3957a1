# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the package says of itself holds: dependencies, layers, licences, entry points."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

import vggt4d_ros

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "vggt4d_ros"
ENTRY_POINTS = ("bag_player", "demo_monitor", "recorder", "vggt4d", "vggt4d_node")

# Python module -> its name in package.xml ("": it has no rosdep key) and in pyproject.toml
PYTHON_MODULES = {
    "cv2": ("python3-opencv", "opencv-python-headless"),
    "huggingface_hub": ("", "huggingface_hub"),
    "matplotlib": ("python3-matplotlib", "matplotlib"),
    "numpy": ("python3-numpy", "numpy"),
    "pytest": ("python3-pytest", "pytest"),
    "ray": ("", "ray"),
    "rerun": ("", "rerun-sdk"),
    "rosbags": ("", "rosbags"),
    "safetensors": ("", "safetensors"),
    "scipy": ("python3-scipy", "scipy"),
    "selenium": ("", "selenium"),
    "torch": ("", "torch"),
    "tqdm": ("python3-tqdm", "tqdm"),
    "yaml": ("python3-yaml", "pyyaml"),
}
# modules that come with one of the above
BROUGHT_ALONG = {
    "PIL": "matplotlib",
    "backports": "rosbags",
    "lz4": "rosbags",
    "mpl_toolkits": "matplotlib",
    "ruamel": "rosbags",
}
LATER_STDLIB = {"compression", "tomllib"}
TEST_ONLY = {"catkin_pkg", "transforms3d", "cv_bridge", "tf_transformations", "setuptools"}

# A module may import its own layer and those below; what is not named here is at the top.
LAYERS = (
    {"datatypes", "config", "config_sections", "options"},
    {"stream", "model", "geometry"},
    {"processor", "products", "messages", "data", "ros", "evaluation", "train", "demo"},
)
OFFLINE = {"evaluation", "train", "data"}  # these do not import ros, nor ros any but bag reading


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Full names of the modules a file imports anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            if node.module == "vggt4d_ros":
                yield from (f"vggt4d_ros.{alias.name}" for alias in node.names)


def declared_in_package_xml() -> set[str]:
    root = ElementTree.parse(ROOT / "package.xml").getroot()
    return {element.text or "" for element in root if element.tag.endswith("depend")}


def declared_in_pyproject() -> str:
    text = (ROOT / "pyproject.toml").read_text()
    return text[text.index("dependencies = [") : text.index("[project.scripts]")]


def test_package_xml_is_valid_and_gives_the_version_of_the_module() -> None:
    catkin_package = pytest.importorskip("catkin_pkg.package")
    warnings: list[str] = []

    package = catkin_package.parse_package(str(ROOT / "package.xml"), warnings=warnings)

    assert warnings == []
    assert package.version == vggt4d_ros.__version__
    assert "rosidl_interface_packages" in [group.name for group in package.member_of_groups]


def test_torch_is_a_rosdep_dependency_only_where_asked_for() -> None:
    catkin_package = pytest.importorskip("catkin_pkg.package")

    for value, expected in (("pip", ["python3-pytorch-pip"]), ("", [])):
        package = catkin_package.parse_package(str(ROOT / "package.xml"))
        package.evaluate_conditions({"VGGT4D_TORCH": value})
        found = [
            d.name for d in package.exec_depends if "torch" in d.name and d.evaluated_condition
        ]
        assert found == expected


def test_everything_that_is_imported_is_declared() -> None:
    ros, python = declared_in_package_xml(), declared_in_pyproject()
    undeclared = []
    for path in sources("vggt4d_ros", "launch", "test"):
        siblings = {other.stem for other in path.parent.glob("*.py")}
        for name in {full.split(".")[0] for full in imported(path)}:
            if name in sys.stdlib_module_names | LATER_STDLIB | siblings | {"vggt4d_ros"}:
                continue
            if path.parent.name == "test" and name in TEST_ONLY:
                continue
            name = BROUGHT_ALONG.get(name, name)
            key, project = PYTHON_MODULES.get(name, (name, ""))
            if (key and key not in ros) or (project and f'"{project}' not in python):
                undeclared.append(f"{path.relative_to(ROOT)} imports {name}")

    assert undeclared == []


def layer_of(part: str) -> int:
    return next((level for level, parts in enumerate(LAYERS) if part in parts), len(LAYERS))


def test_imports_point_one_way() -> None:
    wrong = []
    for path in sources("vggt4d_ros"):
        part = path.relative_to(PACKAGE).with_suffix("").parts[0]
        for name in imported(path):
            if not name.startswith("vggt4d_ros.") or name == "vggt4d_ros.__version__":
                continue
            other = name.split(".")[1]
            generated = other in ("msg", "srv")
            if (
                (generated and part not in ("ros", "demo"))
                or (not generated and layer_of(other) > layer_of(part))
                or (part == "ros" and other in OFFLINE and ".bag" not in name)
                or (part in OFFLINE and other == "ros")
            ):
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")

    assert wrong == []


def test_all_but_ros_is_importable_without_ros() -> None:
    code = """
import importlib, pkgutil, re, sys

class NoRos:
    def find_spec(self, name, path=None, target=None):
        top = name.split(".")[0]
        if top == "rclpy" or top.endswith("_msgs") or top in (
            "builtin_interfaces", "cv_bridge", "tf2_ros", "tf_transformations", "message_filters",
            "launch", "launch_ros", "ament_index_python", "diagnostic_updater",
        ) or re.match(r"vggt4d_ros\\.(msg|srv)\\b", name):
            raise ImportError(f"blocked: {name}")

sys.meta_path.insert(0, NoRos())
import vggt4d_ros
count = 0
for module in pkgutil.walk_packages(vggt4d_ros.__path__, "vggt4d_ros."):
    if not re.match(r"vggt4d_ros\\.(ros|msg|srv|_|vggt4d_ros_s__)", module.name):
        importlib.import_module(module.name)
        count += 1
print(count)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=100
    )

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10


def test_every_python_file_begins_with_the_licence_lines() -> None:
    scripts = [ROOT / "scripts" / name for name in ENTRY_POINTS]
    without = []
    for path in [*sources("vggt4d_ros", "launch", "test", "scripts"), *scripts]:
        head = path.read_text().split("\n")[:3]
        lines = head[1:] if head[0].startswith("#!") else head
        if lines[:2] != [
            "# Copyright 2026 The vggt4d_ros authors",
            "# SPDX-License-Identifier: Apache-2.0",
        ]:
            without.append(str(path.relative_to(ROOT)))

    assert without == []


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_entry_point_calls_a_main_that_exists(name: str) -> None:
    script = ROOT / "scripts" / name
    module = next(module for module in imported(script) if module.startswith("vggt4d_ros"))
    path = ROOT / (module.replace(".", "/") + ".py")

    functions = [n.name for n in ast.parse(path.read_text()).body if isinstance(n, ast.FunctionDef)]

    assert "main" in functions
    assert script.stat().st_mode & 0o111
    assert f"scripts/{name}" in (ROOT / "CMakeLists.txt").read_text()
