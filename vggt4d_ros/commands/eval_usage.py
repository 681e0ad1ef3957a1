# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which options of ``vggt4d eval`` have an effect on what; any other is refused, not ignored."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from vggt4d_ros.cli import UsageError

_NETWORK = {"params", "set", "namespace", "checkpoint"}
_RUN = _NETWORK | {
    "out", "truth", "truth_tolerance", "real_time", "pictures", "no_baselines", "record", "rerun",
}  # fmt: skip
_TOPICS = {"topic", "truth_topic", "depth_topic"}
_FLEET = {"jobs", "ray"}
_ALWAYS = {"what", "suite", "no_progress"}
# what is evaluated -> options that say something of it
EFFECTIVE: Mapping[str, frozenset[str]] = {
    "compare": frozenset({"bound", "json"}),
    "--suite geometry": frozenset({"json"}),
    "--suite compact": frozenset({"json", "checkpoint"}),
    "--suite samples": frozenset(_RUN | _TOPICS | {"json"}),
    "a data set": frozenset(_RUN | {"sequence"}),
    "a bag": frozenset(_RUN | _TOPICS | _FLEET),
    # nothing is run: of the parameters only names of frames are read
    "recorded outputs": frozenset(
        (_RUN | _TOPICS | _FLEET | {"outputs"})
        - {"topic", "checkpoint", "real_time", "record", "rerun"}
    ),
}


def check_options(arguments: argparse.Namespace, defaults: Mapping[str, object], what: str) -> None:
    """Refuses options that were given and would have no effect.

    Args:
        arguments: as parsed.
        defaults: of all options; one that has its default counts as not given.
        what: is evaluated, a key of EFFECTIVE.

    Raises:
        UsageError: names the options, and what they go with.
    """
    idle = [
        name
        for name, default in defaults.items()
        if name not in EFFECTIVE[what] | _ALWAYS and getattr(arguments, name) != default
    ]
    if not idle:
        return
    listed = " and ".join(f"--{name.replace('_', '-')}" for name in idle)
    fitting = [other for other, options in EFFECTIVE.items() if options.issuperset(idle)]
    goes_with = f": it goes with {' or '.join(fitting)}" if fitting and len(idle) == 1 else ""
    verb = "has" if len(idle) == 1 else "have"
    raise UsageError(f"{listed} {verb} no effect with {what}{goes_with}")
