#!/usr/bin/env python3
# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Writes the tables of README.md from the code: parameters, topics, drop causes.

``make_docs.py`` rewrites them, ``make_docs.py --check`` fails when they are out of date.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from vggt4d_ros.config import leaves  # noqa: E402
from vggt4d_ros.messages.topics import TOPICS  # noqa: E402
from vggt4d_ros.options import Leaf  # noqa: E402
from vggt4d_ros.stream.causes import CAUSES  # noqa: E402


def _range(leaf: Leaf) -> str:
    known = leaf.option
    if known.choices:
        return ", ".join(f"`{choice}`" for choice in known.choices)
    if known.minimum is None or known.maximum is None:
        return ""
    return f"{known.minimum:g} … {known.maximum:g}"


def _default(leaf: Leaf) -> str:
    if isinstance(leaf.default, tuple):
        return "`[]`"
    if isinstance(leaf.default, bool):
        return f"`{str(leaf.default).lower()}`"
    return f"`{leaf.default}`" if leaf.default != "" else "`''`"


def parameters() -> Iterator[str]:
    """One row for each parameter."""
    yield "| parameter | default | unit | range | live | meaning |"
    yield "|---|---|---|---|---|---|"
    for leaf in leaves():
        live = "yes" if leaf.option.live else ""
        yield (
            f"| `{leaf.name}` | {_default(leaf)} | {leaf.option.unit} | {_range(leaf)} | {live} "
            f"| {leaf.option.description} |"
        )


def topics() -> Iterator[str]:
    """One row for each output."""
    yield "| topic | type | note |"
    yield "|---|---|---|"
    for topic in TOPICS:
        name = topic.resolve("<cam>")
        yield f"| `{name}` | `{topic.type}` | {topic.note} |"


def causes() -> Iterator[str]:
    """One row for each cause by which a frame is dropped."""
    yield "| cause | meaning |"
    yield "|---|---|"
    for cause, meaning in CAUSES.items():
        yield f"| `{cause}` | {meaning} |"


TABLES: dict[str, Callable[[], Iterator[str]]] = {
    "topics": topics,
    "parameters": parameters,
    "causes": causes,
}


def with_tables(text: str) -> str:
    """The text with every ``<!-- table NAME -->`` ... ``<!-- end -->`` block made anew.

    Raises:
        ValueError: a table has no place in the text.
    """
    for name, rows in TABLES.items():
        begin, end = f"<!-- table {name} -->", "<!-- end -->"
        head, found, rest = text.partition(begin)
        _, closed, tail = rest.partition(end)
        if not found or not closed:
            raise ValueError(f"README.md has no {begin} ... {end}")
        text = f"{head}{begin}\n" + "\n".join(rows()) + f"\n{end}{tail}"
    return text


def main() -> int:
    """Rewrites README.md, or checks it."""
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    made = with_tables(text)
    if "--check" in sys.argv[1:]:
        if made != text:
            print("README.md's tables are out of date: run scripts/make_docs.py", file=sys.stderr)
            return 1
        return 0
    readme.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
