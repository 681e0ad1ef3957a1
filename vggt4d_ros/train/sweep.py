# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How accuracy depends on the numbers of views and steps, with and without missing frames."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from vggt4d_ros.data.scenes import SceneConfig
from vggt4d_ros.data.synthetic import SyntheticWindows
from vggt4d_ros.model.vggt4d import VGGT4D
from vggt4d_ros.train.config import TrainConfig
from vggt4d_ros.train.metrics import evaluate

logger = logging.getLogger(__name__)
STEPS = (1, 2, 3, 4, 6, 8)
VIEWS = (1, 2, 3, 4, 6)
WINDOWS = 4
SIZE = (80, 112)  # (height, width)


def sweep(
    model: VGGT4D,
    config: TrainConfig,
    steps: Sequence[int] = STEPS,
    views: Sequence[int] = VIEWS,
    windows: int = WINDOWS,
    size: tuple[int, int] = SIZE,
) -> list[dict[str, Any]]:
    """Metrics on ``windows`` held-out windows of each grid.

    Args:
        model: what to evaluate.
        config: of its run; its held-out seed counts.
        steps: numbers of time steps.
        views: numbers of cameras.
        windows: of each grid.
        size: (height, width).

    Returns:
        Rows with ``steps``, ``views``, ``missing`` (whether every window lacks frames) and
        ``metrics``. One or two frames are never missing.
    """
    rows = []
    for count in steps:
        for cameras in views:
            for missing in (False, True) if count * cameras > 2 else (False,):
                scenes = SceneConfig(drop_share=float(missing))
                source = SyntheticWindows(scenes, config.held_out_seed, config.device)
                batches = (source.batch([index], count, cameras, *size) for index in range(windows))
                numbers = evaluate(model, batches)
                rows.append(
                    {"steps": count, "views": cameras, "missing": missing, "metrics": numbers}
                )
                logger.info("%d steps, %d views, missing %s", count, cameras, missing)
    return rows
