# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the openers of short real recordings share, one folder each."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from vggt4d_ros.data.readers.recording import Recording

LICENCE = "see its README"


def open_known(
    root: Path | str, openers: Mapping[str, Callable[[Path], Recording]]
) -> dict[str, Recording]:
    """The recordings under ``root`` that have an opener, by folder name; absent ones are left out.

    Raises:
        DatasetError: a folder of a known name looks otherwise than it should.
    """
    root = Path(root)
    return {name: openers[name](root / name) for name in sorted(openers) if (root / name).is_dir()}


def read_json(path: Path) -> Any:
    """Content of a JSON file."""
    return json.loads(path.read_text())
