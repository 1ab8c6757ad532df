"""The page is whole, holds everything, needs nothing but itself, and cannot be broken into."""

from __future__ import annotations

import re
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.evaluation.report.frame_pictures import BYTES, Picture
from perception.evaluation.report.page import html_page
from perception.evaluation.report.schema import EvaluationReport
from perception.text import visible
from tests.evaluation.report.build import HOSTILE, full, plain
from tests.evaluation.report.reader import Page

ELEMENTS = {
    "html",
    "head",
    "meta",
    "title",
    "link",
    "style",
    "body",
    "header",
    "main",
    "footer",
    "nav",
    "section",
    "article",
    "div",
    "p",
    "a",
    "ul",
    "li",
    "dl",
    "dt",
    "dd",
    "h1",
    "h2",
    "h3",
    "h4",
    "b",
    "span",
    "small",
    "code",
    "figure",
    "figcaption",
    "table",
    "caption",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "wbr",
    "details",
    "summary",
    "svg",
    "path",
    "text",
    "rect",
    "image",
    "g",
    "defs",
    "use",
    "clippath",
}
ALL = ["moments", "classes", "distance", "calibration", "control", "slices", "sensors", "faults", "latency"]
CHART = {"g", "path", "text", "use", "defs", "clippath"}
STYLE = r"[\w :;,.%()-]*"
"""Properties with words, numbers and the page's own colours: no address and no quote."""
PICTURE = Picture(b"\xff\xd8 a small picture", 640, 360)


@cache
def whole_page() -> str:
    """The page of a report with every section."""
    return html_page(full(), {0: PICTURE})


@cache
def hostile_page() -> str:
    """The page of five logs with every section and picture, whose names would break it if they could."""
    report = full(HOSTILE, f"{HOSTILE}.mcap", logs=5)
    share = Picture(b"\xff" * (BYTES // len(report.moments)), 1280, 720)
    return html_page(report, dict.fromkeys(range(len(report.moments)), share))


def test_everything_is_shown_the_verdict_first() -> None:
    html = whole_page()
    page = Page(html)
    assert not page.wrong
    places = [place for place in page.attributes("id") if "-" not in place]  # others are of charts
    assert places == ["summary", "findings", *ALL, "logs", "numbers", "made"]
    assert {link for link in page.attributes("href") if link[0] == "#"} == {
        f"#{place}" for place in places[2:]
    }
    assert "Fails: 1 of 2 requirements is not met; 1 head decide" in page.text
    assert html.index("failed") < html.index("passed") < html.index("mAP50", html.index("</nav>"))
    for words in (
        "0.9 is not at least 0.95",
        "person is mostly missed beyond 20 m",
        "person.blur is the worst fault",
    ):
        assert words in page.text, words
    assert page.text.count("perception replay drive.mcap --start 2.250 --end 4.250") == 2


def test_truth_and_prediction_are_drawn_on_the_picture() -> None:
    page = Page(whole_page())
    boxes = [
        attrs["class"] for name, attrs in page.elements if name == "rect" and "box" in attrs.get("class", "")
    ]
    assert sorted(boxes) == sorted(f"box {kind}" for kind in ("found", "missed", "ignored", "hit", "false"))
    assert [attrs["href"] for name, attrs in page.elements if name == "image"] == [PICTURE.uri]


def test_what_was_not_asked_for_is_left_out_with_a_line_on_how_to_get_it() -> None:
    page = Page(html_page(plain()))
    assert not page.wrong
    assert not {"slices", "sensors", "faults", "latency"} & set(page.attributes("id"))
    for option in ("--slices all", "--ablate sensors", "--ablate faults", "--latency-ms curve"):
        assert page.text.count(option) == 1
    assert "No requirement was set" in page.text
    assert "image" not in page.names


@pytest.mark.parametrize(
    "report",
    [
        EvaluationReport(status="failed", error=f"cannot open {HOSTILE}"),
        EvaluationReport(status="clean"),
        pytest.param(
            full().model_copy(
                update={"heads": {name: own for name, own in full().heads.items() if name != "joint"}}
            ),
            marks=pytest.mark.slow,
        ),
        full().model_copy(update={"heads": {}, "figures": None, "resampling": None, "run": {}}),
    ],
)
def test_a_report_of_little_is_still_a_page(report: EvaluationReport) -> None:
    page = Page(html_page(report))
    assert not page.wrong
    assert page.names <= ELEMENTS
    assert report.error in page.text


def test_a_hostile_name_is_text_and_nothing_else() -> None:
    assert_text_only(hostile_page(), HOSTILE)


@pytest.mark.slow  # one name: above; names in charts: test_charts.py
@settings(max_examples=3, deadline=None)
@given(
    st.text(st.characters(), min_size=1, max_size=30)
    | st.sampled_from([HOSTILE, "'\"><svg onload=x>", "</style>"])
)
def test_names_from_files_are_text_and_nothing_else(word: str) -> None:
    assert_text_only(html_page(full(word, f"{word}.mcap"), {0: PICTURE}), word)


def assert_text_only(html: str, word: str) -> None:
    """A page whose names are this word holds it as text."""
    page = Page(html)
    assert not page.wrong
    assert page.names <= ELEMENTS
    assert not [
        name for _, attrs in page.elements for name in attrs if name.startswith("on") or name == "src"
    ]
    assert all(link.startswith(("#", "data:")) for link in page.attributes("href"))
    in_charts = [attrs["style"] for name, attrs in page.elements if name in CHART and "style" in attrs]
    assert all(re.fullmatch(STYLE, style) for style in in_charts)
    bars = [attrs["style"] for name, attrs in page.elements if name not in CHART and "style" in attrs]
    assert all(re.fullmatch(r"--v:[\d.]+", style) for style in bars)
    references = [attrs["xlink:href"] for name, attrs in page.elements if name == "use"]
    assert all(re.fullmatch(r"#[\w-]+", reference) for reference in references)
    assert visible(word) in page.text


def test_nothing_is_fetched_and_no_script_runs() -> None:
    html = whole_page()
    page = Page(html)
    policy = next(attrs["content"] for _, attrs in page.elements if attrs.get("http-equiv"))
    assert "default-src 'none'" in policy
    assert "script" not in page.names
    assert not re.search(r"(?i)https?://|url\((?!#[\w-]+\))|@import|javascript:", html)
    inside = set(re.findall(r"(?:url\(|href=\")#([\w-]+)", html))
    assert inside <= set(page.attributes("id"))
    assert len(page.attributes("id")) == len(set(page.attributes("id")))


def test_five_logs_and_their_pictures_are_below_5_mb() -> None:
    assert len(hostile_page().encode()) < 5_000_000


def test_the_same_report_is_the_same_page() -> None:
    assert html_page(full(), {0: PICTURE}) == whole_page()
