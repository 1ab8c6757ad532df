"""ROS 1 bags: the same messages and outputs as MCAP of the same content, and what damage leaves."""

from __future__ import annotations

import bz2
import json
import struct
import tempfile
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.errors import LogError
from perception.logs import Query, open_log
from perception.logs.decoding import decode
from perception.types import CameraFrame, Undecodable
from perception_tools.cli import run
from tests.logs.ros_bags import (
    START_NS,
    assert_same_messages,
    assert_same_outputs,
    read,
    write_mcap,
    write_ros1,
)

COMPRESSIONS = ["", "bz2", "lz4"]


@pytest.fixture(scope="module")
def bags(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("bags")
    return {name: write_ros1(folder / f"{name}.bag", name).read_bytes() for name in COMPRESSIONS}


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("chunk", [1, 1 << 16, 1 << 30])
def test_a_bag_holds_what_mcap_of_the_same_content_holds(
    tmp_path: Path, compression: str, chunk: int
) -> None:
    bag = write_ros1(tmp_path / "a.bag", compression, chunk)
    mcap = write_mcap(tmp_path / "a.mcap", 1)
    assert_same_messages(bag, mcap)
    with open_log(bag) as log, open_log(mcap) as other:
        assert log.survey.topics == other.survey.topics
        assert log.survey.indexed
        assert log.survey.compression == (compression or "none",)
        assert {t: (c.encoding, c.schema) for t, c in log.channels.items()} == {
            t: (c.encoding, c.schema) for t, c in other.channels.items()
        }
        assert log.accounting.counts
        assert bool(log.accounting.content) == (compression == "bz2")


def test_a_bag_replays_as_mcap_of_the_same_content_does(tmp_path: Path) -> None:
    assert_same_outputs(write_ros1(tmp_path / "a.bag", "lz4"), write_mcap(tmp_path / "a.mcap", 1))


def test_commands_take_a_bag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(write_ros1(tmp_path / "a.bag"))
    assert run(["info", path, "--audit", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["log"]["messages"] == 60
    assert report["log"]["proof"]["content"] == ""
    assert report["log"]["proof"]["counts"] != ""
    assert run(["info", path]) == 0
    assert "that their bytes are right is proven by: nothing" in capsys.readouterr().out
    assert run(["replay", path, "--no-output", "--json", "--end", "0.5"]) == 0
    assert json.loads(capsys.readouterr().out)["ledger"]["/odom"]["used"] > 0


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_bag_that_was_never_closed_gives_every_message(bags: dict[str, bytes], compression: str) -> None:
    """As a recorder leaves it that was killed: no index position, and no index at the end."""
    data = bytearray(bags[compression])
    at = data.index(b"index_pos=") + len(b"index_pos=")
    index = int.from_bytes(data[at : at + 8], "little")
    data[at : at + 8] = bytes(8)
    with as_file(bytes(data[:index])) as path:
        messages, account, damage = read(path)
        assert messages == sound(bags)
        assert account.totals() == Counter({"/odom": 40, "/image": 20})
        assert ["not closed" in item.reason for item in damage] == [True]
        with open_log(path) as log:
            assert not log.survey.indexed
            assert log.accounting.counts == ""


def test_an_open_chunk_whose_length_was_not_yet_written_is_read(bags: dict[str, bytes]) -> None:
    """roscpp writes a chunk's header with length 0, and its length when the chunk is full."""
    data = bytearray(bags[""])
    at = data.index(b"index_pos=") + len(b"index_pos=")
    data[at : at + 8] = bytes(8)
    op = data.rindex(b"op=\x05")  # of the last chunk
    for start in range(op - 80, op):
        size = struct.unpack_from("<I", data, start)[0]
        if op - start <= size < op - start + 60:
            break
    length_at = start + 4 + size
    stored = struct.unpack_from("<I", data, length_at)[0]
    data[length_at : length_at + 4] = bytes(4)
    with as_file(bytes(data[: length_at + 4 + stored])) as path:
        messages, _, damage = read(path)
    assert messages == sound(bags)
    assert damage


@pytest.mark.parametrize("compression", COMPRESSIONS)
@given(cut=st.floats(0.05, 0.999))
def test_a_cut_bag_gives_the_messages_before_the_cut(
    bags: dict[str, bytes], compression: str, cut: float
) -> None:
    whole = bags[compression]
    end = round(cut * len(whole))
    with as_file(whole[:end]) as path:
        messages, account, damage = read(path)
        assert messages == sound(bags)[: len(messages)]
        assert damage
        assert account.read.total() == len(messages)
        if not compression:  # as many as lie before the cut
            assert len(messages) >= 60 * (end - 4096) // len(whole) - 20
        part, part_account, _ = read(path, Query(topics=frozenset({"/odom"})))
        assert part_account.totals() == account.totals()
        assert part == [message for message in messages if message[0] == "/odom"]


@pytest.mark.parametrize("compression", COMPRESSIONS)
@given(data=st.data())
def test_damage_is_named_and_costs_only_what_it_covers(
    bags: dict[str, bytes], compression: str, data: st.DataObject
) -> None:
    whole = bytearray(bags[compression])
    at = data.draw(st.integers(4200, len(whole) - 1))
    size = data.draw(st.integers(1, 300))
    kind = data.draw(st.sampled_from(["overwrite", "insert", "delete"]))
    noise = data.draw(st.binary(min_size=size, max_size=size))
    end = min(at + size, len(whole))
    if kind == "overwrite":
        whole[at:end] = noise[: end - at]
    else:
        whole[at : at if kind == "insert" else end] = noise if kind == "insert" else b""
    with as_file(bytes(whole)) as path:
        messages, account, damage = read(path)
        times = [time_ns for _, time_ns, _ in messages]
        assert times == sorted(times)
        headers = {(topic, time_ns) for topic, time_ns, _ in sound(bags)}
        missing = headers - {(topic, time_ns) for topic, time_ns, _ in messages}
        assert not missing or damage
        assert account.read.total() == len(messages)
        _, part_account, _ = read(path, Query(end_ns=START_NS + 700_000_000))
        assert part_account.totals() == account.totals()
        if compression == "":
            assert len(messages) >= 40  # one of several chunks at most


def test_a_chunk_that_is_gone_is_counted_by_the_index(bags: dict[str, bytes]) -> None:
    data = bytearray(bags["bz2"])
    at = data.index(b"BZh9") + 40
    data[at : at + 8] = bytes(8)
    with as_file(bytes(data)) as path:
        messages, account, damage = read(path)
    assert 0 < len(messages) < 60
    assert account.lost.total() == 60 - len(messages) == damage[0].messages
    assert "does not decompress" in damage[0].reason


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"#ROSBAG V1.2\n" + bytes(100), "version 2.0, found '#ROSBAG V1.2'"),
        (b"#ROSBAG V2.0\n" + bytes(100), "cut off inside its header"),
        (b"#ROSBAG V", "record or copy it again"),
    ],
)
def test_what_is_no_bag_of_this_version_is_refused(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "a.bag"
    path.write_bytes(content)
    with pytest.raises(LogError, match=expected) as caught:
        open_log(path)
    assert "\n" not in str(caught.value)


def record(fields: dict[bytes, bytes], data: bytes) -> bytes:
    header = b"".join(struct.pack("<I", len(k) + 1 + len(v)) + k + b"=" + v for k, v in fields.items())
    return struct.pack("<I", len(header)) + header + struct.pack("<I", len(data)) + data


def bomb(data: bytes, copies: int) -> bytes:
    fields = {b"op": b"\x05", b"compression": b"bz2", b"size": struct.pack("<I", len(data))}
    return b"#ROSBAG V2.0\n" + record(fields, bz2.compress(data)) * copies


EMPTY_MESSAGE = {b"op": b"\2", b"conn": bytes(4), b"time": bytes(8)}
HOSTILE = {
    "looks like records": lambda: b"#ROSBAG V2.0\n" + (b"\x3f\0\0\0" * 10 + b"\4\0\0\0op=\x05") * 19000,
    "unpacks to zeros": lambda: bomb(bytes(60 << 20), 100),
    "empty messages": lambda: bomb(record(EMPTY_MESSAGE, b"") * 500_000, 10),
}
"""Makers: packing takes seconds."""


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n == "empty messages" else ()) for n in HOSTILE]
)
def test_a_bag_made_to_do_harm_costs_seconds(name: str) -> None:
    content = HOSTILE[name]()
    begin = time.process_time()
    with as_file(content) as path:
        if name == "looks like records":
            with pytest.raises(LogError, match="without any sound record"):
                open_log(path)
        else:
            messages, account, damage = read(path)
            assert messages == []
            assert damage
            assert account.read.total() == 0
    assert time.process_time() - begin < 10


@pytest.mark.shared
def test_real_bags_are_read_whole(shared: Path) -> None:
    counts = {
        "lerobot_real/test_rs.bag": 375,
        "robot_localization_bags/test2.bag": 6121,
        "rosbagjs_fixtures/example-bz2.bag": 8647,
        "rosbagjs_fixtures/example-lz4.bag": 8647,
        "rosbagjs_fixtures/example-unsorted-chunks.bag": 3,
        "rosbagjs_fixtures/no-messages.bag": 0,
    }
    for name, count in counts.items():
        messages, account, damage = read(shared / name)
        assert (len(messages), account.read.total(), damage) == (count, count, []), name


@pytest.mark.shared
def test_images_with_bytes_behind_them_decode(shared: Path) -> None:
    with open_log(shared / "lerobot_real/test_rs.bag") as log:
        images = [
            m for m in log.messages() if m.channel.schema and m.channel.schema.name == "sensor_msgs/Image"
        ]
    decoded = [decode(message) for message in images]
    assert not [item for item in decoded if isinstance(item, Undecodable)]
    assert any(isinstance(item, CameraFrame) for item in decoded)


def test_a_connection_that_names_no_topic_is_read_by_its_other_record(bags: dict[str, bytes]) -> None:
    whole = bags[""]
    for at in (whole.index(b"topic=/odom"), whole.rindex(b"topic=/odom")):
        damaged = whole[:at] + b"tepic" + whole[at + 5 :]
        with as_file(damaged) as path:
            messages, _, _ = read(path)
        assert {topic for topic, _, _ in messages} == {topic for topic, _, _ in sound(bags)}
        assert len(messages) == len(sound(bags))


# --- helpers ---------------------------------------------------------------------------------------


class as_file:
    """A temporary file with this content."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def __enter__(self) -> Path:
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "a.bag"
        path.write_bytes(self.content)
        return path

    def __exit__(self, *_: object) -> None:
        self.folder.cleanup()


def sound(bags: dict[str, bytes]) -> list[tuple[str, int, bytes]]:
    with as_file(bags[""]) as path:
        return read(path)[0]
