# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which way each metric is better."""

from __future__ import annotations

import re
from typing import Literal

Direction = Literal["lower", "higher"]

# last parts of a metric's name; those of one line are tried as a whole
_LOWER = re.compile(
    r"(metric_)?(abs_rel|sq_rel|rmse|rmse_log)|epe|fl_all|epe3d(_moving|_static)?|outliers|"
    r"bucketed(_.*)?|(accuracy|completeness)(_median)?|(ate|rpe_trans|rpe_rot_deg)_.*|"
    r"change(_median)?|ause|residual_(m|rad)|(rotation|translation|fov)_deg(_mean|_median)?"
)
_HIGHER = re.compile(
    r"delta[123]|px[135]|acc_[sr]|j|f|head_j|iou|precision|recall|f_score|normal_consistency|"
    r"steady|aurg|coverage"
)


def direction(name: str) -> Direction | None:
    """How a metric of this dotted name is better; None for counts and what is neither."""
    last = name.rsplit(".", 1)[-1]
    if _LOWER.fullmatch(last):
        return "lower"
    return "higher" if _HIGHER.fullmatch(last) else None
