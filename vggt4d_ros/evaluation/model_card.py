# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which network a run was made with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vggt4d_ros.model.catalogue import sha256_of
from vggt4d_ros.model.engine import Engine


def describe_engine(engine: Engine) -> dict[str, Any]:
    """Name, size, checkpoint and its hash; "" where there is no file."""
    what = engine.description
    path = Path(what.checkpoint)
    return {
        "name": what.name,
        "parameters": what.parameters,
        "device": what.device,
        "precision": what.precision,
        "checkpoint": path.name,
        "sha256": sha256_of(path) if path.is_file() else "",
        "warnings": list(engine.warnings),
    }
