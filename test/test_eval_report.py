# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The report as a document: what it says, that it is whole, that it asks for nothing."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from report_run import HOSTILE, KINDS, run

from vggt4d_ros.evaluation.charts import Series, bars, histogram, line_chart
from vggt4d_ros.evaluation.charts_axes import along, span, thin, ticks
from vggt4d_ros.evaluation.options import EvaluationError
from vggt4d_ros.evaluation.report import report_html, write_report
from vggt4d_ros.evaluation.report_html import Markup, element, number, table
from vggt4d_ros.evaluation.run_folder import write_run

VOID = {"meta", "img", "br", "line", "path", "rect", "circle"}


class Document(HTMLParser):
    """Elements in order, with text; fails where tags do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in self.open:
            self.text.setdefault(tag, []).append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def words(self, tag: str) -> str:
        return " ".join(self.text.get(tag, []))


@pytest.fixture(scope="module")
def html() -> str:
    return report_html(run())


@pytest.fixture(scope="module")
def document(html: str) -> Document:
    return Document(html)


def test_report_is_written_from_the_folder_alone(tmp_path: Path):
    folder = write_run(run(), tmp_path / "run")

    path = write_report(folder)

    assert path == folder / "report.html"
    assert "drive &amp; &lt;b&gt;park&lt;/b&gt;" in path.read_text()


def test_folder_without_a_run_is_refused_in_one_line(tmp_path: Path):
    with pytest.raises(EvaluationError, match="no run folder"):
        write_report(tmp_path)


def test_same_run_gives_the_same_report(html: str):
    assert report_html(run()) == html


def test_nothing_of_a_recording_becomes_markup(html: str, document: Document):
    assert HOSTILE not in html
    assert HOSTILE in document.words("li")  # the fault
    scripts = document.all("script")
    assert len(scripts) == 1 + sum(s.get("type") == "application/json" for s in scripts)
    assert "alert(" not in document.words("script")


def test_data_of_charts_cannot_end_their_script():
    chart = line_chart(
        "t", [Series("</script>", np.arange(3.0), np.arange(3.0))], x_label="x", y_label="y", id="c"
    )

    assert chart.count("</script>") == 1
    found = re.search(r'json">(.*?)</script>', chart)
    assert found is not None
    assert json.loads(found[1])["series"][0]["name"] == "</script>"


def test_page_asks_the_network_for_nothing(html: str, document: Document):
    assert not re.search(r'(src|href)="(?!data:|#)', html)
    assert "url(" not in html
    assert "@import" not in html
    policy = [m for m in document.all("meta") if "http-equiv" in m]
    assert "default-src 'none'" in str(policy[0]["content"])


def test_ids_are_unique_and_links_lead_to_them(document: Document):
    ids = [str(a["id"]) for _, a in document.elements if "id" in a]

    assert len(ids) == len(set(ids))
    for link in document.all("a"):
        assert str(link["href"])[1:] in ids


def test_every_picture_of_the_run_is_there_with_words_for_who_cannot_see(document: Document):
    images = document.all("img")
    legends = 3  # depth, confidence, flow

    assert len(images) == 2 * (2 * len(KINDS) + 1) + legends
    for image in images:
        assert str(image["src"]).startswith("data:image/")
        assert len(str(image["alt"])) > 10


def test_every_chart_has_words_for_who_cannot_see(document: Document):
    charts = [a for a in document.all("svg") if a.get("class") == "chart"]

    assert len(charts) >= 8
    assert all(chart["role"] == "img" and chart["aria-label"] for chart in charts)


def row_of(html: str, name: str) -> list[str]:
    """Words of the cells of the first table row that begins with ``name``."""
    found = re.search(rf'<tr><th scope="row">(?:<span>)?{re.escape(name)}.*?</tr>', html)
    assert found is not None, name
    cells = re.findall(r"<td.*?>(.*?)</td>", found[0])
    return [re.sub(r"<.*?>", "", cell) for cell in cells]


def test_images_are_counted_by_camera_and_cause_and_add_up(html: str):
    counts = html[html.index('id="counts"') :]

    # received, used, corrupt_data, late, dropped
    assert row_of(counts, "front") == ["30", "23", "3", "4", "7"]
    assert row_of(counts, "rig/left") == ["25", "23", "0", "2", "2"]
    assert row_of(counts, "all") == ["55", "46", "3", "6", "9"]
    assert "✓ adds up: 55 received = 46 used + 9 dropped" in counts
    assert "✓ adds up: 21 windows formed = 20 done + 1 dropped" in counts


def test_cameras_are_counted_where_their_images_are_counted_together():
    counts = {"all cameras": {"received": 30, "used": 30, "dropped": {}}}

    assert "2 cameras" in report_html(run(counts=counts))


def test_counts_that_do_not_add_up_are_told():
    counts = {"front": {"received": 30, "used": 20, "dropped": {"late": 4}}}

    html = report_html(run(counts=counts))

    assert "✗ does not add up: 30 received = 20 used + 4 dropped, 6 unaccounted for" in html


def test_two_errors_of_counts_do_not_cancel_out():
    counts = {
        "a": {"received": 30, "used": 20, "dropped": {}},
        "b": {"received": 20, "used": 30, "dropped": {}},
    }

    html = report_html(run(counts=counts))

    assert "✗ does not add up: 50 received = 50 used + 0 dropped, 20 unaccounted for" in html


def test_baselines_are_marked_in_words_by_the_metrics_own_direction(html: str):
    depth = html[html.index('id="metrics-depth-median"') :]
    flow = html[html.index('id="metrics-flow-all"') :]

    assert row_of(depth, "abs_rel ↓") == ["0.12", "0.4▲ better"]
    assert row_of(depth, "delta1 ↑") == ["0.81", "0.9▼ worse"]
    assert row_of(depth, "rmse ↓") == ["0.9", "–"]
    assert row_of(flow, "epe ↓") == ["1.5", "1.2▼ worse"]
    assert row_of(flow, "fl_all ↓") == ["0.1", "0.1"]  # equal: neither


def test_baseline_is_shown_where_the_run_has_no_number(html: str):
    assert row_of(html[html.index('id="metrics-trajectory-se3"') :], "ate_rmse ↓") == ["–", "2"]


def test_faults_warnings_and_truth_that_did_not_match_are_told(document: Document):
    faults = document.words("li")

    assert "a message is cut short" in faults
    assert "left out: /depth: no camera" in faults
    assert "WEAK WEIGHTS" in faults
    assert "ranges do not overlap" in document.words("td")


def test_scale_of_a_part_of_the_run_is_told():
    rows = run().rows
    rows[0]["scale_source"] = "none"

    html = report_html(run(rows=rows))

    assert "in part" in html
    assert "by window: none 1, rig 19" in html


def test_run_with_nothing_in_it_still_gives_a_page():
    html = report_html(
        run(
            metrics={},
            baselines={},
            curves={},
            timing={},
            rows=[],
            timings=[],
            trajectory=None,
            truth_trajectory=None,
            pictures=[],
            truth={},
            faults=[],
            windows={"formed": 0, "done": 0, "dropped": {}},
            counts={},
        )
    )

    Document(html)
    assert "No ground truth was given or found" in html
    assert "No pictures were drawn" in html


def test_estimate_without_scale_is_said_to_be_scaled_for_the_drawing():
    rows = [{**row, "scale_source": "none"} for row in run().rows]
    small = run().trajectory
    assert small is not None
    small.poses[:, :3, 3] /= 50

    html = report_html(run(rows=rows, trajectory=small))

    assert "made 50 times as large" in html
    assert "lengths are in the network&#x27;s own unit" in html
    assert "over-time-scale" not in html


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 10.0, [0, 2, 4, 6, 8, 10]),
        (-0.13, 0.52, [0.0, 0.2, 0.4]),
        (0.0, 3e-4, [0, 5e-5, 1e-4, 1.5e-4, 2e-4, 2.5e-4, 3e-4]),
        (998.0, 1003.0, [998, 999, 1000, 1001, 1002, 1003]),
    ],
)
def test_ticks_are_round_numbers_within_the_axis(low, high, expected):
    assert ticks(low, high) == pytest.approx(expected)


@pytest.mark.parametrize("values", [[], [np.nan], [3.0, 3.0], [-1e-12, 1e-12], [0.0]])
def test_axis_is_never_empty(values):
    low, high = span([np.array(values, dtype=np.float64)])

    assert np.isfinite([low, high]).all()
    assert high > low


def test_line_has_a_gap_where_a_value_is_missing():
    y = np.array([1.0, 2.0, np.nan, 2.0, 1.0])

    chart = line_chart("t", [Series("s", np.arange(5.0), y)], x_label="x", y_label="y", id="c")

    found = re.search(r'd="(M[^"]*)"', chart)
    assert found is not None
    assert found[1].count("M") == 2
    assert found[1].count("L") == 2
    assert "nan" not in chart


def test_thinned_line_keeps_its_extremes():
    y = np.sin(np.arange(100_000) / 50.0)
    y[31_416], y[70_007] = 9.0, -9.0

    x, kept = thin(np.arange(100_000.0), y)

    assert len(kept) <= 400
    assert kept.max() == 9.0
    assert kept.min() == -9.0
    assert (np.diff(x) > 0).all()


def test_long_way_keeps_its_ends_and_its_shape():
    angle = np.linspace(0.0, 40.0, 123_457)

    x, y = along(np.cos(angle), np.sin(angle))

    assert len(x) <= 2001
    assert (x[0], y[0]) == (1.0, 0.0)
    assert (x[-1], y[-1]) == (np.cos(40.0), np.sin(40.0))
    np.testing.assert_allclose(np.hypot(x, y), 1.0)
    assert np.hypot(np.diff(x), np.diff(y)).max() < 0.03


def test_map_has_the_same_scale_on_both_axes():
    square = np.array([0.0, 10.0, 10.0, 0.0]), np.array([0.0, 0.0, 1.0, 1.0])

    chart = line_chart("t", [Series("s", *square)], x_label="x", y_label="y", id="c", square=True)

    path = re.search(r'd="M([^"]*)" class="line', chart)
    assert path is not None
    corners = [[float(v) for v in pair.split()] for pair in path[1].split("L")]
    wide, high = corners[1][0] - corners[0][0], corners[1][1] - corners[2][1]
    assert wide == pytest.approx(10 * high, rel=0.01)


def test_bars_of_a_histogram_hold_all_values():
    values = np.array([1.0, 2.0, 2.0, 3.0, 50.0, np.nan])

    chart = histogram("t", values, x_label="ms", id="h")

    assert sum(int(n) for n in re.findall(r": (\d+)</title>", chart)) == 5


def test_shares_of_bars_are_of_the_sum():
    chart = bars("t", [("a", 3.0), ("b", 1.0)], unit="ms", id="b")

    assert "3 ms, 75 %" in chart
    assert "1 ms, 25 %" in chart


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.123456, "0.1235"),
        (-2.0, "−2"),
        (float("nan"), "–"),
        (None, "–"),
        (36044.4, "36044"),
        (1e-7, "1e−07"),
        (float("inf"), "∞"),
    ],
)
def test_numbers_are_short(value, words):
    assert number(value) == words


def test_text_is_escaped_and_markup_is_not():
    found = element("p", "<", Markup("<br>"), title='"', data_x=1, hidden=True, id=None)

    assert found == '<p title="&quot;" data-x="1" hidden>&lt;<br></p>'


def test_first_cell_of_a_row_names_it():
    found = table(["a", "b"], [["x", 1]], caption="c")

    assert '<tr><th scope="row">x</th><td>1</td></tr>' in found
    assert '<th scope="col">a</th>' in found
    assert "<caption>c</caption>" in found
