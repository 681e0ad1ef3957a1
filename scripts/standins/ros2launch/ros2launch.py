# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Stand-in for ros2launch where ROS comes from PyPI, which lacks it: the verb ``ros2 launch``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import AnyLaunchDescriptionSource
from ros2cli.command import CommandExtension

FLAGS = {
    "-s": "show_args",
    "--show-args": "show_args",
    "--show-arguments": "show_args",
    "-d": "debug",
    "--debug": "debug",
    "-n": "noninteractive",
    "--noninteractive": "noninteractive",
}


class LaunchCommand(CommandExtension):
    """Run a launch file."""

    def add_arguments(self, parser: argparse.ArgumentParser, cli_name: str) -> None:
        parser.add_argument("-s", "--show-args", "--show-arguments", action="store_true")
        parser.add_argument("-d", "--debug", action="store_true")
        parser.add_argument("-n", "--noninteractive", action="store_true")
        parser.add_argument("package_or_path", metavar="PACKAGE FILE | PATH")
        parser.add_argument("rest", nargs=argparse.REMAINDER, metavar="name:=value ...")

    def main(self, *, parser: argparse.ArgumentParser, args: argparse.Namespace) -> int | str:
        rest = [word for word in args.rest if word not in FLAGS]
        for word in args.rest:  # flags may stand behind the file, too
            if word in FLAGS:
                setattr(args, FLAGS[word], True)
        file_name = rest.pop(0) if rest and ":=" not in rest[0] else None
        for word in rest:
            if not word.partition(":=")[0] or ":=" not in word:
                return f"malformed launch argument {word!r}, expected name:=value"
        try:
            source = AnyLaunchDescriptionSource(str(find(args.package_or_path, file_name)))
        except (PackageNotFoundError, RuntimeError) as error:
            return str(error)
        service = LaunchService(
            argv=rest,
            noninteractive=args.noninteractive or not sys.stdin.isatty(),
            debug=args.debug,
        )
        if args.show_args:
            show(source.get_launch_description(service.context))
            return 0
        values = [(name, value) for name, _, value in (word.partition(":=") for word in rest)]
        include = IncludeLaunchDescription(source, launch_arguments=values)
        service.include_launch_description(LaunchDescription([include]))
        return int(service.run())


def find(package_or_path: str, file_name: str | None) -> Path:
    """The launch file at a path, or of that name anywhere in a package's share folder."""
    if file_name is None:
        path = Path(package_or_path)
        if not path.is_file():
            raise RuntimeError(
                f"{package_or_path!r} is no launch file; give PACKAGE FILE or a path"
            )
        return path
    share = Path(get_package_share_directory(package_or_path))
    found = sorted(share.rglob(file_name))
    if len(found) != 1:
        raise RuntimeError(f"{len(found)} files named {file_name!r} under {share}")
    return found[0]


def show(description: LaunchDescription) -> None:
    """Prints the arguments of a launch file."""
    print("Arguments (pass as name:=value):")
    for argument in description.get_launch_arguments():
        parts = argument.default_value or ()
        default = "".join(getattr(part, "text", str(part)) for part in parts)
        print(f"  {argument.name}: {argument.description} (default: {default!r})")
