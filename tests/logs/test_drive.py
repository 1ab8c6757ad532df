"""Several files as one drive: the samples of the whole log, what is missing between files, and duplicates."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from perception.align.ledger import Ledger
from perception.autoconfig import complete_config
from perception.errors import LogError
from perception.logs import LogWriter, as_one, open_log
from perception.logs.conversion.same_values import same_values
from perception.logs.joined_path import JoinedPath, numbered, parts_of, recorded_path, recorded_place
from perception.logs.log_patterns import find_logs
from perception.path_guard import Read, Write, check_paths
from perception.pipeline.log_source import LogSource
from perception.types import Sample
from perception_tools.cli import run
from tests.logs import ros_bags
from tests.logs.formats import made_logs
from tests.small_logs import START_NS, SmallLog


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return SmallLog().sound().write(tmp_path_factory.mktemp("drive") / "whole.mcap")


def split(whole: Path, folder: Path, *parts: tuple[float, float], name: str = "drive_{}.mcap") -> list[Path]:
    """Write parts of a log (seconds) to files of their own."""
    paths = []
    for number, (start_s, end_s) in enumerate(parts):
        paths.append(folder / name.format(number))
        with open_log(whole) as log, LogWriter(paths[-1]) as out:
            for message in log.messages():
                if start_s <= (message.log_time_ns - START_NS) / 1e9 < end_s:
                    out.copy(message)
    return paths


def samples(path: Path) -> tuple[list[Sample], dict[str, dict[str, int]]]:
    names, ledger = ("camera", "range", "status"), Ledger()
    with open_log(path) as log:
        source = LogSource(log, complete_config(log).config, ledger)
        found = [
            replace(s, **{name: replace(getattr(s, name), entries=()) for name in names})
            for s in source.samples()
        ]
    return found, ledger.rows()


def test_alignment_runs_across_the_boundary(whole: Path, tmp_path: Path) -> None:
    paths = split(whole, tmp_path, (0, 0.75), (0.75, 1.31), (1.31, 9))
    before, rows = samples(whole)
    after, joined_rows = samples(as_one(reversed(paths)))
    assert len(before) == len(after) == 20
    assert all(map(same_values, before, after))
    assert rows == joined_rows


def test_overlapping_files_are_merged_and_duplicates_counted(whole: Path, tmp_path: Path) -> None:
    paths = split(whole, tmp_path, (0, 1.2), (0.9, 9))
    before, _ = samples(whole)
    after, rows = samples(as_one(paths))
    assert len(before) == len(after)
    assert all(map(same_values, before, after))
    assert rows["/scan"]["duplicate"] == 3
    assert rows["/camera/image"]["duplicate"] == 3
    with open_log(paths) as log:
        times = [message.log_time_ns for message in log.messages()]
    assert times == sorted(times)


def test_a_missing_number_and_a_gap_in_time_are_named(whole: Path, tmp_path: Path) -> None:
    paths = split(whole, tmp_path, (0, 0.5), (0.5, 1.0), (1.0, 9))
    with open_log(paths) as log:
        assert not log.survey.damage
        assert dict(log.survey.metadata)["drive"].keys() == {path.name for path in paths}
    with open_log([paths[0], paths[2]]) as log:
        stream = log.messages()
        assert sum(1 for _ in stream) > 0
        (reason,) = [damage.reason for damage in stream.damage]
    assert reason == "a segment is missing: number 1 between drive_0.mcap and drive_2.mcap"
    late = SmallLog().image(start_s=30.0).write(tmp_path / "drive_3.mcap")
    with open_log([*paths, late]) as log:
        (damage,) = log.survey.damage
    assert damage.reason == "nothing was recorded for 28.0 s between drive_2.mcap and drive_3.mcap"
    assert (damage.t0_ns or 0) < (damage.t1_ns or 0) == START_NS + 30 * 10**9


def test_a_segment_that_is_no_log_is_named_and_the_others_are_read(whole: Path, tmp_path: Path) -> None:
    paths = split(whole, tmp_path, (0, 1), (1, 9))
    (tmp_path / "drive_2.mcap").write_bytes(b"nothing")
    with open_log([*paths, tmp_path / "drive_2.mcap"]) as log:
        stream = log.messages()
        read = sum(1 for _ in stream)
        assert "drive_2.mcap is not read: expected a log" in stream.damage[0].reason
    with open_log(whole) as log:
        assert read == sum(1 for _ in log.messages())
    with pytest.raises(LogError, match="none that can be read"):
        open_log([tmp_path / "drive_2.mcap", tmp_path / "drive_9.mcap"])


def test_ros_bags_are_joined_and_converted_to_one_file(tmp_path: Path) -> None:
    bag = ros_bags.write_ros1(tmp_path / "x_0.bag", seconds=1.0)
    bag.rename(tmp_path / "x_1.bag")
    ros_bags.write_ros2(tmp_path / "other", "SQLITE3", first=90)  # a log of another format
    assert run(["convert", str(tmp_path / "x_*.bag"), str(tmp_path / "x.mcap"), "--as-one"]) == 0
    with open_log(tmp_path / "x.mcap") as log:
        assert sum(1 for _ in log.messages()) == 30


def test_folders_and_patterns_are_expanded_in_the_order_of_numbers(tmp_path: Path) -> None:
    for number in (10, 9, 1):
        (tmp_path / f"d_{number}.mcap").touch()
    (tmp_path / "notes.txt").touch()
    names = ["d_1.mcap", "d_9.mcap", "d_10.mcap"]
    assert [path.name for path in parts_of(as_one([tmp_path]))] == names
    assert [path.name for path in parts_of(as_one([tmp_path / "d_*.mcap"]))] == names
    assert as_one([tmp_path / "d_1.mcap"]) == tmp_path / "d_1.mcap"
    with pytest.raises(LogError, match="found no log"):
        as_one([tmp_path / "none_*.mcap"])
    with pytest.raises(LogError, match="named twice"):
        as_one([tmp_path / "d_1.mcap", tmp_path])


def test_segments_that_are_folders_are_one_drive(tmp_path: Path) -> None:
    drive = tmp_path / "b0c9|2018-07-27--06-03-57"
    segments = [made_logs.write_comma(drive / str(n), 46408.5 + 0.3 * n, frames=6) for n in (10, 9)]
    (drive / "notes").mkdir()
    in_order = [segments[1], segments[0]]
    assert parts_of(as_one([drive])) == parts_of(as_one([drive / "*"])) == in_order
    assert find_logs([drive / "*"]) == sorted(segments)
    assert parts_of(as_one(in_order)) == in_order
    with open_log([drive]) as log:
        counts, notes = log.survey.counts, log.survey.notes
    with open_log(segments[0]) as log:
        assert notes == log.survey.notes != ()
    assert counts["/camera/video"] == 12
    assert counts["/can/speed"] == 48


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("drive_0.mcap", ("drive_", 0)),
        ("x_2023-01-02-10-00-00_12.bag", ("x_2023-01-02-10-00-00_", 12)),
        ("x_2023-01-02-10-00-00.bag", None),
        ("part03.bag.gz", ("part", 3)),
        ("1699999999.mcap", None),
        ("drive.mcap", None),
    ],
)
def test_a_counter_is_told_from_a_date(name: str, expected: tuple[str, int] | None) -> None:
    assert numbered(Path(name)) == expected


def test_the_path_is_recorded_and_found_again(tmp_path: Path) -> None:
    path = as_one([tmp_path / "a_0.bag", tmp_path / "a_1.bag"])
    assert isinstance(path, JoinedPath)
    assert recorded_path(recorded_place(path)) == path
    assert (path.stem, path.suffix) == ("a", ".bag")


def test_no_part_is_replaced(whole: Path, tmp_path: Path) -> None:
    from perception.config import Config
    from perception.errors import OutputError
    from perception.pipeline.files_read import files_read

    paths = split(whole, tmp_path, (0, 1), (1, 9))
    reads = files_read([as_one(paths)], Config())
    assert [read for read in reads if read.role == "the log"] == [Read("the log", path) for path in paths]
    with pytest.raises(OutputError, match="which is read"):
        check_paths(reads, [Write("--output", paths[1])], force=True)


def test_info_and_replay_take_a_drive(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    split(whole, tmp_path, (0, 1), (1, 9))
    assert run(["info", str(tmp_path), "--as-one", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    with open_log(whole) as log:
        assert document["log"]["messages"] == sum(1 for _ in log.messages())
    assert run(["info", str(tmp_path)]) == 1
    assert "or all as one drive with --as-one" in capsys.readouterr().err


def test_the_ledger_names_the_file_of_each_message(tmp_path: Path) -> None:
    first = SmallLog().status(seconds=1.0).write(tmp_path / "drive_0.mcap")
    second = SmallLog().status(seconds=1.0, start_s=0.9).write(tmp_path / "drive_1.mcap")
    ledger = tmp_path / "ledger.csv"
    command = ["replay", str(first), str(second), "--as-one", "--no-output", "--ledger", str(ledger)]
    assert run(command) == 0
    with ledger.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 20
    both = "drive_0.mcap or drive_1.mcap"
    names = [row["file"] for row in sorted(rows, key=lambda row: int(row["log_time_ns"]))]
    assert names == ["drive_0.mcap"] * 9 + [both] * 2 + ["drive_1.mcap"] * 9
