"""The stamp of a message: its own in whatever unit, or none, and then said why."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.logs import decode
from perception.types import Channel, Decoded, FrameTransforms, Message, Schema, StatusReading
from perception.types.stamp_rule import StampRule

ARRIVAL_NS = 1_700_000_000_300_000_000
UNITS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
dates = st.integers(10**18, 4 * 10**18)
delays = st.integers(-10_000_000_000, 3_600_000_000_000)


def status(
    fields: dict[str, Any], arrival_ns: int = ARRIVAL_NS, rule: StampRule | None = None, publish_ns: int = 0
) -> Decoded:
    data = json.dumps({"speed": 1.0, **fields}).encode()
    return decode(Message(Channel(1, "/t", "json", None), arrival_ns, publish_ns, 0, data), "status", rule)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("name", ["timestamp", "stamp", "time", "ts", "t"])
@given(arrival_ns=dates, delay_ns=delays)
def test_a_bare_number_is_read_in_the_unit_that_brings_it_near_the_arrival(
    unit: str, name: str, arrival_ns: int, delay_ns: int
) -> None:
    number = (arrival_ns - delay_ns) // UNITS[unit]
    found = status({name: number}, arrival_ns)
    assert (found.stamp_ns, found.stamped, found.stamp_problem) == (number * UNITS[unit], True, "")


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("timestamp_ns", "ns"),
        ("stamp_us", "us"),
        ("timestampMs", "ms"),
        ("utime", "us"),
        ("time_sec", "s"),
        ("timestamp_usec", "us"),
    ],
)
def test_a_name_says_the_unit(name: str, unit: str) -> None:
    number = 1_700_000_000 * 10**9 // UNITS[unit]
    assert status({name: number}).stamp_ns == 1_700_000_000 * 10**9
    assert status({"header": {name: number}}).stamp_ns == 1_700_000_000 * 10**9
    assert status({name: 1_234_000}, rule=None).stamp_ns == 1_234_000 * UNITS[unit], "of another clock"


def test_a_name_that_contradicts_the_number_is_not_believed() -> None:
    found = status({"timestamp_ns": 1_700_000_000_000})
    assert (found.stamp_ns, found.stamped) == (ARRIVAL_NS, False)
    assert "is no time in ns, as its name says, but in ms" in found.stamp_problem


@pytest.mark.parametrize(
    ("text", "stamp_ns"),
    [
        ("2023-11-14T22:13:20.000001Z", 1_700_000_000_000_001_000),
        ("2023-11-14T22:13:20.123456789Z", 1_700_000_000_123_456_789),
        ("2023-11-14 22:13:20,5 UTC", 1_700_000_000_500_000_000),
        ("2023-11-14T23:13:20.25+01:00", 1_700_000_000_250_000_000),
        ("2023-11-14T16:43:20-0530", 1_700_000_000_000_000_000),
        ("20231114T221320Z", 1_700_000_000_000_000_000),
        ("2023-11-14T22:13:20", 1_700_000_000_000_000_000),
        ("1700000000.25", 1_700_000_000_250_000_000),
        ("1700000000250", 1_700_000_000_250_000_000),
    ],
)
def test_a_text_is_a_time(text: str, stamp_ns: int) -> None:
    found = status({"timestamp": text})
    assert (found.stamp_ns, found.stamped) == (stamp_ns, True)


@pytest.mark.parametrize(
    ("part", "value"),
    [("nsec", 250_000_000), ("usec", 250_000), ("microseconds", 250_000), ("tv_usec", 250_000)],
)
def test_seconds_with_a_part_in_any_unit(part: str, value: int) -> None:
    seconds = {"tv_usec": "tv_sec", "microseconds": "seconds"}.get(part, "sec")
    found = status({"header": {"stamp": {seconds: 1_700_000_000, part: value}}})
    assert (found.stamp_ns, found.stamped) == (1_700_000_000_250_000_000, True)


@pytest.mark.parametrize(
    "fields",
    [
        {"timestamp": {"sec": 1_700_000_000.0, "nsec": 250_000_000.0}},
        {"timestamp": {"sec": 1_700_000_000.25, "nsec": 0}},
        {"Timestamp": 1_700_000_000_250},
        {"TimeStamp": "2023-11-14T22:13:20.25Z", "T": 21.5},
    ],
)
def test_times_as_other_languages_write_them(fields: dict[str, object]) -> None:
    found = status(fields)
    assert (found.stamp_ns, found.stamped) == (1_700_000_000_250_000_000, True)


def test_a_temperature_is_no_time() -> None:
    found = status({"T": 21.5, "speed": 1.0})
    assert (found.stamped, found.stamp_problem) == (False, "")


@given(moment_ns=st.integers(10**18, 4 * 10**18), minutes=st.integers(-14 * 60, 14 * 60))
def test_iso_text_keeps_every_nanosecond_in_every_zone(moment_ns: int, minutes: int) -> None:
    seconds, nanos = divmod(moment_ns, 10**9)
    zone = timezone(timedelta(minutes=minutes))
    local = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).astimezone(zone)
    offset = local.strftime("%z")
    text = f"{local:%Y-%m-%dT%H:%M:%S}.{nanos:09d}{offset[:3]}:{offset[3:5]}"
    assert status({"timestamp": text}).stamp_ns == moment_ns


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, ""),
        ({"timestamp": 0}, ""),
        ({"timestamp": {"sec": 0, "nanosec": 0}}, ""),
        ({"timestamp": None}, ""),
        ({"timestamp": ""}, ""),
        ({"timestamp": "soon"}, "'soon' is not a time"),
        ({"timestamp": "2023-11-14T19:13:20"}, "says no zone"),
        ({"timestamp": "2023-13-14T19:13:20Z"}, "is not a date"),
        ({"timestamp": -5}, "before 1970"),
        ({"timestamp": {"sec": 1_700_000_000, "fraction": 0.25}}, "that are no time"),
        ({"timestamp": 12.5}, "near the arrival in any unit"),
        (
            {"timestamp": 500_000_000},
            "near the arrival in any unit",
        ),  # of a clock that starts with the machine
        ({"timestamp": {"sec": -3, "nanosec": 0}}, "no time since 1970"),
    ],
)
def test_what_is_no_time_leaves_arrival_in_its_place_and_says_so(
    fields: dict[str, Any], problem: str
) -> None:
    found = status(fields)
    assert (found.stamp_ns, found.stamped) == (ARRIVAL_NS, False)
    assert problem in found.stamp_problem
    assert bool(problem) == bool(found.stamp_problem)


def test_publish_time_comes_before_arrival() -> None:
    assert status({}, publish_ns=7).stamp_ns == 7


@pytest.mark.parametrize("unit", UNITS)
def test_a_rule_says_where_the_time_is_and_in_which_unit(unit: Any) -> None:
    fields = {"clock": {"boot": 5_000}, "timestamp": 1_700_000_000.5}
    found = status(fields, rule=StampRule("clock.boot", unit))
    assert (found.stamp_ns, found.stamped) == (5_000 * UNITS[unit], True)
    found = status({"timestamp": 5_000}, rule=StampRule(None, unit))
    assert (found.stamp_ns, found.stamped) == (5_000 * UNITS[unit], True)


def test_a_rule_that_names_no_field_of_the_message_is_said() -> None:
    found = status({"timestamp": 1_700_000_000.5}, rule=StampRule("clock.boot", "s"))
    assert (found.stamped, found.stamp_problem) == (False, "the message has no field clock.boot")


def test_a_clock_that_starts_with_the_log_is_not_guessed() -> None:
    found = status({"timestamp": 12.5}, arrival_ns=12_600_000_000)
    assert (found.stamp_ns, found.stamped) == (12_600_000_000, False)
    assert "timestamp: 12.5" in found.stamp_problem


@pytest.mark.parametrize("hours", [1, 30, 250])
def test_milliseconds_since_a_machine_started_are_no_date(hours: int) -> None:
    for arrival_ns in (5_000_000_000, ARRIVAL_NS):
        found = status({"timestamp": hours * 3_600_000 + 0.5}, arrival_ns)
        assert (found.stamp_ns, found.stamped) == (arrival_ns, False)
    date = status({"timestamp": 1_100_000_000.5}, arrival_ns=5_000_000_000)  # in 2004
    assert (date.stamp_ns, date.stamped) == (1_100_000_000_500_000_000, True)


def test_each_transform_has_its_own_stamp() -> None:
    transform = {"translation": {"x": 1.0}, "rotation": {"w": 1.0}}
    times = ({"sec": 1_700_000_000, "nsec": 5}, "2023-11-14T22:13:21Z", None)
    data = {
        "transforms": [
            {"timestamp": time, "parent_frame_id": "base", "child_frame_id": f"/f{i}", **transform}
            for i, time in enumerate(times)
        ]
    }
    schema = Schema("foxglove.FrameTransforms", "jsonschema", b"{}")
    message = Message(Channel(1, "/tf", "json", schema), ARRIVAL_NS, 0, 0, json.dumps(data).encode())
    found = decode(message)
    assert isinstance(found, FrameTransforms)
    assert [(item.child, item.stamp_ns) for item in found.items] == [
        ("f0", 1_700_000_000_000_000_005),
        ("f1", 1_700_000_001_000_000_000),
        ("f2", 1_700_000_000_000_000_005),
    ]


def test_any_index_of_any_array_can_be_read_and_long_ones_are_not_listed() -> None:
    found = status({"position": list(range(1000)), "wheels": [{"rpm": 2.5}], "a.b": 3, "deep": [[1, 2], [3]]})
    assert isinstance(found, StatusReading)
    assert found.values["position.999"] == 999
    assert found.values["wheels.0.rpm"] == 2.5
    assert found.values["a.b"] == 3
    assert found.values["deep.1.0"] == 3
    missing = (
        "position.1000",
        "position.-1",
        "position",
        "position.x",
        "wheels.1.rpm",
        "nothing",
        "deep.1.0.0",
    )
    assert [path for path in missing if path in found.values or found.values.get(path) is not None] == []
    assert "position.0" not in list(found.values)
