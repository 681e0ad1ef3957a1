# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``vggt4d parity FOLDER``: compares the network with the released code's outputs."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from vggt4d_ros.cli import CommandError


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument("folder", type=Path, help="holds <name>.json with <name>.safetensors")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these cases")
    parser.add_argument("--without", nargs="+", default=[], metavar="NAME", help="not these")
    parser.add_argument("--verbose", action="store_true", help="every preprocessing case")


def run(arguments: argparse.Namespace) -> int:
    """Prints the largest error of each output; 1 if one is out of tolerance."""
    from vggt4d_ros.model.golden import compare_case, golden_cases

    try:
        cases = {path.stem: path for path in golden_cases(arguments.folder)}
    except ValueError as error:
        raise CommandError(str(error)) from error
    names = arguments.only or list(cases)
    unknown = sorted({*names, *arguments.without} - set(cases))
    if unknown:
        raise CommandError(f"no case {unknown[0]!r}; there are: {', '.join(cases)}")
    print(f"{'case':<12} {'output':<24} {'largest error':>14} {'of tolerance':>13}")
    bad = 0
    for name in (name for name in names if name not in arguments.without):
        started = time.perf_counter()
        try:
            found = compare_case(cases[name])
        except (ValueError, KeyError) as error:
            raise CommandError(f"{cases[name]}: {error}") from error
        for output in found:
            bad += not output.ok
            if arguments.verbose or not output.ok or name != "preprocess":
                share = f"{output.excess:13.1%}" if output.ok else "  OUT OF IT  "
                print(f"{name:<12} {output.output:<24} {output.largest:14.2e} {share}")
        seconds = time.perf_counter() - started
        verdict = "equal" if all(output.ok for output in found) else "DIFFERENT"
        print(f"{name:<12} {verdict}: {len(found)} outputs in {seconds:.1f} s", flush=True)
    return 1 if bad else 0
