# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""HTML and SVG as nested calls, where text is escaped unless it is markup already."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Union

_VOID = {"meta", "img", "br"}


class Markup(str):
    """Text that goes into the page as it is."""

    __slots__ = ()


Child = Union[str, int, "Markup", None, Iterable["Child"]]  # noqa: UP007, at run time in 3.10


def render(child: Child) -> Markup:
    """Text is escaped, markup is not, None is nothing, a sequence is one after the other."""
    if child is None:
        return Markup()
    if isinstance(child, Markup):
        return child
    if isinstance(child, (str, int)):
        return Markup(html.escape(str(child), quote=True))
    return Markup("".join(render(part) for part in child))


def element(tag: str, /, *children: Child, **attributes: str | int | float | bool | None) -> Markup:
    """An element; ``class_`` is class, ``data_x`` is data-x, True is an attribute without value.

    Attributes that are None or False are left out.
    """
    words = [tag]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key = key.rstrip("_").replace("_", "-")
        words.append(key if value is True else f'{key}="{html.escape(str(value), quote=True)}"')
    opening = f"<{' '.join(words)}>"
    return Markup(opening if tag in _VOID else f"{opening}{render(children)}</{tag}>")


def number(value: float | int | str | None, digits: int = 4) -> str:
    """Significant digits, whole numbers whole; a dash for what is not known."""
    if value is None or isinstance(value, str):
        return value or "–"
    if value != value:
        return "–"
    if abs(value) in (float("inf"),):
        return "∞" if value > 0 else "−∞"
    if value == int(value) and abs(value) < 1e9:
        return f"{int(value)}".replace("-", "−")
    if 10**digits <= abs(value) < 1e9:
        return f"{value:.0f}".replace("-", "−")
    return f"{value:.{digits}g}".replace("-", "−")


def table(
    head: Iterable[Child],
    rows: Iterable[Iterable[Child]],
    *,
    caption: Child = None,
    foot: Iterable[Child] | None = None,
    label: str = "table",
    id: str | None = None,  # noqa: A002, as the attribute is called
) -> Markup:
    """A table whose first column names the rows; it scrolls by itself where the page is narrow."""
    cells = [_cell("th", cell, scope="col") for cell in head]
    parts: list[Child] = [
        element("caption", caption) if caption is not None else None,
        element("thead", element("tr", cells)),
        element("tbody", [_row(row) for row in rows]),
        element("tfoot", _row(foot)) if foot is not None else None,
    ]
    label = caption if isinstance(caption, str) else label
    inner = element("table", parts, id=id)
    # a region that scrolls must take the keyboard's focus to be scrolled without a mouse
    return element("div", inner, class_="scroll", tabindex=0, role="region", aria_label=label)


def text_cell(tag: str, content: Child) -> Markup:
    """A cell of words, td or th, which wrap and begin at the left."""
    return element(tag, content, class_="text", scope="col" if tag == "th" else None)


def _cell(tag: str, content: Child, scope: str | None = None) -> Markup:
    if isinstance(content, Markup) and content.startswith(f"<{tag}"):
        return content
    return element(tag, content, scope=scope)


def _row(cells: Iterable[Child]) -> Markup:
    first, *rest = cells
    return element("tr", element("th", first, scope="row"), [_cell("td", cell) for cell in rest])
