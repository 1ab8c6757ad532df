"""MCAP's own conformance files, and the logs that other projects test with."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from perception.errors import LogError
from perception.logs import open_log

pytestmark = pytest.mark.shared


def expected_messages(path: Path) -> list[tuple[str, int, int, int, bytes]]:
    """The messages of a conformance file by its JSON, in file order."""
    topics: dict[str, str] = {}
    found = []
    for record in json.loads(path.read_text())["records"]:
        fields: dict[str, Any] = dict(record["fields"])
        if record["type"] == "Channel":
            topics[fields["id"]] = fields["topic"]
        elif record["type"] == "Message":
            times = int(fields["log_time"]), int(fields["publish_time"]), int(fields["sequence"])
            found.append((topics[fields["channel_id"]], *times, bytes(int(byte) for byte in fields["data"])))
    return found


def test_every_conformance_file_is_read_as_its_expectation_says(shared: Path) -> None:
    files = sorted((shared / "mcap_conformance").rglob("*.mcap"))
    assert len(files) == 168
    for path in files:
        expected = sorted(expected_messages(path.with_suffix(".json")), key=lambda message: message[1])
        with open_log(path) as log:
            stream = log.messages()
            got = [(m.topic, m.log_time_ns, m.publish_time_ns, m.sequence, m.data) for m in stream]
            assert got == expected, path
            assert stream.damage == [], path
            assert log.survey.counts == dict(Counter(message[0] for message in expected)), path
            assert stream.account.read == log.survey.counts, path
            for message in got:
                assert log.channels[message[0]].topic == message[0]


def test_conformance_metadata_and_attachments_are_listed(shared: Path) -> None:
    for path in sorted((shared / "mcap_conformance").rglob("*.mcap")):
        records = json.loads(path.with_suffix(".json").read_text())["records"]
        names = [dict(record["fields"])["name"] for record in records if record["type"] == "Attachment"]
        metadata = [dict(record["fields"]) for record in records if record["type"] == "Metadata"]
        with open_log(path) as log:
            assert list(log.survey.attachments) == names, path
            assert [(name, dict(values)) for name, values in log.survey.metadata] == [
                (fields["name"], fields["metadata"]) for fields in metadata
            ], path


def real_logs(shared: Path) -> list[Path]:
    bags = sorted((shared / "rosbag2_test_resources").rglob("*.mcap"))
    return [
        *bags,
        *sorted((shared / "rerun_rosbag2_mcap").glob("*.mcap")),
        shared / "pandaset_002_front.mcap",
    ]


def test_real_logs_agree_with_the_reader_of_the_mcap_package(shared: Path) -> None:
    from mcap.reader import make_reader

    for path in real_logs(shared):
        with path.open("rb") as file:
            theirs = [
                (channel.topic, message.log_time, message.publish_time, message.sequence, hash(message.data))
                for _, channel, message in make_reader(file, validate_crcs=True).iter_messages()
            ]
        with open_log(path) as log:
            stream = log.messages()
            ours = [(m.topic, m.log_time_ns, m.publish_time_ns, m.sequence, hash(m.data)) for m in stream]
            assert Counter(ours) == Counter(theirs), path
            assert [m[1] for m in ours] == sorted(m[1] for m in ours), path
            assert stream.damage == [], path
            assert log.survey.counts == dict(Counter(m[0] for m in ours)), path


def test_real_logs_read_the_same_without_their_index(shared: Path, tmp_path: Path) -> None:
    for path in real_logs(shared)[:-1]:  # the last is large
        data = path.read_bytes()
        end = data.rindex(b"\x0f\x04" + bytes(7))  # the data end record: opcode, length
        cut = tmp_path / "cut.mcap"
        cut.write_bytes(data[: end + 13])
        with open_log(path) as log, open_log(cut) as same:
            indexed, scanned = log.messages(), same.messages()
            assert list(indexed) == list(scanned), path
            assert scanned.damage == [], path
            assert indexed.account == scanned.account, path
            assert dict(log.survey.topics) == dict(same.survey.topics), path
            assert (log.survey.indexed, same.survey.indexed) == (True, False)


def test_every_bag_is_listed_or_refused_in_one_line(shared: Path) -> None:
    bags = [
        *sorted(shared.rglob("*.bag"))[:6],
        *sorted((shared / "rosbag2_test_resources").rglob("*.db3"))[:6],
    ]
    assert len(bags) >= 4
    refusals = {path: error for path in bags if (error := _refusal_of(path))}
    for path, text in refusals.items():
        assert "\n" not in text
        assert str(path) in text
    assert len(refusals) <= 2


def _refusal_of(path: Path) -> str:
    """Return why a log does not open; empty where it does and its topics are listed."""
    try:
        with open_log(path) as log:
            return "" if log.survey.topics else f"{path}: no topic"
    except LogError as error:
        return str(error)
