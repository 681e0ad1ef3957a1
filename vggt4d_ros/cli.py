# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``vggt4d COMMAND``: one file per command in ``vggt4d_ros/commands``, imported when it is used."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from vggt4d_ros import __version__

# command -> what `vggt4d --help` says of it; the module of the same name has configure and run
COMMANDS: dict[str, str] = {
    "bench": "measure the network, the node, the geometry or the messages",
    "download": "fetch a checkpoint and verify it",
    "eval": "run the node's own code over a recording or data set: numbers and pictures",
    "export": "write the network for other runtimes, and check what was written",
    "info": "say what a checkpoint is",
    "parity": "compare the network with the released code's outputs",
    "data": "look at synthetic windows with their ground truth, or time their making",
    "train": "train a network; the same command takes a run up again",
}


class CommandError(Exception):
    """Something the user can mend; printed as one line, exit status ``status``."""

    status = 1


class UsageError(CommandError):
    """Arguments that do not go together; exit status 2, as of unknown ones."""

    status = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and gives the process's exit status."""
    parser = argparse.ArgumentParser(prog="vggt4d", description="4D-VGGT for robots")
    parser.add_argument("--version", action="version", version=__version__)
    sub = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        sub.add_parser(name, help=summary, add_help=False)
    arguments = list(sys.argv[1:] if argv is None else argv)
    chosen = parser.parse_args(arguments[:1] or ["--help"]).command
    module = import_module(f"vggt4d_ros.commands.{chosen}")
    command = argparse.ArgumentParser(prog=f"vggt4d {chosen}", description=COMMANDS[chosen])
    module.configure(command)
    try:
        return int(module.run(command.parse_args(arguments[1:])))
    except CommandError as error:
        print(f"vggt4d {chosen}: {error}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    # not this module's own main: commands raise the CommandError of vggt4d_ros.cli
    sys.exit(import_module("vggt4d_ros.cli").main())
