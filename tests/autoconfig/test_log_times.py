"""Seconds count from the first sensor message, whatever else was logged before."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.autoconfig import complete_config
from perception.autoconfig.first_messages import rate_hz
from perception.autoconfig.log_times import sensor_start_ns
from perception.config import parse_config
from perception.errors import ConfigError
from perception.logs import open_log
from perception.pipeline.span import parse_span
from tests.small_logs import START_NS, SmallLog

DAY_S = 86_400


def with_early(log: SmallLog, topic: str, log_time_ns: int) -> SmallLog:
    """The log with a copy of a topic's first message at another log time."""
    row = next(row for row in log.rows if row[1] == topic)
    log.rows.append((log_time_ns, *row[1:]))
    return log


@pytest.mark.parametrize("topic", ["/tf", "/camera/calibration", "/vehicle/state", "/camera/image"])
def test_a_message_at_time_0_moves_no_start(tmp_path: Path, topic: str) -> None:
    log = with_early(SmallLog().image().calibration().transforms().scan().status(hz=50.0), topic, 0)
    with open_log(log.write(tmp_path / "log.mcap")) as opened:
        config = complete_config(opened).config
        assert sensor_start_ns(opened, config) == START_NS
        span = parse_span(opened, config, "0.5", "1.0")
        assert (span.start_ns, span.end_ns) == (START_NS + 500_000_000, START_NS + 1_000_000_000)


def test_two_messages_far_apart_are_a_log_and_its_start_is_the_first(tmp_path: Path) -> None:
    log = SmallLog().scan(hz=1 / (10 * DAY_S), seconds=20 * DAY_S)
    with open_log(log.write(tmp_path / "log.mcap")) as opened:
        config = complete_config(opened).config
        assert sensor_start_ns(opened, config) == START_NS


def test_without_sensors_in_the_log_its_first_message_counts(tmp_path: Path) -> None:
    with open_log(SmallLog().scan().write(tmp_path / "log.mcap")) as opened:
        config = parse_config({"sensors": {"camera": {"topic": "/none"}}})
        assert sensor_start_ns(opened, config) == START_NS


@settings(max_examples=20, deadline=None)
@given(st.floats(0, 1e6), st.floats(1e-3, 1e6))
def test_seconds_and_nanoseconds_name_the_same_part(
    tmp_path_factory: pytest.TempPathFactory, start_s: float, length_s: float
) -> None:
    folder = tmp_path_factory.mktemp("span")
    with open_log(SmallLog().scan(seconds=0.5).write(folder / "log.mcap")) as opened:
        config = complete_config(opened).config
        span = parse_span(opened, config, repr(start_s), repr(start_s + length_s))
        assert span.start_ns is not None
        assert parse_span(opened, config, str(span.start_ns), str(span.end_ns)) == span
        assert parse_span(opened, config, span.start_ns, span.end_ns) == span
        assert parse_span(opened, config, start_s, np.float64(start_s + length_s)) == span


@pytest.mark.parametrize(
    ("start", "end"),
    [
        *(("-1", None), ("x", None), (None, "inf"), ("2", "1"), ("1e400", None), ("nan", None)),
        *((-1, None), (-0.5, None), (math.nan, None), (None, math.inf), (2.0, 1), ([1], None)),
    ],
)
def test_what_is_no_part_is_refused(tmp_path: Path, start: Any, end: Any) -> None:
    with open_log(SmallLog().scan().write(tmp_path / "log.mcap")) as opened, pytest.raises(ConfigError):
        parse_span(opened, complete_config(opened).config, start, end)


# --- rates --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hz", "seconds"), [(1 / 3600, 7200.0), (1 / 900, 3600.0), (0.5, 10.0)])
def test_a_slow_sensor_has_its_rate(tmp_path: Path, hz: float, seconds: float) -> None:
    with open_log(SmallLog().scan(hz=hz, seconds=seconds).write(tmp_path / "log.mcap")) as opened:
        choice = complete_config(opened)
    assert choice.config.reference_rate_hz == pytest.approx(hz, rel=0.01)


def test_messages_of_one_arrival_have_the_rate_of_their_stamps(tmp_path: Path) -> None:
    log = SmallLog().scan(hz=20)
    log.rows = [(START_NS + index, *row[1:]) for index, row in enumerate(log.rows)]  # a burst, 1 ns apart
    with open_log(log.write(tmp_path / "log.mcap")) as opened:
        assert rate_hz(opened, "/scan") == pytest.approx(20)
