# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Colours and letters that all panels of the demo's picture share."""

from __future__ import annotations

from typing import Any

DPI = 110
HEADING: dict[str, Any] = {"size": 12.5, "weight": "bold", "loc": "left"}
INK, SOFT = "#1b1f24", "#68707a"
