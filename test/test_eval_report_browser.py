# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The report in a real browser: Chromium without a screen, without a network."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("selenium")

from report_run import run
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver

from vggt4d_ros.evaluation.report import write_report
from vggt4d_ros.evaluation.run_folder import write_run

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
PATIENCE_S = 60


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("no chromium with chromedriver (Debian: chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in FLAGS:
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    # with both paths given selenium looks for nothing and downloads nothing
    opened = webdriver.Chrome(options=options, service=Service(driver))
    opened.set_page_load_timeout(PATIENCE_S)
    try:
        yield opened
    finally:
        opened.quit()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_report(write_run(run(), tmp_path_factory.mktemp("run"))).as_uri()


@pytest.fixture
def page(browser: WebDriver, report: str) -> WebDriver:
    show(browser, 1200)
    browser.get_log("browser")
    browser.get_log("performance")
    browser.get(report)
    return browser


def show(browser: WebDriver, width: int, scheme: str = "light", media: str = "screen") -> None:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})


def test_page_loads_without_an_error_in_the_console(page: WebDriver):
    assert page.get_log("browser") == []
    assert page.find_element(By.TAG_NAME, "h1").text == "Evaluation of drive & <b>park</b>"


def test_every_image_is_drawn_and_nothing_is_fetched(page: WebDriver):
    sizes = page.execute_script("return [...document.images].map(i => [i.naturalWidth, i.src])")

    assert len(sizes) == 33
    assert all(width > 0 for width, _ in sizes)
    assert all(source.startswith("data:") for _, source in sizes)
    asked = page.execute_script(
        "return performance.getEntriesByType('resource').map(e => e.name)"
        ".filter(name => !name.startsWith('data:'))"
    )
    assert asked == []


def test_counts_in_the_page_add_up(page: WebDriver):
    rows = page.execute_script(
        "return [...document.querySelectorAll('#counts tbody tr, #counts tfoot tr')]"
        ".map(row => [...row.querySelectorAll('td')].map(cell => Number(cell.textContent)))"
    )

    assert len(rows) == 3
    for received, used, *causes, dropped in rows:
        assert sum(causes) == dropped
        assert received == used + dropped
    assert rows[-1] == [sum(column) for column in zip(*rows[:-1], strict=True)]
    assert "adds up" in page.find_element(By.ID, "counts-verdict").text


@pytest.mark.parametrize("width", [390, 820, 1200])
def test_page_never_scrolls_sideways(page: WebDriver, width: int):
    show(page, width)

    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    outside = page.execute_script(
        "return [...document.querySelectorAll('main > section > *:not(.scroll), h1, h2, h3, img')]"
        ".filter(e => e.getBoundingClientRect().right > innerWidth + 0.5).map(e => e.outerHTML)"
    )
    assert outside == []


LUMINANCE = """
const parse = text => text.match(/[0-9.]+/g).slice(0, 3).map(Number);
const light = text => { const [r, g, b] = parse(text).map(v => { v /= 255;
  return v <= 0.03928 ? v / 12.92 : Math.pow((v + 0.055) / 1.055, 2.4); });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const paper = light(getComputedStyle(document.body).backgroundColor);
return [...document.querySelectorAll(
    'h1, p, td, dd, dt, figcaption, li, .mark, .soft, .good, .bad, .chart text')]
  .map(e => { const style = getComputedStyle(e);
    const ink = light(e.closest('svg') ? style.fill : style.color);
    return [(Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05), e.outerHTML]; });
"""


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_text_stands_out_on_light_and_on_dark_paper(page: WebDriver, scheme: str, dark: bool):
    show(page, 1200, scheme)

    found = page.execute_script(LUMINANCE)
    paper = page.execute_script("return getComputedStyle(document.body).backgroundColor")

    assert (paper != "rgb(255, 255, 255)") == dark
    assert len(found) > 100
    assert [words for ratio, words in found if ratio < 4.5] == []  # WCAG 2.1 AA


def test_chart_tells_its_values_to_the_keyboard(page: WebDriver):
    plot = page.find_element(By.ID, "over-time-abs_rel")
    chart = plot.find_element(By.CSS_SELECTOR, ".chart")
    page.execute_script("arguments[0].focus()", chart)
    said = plot.find_element(By.CSS_SELECTOR, ".readout")

    chart.send_keys(Keys.HOME)
    first = said.text
    chart.send_keys(Keys.ARROW_RIGHT)

    assert first.startswith("abs_rel: time, s 0, ")
    assert said.text.startswith("abs_rel: time, s 0.1, ")


def test_what_is_folded_is_printed_on_white(page: WebDriver):
    show(page, 1200, "dark", "print")
    page.execute_script("dispatchEvent(new Event('beforeprint'))")

    folded = page.execute_script(
        "return [...document.querySelectorAll('details')].filter(d => !d.open).length"
    )
    paper = page.execute_script("return getComputedStyle(document.body).backgroundColor")

    assert folded == 0
    assert paper == "rgb(255, 255, 255)"
    assert len(page.print_page()) > 10_000  # a PDF, base64


def test_file_can_be_carried_elsewhere(browser: WebDriver, report: str, tmp_path: Path):
    show(browser, 1200)
    moved = tmp_path / "mail.html"
    moved.write_bytes(Path(report.removeprefix("file://")).read_bytes())
    browser.get_log("browser")

    browser.get(moved.as_uri())

    assert browser.get_log("browser") == []
    assert browser.execute_script("return [...document.images].every(i => i.naturalWidth > 0)")
