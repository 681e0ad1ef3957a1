# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Arguments like ``4x4``."""

from __future__ import annotations

from vggt4d_ros.cli import CommandError


def pair(text: str, option: str) -> tuple[int, int]:
    """Two positive numbers with an x between.

    Raises:
        CommandError: the text is something else; names the option.
    """
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdigit() and int(part) for part in parts):
        raise CommandError(f"{option} must be two numbers like 4x4, got {text!r}")
    return int(parts[0]), int(parts[1])
