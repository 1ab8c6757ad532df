"""The part of a log between two times, as every command and function takes them (`--start`, `--end`)."""

from __future__ import annotations

from collections.abc import Callable

from perception.autoconfig import complete_config
from perception.autoconfig.log_times import sensor_start_ns
from perception.config import Config
from perception.errors import ConfigError
from perception.logs import Log
from perception.pipeline.log_source import Span

NANOSECONDS_FROM = 10**12
"""From here on a whole number is a log time in nanoseconds; below, it is seconds."""

MOST_SECONDS = 10**8
"""Three years: more are seconds since 1970, which neither count from the first message nor are ns."""

Time = float | str
"""A time of a log: a number, or its text."""


def begin_of(log: Log) -> int | None:
    """Return the log time from which seconds count without a configuration; None: no sensor is found."""
    try:
        return sensor_start_ns(log, complete_config(log).config)
    except ConfigError:
        return None


def parse_span(log: Log, config: Config, start: Time | None, end: Time | None) -> Span:
    """Return the part of a log between two times, as `span_from` does."""
    return span_from(lambda: sensor_start_ns(log, config), start, end)


def span_from(begin_ns: Callable[[], int], start: Time | None, end: Time | None) -> Span:
    """Return the part of a log between two times.

    Args:
        begin_ns: Returns the log time from which seconds count.
        start: Seconds from the first sensor message of the configuration (`sensor_start_ns`), or a log time
            in nanoseconds; None: from the beginning, with what was logged before the sensors.
        end: Likewise, exclusive; None: to the end.

    Raises:
        ConfigError: One is not a time, or the start does not come before the end.
    """
    times: list[int | None] = []
    for option, given in (("--start", start), ("--end", end)):
        try:
            times.append(None if given is None else _time_ns(given, begin_ns))
        except (TypeError, ValueError, OverflowError):
            expected = "seconds from the first sensor message (12.5) or a log time in nanoseconds"
            raise ConfigError([f"{option}: expected {expected}, found '{given}'"]) from None
    first, last = times
    if first is not None and last is not None and first >= last:
        raise ConfigError([f"--start {start} does not come before --end {end}"])
    return Span(first, last)


def _time_ns(given: Time, begin_ns: Callable[[], int]) -> int:
    whole = int(given) if not isinstance(given, str) or given.isdecimal() else 0
    if whole >= NANOSECONDS_FROM:
        return whole
    seconds = float(given)
    if not 0 <= seconds <= MOST_SECONDS:
        raise ValueError
    return begin_ns() + round(seconds * 1e9)
