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
    root: Path | str,
    openers: Mapping[str, Callable[[Path], Recording]],
    folders: Mapping[str, str] | None = None,
) -> dict[str, Recording]:
    """The recordings under ``root`` that have an opener, by name; absent ones are left out.

    Args:
        root: folder of the recordings' folders.
        openers: by name of the recording.
        folders: those of recordings whose folder has another name than they.

    Raises:
        DatasetError: a folder of a known name looks otherwise than it should.
    """
    found = {}
    for name in sorted(openers):
        folder = Path(root) / (folders or {}).get(name, name)
        if folder.is_dir():
            found[name] = openers[name](folder)
    return found


def read_json(path: Path) -> Any:
    """Content of a JSON file."""
    return json.loads(path.read_text())
