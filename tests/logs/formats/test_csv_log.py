"""Tables of text: what a column is, in which unit, and what the user is told of guesses."""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.errors import LogError
from perception.logs import open_log
from perception.logs.formats.column_rules import direction_of, range_columns, time_column
from perception.types import RangeScan, StatusReading
from tests.logs.formats.made_logs import read

ROWS = [(100.5 + 0.25 * i, 700 + i, 2000 if i % 4 == 0 else 300 + i, 5 - i) for i in range(12)]


def table(path: Path, names: str, sign: str, rows: object = ROWS, encoding: str = "utf-8") -> Path:
    lines = [sign.join(names.split()), *(sign.join(map(str, row)) for row in rows)]  # type: ignore[attr-defined]
    data = "\n".join([*lines, ""]).encode(encoding)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def notes(path: Path) -> str:
    with open_log(path) as log:
        return "\n".join(log.survey.notes)


@pytest.mark.parametrize("sign", [",", ";", "\t", " "])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_a_table_gives_ranges_and_values_by_the_time_in_it(tmp_path: Path, sign: str, encoding: str) -> None:
    path = table(tmp_path / "a.csv", "time left_range_mm front_range_mm Größe", sign, encoding=encoding)
    messages, account, damage = read(path)
    assert damage == []
    assert account.totals() == account.read
    stamps = [round(row[0] * 10**9) for row in ROWS]
    scans, values = messages["/table/ranges"], messages["/table/values"]
    assert [m.stamp_ns for m in scans] == stamps == [m.stamp_ns for m in values]
    assert [m.values["Größe"] for m in values if isinstance(m, StatusReading)] == [row[3] for row in ROWS]
    for scan, row in zip(scans, ROWS, strict=True):
        assert isinstance(scan, RangeScan)
        np.testing.assert_allclose(scan.points_m[0], [0, row[1] / 1000, 0], atol=1e-6)
        front = [math.nan] * 3 if row[2] == 2000 else [row[2] / 1000, 0, 0]
        np.testing.assert_allclose(scan.points_m[1], front, atol=1e-6)
    assert "readings of 2000, the largest, are taken as no echo: a guess" in notes(path)


def test_a_compressed_table_is_read_too(tmp_path: Path) -> None:
    plain = table(tmp_path / "a.csv", "time a b c", ",")
    packed = table(tmp_path / "b.csv.gz", "time a b c", ",")
    assert [m.values for m in read(plain)[0]["/table/values"]] == [
        m.values for m in read(packed)[0]["/table/values"]
    ]  # type: ignore[union-attr]


@pytest.mark.parametrize("comment", ["# recorded by a logger", "# car 7, on 2024-05-01", "#", "# a\n# b"])
@pytest.mark.parametrize("sign", [",", ";", " "])
def test_comments_before_the_names_change_nothing(tmp_path: Path, comment: str, sign: str) -> None:
    path = table(tmp_path / "a.csv", "time speed yaw_rate c", sign)
    expected = [(m.stamp_ns, m.values) for m in read(path)[0]["/table/values"]]  # type: ignore[union-attr]
    lines = path.read_text()
    for head in (f"{comment}\n", f"{comment}\n# "):  # the names as they are, and as a comment
        path.write_text(head + lines)
        messages, account, damage = read(path)
        assert [(m.stamp_ns, m.values) for m in messages["/table/values"]] == expected  # type: ignore[union-attr]
        assert (account.lost, damage) == ({}, [])


@pytest.mark.parametrize(
    ("name", "first", "step", "ns"),
    [
        ("timestamp_ns", "1403636579763555584", 50_000_000, 1),
        ("#timestamp [ns]", "1403636579763555584", 50_000_000, 1),
        ("timestamp", "1403636579763555584", 50_000_000, 1),
        ("time_us", "1403636579763555", 50_000, 1000),
        ("t", "1403636579763", 50, 10**6),
        ("Time (ms)", "0", 33, 10**6),
        ("time", "0", 33, 10**6),
        ("ts", "12", 1, 10**9),
        ("%time", "1403636579763555584", 50_000_000, 1),  # of rostopic
        ("GPSTime", "1638476860000000", 50_000, 1000),  # of Boreas
        ("timestamp", "5000000000", 50_000, 1000),  # since the machine began, as PX4 has it
        ("timestamp", "3200000000000", 50_000_000, 1),
        ("t", "1403636579", 1, 10**9),
    ],
)
def test_the_unit_of_the_time_is_that_of_its_name_or_size(
    tmp_path: Path, name: str, first: str, step: int, ns: int
) -> None:
    times = [int(first) + step * i for i in range(8)]
    path = tmp_path / "a.csv"
    path.write_text("\n".join([f"{name},a", *(f"{time},1.5" for time in times)]))
    assert [m.log_time_ns for m in read(path)[0]["/table/values"]] == [time * ns for time in times]
    assert ("guessed" in notes(path)) == (name in ("timestamp", "t", "time", "ts", "%time", "GPSTime"))


def test_dates_are_read_to_the_nanosecond(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("date;v\n2011-09-26 13:02:25.964389445;1,5\n2011-09-26T13:02:26.000000001Z;2,5\n")
    values = read(path)[0]["/table/values"]
    assert [m.stamp_ns for m in values] == [1_317_042_145_964_389_445, 1_317_042_146_000_000_001]
    assert [m.values["v"] for m in values if isinstance(m, StatusReading)] == [1.5, 2.5]


@pytest.mark.parametrize(("zone", "is_said"), [("", True), ("Z", False), ("+02:00", False)])
def test_a_zone_is_taken_as_utc_only_where_there_is_none(tmp_path: Path, zone: str, is_said: bool) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"date,v\n2011-09-26T13:02:25{zone},1\n2011-09-26T13:02:26{zone},2\n")
    assert ("dates without a zone" in notes(path)) == is_said


@pytest.mark.parametrize(
    ("cells", "first_ns"),
    [
        (("2011/09/26 13:02:25.5", "2011/09/26 13:02:25.75"), 1_317_042_145_500_000_000),
        (("26.9.2011 13:02:25.5", "26.9.2011 13:02:25.75"), 1_317_042_145_500_000_000),
        (("9:02:25.5", "9:02:25.75"), 32_545_500_000_000),
    ],
)
def test_dates_and_times_of_a_day_in_other_forms(
    tmp_path: Path, cells: tuple[str, str], first_ns: int
) -> None:
    path = tmp_path / "a.csv"
    path.write_text("time,v\n" + "".join(f"{cell},1\n" for cell in cells))
    assert [m.stamp_ns for m in read(path)[0]["/table/values"]] == [first_ns, first_ns + 250_000_000]


def test_times_that_are_not_read_are_shown_with_what_is(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("time,v\n11/12/2023 10:13:20 PM,1\n11/12/2023 10:13:21 PM,2\n")
    with pytest.raises(
        LogError, match=r"dates as 2023-.* in the column time; found '11/12/2023 10:13:20 PM'"
    ):
        open_log(path)


@pytest.mark.parametrize("nothing", ["inf", "65535", "32767", "-1", "0", ""])
def test_what_is_no_reading_tells_no_unit(tmp_path: Path, nothing: str) -> None:
    path = tmp_path / "a.csv"
    rows = [f"{i / 10},{nothing if i % 3 else 100 + i},200,{210 + i}" for i in range(12)]
    path.write_text("\n".join(["time,range_front,range_left,range_right", *rows]))
    scans = read(path)[0]["/table/ranges"]
    points = [scan.points_m for scan in scans if isinstance(scan, RangeScan)]
    np.testing.assert_allclose(points[3][0], [1.03, 0, 0], atol=1e-6)
    assert np.isnan(points[1][0]).all()
    np.testing.assert_allclose(points[1][1], [0, 2, 0], atol=1e-6)


@given(stamps=st.lists(st.integers(1, 10**18), min_size=2, max_size=8))
def test_any_stamp_in_seconds_is_exact(tmp_path_factory: pytest.TempPathFactory, stamps: list[int]) -> None:
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_text("\n".join(["time_s,a", *(f"{t // 10**9}.{t % 10**9:09d},1" for t in stamps)]))
    assert [m.stamp_ns for m in read(path)[0]["/table/values"]] == sorted(stamps)


@pytest.mark.parametrize(
    ("name", "degrees"),
    [
        ("Fr", 0), ("FrLH", 45), ("FrRH", -45), ("RrLH", 135), ("rear", 180), ("left_distance_cm", 90),
        ("range_right", -90), ("front_left_mm", 45), ("speed", None), ("r", None), ("distance", None),
        ("left_motor", None),
    ],
)  # fmt: skip
def test_directions_are_words_of_a_name(name: str, degrees: float | None) -> None:
    assert direction_of(name) == degrees


def test_four_wheels_are_no_ranges() -> None:
    assert range_columns(["front_left", "front_right", "rear_left", "rear_right"]) == {}
    assert range_columns(["left", "right", "speed"]) == {}
    assert set(range_columns(["Fr", "FrLH", "FrRH", "Str"])) == {"Fr", "FrLH", "FrRH"}
    assert range_columns(["ultrasonic"]) == {"ultrasonic": None}


@pytest.mark.parametrize("name", ["throttle", "target", "state", "steps", "timeout", "lifetime"])
def test_names_with_the_letters_of_a_time_are_none(name: str) -> None:
    assert time_column([name]) is None


def test_broken_lines_are_counted_and_empty_cells_are_absent(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("time,a,b\n1,2,3\n2,2\n3,,nan\nx,1,1\n-5,1,1\n4,7,8,9\n5,1,2")
    messages, account, damage = read(path)
    assert account.lost["/table/values"] == 4
    assert sum(item.messages or 0 for item in damage) == 4
    assert [dict(m.values) for m in messages["/table/values"] if isinstance(m, StatusReading)][1] == {
        "header.stamp.sec": 3, "header.stamp.nsec": 0,
    }  # fmt: skip


def test_a_table_without_a_time_is_refused_in_one_line(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "a b c d", ",")
    with pytest.raises(LogError, match=r"expected a column with the time .* found a, b, c, d; name one so"):
        open_log(path)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "rows"), [("record_20240519_181432", 2087), ("record_20240701_012051", 1188)]
)
def test_the_real_ultrasonic_logs(shared: Path, name: str, rows: int) -> None:
    path = shared / "togikai_ultrasonic" / f"{name}.csv"
    messages, _, damage = read(path)
    assert damage == []
    assert len(messages["/table/ranges"]) == rows
    text = notes(path)
    assert "the unit is guessed to be mm" in text
    assert "Fr 0, FrRH -45" in text
    front = [m.values["Fr"] for m in messages["/table/values"] if isinstance(m, StatusReading)]
    scans = [m.points_m[2, 0] for m in messages["/table/ranges"] if isinstance(m, RangeScan)]
    kept = np.array(front) < 2000
    np.testing.assert_allclose(np.array(scans)[kept], np.array(front)[kept] / 1000, rtol=1e-6)
    assert np.isnan(np.array(scans)[~kept]).all()
