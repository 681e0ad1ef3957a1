# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The README's tables are those of the code, and the causes in the code are those of the table."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from vggt4d_ros.stream.causes import CAUSES

ROOT = Path(__file__).resolve().parent.parent


def test_readme_tables_are_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("make_docs", ROOT / "scripts" / "make_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = (ROOT / "README.md").read_text(encoding="utf-8")

    assert module.with_tables(text) == text


def test_every_cause_named_in_the_code_is_documented() -> None:
    sources = [*(ROOT / "vggt4d_ros").rglob("*.py")]
    pattern = re.compile(r'(?:DecodeError\(\s*|\.reject\([^,]+, |\.drop\(window, )"([a-z_]+)"')
    found = {cause for path in sources for cause in pattern.findall(path.read_text("utf-8"))}

    assert {"unknown_encoding", "unwanted"} <= found, "the pattern no longer finds causes"
    assert found <= set(CAUSES)
