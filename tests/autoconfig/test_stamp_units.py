"""The units of stamps: told by their rate, or asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from perception.autoconfig import ConfigChoice
from perception.autoconfig.choose_config import choose_config
from perception.logs import decoder, open_log
from perception.types import Decoded
from tests.small_logs import START_NS, SmallLog

UNITS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}


def log_with_status(path: Path, time: Callable[[int], object], start_s: float = 0.0) -> Path:
    """A log of images, scans and a status with `speed` and a time, 100 ms after it was measured."""
    log = SmallLog().image(start_s=start_s).scan(start_s=start_s)

    def make(i: int, stamp_ns: int) -> bytes:
        return json.dumps({"time": time(stamp_ns), "speed": i}).encode()

    log.stream("/vehicle/state", None, "json", make, hz=20.0, delay_s=0.1, start_s=start_s)
    log.write(path)
    return path


def chosen(path: Path) -> tuple[ConfigChoice, list[Decoded]]:
    with open_log(path) as log:
        choice = choose_config(log)
        decode = decoder(choice.config)
        return choice, [decode(m) for m in log.messages() if m.topic == "/vehicle/state"]


@pytest.mark.parametrize("unit", UNITS)
def test_a_date_in_any_unit_is_used_and_said(tmp_path: Path, unit: str) -> None:
    path = tmp_path / "a.mcap"
    log_with_status(path, lambda ns: ns / 1e9 if unit == "s" else ns // UNITS[unit])
    choice, readings = chosen(path)
    assert f"status: its stamps are time, in {unit}" in choice.reasons
    assert choice.warnings == () or "stamp" not in " ".join(choice.warnings)
    assert all(reading.stamped for reading in readings)
    behind_ms = [(reading.log_time_ns - reading.stamp_ns) / 1e6 for reading in readings]
    assert min(behind_ms) >= 99.9
    assert max(behind_ms) < 101.1


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_the_clock_of_a_log_that_begins_at_zero_tells_the_unit_by_its_rate(tmp_path: Path, unit: str) -> None:
    start_s = -START_NS / 1e9 + 5
    path = log_with_status(tmp_path / "a.mcap", lambda ns: ns / UNITS[unit], start_s)
    choice, readings = chosen(path)
    assert choice.config.sensors.status is not None
    assert choice.config.sensors.status.stamp is not None
    assert choice.config.sensors.status.stamp.unit == unit
    assert f"status: its stamps are time, in {unit}, as it grows with arrival" in choice.reasons
    assert {round((reading.log_time_ns - reading.stamp_ns) / 1e6) for reading in readings} == {100}


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
def test_a_clock_far_from_that_of_a_log_that_begins_at_zero_is_not_used(tmp_path: Path, unit: str) -> None:
    start_s, ahead_ns = -START_NS / 1e9 + 5, 100 * 3600 * 10**9
    path = log_with_status(tmp_path / "a.mcap", lambda ns: (ns + ahead_ns) / UNITS[unit], start_s)
    choice, readings = chosen(path)
    (warning,) = [text for text in choice.warnings if "its clock is" in text]
    assert f"time grows in {unit}, but its clock is 100 h from the log's" in warning
    assert not any(reading.stamped for reading in readings)


def test_the_clock_of_a_machine_is_not_used_before_the_user_says_so(tmp_path: Path) -> None:
    path = log_with_status(tmp_path / "a.mcap", lambda ns: (ns - START_NS) // 10**6 + 60_000)
    choice, readings = chosen(path)
    (warning,) = [text for text in choice.warnings if "stamp" in text]
    assert "arrival stands in for the stamps of /vehicle/state: time grows in ms" in warning
    assert "set sensors.status.stamp: {field: time, unit: ms}" in warning
    assert not any(reading.stamped for reading in readings)
    status = choice.config.sensors.status
    assert status is not None
    raw = {"stamp": {"field": "time", "unit": "ms"}, "topic": status.topic, "fields": status.fields}
    from perception.config import parse_config

    config = parse_config({"reference": "status", "sensors": {"status": raw}})
    with open_log(path) as log:
        choice = choose_config(log, config)
        decode = decoder(choice.config)
        stamps = [decode(m).stamp_ns for m in log.messages() if m.topic == status.topic]
    assert stamps[:3] == [60_000_000_000, 60_050_000_000, 60_100_000_000]
    assert not [text for text in choice.warnings if "stamp" in text]


def test_a_time_without_a_rate_is_asked_for(tmp_path: Path) -> None:
    choice, readings = chosen(log_with_status(tmp_path / "a.mcap", lambda ns: 17.5))
    (warning,) = [text for text in choice.warnings if "stamp" in text]
    assert "time: 17.5 is no date near the arrival" in warning
    assert "say what it is under sensors.status.stamp: {field: time, unit: s, ms, us or ns}" in warning
    assert not any(reading.stamped for reading in readings)


def test_messages_without_a_stamp_are_named(tmp_path: Path) -> None:
    choice, _ = chosen(log_with_status(tmp_path / "a.mcap", lambda ns: 0))
    assert "messages on /vehicle/state carry no stamp: arrival stands in" in choice.warnings
    log = SmallLog().image().stream("/state", None, "json", lambda i, ns: b'{"speed": 1}')
    log.write(tmp_path / "a.mcap")
    with open_log(tmp_path / "a.mcap") as opened:
        choice = choose_config(opened)
    assert "messages on /state carry no stamp: arrival stands in" in choice.reasons, (
        "they have no field for one"
    )
    SmallLog().stream("/state", None, "json", lambda i, ns: b'{"speed": 1}').write(tmp_path / "b.mcap")
    with open_log(tmp_path / "b.mcap") as log:
        warnings = choose_config(log).warnings
    assert "no message on /state carries a stamp: arrival stands in for all of them" in warnings
