# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``vggt4d bench SUBJECT``: measures a part of the package; each subject is a module of its own."""

from __future__ import annotations

import argparse
from importlib import import_module

SUBJECTS = {
    "model": ("vggt4d_ros.benchmark", "milliseconds per window of the network, by stage"),
    "accuracy": ("vggt4d_ros.benchmark_accuracy", "what each approximation of the network costs"),
    "node": ("vggt4d_ros.benchmark_node", "the whole node: latency, rate, drops"),
    "geometry": ("vggt4d_ros.benchmark_geometry", "what follows the network"),
    "encode": ("vggt4d_ros.benchmark_encode", "arrays to messages"),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the subjects; a subject's own arguments are parsed when it is imported."""
    sub = parser.add_subparsers(dest="subject", metavar="SUBJECT", required=True)
    for name, (_, summary) in SUBJECTS.items():
        subject = sub.add_parser(name, help=summary, add_help=False, prefix_chars="\0")
        subject.add_argument("rest", nargs="*")


def run(arguments: argparse.Namespace) -> int:
    """Imports the subject and runs it."""
    name, summary = SUBJECTS[arguments.subject]
    module = import_module(name)
    parser = argparse.ArgumentParser(prog=f"vggt4d bench {arguments.subject}", description=summary)
    module.configure(parser)
    return int(module.run(parser.parse_args(arguments.rest)))
