"""`perception convert`: what it says, what it refuses, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perception.autoconfig import complete_config
from perception.logs import LogWriter, open_log
from perception.pipeline.span import parse_span
from perception.types import Schema
from perception_tools.cli import run
from tests.logs import ros_bags
from tests.scripted_scene import START_NS, write_scene
from tests.small_logs import SmallLog


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ros_bags.write_ros1(tmp_path_factory.mktemp("convert") / "drive.bag", seconds=1.0)


def test_the_table_names_what_was_converted_and_what_was_not_carried_over(
    bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["convert", str(bag), str(tmp_path / "new.mcap")]) == 0
    text = capsys.readouterr().out
    for part in (
        "30 messages",
        "foxglove.RawImage, was",
        "nav_msgs/Odometry",
        "not carried over",
        "header.seq",
    ):
        assert part in text


def test_json_is_one_object(bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(bag), str(tmp_path / "new.mcap"), "--cut", "0.2", "0.6", "--topics", "/image", "--json"]
    assert run(["convert", *arguments]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["status"], document["exit_code"]) == (
        "perception.convert/1",
        "clean",
        0,
    )
    assert document["messages"] == 4
    codes = {(row["topic"], row["code"]): row["messages"] for row in document["not_carried"]}
    assert codes == {("/odom", "not_selected"): 20, ("/image", "outside_cut"): 6, ("/image", "field"): 4}


def test_a_cut_counts_from_where_replay_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, text = tmp_path / "x.mcap", Schema("Text", "jsonschema", b"{}")
    write_scene(tmp_path / "scene.mcap", duration_s=2.0, image_size=(64, 32))
    with LogWriter(path) as out, open_log(tmp_path / "scene.mcap") as log:
        out.write("/text", b"{}", schema=text, encoding="json", log_time_ns=START_NS - 3_000_000_000)
        for message in log.messages():
            out.copy(message)
    assert run(["convert", str(path), str(tmp_path / "new.mcap"), "--cut", "1", "2", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    with open_log(path) as log:
        span = parse_span(log, complete_config(log).config, 1, 2)
    assert (document["start_ns"], document["end_ns"]) == (span.start_ns, span.end_ns)
    assert document["messages"] > 100


def test_a_cut_behind_the_end_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = SmallLog().image().calibration().write(tmp_path / "a.mcap")
    assert run(["convert", str(source), str(tmp_path / "b.mcap"), "--cut", "100", "200"]) == 2
    assert "nothing is left from 100 s on: the log ends at 1.9 s" in capsys.readouterr().err
    assert not (tmp_path / "b.mcap").exists()
    assert run(["convert", str(source), str(tmp_path / "b.mcap"), "--cut", "1.8", "200"]) == 0


def test_a_cut_source_is_converted_with_loss(
    bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cut.bag").write_bytes(bag.read_bytes()[:-100_000])
    assert run(["convert", str(tmp_path / "cut.bag"), str(tmp_path / "new.mcap")]) == 3
    assert "damage: " in capsys.readouterr().out


def test_files_of_the_user_are_not_replaced(
    bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert run(["convert", str(bag), str(tmp_path / "notes.txt")]) == 1
    assert "no earlier output" in capsys.readouterr().err
    assert run(["convert", str(bag), str(bag), "--force"]) == 1
    assert "would replace the log, which is read" in capsys.readouterr().err
    target = str(tmp_path / "new.mcap")
    assert [run(["convert", str(bag), target]) for _ in range(2)] == [0, 0]
    assert run(["convert", str(bag), target, "--topics", "/none"]) == 2


def test_another_format_than_mcap_is_not_written_under_its_name(
    bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["convert", str(bag), str(tmp_path / "new.db3")]) == 2
    assert "expected the file to write to end in .mcap" in capsys.readouterr().err
    assert not (tmp_path / "new.db3").exists()
    assert run(["convert", str(bag), str(tmp_path / "new")]) == 0
