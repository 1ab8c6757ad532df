"""The part of a log that `--start` and `--end` name."""

from __future__ import annotations

from collections.abc import Callable

from perception.autoconfig.log_times import sensor_start_ns
from perception.config import Config
from perception.errors import ConfigError
from perception.logs import Log
from perception.pipeline.log_source import Span

NANOSECONDS_FROM = 10**12
"""From here on a whole number is a log time in nanoseconds; below, it is seconds."""


def parse_span(log: Log, config: Config, start: str | None, end: str | None) -> Span:
    """Return the part of a log between two times, as `span_from` does."""
    return span_from(lambda: sensor_start_ns(log, config), start, end)


def span_from(begin_ns: Callable[[], int], start: str | None, end: str | None) -> Span:
    """Return the part of a log between two times.

    Args:
        begin_ns: Returns the log time from which seconds count.
        start: Seconds from the first sensor message of the configuration (`sensor_start_ns`), or a log time
            in nanoseconds; None: from the beginning, with what was logged before the sensors.
        end: Likewise, exclusive; None: to the end.

    Raises:
        ConfigError: A text is not a time, or the start does not come before the end.
    """
    times: list[int | None] = []
    for option, text in (("--start", start), ("--end", end)):
        try:
            times.append(None if text is None else _time_ns(text, begin_ns))
        except (ValueError, OverflowError):
            expected = "seconds from the first sensor message (12.5) or a log time in nanoseconds"
            raise ConfigError([f"{option}: expected {expected}, found '{text}'"]) from None
    first, last = times
    if first is not None and last is not None and first >= last:
        raise ConfigError([f"--start {start} does not come before --end {end}"])
    return Span(first, last)


def _time_ns(text: str, begin_ns: Callable[[], int]) -> int:
    if text.isdecimal() and int(text) >= NANOSECONDS_FROM:
        return int(text)
    seconds = float(text)
    if seconds < 0:
        raise ValueError
    return begin_ns() + round(seconds * 1e9)
