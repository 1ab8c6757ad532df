"""What is counted without being read has a proof; one channel id may stand for two topics."""

from __future__ import annotations

import io
import struct
import time
import zlib
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcap.writer import CompressionType, Writer
from reader_files import TOPICS, VARIANTS, by_topic, make_messages, read, records, write_log

from perception.logs import Query, open_log

MESSAGES = make_messages(180)
ARRIVAL = sorted(MESSAGES, key=lambda message: message.log_time_ns)
CHUNK, INDEX, CHUNK_INDEX, DATA_END = 6, 7, 8, 15


def without_index(data: bytes, number: int) -> bytes:
    """Remove one message index from a log, and all that refers to it, as if it had never been written."""
    spans = list(records(data))
    gone = [span for span in spans if span.opcode == INDEX][number]
    size = gone.end - gone.start
    chunk_at = max(span.start for span in spans if span.opcode == CHUNK and span.start < gone.start)
    summary = next(span.end for span in spans if span.opcode == DATA_END)
    out = bytearray(data[: gone.start] + data[gone.end : summary])
    start = len(out)
    for span in spans:
        body = data[span.start + 9 : span.end]
        if span.start < summary or span.opcode in (2, 10, 13, 14):  # the footer, and indexes nobody needs
            continue
        if span.opcode == CHUNK_INDEX:
            body = _shifted(body, chunk_at, data[gone.start + 9 : gone.start + 11], gone.start, size)
        out += record(span.opcode, body)
    out += struct.pack("<BQQQ", 2, 20, start, 0)
    return bytes(out) + struct.pack("<I", zlib.crc32(out[start:])) + data[-8:]


def _shifted(body: bytes, chunk_at: int, channel_id: bytes, gone: int, size: int) -> bytes:
    """Return a chunk index after `size` bytes at `gone` were removed: the index of a channel of one chunk."""
    offset, length, entries = struct.unpack_from("<QQI", body, 16)
    kept = b""
    for at in range(36, 36 + entries, 10):
        (place,) = struct.unpack_from("<Q", body, at + 2)
        if offset != chunk_at or body[at : at + 2] != channel_id:
            kept += body[at : at + 2] + struct.pack("<Q", place - size * (place > gone))
    (index_length,) = struct.unpack_from("<Q", body, 36 + entries)
    head = body[:16] + struct.pack("<QQI", offset - size * (offset > gone), length, len(kept))
    rest = struct.pack("<Q", index_length - size * (offset == chunk_at)) + body[44 + entries :]
    return head + kept + rest


@pytest.mark.parametrize("has_crc", [True, False])
def test_without_chunks_only_the_crc_of_the_whole_proves_content(has_crc: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.mcap"
    with path.open("wb") as file:
        writer = Writer(file, use_chunking=False, enable_data_crcs=has_crc)
        writer.start("", "")
        channel = writer.register_channel("/a", "json", 0)
        writer.add_message(channel, 1, b"{}", 1)
        writer.finish()
    with open_log(path) as log:
        assert log.accounting.content == ("the CRC of the whole" if has_crc else "")


def record(opcode: int, body: bytes) -> bytes:
    return struct.pack("<BQ", opcode, len(body)) + body


SHORTER = [without_index(write_log(MESSAGES, **VARIANTS["zstd"]), number) for number in (0, 4, 11)]


@given(
    number=st.integers(0, 2),
    topics=st.none() | st.frozensets(st.sampled_from(TOPICS)),
    start=st.none() | st.sampled_from([m.log_time_ns for m in ARRIVAL]),
    end=st.none() | st.sampled_from([m.log_time_ns for m in ARRIVAL]),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_index_that_lacks_a_channel_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory,
    number: int,
    topics: frozenset[str] | None,
    start: int | None,
    end: int | None,
) -> None:
    path = tmp_path_factory.getbasetemp() / f"shorter{number}.mcap"
    path.write_bytes(SHORTER[number])
    query = Query(topics, start, end)
    got, stream = read(path, query)
    assert got == [m for m in ARRIVAL if query.wants(m.topic) and query.covers(m.log_time_ns, m.log_time_ns)]
    assert stream.damage == []
    assert {t: stream.account.total(t) for t in TOPICS} == by_topic(MESSAGES)
    with open_log(path) as log:
        assert log.survey.indexed
        assert log.survey.counts == by_topic(MESSAGES)


@pytest.mark.parametrize("bit", range(8))
def test_a_bit_in_the_opcode_of_an_index_costs_no_message_of_an_unfinished_recording(
    tmp_path: Path, bit: int
) -> None:
    data = write_log(MESSAGES, **VARIANTS["zstd"])
    data = data[: next(span.start for span in records(data) if span.opcode == DATA_END)]
    path = tmp_path / "log.mcap"
    for span in [span for span in records(data) if span.opcode == INDEX][::7]:
        changed = bytearray(data)
        changed[span.start] ^= 1 << bit
        path.write_bytes(changed)
        for topics in (None, frozenset({"/camera"}), frozenset({"/scan", "/state"})):
            got, stream = read(path, Query(topics))
            assert got == [m for m in ARRIVAL if topics is None or m.topic in topics]
            assert stream.account.totals() == by_topic(MESSAGES)


def text(value: str) -> bytes:
    return struct.pack("<I", len(value)) + value.encode()


def channel(channel_id: int, topic: str) -> bytes:
    return record(4, struct.pack("<HH", channel_id, 0) + text(topic) + text("json") + bytes(4))


def message(number: int) -> bytes:
    return record(5, struct.pack("<HIQQ", 1, number, 1000 * number, 0) + b'{"speed": 1}')


def chunk(content: bytes, first: int, last: int) -> bytes:
    head = struct.pack("<QQQI", 1000 * first, 1000 * last, len(content), zlib.crc32(content))
    return record(CHUNK, head + text("") + struct.pack("<Q", len(content)) + content)


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("closed", [False, True])
def test_one_channel_id_declared_twice_stands_for_two_topics(
    tmp_path: Path, chunked: bool, closed: bool
) -> None:
    """As in logs that were joined. The later chunks need not declare it again."""
    one = b"".join(message(i) for i in range(20))
    other = [b"".join(message(i) for i in range(start, start + 10)) for start in (20, 30)]
    if chunked:
        content = chunk(channel(1, "/a") + one, 0, 19)
        content += chunk(channel(1, "/b") + other[0], 20, 29) + chunk(other[1], 30, 39)
    else:
        content = channel(1, "/a") + one + channel(1, "/b") + b"".join(other)
    end = record(15, bytes(4)) + record(2, bytes(20)) + b"\x89MCAP0\r\n"
    path = tmp_path / "log.mcap"
    path.write_bytes(b"\x89MCAP0\r\n" + record(1, text("") + text("")) + content + (end if closed else b""))
    with open_log(path) as log:
        assert log.survey.counts == {"/a": 20, "/b": 20}
        assert sorted(log.channels) == ["/a", "/b"]
    for topics in (None, frozenset({"/a"}), frozenset({"/b"})):
        got, stream = read(path, Query(topics))
        assert Counter(m.topic for m in got) == dict.fromkeys(topics or ("/a", "/b"), 20)
        assert stream.account.totals() == {"/a": 20, "/b": 20}


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_a_log_without_its_header_record_is_read(tmp_path: Path, variant: str) -> None:
    data = write_log(MESSAGES[:40], **VARIANTS[variant])
    assert len(data) < 1 << 16
    path = tmp_path / "log.mcap"
    first = next(records(data))
    for changed in (data[:8] + data[first.end :], data[:8] + b"\xff" * (first.end - 8) + data[first.end :]):
        path.write_bytes(changed)
        got, _ = read(path)
        assert Counter(got) == Counter(MESSAGES[:40])


@pytest.mark.parametrize("variant", ["plain", "zstd", "lz4", "no-summary", "no-index"])
@pytest.mark.parametrize("count", [1, 7, 31])
def test_bytes_deleted_or_inserted_cost_the_chunk_they_lie_in(
    tmp_path: Path, variant: str, count: int
) -> None:
    data, path = write_log(MESSAGES, **VARIANTS[variant]), tmp_path / "log.mcap"
    spans = [span for span in records(data) if span.opcode == CHUNK]
    for number in range(0, len(spans), 3):
        span = spans[number]
        path.write_bytes(data[: span.start] + data[span.end :])
        kept, _ = read(path)
        middle = (span.start + span.end) // 2
        for changed in (
            data[:middle] + data[middle + count :],
            data[:middle] + b"\xa5" * count + data[middle:],
        ):
            path.write_bytes(changed)
            got, stream = read(path)
            assert set(kept) <= set(got)
            assert set(got) <= set(MESSAGES)
            assert stream.damage
        inserted = data[: span.start] + b"\xa5" * count + data[span.start :]
        path.write_bytes(inserted)
        assert read(path)[0] == ARRIVAL


# --- bounded cost ----------------------------------------------------------------------------------


def test_a_chunk_for_each_of_8000_undeclared_channels_is_counted_in_seconds(tmp_path: Path) -> None:
    messages = [record(5, struct.pack("<HIQQ", i, 0, 1000 * i, 0)) for i in range(8000)]
    content = b"".join(chunk(message, i, i) for i, message in enumerate(messages))
    path = tmp_path / "log.mcap"
    path.write_bytes(b"\x89MCAP0\r\n" + record(1, text("") + text("")) + content)
    begin = time.process_time()
    _, stream = read(path)
    assert time.process_time() - begin < 10  # quadratic: minutes
    assert stream.account.totals().total() == 8000
    assert len(stream.damage[-1].reason) < 200


def test_statistics_of_65000_channels_are_compared_in_seconds(tmp_path: Path) -> None:
    file = io.BytesIO()
    writer = Writer(file, compression=CompressionType.NONE)
    writer.start()
    for i in range(2):
        writer.add_message(writer.register_channel(f"/{i}", "json", 0), i, b"{}", i)
    writer.finish()  # type: ignore[no-untyped-call]
    data = file.getvalue()
    span = next(span for span in records(data) if span.opcode == 11)
    counts = b"".join(struct.pack("<HQ", i, 1) for i in range(65_000))
    body = struct.pack("<Q", 65_000) + data[span.start + 17 : span.start + 9 + 42]
    statistics = record(11, body + struct.pack("<I", len(counts)) + counts)
    changed = bytearray(data[: span.start] + statistics + data[span.end :])
    footer = len(changed) - 8 - 29
    start = struct.unpack_from("<Q", changed, footer + 9)[0]
    struct.pack_into("<I", changed, footer + 25, zlib.crc32(changed[start : footer + 25]))
    path = tmp_path / "log.mcap"
    path.write_bytes(changed)
    begin = time.process_time()
    got, stream = read(path)
    assert len(got) == 2
    assert "64998 messages more" in stream.damage[-1].reason
    assert len(stream.damage[-1].reason) < 400
    assert time.process_time() - begin < 5
