"""The times of `--start` and `--end`: seconds from the first sensor message, or log times in nanoseconds."""

from __future__ import annotations

import pytest

from perception.errors import ConfigError
from perception.pipeline.log_source import Span
from perception.pipeline.span import span_from

BEGIN_NS = 1_735_689_600_000_000_000


@pytest.mark.parametrize(
    ("start", "end", "span"),
    [
        ("1.5", 2, Span(BEGIN_NS + 1_500_000_000, BEGIN_NS + 2_000_000_000)),
        (None, str(BEGIN_NS + 7), Span(None, BEGIN_NS + 7)),
        (0, None, Span(BEGIN_NS, None)),
    ],
)
def test_times_are_seconds_or_nanoseconds(
    start: float | str | None, end: float | str | None, span: Span
) -> None:
    assert span_from(lambda: BEGIN_NS, start, end) == span


@pytest.mark.parametrize("time", ["1735689600.5", 1_735_689_600, "-1", "1s", float("nan"), float("inf")])
def test_what_is_neither_is_refused_seconds_since_1970_too(time: float | str) -> None:
    """They came from a header's stamp, and as an end gave the whole log."""
    with pytest.raises(
        ConfigError, match=r"--end: expected seconds from the first sensor message \(12.5\) or"
    ):
        span_from(lambda: BEGIN_NS, None, time)
