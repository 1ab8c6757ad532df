"""Reading sound logs: order, filters, accounts, the survey, refusals, threads, memory."""

from __future__ import annotations

import io
import os
import random
import tarfile
import threading
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcap.writer import IndexType, Writer
from reader_files import (
    NONE,
    TOPICS,
    VARIANTS,
    ZSTD,
    by_topic,
    make_messages,
    original,
    read,
    records,
    write_log,
)

from perception import logs
from perception.errors import LogError
from perception.logs import Query, open_log
from perception.logs.mcap import stream as stream_module

MESSAGES = make_messages(300)
ARRIVAL = sorted(MESSAGES, key=lambda message: message.log_time_ns)  # stable: equal times keep file order


@pytest.fixture(params=sorted(VARIANTS))
def log_path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"{request.param}.mcap"
    path.write_bytes(write_log(MESSAGES, **VARIANTS[request.param]))
    return path


def test_every_shape_of_log_gives_every_message_in_arrival_order(log_path: Path) -> None:
    got, stream = read(log_path)
    assert got == ARRIVAL
    assert stream.damage == []
    assert stream.account.read == by_topic(MESSAGES)
    assert stream.account.topics == sorted(TOPICS)
    assert sum(stream.account.total(topic) for topic in TOPICS) == len(MESSAGES)


def test_the_survey_agrees_with_what_is_written(log_path: Path) -> None:
    with open_log(log_path) as log:
        survey = log.survey
        assert survey is log.survey
        assert survey.counts == by_topic(MESSAGES)
        assert survey.message_count == len(MESSAGES)
        assert (survey.start_ns, survey.end_ns) == (ARRIVAL[0].log_time_ns, ARRIVAL[-1].log_time_ns)
        assert survey.duration_s == (ARRIVAL[-1].log_time_ns - ARRIVAL[0].log_time_ns) / 1e9
        for topic, found in survey.topics.items():
            times = [message.log_time_ns for message in MESSAGES if message.topic == topic]
            assert (found.first_ns, found.last_ns) == (min(times), max(times))
        assert [(name, dict(values)) for name, values in survey.metadata] == [("drive", {"city": "Ulm"})]
        assert survey.attachments == ("notes.txt",)
        assert survey.profile == log.profile == "test"
        assert survey.library.startswith("mcap-python")
        assert survey.size_bytes == log_path.stat().st_size
        assert survey.damage == ()


def test_channels_are_known_before_anything_is_read(log_path: Path) -> None:
    with open_log(log_path) as log:
        assert sorted(log.channels) == sorted(TOPICS)
        camera, state = log.channels["/camera"], log.channels["/state"]
        assert camera.encoding == "json"
        assert dict(camera.metadata) == {"a": "/camera"}
        assert camera.schema is not None
        assert (camera.schema.name, camera.schema.encoding) == ("Thing", "jsonschema")
        assert state.schema is None
        for message in log.messages():
            assert message.channel is log.channels[message.topic]


TIMES = [message.log_time_ns for message in ARRIVAL]


@given(
    variant=st.sampled_from(sorted(VARIANTS)),
    topics=st.none() | st.frozensets(st.sampled_from([*TOPICS, "/absent"])),
    start=st.none() | st.integers(TIMES[0] - 50, TIMES[-1] + 50) | st.sampled_from(TIMES) | st.just(-5),
    end=st.none() | st.integers(TIMES[0] - 50, TIMES[-1] + 50) | st.sampled_from(TIMES) | st.just(1 << 70),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_query_gives_its_messages_and_accounts_for_all_others(
    tmp_path_factory: pytest.TempPathFactory,
    variant: str,
    topics: frozenset[str] | None,
    start: int | None,
    end: int | None,
) -> None:
    path = tmp_path_factory.getbasetemp() / f"query-{variant}.mcap"
    if not path.exists():
        path.write_bytes(write_log(MESSAGES, **VARIANTS[variant]))
    got, stream = read(path, Query(topics, start, end))

    configured = [m for m in ARRIVAL if topics is None or m.topic in topics]
    low, high = TIMES[0] if start is None else start, TIMES[-1] + 1 if end is None else end
    expected = [m for m in configured if low <= m.log_time_ns < high]
    assert got == expected
    assert stream.damage == []
    account = stream.account
    assert account.read == by_topic(expected)
    assert +account.not_configured == by_topic(MESSAGES) - by_topic(configured)
    assert +account.outside_range == by_topic(configured) - by_topic(expected)
    assert not +account.corrupt
    assert not +account.lost


def test_a_time_range_reads_only_the_chunks_that_overlap_it(tmp_path: Path) -> None:
    data = bytearray(write_log(MESSAGES, **VARIANTS["plain"]))
    path = tmp_path / "log.mcap"
    path.write_bytes(data)
    middle = TIMES[len(TIMES) // 2]
    chunks = [record for record in records(bytes(data)) if record.opcode == 6]
    for record in (chunks[0], chunks[-1]):  # bytes that must not matter
        data[record.start + 60 : record.end] = bytes(record.end - record.start - 60)
    path.write_bytes(data)
    got, stream = read(path, Query(None, middle - 100, middle + 100))
    assert got == [m for m in ARRIVAL if middle - 100 <= m.log_time_ns < middle + 100]
    assert stream.damage == []
    assert sum(map(stream.account.total, TOPICS)) == len(MESSAGES)


def test_topics_that_are_not_wanted_are_counted_without_reading_their_chunks(tmp_path: Path) -> None:
    file = io.BytesIO()
    writer = Writer(file, chunk_size=100, compression=NONE)
    writer.start()
    one, other = (writer.register_channel(topic, "json", 0) for topic in ("/one", "/other"))
    for i in range(40):
        writer.add_message(one if i < 20 else other, i, b"x" * 200, i)
    writer.finish()
    data = bytearray(file.getvalue())
    at = data.rindex(b"x" * 200)
    data[at] = 0
    path = tmp_path / "log.mcap"
    path.write_bytes(data)
    got, stream = read(path, Query(frozenset({"/one"})))
    assert len(got) == 20
    assert stream.damage == []
    assert stream.account.not_configured == {"/other": 20}
    _, everything = read(path)
    assert len(everything.damage) == 1
    assert everything.account.lost == {"/other": 1}


def test_equal_log_times_keep_file_order_across_chunks(tmp_path: Path) -> None:
    messages = [m._replace(log_time_ns=7, sequence=i) for i, m in enumerate(make_messages(200))]
    for variant in sorted(VARIANTS):
        path = tmp_path / f"{variant}.mcap"
        path.write_bytes(write_log(messages, **VARIANTS[variant]))
        assert read(path)[0] == messages


def test_far_out_of_order_recordings_are_put_in_order(tmp_path: Path) -> None:
    messages = make_messages(400, jitter=3000)
    for variant in sorted(VARIANTS):
        path = tmp_path / f"{variant}.mcap"
        path.write_bytes(write_log(messages, **VARIANTS[variant]))
        assert read(path)[0] == sorted(messages, key=lambda m: m.log_time_ns)


def test_order_holds_when_the_overlapping_chunks_do_not_fit_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = make_messages(300, jitter=5000)
    path = tmp_path / "log.mcap"
    path.write_bytes(write_log(messages, **VARIANTS["zstd"]))
    monkeypatch.setattr(stream_module, "resident_limit", lambda size: 10_000)  # two chunks of twenty
    got, stream = read(path)
    assert got == sorted(messages, key=lambda m: m.log_time_ns)
    assert stream.account.read == by_topic(messages)
    assert stream.damage == []


def test_a_chunk_that_comes_first_in_time_may_use_channels_declared_earlier_in_the_file(
    tmp_path: Path,
) -> None:
    late_then_early = [m._replace(log_time_ns=10_000 - 30 * i) for i, m in enumerate(make_messages(200))]
    for variant in sorted(VARIANTS):
        path = tmp_path / f"{variant}.mcap"
        path.write_bytes(write_log(late_then_early, **VARIANTS[variant]))
        got, stream = read(path)
        assert got == late_then_early[::-1], variant
        assert stream.damage == []


def test_an_abandoned_stream_accounts_for_what_it_gave(tmp_path: Path) -> None:
    path = tmp_path / "log.mcap"
    path.write_bytes(write_log(MESSAGES, **VARIANTS["zstd"]))
    with open_log(path) as log:
        stream = log.messages()
        first = [original(next(stream)) for _ in range(50)]
        assert first == ARRIVAL[:50]
        assert stream.account.read == by_topic(first)
        again = [original(message) for message in log.messages()]
    assert again == ARRIVAL


def test_several_threads_read_one_log_at_once(tmp_path: Path) -> None:
    path = tmp_path / "log.mcap"
    path.write_bytes(write_log(MESSAGES, **VARIANTS["no-repeats"]))
    found: list[list[object]] = []
    with open_log(path) as log:
        streams = [log.messages() for _ in range(4)]
        threads = [
            threading.Thread(target=lambda s=stream: found.append([original(m) for m in s]))
            for stream in streams
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=30)
    assert found == [ARRIVAL] * 4


def test_reading_after_closing_says_so(tmp_path: Path) -> None:
    path = tmp_path / "log.mcap"
    path.write_bytes(write_log(MESSAGES, **VARIANTS["zstd"]))
    with open_log(path) as log:
        stream = log.messages()
    with pytest.raises(LogError, match="the log is closed"):
        next(stream)


def test_channels_of_one_topic_stay_distinct_on_their_messages(tmp_path: Path) -> None:
    file = io.BytesIO()
    writer = Writer(file)
    writer.start()
    schemas = [writer.register_schema(name, "jsonschema", b"{}") for name in ("A", "B")]
    channels = [writer.register_channel("/same", "json", schema) for schema in schemas]
    for i in range(10):
        writer.add_message(channels[i % 2], i, b"{}", i)
    writer.finish()
    path = tmp_path / "log.mcap"
    path.write_bytes(file.getvalue())
    with open_log(path) as log:
        names = [message.channel.schema.name for message in log.messages() if message.channel.schema]
        assert names == ["A", "B"] * 5
        assert log.survey.counts == {"/same": 10}
        assert log.channels["/same"].id == channels[0]


def test_a_log_without_messages_is_a_log(tmp_path: Path) -> None:
    for variant in sorted(VARIANTS):
        path = tmp_path / f"{variant}.mcap"
        path.write_bytes(write_log([], **VARIANTS[variant]))
        got, stream = read(path)
        assert got == []
        assert stream.damage == [], variant
        with open_log(path) as log:
            assert log.survey.start_ns is None
            assert log.survey.duration_s == 0.0


# --- refusals --------------------------------------------------------------------------------------


def refusal(path: Path) -> str:
    with pytest.raises(LogError) as caught:
        open_log(path)
    text = str(caught.value)
    assert "\n" not in text
    assert str(path) in text
    return text


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "an empty file"),
        (b"hello, this is a text file\n", "a text file"),
        (random.Random(3).randbytes(500), "starts with"),
        (b"#ROSBAG V2.0\n" + bytes(100), "a ROS 1 bag"),
        (b"SQLite format 3\0" + bytes(100), "SQLite"),
        (b"\x28\xb5\x2f\xfd" + bytes(100), "zstd -d"),
        (b"\x1f\x8b" + bytes(100), "gunzip"),
        (b"PK\x03\x04" + bytes(100), "unzip FILE"),
        (bytes(257) + b"ustar" + bytes(100), "tar xf FILE"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\n", "git lfs pull"),
        (b"\n<!DOCTYPE html><html>", "a web page"),
        (b"ULog\x01\x12\x35" + bytes(100), "ulog2rosbag"),
        (b"\xd4\xc3\xb2\xa1" + bytes(100), "packets of a network"),
        (b"\x89MCA", "cut off after 4 bytes"),
        (b"\x89MCAP0\r\n", "cut off inside its header"),
        (b"\x89MCAP0\r\n\x01\x20\0\0\0\0\0\0\0\x04\0\0\0te", "cut off inside its header"),
    ],
)
def test_what_is_not_a_log_is_refused_in_one_line(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert expected in refusal(path)


@pytest.mark.parametrize("name", ["drive.tar.gz", "drive.tgz", "drive.tar.zst"])
def test_a_packed_folder_is_no_packed_log(tmp_path: Path, name: str) -> None:
    with tarfile.open(tmp_path / "drive.tar.gz", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("drive.bag"))
    content = (tmp_path / "drive.tar.gz").read_bytes()
    path = tmp_path / name
    path.write_bytes(content if name != "drive.tar.zst" else b"\x28\xb5\x2f\xfd" + bytes(100))
    assert "a tar archive; unpack it first: tar xf FILE" in refusal(path)


def test_a_slip_in_a_path_is_answered_by_what_was_meant(tmp_path: Path) -> None:
    (tmp_path / "drive.mcap").touch()
    (tmp_path / "drive.yaml").write_text("version: 1\n")
    assert f"no such file; did you mean {tmp_path / 'drive.mcap'}?: " in refusal(tmp_path / "drvie.mcap")
    assert f"no such file, and no folder {tmp_path / 'dat'}: " in refusal(tmp_path / "dat" / "drive.mcap")
    assert "a configuration is given by --config" in refusal(tmp_path / "drive.yaml")


def test_paths_that_lead_to_no_file_are_refused_in_one_line(tmp_path: Path) -> None:
    assert refusal(tmp_path / "absent.mcap") == f"no such file: {tmp_path / 'absent.mcap'}"
    assert "found a directory" in refusal(tmp_path)
    (tmp_path / "bag_0.mcap").write_bytes(b"")
    assert "bag_0.mcap" in refusal(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "device or a pipe" in refusal(tmp_path / "pipe")
    assert "cannot be opened" in refusal(tmp_path / ("x" * 400))
    with pytest.raises(LogError):
        open_log("nul\0byte")


def test_the_reader_of_random_bytes_behind_a_header_ends(tmp_path: Path) -> None:
    head = write_log([], **VARIANTS["plain"])[:60]
    for seed in range(20):
        path = tmp_path / "log.mcap"
        path.write_bytes(head + random.Random(seed).randbytes(20_000))
        got, stream = read(path)
        assert got == []
        assert stream.damage


def test_the_door_is_complete() -> None:
    for name in logs.__all__:
        assert getattr(logs, name).__module__.startswith("perception.logs.")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = logs.nothing


# --- bounds ----------------------------------------------------------------------------------------


def peak_bytes(path: Path) -> int:
    tracemalloc.start()
    try:
        with open_log(path) as log:
            for message in log.messages():
                assert message.data
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("indexes", [IndexType.ALL, IndexType.NONE], ids=["index", "scan"])
def test_memory_does_not_grow_with_the_length_of_the_log(tmp_path: Path, indexes: IndexType) -> None:
    peaks = []
    for seconds in (20, 200):
        path = tmp_path / f"{seconds}.mcap"
        with path.open("wb") as file:
            writer = Writer(file, chunk_size=1 << 20, compression=ZSTD, index_types=indexes)
            writer.start()
            channel = writer.register_channel("/camera", "json", 0)
            for i in range(seconds * 30):
                writer.add_message(channel, i * 33_000_000, bytes(50_000), i * 33_000_000)
            writer.finish()
        peaks.append(peak_bytes(path))
    assert peaks[1] < 1.5 * peaks[0], peaks
    assert peaks[1] < 6 << 20


def test_counts_by_topic_match_an_independent_count(log_path: Path) -> None:
    with open_log(log_path) as log:
        assert Counter(message.topic for message in log.messages()) == by_topic(MESSAGES)
