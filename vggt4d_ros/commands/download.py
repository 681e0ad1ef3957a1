# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``vggt4d download NAME``: fetches a checkpoint of the catalogue."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from vggt4d_ros.cli import CommandError
from vggt4d_ros.model.catalogue import CATALOGUE


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument("name", choices=sorted(CATALOGUE), help="which checkpoint")
    parser.add_argument(
        "--from", dest="source", type=Path, metavar="FILE", help="take this copy, do not download"
    )


def run(arguments: argparse.Namespace) -> int:
    """Prints the licence, fetches and verifies."""
    from vggt4d_ros.model.download import fetch
    from vggt4d_ros.model.errors import CheckpointError

    entry = CATALOGUE[arguments.name]
    print(f"{entry.name}: {entry.parameters / 1e9:.2f} G parameters, {entry.size / 1e9:.1f} GB")
    print(f"memory: {entry.memory}")
    print(f"licence: {entry.licence}", flush=True)
    try:
        path = fetch(entry, arguments.source, progress=sys.stderr.isatty())
    except CheckpointError as error:
        raise CommandError(str(error)) from error
    print(f"{path}\nsha256 {entry.sha256} (verified)")
    print(f"use it: model.checkpoint: {entry.name}")
    return 0
