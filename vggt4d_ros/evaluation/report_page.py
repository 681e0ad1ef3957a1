# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The report's page: one file, its style and its few lines of script in it, nothing fetched."""

from __future__ import annotations

from collections.abc import Sequence

from vggt4d_ros.evaluation.report_html import Child, Markup, element

# even by mistake nothing can be asked of a network
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"

STYLE = """
:root { color-scheme: light dark;
  --paper: #ffffff; --card: #f4f6f8; --ink: #1b1f24; --soft: #56606b; --rule: #d4d9df;
  --found: #0a62a5; --truth: #b34700; --other: #00795c; --good: #00664b; --bad: #a3300a; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #14171b; --card: #1d2228; --ink: #e6e9ec; --soft: #a3adb8; --rule: #39414a;
  --found: #6cb6f5; --truth: #ff9d57; --other: #4fd1a8; --good: #5fd3ac; --bad: #ff8f6b; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
.skip { position: absolute; left: -99em; }
.skip:focus { left: 1rem; top: 1rem; background: var(--paper); padding: .5rem; z-index: 2; }
header, main, footer { max-width: 75rem; margin: 0 auto; padding: 0 1rem; }
header { padding-top: 1.5rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .75rem; padding-top: .5rem;
  border-top: 1px solid var(--rule); }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
p { margin: .5rem 0; max-width: 46rem; }
a { color: var(--found); }
code { font-size: .9em; overflow-wrap: anywhere; }
:focus-visible { outline: 3px solid var(--found); outline-offset: 2px; }
.soft, figcaption small, caption { color: var(--soft); }
nav ul { list-style: none; padding: 0; margin: 1rem 0 0; display: flex; flex-wrap: wrap;
  gap: .25rem 1.25rem; }
.tiles { display: grid; gap: .75rem; margin: 1rem 0;
  grid-template-columns: repeat(auto-fill, minmax(10.5rem, 1fr)); }
.tiles div { background: var(--card); border: 1px solid var(--rule); border-radius: .5rem;
  padding: .6rem .8rem; }
.tiles dt { color: var(--soft); font-size: .85rem; }
.tiles dd { margin: 0; }
.tiles dd.value { font-size: 1.5rem; font-weight: 600; line-height: 1.3; }
.tiles dd.value small { font-size: .9rem; font-weight: 400; color: var(--soft); }
.tiles dd.note { font-size: .8rem; color: var(--soft); }
.tables { display: flex; flex-wrap: wrap; gap: 0 2.5rem; align-items: flex-start; }
.tables > * { max-width: 100%; }
.scroll { overflow-x: auto; margin: .75rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
caption { text-align: left; padding-bottom: .25rem; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--rule); text-align: right;
  white-space: nowrap; }
th:first-child { text-align: left; }
tbody th { white-space: normal; min-width: 6.5rem; }
tbody th code { font-weight: 400; color: var(--soft); }
thead th { border-bottom: 2px solid var(--rule); }
tfoot th, tfoot td { border-top: 2px solid var(--rule); font-weight: 600; }
td.text, th.text { text-align: left; }
td.text { white-space: normal; min-width: 9rem; overflow-wrap: break-word; }
.mark { font-size: .8em; margin-left: .35em; }
.good { color: var(--good); } .bad { color: var(--bad); }
.faults { border-left: 4px solid var(--bad); padding: .25rem 0 .25rem 2rem; margin: .75rem 0;
  overflow-wrap: anywhere; }
.grid { display: grid; gap: 1.25rem; margin: 1rem 0;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); }
figure { margin: 0; }
figcaption { font-size: .9rem; font-weight: 600; }
.plot { position: relative; max-width: 36rem; }
.chart { display: block; width: 100%; height: auto; touch-action: pan-y; }
.chart text { fill: var(--soft); font-size: 12px; }
.chart text.strong { fill: var(--ink); font-weight: 600; paint-order: stroke;
  stroke: var(--paper); stroke-width: 4px; }
.chart .grid { stroke: var(--rule); stroke-width: 1; }
.chart .axis { stroke: var(--soft); stroke-width: 1; }
.chart .note { stroke: var(--truth); stroke-width: 1.5; stroke-dasharray: 4 3; }
.chart .bar { fill: var(--found); }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.line.found { stroke: var(--found); }
.line.truth { stroke: var(--truth); stroke-dasharray: 7 5; }
.line.other { stroke: var(--other); stroke-dasharray: 2 4; }
.chart .end { fill: var(--paper); stroke-width: 2; }
.end.found { stroke: var(--found); } .end.truth { stroke: var(--truth); }
.chart .cursor circle { fill: var(--ink); }
.chart .cursor line { stroke: var(--ink); stroke-width: 1; opacity: .5; }
.readout { display: block; min-height: 1.4em; font-size: .85rem; color: var(--ink); }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 0 1rem; padding: 0; margin: 0;
  font-size: .85rem; }
.key { width: 2rem; height: .75rem; margin-right: .35rem; vertical-align: middle; }
.pictures { display: grid; gap: .75rem; margin: .75rem 0;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 11.5rem), 1fr)); }
.pictures img { display: block; width: 100%; height: auto; background: var(--card);
  border-radius: .25rem; }
.pictures figcaption { font-weight: 400; font-size: .8rem; overflow-wrap: anywhere; }
.pictures .cloud { grid-column: span 2; max-width: 20rem; }
.wheel { display: flex; flex-wrap: wrap; gap: 1rem 2rem; align-items: center; margin: 1rem 0;
  font-size: .85rem; }
.wheel figure { display: flex; align-items: center; gap: .75rem; max-width: 22rem; }
.wheel figcaption { font-weight: 400; }
.wheel img { border-radius: .25rem; }
details { margin: .75rem 0; }
summary { cursor: pointer; font-weight: 600; }
footer { margin-top: 3rem; padding-bottom: 3rem; color: var(--soft); font-size: .85rem; }
@media (max-width: 34rem) { body { font-size: 15px; } .pictures {
  grid-template-columns: 1fr 1fr; } .chart text { font-size: 15px; } }
@media print {
  :root { color-scheme: light; --paper: #fff; --card: #fff; --ink: #000; --soft: #444;
    --rule: #bbb; --found: #0a62a5; --truth: #b34700; --other: #00795c; --good: #00664b;
    --bad: #a3300a; }
  nav, .skip, .readout { display: none; }
  figure, .tiles div, tr { break-inside: avoid; }
  h2, h3, summary { break-after: avoid; }
  .scroll { overflow: visible; }
}
"""

# A cursor in the charts, by pointer or arrow keys; and what is folded is printed too.
SCRIPT = """
"use strict";
const SVG = "http://www.w3.org/2000/svg";
function show(plot, data, line, index) {
  const point = data.series[line].points[index];
  const cursor = plot.querySelector(".cursor");
  cursor.replaceChildren();
  const dot = document.createElementNS(SVG, "circle");
  dot.setAttribute("cx", point[0]); dot.setAttribute("cy", point[1]); dot.setAttribute("r", 4);
  cursor.append(dot);
  plot.querySelector(".readout").textContent =
    `${data.series[line].name}: ${data.x} ${point[2]}, ${data.y} ${point[3]}`;
}
function nearest(data, x, y) {
  let best = [Infinity, 0, 0];
  data.series.forEach((series, line) => series.points.forEach((point, index) => {
    const far = data.map ? Math.hypot(point[0] - x, point[1] - y)
      : Math.abs(point[0] - x) + 0.01 * Math.abs(point[1] - y);
    if (far < best[0]) best = [far, line, index];
  }));
  return best;
}
for (const plot of document.querySelectorAll(".plot")) {
  const source = plot.querySelector("script");
  if (!source) continue;
  const data = JSON.parse(source.textContent), chart = plot.querySelector(".chart");
  if (!data.series.some(series => series.points.length)) continue;
  let line = data.series.findIndex(series => series.points.length), index = 0;
  chart.addEventListener("pointermove", event => {
    const at = new DOMPoint(event.clientX, event.clientY)
      .matrixTransform(chart.getScreenCTM().inverse());
    [, line, index] = nearest(data, at.x, at.y);
    show(plot, data, line, index);
  });
  chart.addEventListener("focus", () => show(plot, data, line, index));
  chart.addEventListener("keydown", event => {
    const last = data.series[line].points.length - 1;
    const moves = { ArrowLeft: index - 1, ArrowRight: index + 1, Home: 0, End: last };
    if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      const full = data.series.map((s, i) => i).filter(i => data.series[i].points.length);
      const step = event.key === "ArrowUp" ? 1 : full.length - 1;
      line = full[(full.indexOf(line) + step) % full.length];
      index = Math.min(index, data.series[line].points.length - 1);
    } else if (event.key in moves) index = Math.max(0, Math.min(last, moves[event.key]));
    else return;
    event.preventDefault();
    show(plot, data, line, index);
  });
}
addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("details")) part.open = true;
});
"""


def page(title: str, head: Child, sections: Sequence[tuple[str, str, Child]], foot: Child) -> str:
    """The whole document.

    Args:
        title: of the window and the first heading.
        head: below the heading.
        sections: id, heading and content of each.
        foot: at the end.
    """
    links = [element("li", element("a", heading, href=f"#{name}")) for name, heading, _ in sections]
    parts = [
        element("section", element("h2", heading, id=f"{name}-h"), content, id=name)
        if heading
        else element("section", content, id=name)
        for name, heading, content in sections
    ]
    body = [
        element("a", "Skip to the numbers", href="#main", class_="skip"),
        element("header", element("h1", title), head, _navigation(links)),
        element("main", parts, id="main"),
        element("footer", foot),
        element("script", Markup(SCRIPT)),
    ]
    meta = [
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Markup(STYLE)),
    ]
    document = element("html", element("head", meta), element("body", body), lang="en")
    return f"<!DOCTYPE html>\n{document}\n"


def _navigation(links: Sequence[Child]) -> Markup:
    return element("nav", element("ul", links), aria_label="Sections")
