# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``vggt4d data``: looks at the windows that training sees, and times their making."""

from __future__ import annotations

import argparse
import time

from vggt4d_ros.cli import CommandError


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    sub = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    preview = sub.add_parser("preview", help="write a picture sheet of synthetic windows")
    preview.add_argument("--out", default="preview.png", help="PNG to write")
    preview.add_argument("--images-only", action="store_true", help="without the ground truth")
    bench = sub.add_parser("bench", help="frames rendered per second")
    for action, windows in ((preview, 6), (bench, 16)):
        action.add_argument("--seed", type=int, default=0)
        action.add_argument("--windows", type=int, default=windows)
        action.add_argument("--steps", type=int, default=2, help="T")
        action.add_argument("--views", type=int, default=2, help="V")
        action.add_argument("--height", type=int, default=112, help="multiple of 8")
        action.add_argument("--width", type=int, default=160, help="multiple of 8")
        action.add_argument("--device", default="cpu")


def run(arguments: argparse.Namespace) -> int:
    """Writes the sheet, or prints the rate."""
    from vggt4d_ros.data.synthetic import SyntheticWindows

    sizes = ("windows", "steps", "views", "height", "width")
    if any(getattr(arguments, name) < 1 for name in sizes):
        raise CommandError("all of --windows --steps --views --height --width must be positive")
    if arguments.height % 8 or arguments.width % 8:
        raise CommandError("--height and --width must be multiples of 8")
    source = SyntheticWindows(seed=arguments.seed, device=arguments.device)
    shape = (arguments.steps, arguments.views, arguments.height, arguments.width)
    if arguments.action == "bench":
        source.batch([0], *shape)  # textures are made at the first use
        started = time.perf_counter()
        for index in range(arguments.windows):
            source.batch([index], *shape)
        seconds = time.perf_counter() - started
        frames = arguments.windows * arguments.steps * arguments.views
        print(f"{frames / seconds:.1f} frames/s ({frames} frames of {shape[2]} x {shape[3]})")
        return 0

    import cv2

    from vggt4d_ros.data.preview import image_sheet, sheet

    batch = source.batch(range(arguments.windows), *shape)
    picture = image_sheet(batch) if arguments.images_only else sheet(batch)
    if not cv2.imwrite(arguments.out, picture[..., ::-1]):
        raise CommandError(f"{arguments.out}: cannot be written")
    print(arguments.out)
    return 0
