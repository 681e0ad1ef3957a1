# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Charts as inline SVG: lines, a histogram, bars. Colours are the page's, by class."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vggt4d_ros.evaluation.charts_axes import Axis, Values, along, span, thin
from vggt4d_ros.evaluation.report_html import Child, Markup, element, number

WIDTH, HEIGHT = 460.0, 260.0
LEFT, RIGHT, TOP, BOTTOM = 62.0, 14.0, 30.0, 46.0


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One line. ``style`` is truth, found or other: told apart by dashes as well as by colour."""

    name: str
    x: Values
    y: Values
    style: str = "found"


def line_chart(
    title: str,
    series: Sequence[Series],
    *,
    x_label: str,
    y_label: str,
    id: str,  # noqa: A002, as the attribute is called
    zero: bool = True,
    square: bool = False,
) -> Markup:
    """Lines over a common axis; gaps where a value is not finite.

    Args:
        title: of the chart.
        series: lines.
        x_label, y_label: with their unit.
        id: of the figure, unique in the page.
        zero: y begins at zero where nothing is below.
        square: a metre is as long on both axes (a map).
    """
    x_low, x_high = span([s.x for s in series])
    y_low, y_high = span([s.y for s in series], zero=zero and not square)
    height = HEIGHT
    if square:
        height = 400.0
        x_low, x_high, y_low, y_high = _same_scale(x_low, x_high, y_low, y_high, height)
    x_axis = Axis(x_low, x_high, LEFT, WIDTH - RIGHT)
    y_axis = Axis(y_low, y_high, height - BOTTOM, TOP)
    shapes: list[Child] = [_frame(x_axis, y_axis, x_label, y_label, height)]
    data = []
    for line in series:
        x, y = along(line.x, line.y) if square else thin(line.x, line.y)
        shapes.append(element("path", d=_path(x, y, x_axis, y_axis), class_=f"line {line.style}"))
        if square:
            shapes.append(_ends(line, x_axis, y_axis))
        data.append({"name": line.name, "points": _points(x, y, x_axis, y_axis)})
    shapes.append(element("g", class_="cursor"))
    return figure(
        title,
        shapes,
        height,
        id=id,
        legend=[(line.name, line.style) for line in series] if len(series) > 1 else [],
        label=f"{title}: " + "; ".join(_summary(line, y_label) for line in series),
        data={"x": x_label, "y": y_label, "series": data, "map": square},
    )


def _same_scale(
    x_low: float, x_high: float, y_low: float, y_high: float, height: float
) -> tuple[float, float, float, float]:
    wide, high = WIDTH - LEFT - RIGHT, height - TOP - BOTTOM
    unit = max((x_high - x_low) / wide, (y_high - y_low) / high)  # metres per pixel
    x_middle, y_middle = (x_low + x_high) / 2, (y_low + y_high) / 2
    return (
        x_middle - unit * wide / 2,
        x_middle + unit * wide / 2,
        y_middle - unit * high / 2,
        y_middle + unit * high / 2,
    )


def _path(x: Values, y: Values, x_axis: Axis, y_axis: Axis) -> str:
    words, is_open = [], False
    for px, py in zip(x.tolist(), y.tolist(), strict=True):
        if not (math.isfinite(px) and math.isfinite(py)):
            is_open = False
            continue
        words.append(f"{'L' if is_open else 'M'}{x_axis(px):.1f} {y_axis(py):.1f}")
        is_open = True
    if len(words) == 1:
        words.append("h0.1")  # a point of a line with round ends
    return "".join(words)


def _points(x: Values, y: Values, x_axis: Axis, y_axis: Axis) -> list[list[float | str]]:
    """Pixel and words of each point, for the cursor."""
    return [
        [round(x_axis(px), 1), round(y_axis(py), 1), number(px), number(py)]
        for px, py in zip(x.tolist(), y.tolist(), strict=True)
        if math.isfinite(px) and math.isfinite(py)
    ]


def _ends(line: Series, x_axis: Axis, y_axis: Axis) -> Markup:
    """A ring at the start and a square at the end."""
    known = np.flatnonzero(np.isfinite(line.x) & np.isfinite(line.y))
    if not len(known):
        return Markup()
    (x0, y0), (x1, y1) = (
        (x_axis(float(line.x[i])), y_axis(float(line.y[i]))) for i in (known[0], known[-1])
    )
    start = element("circle", cx=f"{x0:.1f}", cy=f"{y0:.1f}", r=4, class_=f"end {line.style}")
    end = element(
        "rect",
        x=f"{x1 - 4:.1f}",
        y=f"{y1 - 4:.1f}",
        width=8,
        height=8,
        class_=f"end {line.style}",
    )
    return Markup(start + end)


def _summary(line: Series, unit: str) -> str:
    known = line.y[np.isfinite(line.y)]
    if not known.size:
        return f"{line.name}: no values"
    low, middle, high = np.percentile(known, [0, 50, 100]).tolist()
    return (
        f"{line.name}: {len(known)} points, {unit} from {number(low)} to {number(high)}, "
        f"median {number(middle)}"
    )


def _frame(
    x_axis: Axis,
    y_axis: Axis,
    x_label: str,
    y_label: str,
    height: float,
    *,
    whole: bool = False,
) -> Markup:
    """Grid, numbers and names of the axes; ``whole``: y counts something."""
    parts: list[Child] = []
    for value in y_axis.ticks(whole=whole):
        y = f"{y_axis(value):.1f}"
        parts.append(element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="grid"))
        text = number(value)
        parts.append(element("text", text, x=LEFT - 6, y=y, dy="0.32em", text_anchor="end"))
    for value in x_axis.ticks():
        x, bottom = f"{x_axis(value):.1f}", height - BOTTOM
        parts.append(element("line", x1=x, x2=x, y1=bottom, y2=bottom + 4, class_="axis"))
        parts.append(element("text", number(value), x=x, y=bottom + 17, text_anchor="middle"))
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(element("text", x_label, x=middle, y=height - 7, text_anchor="middle"))
    parts.append(element("text", y_label, x=2, y=TOP - 16))
    base = height - BOTTOM
    parts.append(element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=base, y2=base, class_="axis"))
    return element("g", parts, class_="frame")


def histogram(
    title: str,
    values: Values,
    *,
    x_label: str,
    id: str,  # noqa: A002
    marks: Sequence[tuple[str, float]] = (),
) -> Markup:
    """How often values fall into equal bins, with named lines."""
    known = values[np.isfinite(values)]
    low, high = span([known])
    count = int(min(30, max(5, round(2 * len(known) ** (1 / 3)))))
    counts, edges = np.histogram(known, bins=count, range=(low, high))
    x_axis = Axis(low, high, LEFT, WIDTH - RIGHT)
    y_axis = Axis(0.0, max(counts.tolist()) * 1.15 + 1e-9, HEIGHT - BOTTOM, TOP)
    shapes: list[Child] = [_frame(x_axis, y_axis, x_label, "windows", HEIGHT, whole=True)]
    for n, left, right in zip(counts.tolist(), edges[:-1], edges[1:], strict=True):
        if n:
            words = f"{number(float(left))} to {number(float(right))}: {n}"
            shapes.append(
                element(
                    "rect",
                    element("title", words),
                    x=f"{x_axis(left) + 0.5:.1f}",
                    y=f"{y_axis(n):.1f}",
                    width=f"{max(x_axis(right) - x_axis(left) - 1, 0.5):.1f}",
                    height=f"{y_axis(0) - y_axis(n):.1f}",
                    class_="bar",
                )
            )
    for index, (name, value) in enumerate(marks):
        x = x_axis(value)
        side = "end" if x > (LEFT + WIDTH) / 2 else "start"
        shapes.append(
            element("line", x1=f"{x:.1f}", x2=f"{x:.1f}", y1=TOP, y2=HEIGHT - BOTTOM, class_="note")
        )
        shapes.append(
            element(
                "text",
                f"{name} {number(value)}",
                x=f"{x + (-4 if side == 'end' else 4):.1f}",
                y=TOP + 10 + 14 * index,
                text_anchor=side,
                class_="strong",
            )
        )
    words = ", ".join(f"{name} {number(value)}" for name, value in marks)
    return figure(title, shapes, HEIGHT, id=id, label=f"{title}: {len(known)} values; {words}")


def bars(
    title: str,
    parts: Sequence[tuple[str, float]],
    *,
    unit: str,
    id: str,  # noqa: A002
) -> Markup:
    """Horizontal bars, each with its name, number and share of the sum."""
    row, top, left, right = 26.0, 6.0, 112.0, 150.0
    total = sum(value for _, value in parts) or 1.0
    largest = max((value for _, value in parts), default=0.0) or 1.0
    height = top + row * max(len(parts), 1) + 4
    shapes: list[Child] = []
    for index, (name, value) in enumerate(parts):
        y = top + row * index
        width = max(value / largest * (WIDTH - left - right), 0.5)
        middle = f"{y + row / 2 - 2:.1f}"
        shapes.append(element("text", name, x=left - 8, y=middle, dy="0.32em", text_anchor="end"))
        shapes.append(
            element("rect", x=left, y=y, width=f"{width:.1f}", height=row - 5, class_="bar")
        )
        words = f"{number(value)} {unit}, {100 * value / total:.0f} %"
        shapes.append(element("text", words, x=f"{left + width + 6:.1f}", y=middle, dy="0.32em"))
    words = ", ".join(f"{name} {number(value)} {unit}" for name, value in parts)
    return figure(title, shapes, height, id=id, label=f"{title}: {words}")


def figure(
    title: str,
    shapes: Sequence[Child],
    height: float,
    *,
    id: str,  # noqa: A002
    label: str,
    legend: Sequence[tuple[str, str]] = (),
    data: dict[str, object] | None = None,
) -> Markup:
    """A chart with its title, legend and, where there is data, a line that tells values."""
    svg = element(
        "svg",
        shapes,
        viewBox=f"0 0 {WIDTH:g} {height:g}",
        role="img",
        aria_label=label,
        tabindex=0 if data else None,
        class_="chart",
    )
    keys = [
        element(
            "li",
            element(
                "svg",
                element("path", d="M1 6h30", class_=f"line {style}"),
                viewBox="0 0 32 12",
                aria_hidden="true",
                class_="key",
            ),
            name,
        )
        for name, style in legend
    ]
    table = None
    readout = None
    if data:
        # "<" must not end the script element that holds it
        text = json.dumps(data, separators=(",", ":"), ensure_ascii=True).replace("<", "\\u003c")
        table = element("script", Markup(text), type="application/json")
        readout = element("output", class_="readout")
    return element(
        "figure",
        element("figcaption", title),
        element("ul", keys, class_="legend") if keys else None,
        svg,
        readout,
        table,
        id=id,
        class_="plot",
    )
