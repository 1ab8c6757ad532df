"""The page in a real browser: silent, self-contained, and legible wide, narrow, dark and on paper."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from perception.evaluation.report.frame_pictures import Picture
from perception.evaluation.report.page import html_page
from tests.evaluation.report.browser import CHROMIUM, Browser, chromium
from tests.evaluation.report.build import HOSTILE, full

pytestmark = pytest.mark.browser

CONTRAST = """(() => {
  const shade = text => { const c = text.match(/[\\d.]+/g).map(Number);
    const [r, g, b] = c.map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return [.2126 * r + .7152 * g + .0722 * b, c[3] ?? 1]; };
  const worst = {};
  const all = "h1,h2,h3,p,td,th,small,dt,dd,a,li,code,figcaption,svg.plot text";
  for (const node of document.querySelectorAll(all)) {
    const own = getComputedStyle(node);
    if (!node.textContent.trim() || own.visibility === "hidden") continue;
    let ground = 1;
    for (let at = node; at; at = at.parentElement) {
      const [light, alpha] = shade(getComputedStyle(at).backgroundColor);
      if (alpha > .99) { ground = light; break; }
    }
    const ink = shade(node instanceof SVGElement ? own.fill : own.color)[0];
    const ratio = (Math.max(ink, ground) + .05) / (Math.min(ink, ground) + .05);
    worst[node.tagName] = Math.min(worst[node.tagName] ?? 21, ratio);
  }
  return worst;
})()"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every section, a picture, and names that would load and run something if they could."""
    done, jpeg = cv2.imencode(".jpg", np.full((90, 160, 3), 120, np.uint8))
    assert done
    path = tmp_path_factory.mktemp("page") / "report.html"
    word = (
        f"{HOSTILE}<img src=http://127.0.0.1:9/x onerror=console.error(1)><link rel=stylesheet href=//a.b/c>"
    )
    pictures = dict.fromkeys(range(4), Picture(jpeg.tobytes(), 160, 90))
    path.write_text(html_page(full(word, "drive.mcap", logs=2), pictures), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser(page: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with chromium(tmp_path_factory.mktemp("chromium")) as found:
        found.open(page.as_uri())
        yield found


def test_the_console_stays_empty_and_no_request_leaves_the_file(browser: Browser, page: Path) -> None:
    requests = [one["request"]["url"] for one in browser.of("Network.requestWillBeSent")]
    assert page.as_uri() in requests
    assert all(one == page.as_uri() or one.startswith("data:") for one in requests), requests
    said = browser.of("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
    assert said == []
    assert HOSTILE in browser.value("document.body.innerText")
    assert browser.value("document.querySelectorAll('script, img, iframe, object').length") == 0


def test_what_would_leave_the_file_is_refused_and_seen_here(browser: Browser) -> None:
    """The policy holds, and this test would notice a request."""
    before = len(browser.events)
    tried = "new Promise(done => {const i = new Image(); i.onerror = () => done('refused'); "
    assert (
        browser.value(f"{tried} i.onload = () => done('loaded'); i.src = 'http://127.0.0.1:9/x.png'}})")
        == "refused"
    )
    said = [one for one in browser.events[before:] if one["method"] == "Log.entryAdded"]
    assert any("Content Security Policy" in one["params"]["entry"]["text"] for one in said)


def test_the_pictures_are_decoded_and_boxes_lie_on_them(browser: Browser) -> None:
    assert browser.value("document.querySelectorAll('svg.scene image').length") == 4
    inside = """[...document.querySelectorAll('svg.scene')].every(scene => {
      const all = scene.getBoundingClientRect(), image = scene.querySelector('image').getBoundingClientRect();
      return Math.abs(all.width - image.width) < 2 && Math.abs(all.height - image.height) < 2
        && [...scene.querySelectorAll('rect.box')].length === 5; })"""
    assert browser.value(inside) is True


@pytest.mark.parametrize("width", [360, 390, 768, 1280, 1920])
def test_nothing_is_wider_than_the_screen(browser: Browser, width: int) -> None:
    browser.ask(
        "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 768
    )
    assert browser.value("innerWidth") == width
    browser.value("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert browser.value("document.documentElement.scrollWidth") <= width
    small = """[...document.querySelectorAll('p,td,li,dd,dt')].every(
      one => parseFloat(getComputedStyle(one).fontSize) >= 12)"""
    assert browser.value(small) is True
    text = """Math.min(...[...document.querySelectorAll('.card svg.plot text')].map(one => {
      const plot = one.closest('svg');
      const scale = plot.getBoundingClientRect().width / plot.viewBox.baseVal.width;
      return scale * parseFloat(getComputedStyle(one).fontSize); }))"""
    assert browser.value(text) >= 8.5


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_stands_out_from_its_ground(browser: Browser, theme: str) -> None:
    browser.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
    found = browser.value(CONTRAST)
    assert len(found) > 10
    assert min(found.values()) >= 4.5, found  # WCAG 2.2, level AA
    dark = browser.value("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, dark[4:-1].split(","))) < 200) == (theme == "dark")


def test_on_paper_everything_is_open(browser: Browser) -> None:
    browser.value("document.querySelectorAll('details').forEach(one => one.open = false)")
    hidden = "[...document.querySelectorAll('details table')].filter(one => !one.checkVisibility()).length"
    assert browser.value(hidden) > 3
    browser.ask("Emulation.setEmulatedMedia", media="print", features=[])
    assert browser.value(hidden) == 0
    assert browser.value("getComputedStyle(document.querySelector('nav')).display") == "none"
    pdf = base64.b64decode(browser.ask("Page.printToPDF")["data"])
    assert pdf.startswith(b"%PDF")
    browser.ask("Emulation.setEmulatedMedia", media="", features=[])
