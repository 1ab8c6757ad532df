"""Markdown for a pull request: short, whole, and what comes from files is text."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from perception.evaluation.report.markdown import escaped, fenced, markdown
from perception.evaluation.report.schema import EvaluationReport
from perception.text import visible
from tests.evaluation.report.build import HOSTILE, full, metric, plain, value
from tests.evaluation.report.reader import Page

RENDERED = {
    "h2",
    "h3",
    "p",
    "strong",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "ul",
    "li",
    "pre",
    "code",
    "details",
    "summary",
}


def rendered(text: str) -> Page:
    """As a forge renders it: HTML passes, tables are known."""
    html = MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough").render(text)
    return Page(html.replace("<!-- -->", ""))


def test_everything_that_a_reviewer_needs_is_there() -> None:
    text = markdown(full())
    page = rendered(text)
    assert not page.wrong
    assert page.names <= RENDERED
    assert text.startswith("## \u274c Fails: 1 of 2 requirements is not met")
    for words in (
        "0.9 is not at least 0.95",
        "perception replay drive.mcap",
        "camera + range",
        "100 ms",
        "person.blur",
    ):
        assert words in page.text, words
    assert len(text) < 20_000


def test_one_log_without_more_is_short() -> None:
    text = markdown(plain())
    assert text.startswith("## No requirement was set")
    assert "details" in text
    assert len(text.splitlines()) < 70


def test_frames_without_truth_and_invalid_ones_have_a_row() -> None:
    frames = {"scored": 0, "invalid": 3, "no_truth": 17, "no_head": 0}
    boxes = metric({"mAP50": value(None)}).model_copy(update={"frames": frames})
    page = rendered(
        markdown(EvaluationReport(status="clean", heads={"box": {"mean_average_precision": boxes}}))
    )
    rows = [" ".join(row.split()) for row in page.text.splitlines()]
    text = " ".join(rows)
    assert "Boxes: frames without truth 17" in text
    assert "Boxes: invalid frames 3" in text


def test_a_failure_says_why() -> None:
    page = rendered(markdown(EvaluationReport(status="failed", error=f"cannot open {HOSTILE}")))
    assert "not finished: failed" in page.text
    assert HOSTILE in page.text


@settings(max_examples=25, deadline=None)
@given(st.text(st.characters(), min_size=1, max_size=40))
@example(HOSTILE)
@example("| a | b |\n|---|---|\n# title\n```\n<b>")
@example("1. one\n- two\n    code\n&amp; \\` ~~x~~ __y__ www.evil.example")
def test_names_stay_text(word: str) -> None:
    page = rendered(f"| x | y |\n| --- | --- |\n| {escaped(word)} | z |\n\n- {escaped(word)}\n")
    assert not page.wrong
    assert page.names <= {"table", "thead", "tbody", "tr", "th", "td", "ul", "li", "p"}
    flat = " ".join(visible(word).split())
    assert page.text.count(flat) >= 2


@pytest.mark.parametrize("word", [HOSTILE, "```\n</details><script>", "a|b\nc"])
def test_a_whole_report_of_hostile_names_has_only_our_own_elements(word: str) -> None:
    page = rendered(markdown(full(word, f"{word}.mcap")))
    assert page.names <= RENDERED
    assert not page.wrong


def test_nobody_is_mentioned_and_nothing_is_linked() -> None:
    told = escaped("@all see https://evil.example and www.evil.example, #12")
    assert "@all" not in told
    assert "https:" not in told
    assert "www." not in told


@given(st.text("`a\n ", max_size=12))
def test_a_command_cannot_leave_its_fence(command: str) -> None:
    page = rendered(f"{fenced(command)}\n\nafter\n")
    assert [name for name, _ in page.elements] == ["pre", "code", "p"]
    assert page.text.strip().endswith("after")
