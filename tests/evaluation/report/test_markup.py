"""Nothing that comes from a file becomes markup."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from perception.evaluation.report.markup import Markup, join, tag, text, visible
from tests.evaluation.report.build import HOSTILE
from tests.evaluation.report.reader import Page

ANY = st.text(st.characters()) | st.sampled_from([HOSTILE, "\ud800", "\u202ecod.exe", "a\x00b", "--><b>"])


@given(ANY)
def test_text_is_read_back_as_it_was_and_holds_no_element(said: str) -> None:
    page = Page(tag("p", said))
    assert page.names == {"p"}
    assert page.text == visible(said)


@given(ANY, ANY)
def test_attributes_stay_in_their_quotes(said: str, other: str) -> None:
    page = Page(tag("p", title=said, aria_label=other))
    assert page.elements == [("p", {"title": visible(said), "aria-label": visible(other)})]


@given(ANY)
def test_whatever_is_shown_can_be_written_to_a_file(said: str) -> None:
    assert text(said).encode("utf-8").decode() == text(said)


def test_characters_that_hide_or_turn_text_are_written_out() -> None:
    assert visible("a\u202eb\x07\ud800") == "a\\u202eb\\u0007\\ud800"
    assert visible("Straße, 雨 ✓") == "Straße, 雨 ✓"


def test_markup_is_not_escaped_twice_and_none_is_nothing() -> None:
    inside = tag("b", "<")
    assert tag("p", inside, None, ["x", [1, None]]) == "<p><b>&lt;</b>x1</p>"
    assert isinstance(join([inside]), Markup)
    assert tag("meta", charset="utf-8", hidden=True, id=None) == '<meta charset="utf-8" hidden>'
