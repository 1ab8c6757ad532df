"""ROS 2 bags: the messages and outputs of MCAP with the same content, split files, and what damage leaves."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import perception
from perception.errors import LogError
from perception.files import file_sha256
from perception.logs import Query, open_log
from perception_tools.cli import run
from tests.logs.ros_bags import (
    START_NS,
    assert_same_messages,
    assert_same_outputs,
    read,
    write_mcap,
    write_ros2,
)

STORAGES = ["SQLITE3", "MCAP"]
MODES = [("SQLITE3", "NONE"), ("SQLITE3", "FILE"), ("SQLITE3", "MESSAGE")]
MODES += [("MCAP", "NONE"), ("MCAP", "FILE"), ("MCAP", "MESSAGE"), ("MCAP", "STORAGE")]
COUNTS = Counter({"/odom": 40, "/image": 20})


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return next(write_ros2(tmp_path_factory.mktemp("bags") / "bag", "SQLITE3").glob("*.db3"))


@pytest.fixture(scope="module")
def whole(database: Path) -> list[tuple[str, int, bytes]]:
    return read(database)[0]


def split(folder: Path, storage: str, pieces: int = 3) -> Path:
    """Write a bag of several files, each with a part of the drive, as a recorder does that splits by size."""
    bag = write_ros2(folder, storage)
    file = next(path for path in bag.iterdir() if path.suffix in (".db3", ".mcap"))
    messages = read(file)[0]
    bounds = [messages[len(messages) * i // pieces][1] for i in range(pieces)] + [1 << 62]
    names = []
    for i in range(pieces):
        name = f"{folder.name}_{i}{file.suffix}"
        names.append(name)
        if storage == "SQLITE3":
            shutil.copy(file, bag / name)
            with sqlite3.connect(bag / name) as connection:
                bound = (bounds[i], bounds[i + 1])
                connection.execute("DELETE FROM messages WHERE timestamp < ? OR timestamp >= ?", bound)
            connection.close()
        else:
            copy_range(file, bag / name, bounds[i], bounds[i + 1])
    file.unlink()
    change_metadata(bag, relative_file_paths=names)
    return bag


def copy_range(source: Path, target: Path, start_ns: int, end_ns: int) -> None:
    from perception.logs import LogWriter

    with open_log(source) as log, LogWriter(target) as out:
        for m in log.messages(Query(start_ns=start_ns, end_ns=end_ns)):
            channel = m.channel
            out.write(
                m.topic,
                m.data,
                schema=channel.schema,
                encoding=channel.encoding,
                log_time_ns=m.log_time_ns,
                publish_time_ns=m.publish_time_ns,
            )


def change_metadata(bag: Path, **changes: Any) -> None:
    path = bag / "metadata.yaml"
    tree = yaml.safe_load(path.read_text())
    tree["rosbag2_bagfile_information"].update(changes)
    path.write_text(yaml.safe_dump(tree))


# --- what is sound ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("storage", "mode"), MODES)
def test_a_bag_holds_what_mcap_of_the_same_content_holds(tmp_path: Path, storage: str, mode: str) -> None:
    bag, mcap = write_ros2(tmp_path / "bag", storage, mode), write_mcap(tmp_path / "a.mcap", 2)
    assert_same_messages(bag, mcap)
    with open_log(bag) as log, open_log(mcap) as other:
        assert log.survey.topics == other.survey.topics
        assert log.accounting.counts == "metadata.yaml"
        assert {t: (c.encoding, c.schema and c.schema.name) for t, c in log.channels.items()} == {
            t: (c.encoding, c.schema and c.schema.name) for t, c in other.channels.items()
        }


@pytest.mark.parametrize("storage", STORAGES)
def test_a_bag_in_several_files_is_one_log(tmp_path: Path, storage: str) -> None:
    expected, account, _ = read(write_mcap(tmp_path / "a.mcap", 2))
    bag = split(tmp_path / "bag", storage)
    assert read(bag) == (expected, account, [])
    with open_log(bag) as log:
        channels = {id(message.channel) for message in log.messages()}
        assert len(channels) == 2  # one object for each stream, whatever its file


@pytest.mark.parametrize("storage", ["SQLITE3", pytest.param("MCAP", marks=pytest.mark.slow)])
def test_a_bag_replays_as_mcap_of_the_same_content_does(tmp_path: Path, storage: str) -> None:
    assert_same_outputs(split(tmp_path / "bag", storage), write_mcap(tmp_path / "a.mcap", 2))


def test_commands_take_a_folder_and_a_single_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], database: Path
) -> None:
    bag = write_ros2(tmp_path / "bag", "SQLITE3")
    for path in (str(bag), str(database)):
        assert run(["info", path, "--audit", "--json"]) == 0
        report = json.loads(capsys.readouterr().out)
        assert report["log"]["messages"] == 60
        assert report["log"]["proof"]["counts"]
        assert run(["replay", path, "--no-output", "--json", "--end", "0.5"]) == 0
        assert json.loads(capsys.readouterr().out)["ledger"]["/odom"]["used"] > 0
    perception.replay(bag, write=tmp_path / "out.mcap", end=0.5)
    with open_log(tmp_path / "out.mcap") as log:
        assert log.survey.counts["/perception/control"] > 3
    before = file_sha256(bag)
    (bag / "metadata.yaml").write_text("changed")
    assert file_sha256(bag) != before


def test_messages_whose_quality_of_service_differs_from_the_metadata_are_read(tmp_path: Path) -> None:
    """`rosbags` passes over them without a word."""
    bag = write_ros2(tmp_path / "bag", "SQLITE3")
    tree = yaml.safe_load((bag / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    zero = {"sec": 0, "nsec": 0}
    profile = {"history": 3, "depth": 0, "reliability": 1, "durability": 2, "liveliness": 1}
    profile |= {"deadline": zero, "lifespan": zero, "liveliness_lease_duration": zero}  # type: ignore[dict-item]
    for topic in tree["topics_with_message_count"]:
        topic["topic_metadata"]["offered_qos_profiles"] = [
            {**profile, "avoid_ros_namespace_conventions": False}
        ]
    change_metadata(bag, topics_with_message_count=tree["topics_with_message_count"])
    messages, account, damage = read(bag)
    assert (len(messages), account.read, damage) == (60, COUNTS, [])


def test_what_stands_in_the_journal_beside_the_file_is_read(tmp_path: Path, database: Path) -> None:
    """A recorder that was killed leaves its last messages in `FILE-wal`."""
    path = tmp_path / "bag.db3"
    shutil.copy(database, path)
    writer = sqlite3.connect(path)
    writer.execute("PRAGMA journal_mode=WAL")
    writer.execute("PRAGMA wal_autocheckpoint=0")
    writer.execute(
        "INSERT INTO messages(topic_id, timestamp, data) SELECT topic_id, timestamp, data FROM messages"
    )
    writer.commit()
    copy = tmp_path / "killed.db3"
    shutil.copy(path, copy)
    shutil.copy(f"{path}-wal", f"{copy}-wal")
    writer.close()
    before = {file.name: file.read_bytes() for file in tmp_path.glob("killed*")}
    assert read(copy)[1].read == COUNTS + COUNTS
    assert {file.name: file.read_bytes() for file in tmp_path.glob("killed*")} == before


# --- what is not -----------------------------------------------------------------------------------


def test_metadata_prove_what_is_missing(tmp_path: Path) -> None:
    bag = write_ros2(tmp_path / "bag", "SQLITE3")
    with sqlite3.connect(next(bag.glob("*.db3"))) as connection:
        connection.execute("DELETE FROM messages WHERE id > 50")
    connection.close()
    messages, account, damage = read(bag)
    assert len(messages) == 50
    assert "metadata.yaml counts 10 messages more than the files hold" in damage[0].reason
    with open_log(bag) as log:
        assert list(log.survey.damage) == damage
    assert account.read.total() == 50


@pytest.mark.parametrize("storage", STORAGES)
def test_a_missing_file_costs_its_own_messages(tmp_path: Path, storage: str) -> None:
    bag = split(tmp_path / "bag", storage)
    file = next(bag.glob("bag_1.*"))
    gone = len(read(file)[0])
    file.unlink()
    messages, account, damage = read(bag)
    assert len(messages) == 60 - gone
    assert account.totals() == COUNTS
    assert account.lost.total() == gone > 10
    assert any("bag_1" in item.reason and "missing" in item.reason for item in damage)


def test_a_bag_without_metadata_is_read(tmp_path: Path) -> None:
    """As a recorder leaves it that was killed: it writes metadata.yaml when it closes."""
    bag = split(tmp_path / "bag", "SQLITE3")
    (bag / "metadata.yaml").unlink()
    messages, account, damage = read(bag)
    assert account.read == COUNTS
    assert len(messages) == 60
    assert ["not closed" in item.reason for item in damage] == [True]
    (bag / "metadata.yaml").write_text("rosbag2_bagfile_information: [")
    assert read(bag)[1].read == COUNTS


@given(cut=st.floats(0.2, 0.999))
def test_a_cut_database_gives_the_rows_before_the_cut(
    database: Path, whole: list[tuple[str, int, bytes]], cut: float
) -> None:
    content = database.read_bytes()
    end = round(cut * len(content))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cut.db3"
        path.write_bytes(content[:end])
        messages, account, damage = read(path)
        assert set(messages) <= set(whole)
        assert damage
        assert len(messages) >= 60 * cut - 15
        assert damage[0].t1_ns is None  # what is cut off may reach to any time
        _, part, _ = read(path, Query(topics=frozenset({"/odom"}), end_ns=START_NS + 700_000_000))
        assert part.totals() == account.totals()


@given(data=st.data())
def test_pages_that_are_overwritten_are_named(
    database: Path, whole: list[tuple[str, int, bytes]], data: st.DataObject
) -> None:
    content = bytearray(database.read_bytes())
    page = int.from_bytes(content[16:18], "big")
    for _ in range(data.draw(st.integers(1, 3))):
        at = page * data.draw(st.integers(len(content) // page // 3, len(content) // page - 1))
        content[at : at + page] = bytes(page)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bad.db3"
        path.write_bytes(content)
        messages, account, damage = read(path)
        times = [time_ns for _, time_ns, _ in messages]
        assert times == sorted(times)
        missing = {message[:2] for message in whole} - {message[:2] for message in messages}
        assert not missing or damage
        assert account.read.total() == len(messages) >= 30


def test_a_damaged_file_of_a_bag_costs_only_itself(tmp_path: Path) -> None:
    bag = split(tmp_path / "bag", "SQLITE3")
    gone = len(read(bag / "bag_1.db3")[0])
    (bag / "bag_1.db3").write_bytes(b"no database at all")
    messages, account, damage = read(bag)
    assert len(messages) == 60 - gone
    assert account.lost.total() == gone > 10
    assert "bag_1.db3 cannot be read" in damage[0].reason


@pytest.mark.parametrize("mode", ["FILE", "MESSAGE"])
def test_compressed_data_that_is_damaged_is_counted(tmp_path: Path, mode: str) -> None:
    bag = write_ros2(tmp_path / "bag", "SQLITE3", mode)
    file = next(path for path in bag.iterdir() if ".db3" in path.name)
    content = bytearray(file.read_bytes())
    if mode == "FILE":
        content = content[: len(content) * 2 // 3]
    else:
        at = content.rindex(b"\x28\xb5\x2f\xfd")
        content[at + 4 : at + 8] = b"\xff" * 4
    file.write_bytes(content)
    messages, account, damage = read(bag)
    assert damage
    assert 0 < len(messages) < 60
    assert account.totals() == COUNTS


HOSTILE = {
    "endless view": """CREATE TABLE topics(id INTEGER PRIMARY KEY, name, type, serialization_format);
        CREATE VIEW messages AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n)
        SELECT id, 1 AS topic_id, id AS timestamp, zeroblob(1000000) AS data FROM n;""",
    "computed column": """CREATE TABLE topics(id INTEGER PRIMARY KEY, name, type, serialization_format);
        CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id, timestamp,
        data AS (zeroblob(100000000)) VIRTUAL);""",
    "another database": "CREATE TABLE cats(name);",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_other_databases_are_refused_in_one_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.db3"
    with sqlite3.connect(path) as connection:
        connection.executescript(HOSTILE[name])
    connection.close()
    begin = time.monotonic()
    with pytest.raises(LogError, match="without a plain table") as caught:
        open_log(path)
    assert "\n" not in str(caught.value)
    assert time.monotonic() - begin < 2


def test_a_tree_of_pages_that_leads_back_to_itself_ends(tmp_path: Path, database: Path) -> None:
    content = bytearray(database.read_bytes())
    page = int.from_bytes(content[16:18], "big")
    with sqlite3.connect(f"file:{database}?immutable=1", uri=True) as connection:
        query = "SELECT rootpage FROM sqlite_master WHERE name = 'messages'"
        root = connection.execute(query).fetchone()[0]
    connection.close()
    leaf = next(i for i in range(len(content) // page) if i != root - 1 and content[i * page] == 13) + 1
    for above, below in ((root, 20), (20, 21), (21, 22), (22, 23), (23, leaf)):
        body = bytearray(page)
        count = 300
        body[0], body[3:5], body[8:12] = 5, count.to_bytes(2, "big"), below.to_bytes(4, "big")
        body[5:7] = (page - 6 * count).to_bytes(2, "big")
        for i in range(count):
            place = page - 6 * (i + 1)
            body[place : place + 6] = below.to_bytes(4, "big") + b"\x81\x00"
            body[12 + 2 * i : 14 + 2 * i] = place.to_bytes(2, "big")
        content[(above - 1) * page : above * page] = body
    path = tmp_path / "a.db3"
    path.write_bytes(content)
    begin = time.monotonic()
    messages, account, damage = read(path)
    assert time.monotonic() - begin < 10
    assert damage
    assert account.read.total() == len(messages)


def test_rows_of_other_types_are_counted(tmp_path: Path, database: Path) -> None:
    path = tmp_path / "a.db3"
    shutil.copy(database, path)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE messages SET timestamp = 'noon' WHERE id = 3")
        connection.execute("UPDATE messages SET data = 'text' WHERE id = 5")
        connection.execute("UPDATE messages SET topic_id = 77 WHERE id = 7")
    connection.close()
    messages, account, damage = read(path)
    assert len(messages) == 57
    assert account.lost.total() == 1
    assert account.corrupt.total() == 2
    assert len(damage) >= 3


def test_a_folder_without_a_file_is_refused_in_one_line(tmp_path: Path) -> None:
    bag = write_ros2(tmp_path / "bag", "SQLITE3")
    next(bag.glob("*.db3")).unlink()
    with pytest.raises(LogError, match="is missing; copy it into the folder") as caught:
        open_log(bag)
    assert "\n" not in str(caught.value)


@pytest.mark.shared
def test_real_bags_are_read_whole(shared: Path) -> None:
    bags = [path.parent for path in shared.rglob("metadata.yaml")]
    assert len(bags) >= 20
    for bag in bags:
        information = yaml.safe_load((bag / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
        messages, _, damage = read(bag)
        assert (len(messages), damage) == (information["message_count"], []), bag
