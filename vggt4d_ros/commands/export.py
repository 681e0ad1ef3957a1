# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``vggt4d export``: writes the network for other runtimes, and checks what was written."""

from __future__ import annotations

import argparse
from pathlib import Path

from vggt4d_ros.cli import CommandError


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument("out", type=Path, help="file to write: .onnx, or .pt2 for torch.export")
    parser.add_argument("--checkpoint", default="", help="file or name; none: the packaged one")
    parser.add_argument("--grid", default="4x4", metavar="TxV", help="time steps x cameras")
    parser.add_argument("--image", default="112x160", metavar="HxW", help="network image, pixels")
    parser.add_argument("--no-mask", action="store_true", help="no input for missing frames")


def run(arguments: argparse.Namespace) -> int:
    """Writes, runs what was written on another input, prints the differences; 1 if too large."""
    from vggt4d_ros.commands.pairs import pair
    from vggt4d_ros.model.checkpoint import load_engine_model
    from vggt4d_ros.model.errors import CheckpointError, EngineError
    from vggt4d_ros.model.export import (
        TOLERANCE,
        differences,
        example,
        export,
        file_format,
        output_names,
        write,
    )

    grid, size = pair(arguments.grid, "--grid"), pair(arguments.image, "--image")
    try:
        file_format(arguments.out)
        loaded = load_engine_model(arguments.checkpoint)
        mask = not arguments.no_mask
        inputs = example(loaded.model, grid, size, mask=mask)
        runner = write(
            export(loaded.model, inputs), arguments.out, output_names(loaded.model, grid[0])
        )
        other = example(loaded.model, grid, size, mask=mask, seed=1)
        found = differences(loaded.model, runner, other)
    except (CheckpointError, EngineError) as error:
        raise CommandError(str(error)) from error
    for warning in loaded.warnings:
        print(f"warning: {warning}")
    print(f"{arguments.out}: {arguments.out.stat().st_size} bytes, from {loaded.source}")
    for name, value in found.items():
        print(f"  {name:<22} largest difference {value:.1e}")
    if not all(value <= TOLERANCE for value in found.values()):  # also where it is not a number
        raise CommandError(f"{arguments.out} differs from the network by more than {TOLERANCE:g}")
    return 0
