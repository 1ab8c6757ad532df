"""Reading damaged logs: what is given is what was written, what is missing is named and counted."""

from __future__ import annotations

import io
import random
import struct
import tracemalloc
import zlib
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcap.records import Chunk
from mcap.stream_reader import StreamReader, breakup_chunk
from reader_files import (
    CHECKED,
    TOPICS,
    VARIANTS,
    Original,
    Record,
    by_topic,
    make_messages,
    put,
    read,
    records,
    write_log,
)

from perception.errors import LogError
from perception.logs import Damage, MessageStream, Query, open_log
from perception.logs.mcap import limits

MESSAGES = make_messages(120)
ARRIVAL = sorted(MESSAGES, key=lambda message: message.log_time_ns)
BY_SEQUENCE = {message.sequence: message for message in MESSAGES}
LOGS = {name: write_log(MESSAGES, 2600, **options) for name, options in VARIANTS.items()}
CHUNK, MESSAGE, HEADER, DATA_END = 6, 5, 1, 15
INDEXED = ["plain", "zstd", "lz4", "no-statistics"]  # a message index proves what a bad chunk held


class Held(NamedTuple):
    """A chunk of a sound log and the messages in it, by the parser of the `mcap` package."""

    record: Record
    messages: list[Original]


def chunks(data: bytes) -> list[Held]:
    spans = [record for record in records(data) if record.opcode == CHUNK]
    found = [r for r in StreamReader(io.BytesIO(data), emit_chunks=True).records if isinstance(r, Chunk)]
    return [
        Held(span, [BY_SEQUENCE[r.sequence] for r in breakup_chunk(chunk, True) if hasattr(r, "sequence")])
        for span, chunk in zip(spans, found, strict=True)
    ]


def in_order(messages: list[Original]) -> bool:
    return all(a.log_time_ns <= b.log_time_ns for a, b in pairwise(messages))


def total(stream: MessageStream) -> int:
    return sum(stream.account.total(topic) for topic in stream.account.topics)


def flipped(data: bytes, at: int, mask: int = 0xFF) -> bytes:
    changed = bytearray(data)
    changed[at] ^= mask
    return bytes(changed)


# --- cut short -------------------------------------------------------------------------------------


def whole_messages(data: bytes, cut: int) -> tuple[list[Original], int]:
    """What must be readable of the first `cut` bytes: the messages, and how many more have a whole header.

    For logs whose chunks are not compressed.
    """
    found: list[int] = []
    torn = 0

    def collect(start: int, end: int) -> None:
        nonlocal torn
        for record in records(data[:end], start):
            if record.opcode == MESSAGE and record.end <= min(end, cut):
                found.append(struct.unpack_from("<I", data, record.start + 11)[0])
            elif record.opcode == MESSAGE and record.start + 31 <= cut:
                torn += 1

    for record in records(data):
        if record.opcode == CHUNK and record.start + 49 <= cut:
            collect(record.start + 49, record.end)
        elif record.opcode == MESSAGE:
            collect(record.start, record.end)
    return [BY_SEQUENCE[sequence] for sequence in found], torn


def cuts(data: bytes) -> list[int]:
    rng = random.Random(1)
    return sorted(
        {record.start for record in records(data)} | {rng.randrange(9, len(data)) for _ in range(50)}
    )


def refused(data: bytes, cut: int) -> bool:
    return cut < next(records(data)).end


@pytest.mark.parametrize("variant", ["plain", "no-index", "loose", "loose-bare"])
def test_a_log_cut_anywhere_gives_every_message_before_the_cut(tmp_path: Path, variant: str) -> None:
    data, path = LOGS[variant], tmp_path / "log.mcap"
    data_end = next(record.start for record in records(data) if record.opcode == DATA_END)
    for cut in cuts(data):
        put(path, data[:cut])
        if refused(data, cut):
            with pytest.raises(LogError, match="cut off"):
                open_log(path)
            continue
        expected, torn = whole_messages(data, cut)
        got, stream = read(path)
        assert got == sorted(expected, key=lambda m: (m.log_time_ns, m.sequence)), cut
        assert stream.account.read == by_topic(expected), cut
        assert sum(stream.account.corrupt.values()) == torn, cut
        assert total(stream) == len(expected) + torn, cut
        assert len(stream.damage) == (1 if cut < data_end + 13 else 0), (cut, stream.damage)


@pytest.mark.parametrize("variant", ["plain", "zstd", "loose", "no-repeats"])
def test_the_survey_of_a_cut_log_counts_what_its_reading_counts(tmp_path: Path, variant: str) -> None:
    data, path = LOGS[variant], tmp_path / "log.mcap"
    for cut in cuts(data):
        put(path, data[:cut])
        if refused(data, cut):
            continue
        with open_log(path) as log:
            surveyed = log.survey.counts  # before anything was read
            stream = log.messages()
            for _ in stream:
                pass
            account = stream.account
            # What the statistics alone prove is in the damage, not in the survey.
            counted = {topic: account.total(topic) - account.lost[topic] for topic in account.topics}
        assert surveyed == {topic: n for topic, n in counted.items() if n}, cut


@pytest.mark.parametrize("variant", ["plain", "zstd", "loose", "no-repeats"])
def test_one_topic_of_a_cut_log_gives_all_its_messages(tmp_path: Path, variant: str) -> None:
    """Also where the cut lies among the message indexes of the last chunk, and hides one of them."""
    data, path = LOGS[variant], tmp_path / "log.mcap"
    for cut in cuts(data)[::2]:
        put(path, data[:cut])
        if refused(data, cut):
            continue
        _, whole = read(path)
        for topic, number in whole.account.read.items():
            got, stream = read(path, Query(frozenset([topic])))
            assert len(got) == number, (cut, topic)
            assert total(stream) == total(whole), (cut, topic)


@pytest.mark.parametrize("variant", ["zstd", "lz4", "no-summary", "no-message-index", "no-repeats"])
def test_a_compressed_log_cut_anywhere_gives_every_whole_chunk_and_a_head_of_the_last(
    tmp_path: Path, variant: str
) -> None:
    data, path = LOGS[variant], tmp_path / "log.mcap"
    held = chunks(data)
    for cut in cuts(data):
        put(path, data[:cut])
        if refused(data, cut):
            continue
        whole = [message for chunk in held if chunk.record.end <= cut for message in chunk.messages]
        torn = next((c.messages for c in held if c.record.start < cut < c.record.end), [])
        got, stream = read(path)
        assert in_order(got)
        by_sequence = sorted(got, key=lambda m: m.sequence)
        assert by_sequence[: len(whole)] == whole, cut
        head = by_sequence[len(whole) :]
        assert head == torn[: len(head)], cut
        assert stream.account.read == by_topic(got)


def test_a_cut_zstd_chunk_gives_what_decompresses(tmp_path: Path) -> None:
    messages = make_messages(4000)
    for variant in ("zstd", "lz4"):
        data = write_log(messages, chunk_size=1 << 20, **VARIANTS[variant])
        first = next(record for record in records(data) if record.opcode == CHUNK)
        path = tmp_path / "log.mcap"
        put(path, data[: first.start + (first.end - first.start) * 3 // 4])
        got, stream = read(path)
        assert len(got) > 1000, variant
        assert sorted(got, key=lambda m: m.sequence) == messages[: len(got)]
        assert len(stream.damage) == 1


def test_a_cut_names_the_time_from_which_messages_are_missing(tmp_path: Path) -> None:
    data, path = LOGS["zstd"], tmp_path / "log.mcap"
    held = chunks(data)
    put(path, data[: held[5].record.start])
    got, stream = read(path)
    last = max(message.log_time_ns for chunk in held[:5] for message in chunk.messages)
    assert [(damage.t0_ns, damage.t1_ns, damage.messages) for damage in stream.damage] == [(last, None, None)]
    assert "cut" in stream.damage[0].reason
    with open_log(path) as log:
        assert log.survey.counts == by_topic(got)
        assert log.survey.damage == tuple(stream.damage)
        assert not log.survey.indexed


# --- flipped bytes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", INDEXED)
def test_a_byte_flipped_in_a_chunk_loses_that_chunk_only_and_says_what_it_held(
    tmp_path: Path, variant: str
) -> None:
    data, path = LOGS[variant], tmp_path / "log.mcap"
    for record, messages in chunks(data):
        put(path, flipped(data, (record.start + 53 + record.end) // 2))
        got, stream = read(path)
        assert got == [m for m in ARRIVAL if m not in messages]
        assert stream.account.lost == by_topic(messages)
        assert not +stream.account.corrupt
        times = [message.log_time_ns for message in messages]
        (damage,) = stream.damage
        assert damage == Damage(
            min(times), max(times), record.end - record.start, len(messages), damage.reason
        )


@pytest.mark.parametrize("variant", ["no-index", "no-summary", "no-message-index"])
def test_a_bad_chunk_that_nothing_proves_is_named_with_its_time_range(tmp_path: Path, variant: str) -> None:
    data, path = LOGS[variant], tmp_path / "log.mcap"
    for record, messages in chunks(data)[1:]:
        put(path, flipped(data, (record.start + 53 + record.end) // 2))
        got, stream = read(path)
        assert got == [m for m in ARRIVAL if m not in messages]
        times = [message.log_time_ns for message in messages]
        (damage,) = stream.damage
        assert (damage.t0_ns, damage.t1_ns) == (min(times), max(times))
        account = stream.account
        if variant == "no-summary":
            assert damage.messages is None
            assert sum(account.corrupt.values()) <= len(messages)
        else:  # the statistics know the sum
            assert account.corrupt + account.lost == by_topic(messages)


def test_a_lost_chunk_counts_by_what_was_asked_for(tmp_path: Path) -> None:
    data, path = LOGS["plain"], tmp_path / "log.mcap"
    record, messages = max(chunks(data), key=lambda chunk: by_topic(chunk.messages)["/scan"])
    put(path, flipped(data, record.end - 5))
    scans = [m for m in messages if m.topic == "/scan"]
    middle = sorted(message.log_time_ns for message in scans)[len(scans) // 2]
    got, stream = read(path, Query(frozenset({"/scan"}), None, middle))
    lost = sum(m.log_time_ns < middle for m in scans)
    assert 0 < lost < len(scans)
    assert +stream.account.lost == {"/scan": lost}
    assert stream.account.read["/scan"] == len(got)
    for topic in TOPICS:
        assert stream.account.total(topic) == by_topic(MESSAGES)[topic]


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_one_flipped_byte_anywhere_never_gives_a_wrong_message_unnoticed(
    tmp_path: Path, variant: str
) -> None:
    data, path = LOGS[variant], tmp_path / "log.mcap"
    written, rng = set(MESSAGES), random.Random(variant)
    has_crc = variant in CHECKED or variant in ("loose", "no-crc-data-crc")
    for _ in range(100):
        at = rng.randrange(len(data))
        put(path, flipped(data, at, rng.randrange(1, 256)))
        if at < 8:
            with pytest.raises(LogError):
                open_log(path)
            continue
        got, stream = read(path)
        wrong = [message for message in got if message not in written]
        if variant in CHECKED and variant not in ("no-repeats", "no-summary"):
            assert not wrong, at
            assert in_order(got), at
        elif has_crc and wrong:
            assert stream.damage, at
        if has_crc and len(got) < len(MESSAGES):
            assert stream.damage, at
        assert Counter(message.topic for message in got) == +stream.account.read, at
        if variant in (*INDEXED, "no-message-index", "no-chunk-index", "loose"):
            assert total(stream) == len(MESSAGES), at


@given(
    variant=st.sampled_from(CHECKED),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=2),
    data=st.data(),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_flipped_the_messages_given_were_written_and_the_account_adds_up(
    tmp_path_factory: pytest.TempPathFactory,
    variant: str,
    flips: list[tuple[float, int]],
    data: st.DataObject,
) -> None:
    changed = LOGS[variant]
    for place, mask in flips:
        changed = flipped(changed, 8 + int(place * (len(changed) - 8)), mask)
    path = tmp_path_factory.getbasetemp() / "flipped.mcap"
    put(path, changed)
    query = Query(
        data.draw(st.none() | st.frozensets(st.sampled_from(TOPICS))),
        data.draw(st.none() | st.sampled_from([m.log_time_ns for m in ARRIVAL])),
        data.draw(st.none() | st.sampled_from([m.log_time_ns for m in ARRIVAL])),
    )
    got, stream = read(path, query)
    # A channel's name may come from a damaged chunk where nothing repeats it, so topics are not compared.
    given = Counter((m.log_time_ns, m.publish_time_ns, m.sequence, m.data) for m in got)
    assert given <= Counter((m.log_time_ns, m.publish_time_ns, m.sequence, m.data) for m in MESSAGES)
    assert in_order(got)
    assert +stream.account.read == by_topic(got)
    if variant in INDEXED and len(flips) == 1:
        assert total(stream) == len(MESSAGES)
    if total(stream) < len(MESSAGES):
        assert stream.damage


# --- damaged lengths -------------------------------------------------------------------------------

LENGTHS = [0, 21, 1000, 1 << 33, (1 << 64) - 1]


@pytest.mark.parametrize("variant", CHECKED)
def test_a_damaged_record_length_costs_no_message_of_a_chunked_log(tmp_path: Path, variant: str) -> None:
    data, path = LOGS[variant], tmp_path / "log.mcap"
    every = [record for record in records(data) if record.opcode != HEADER]
    for record in every[:6] + every[6::9]:
        for length in (*LENGTHS, record.end - record.start - 10):
            put(path, data[: record.start + 1] + struct.pack("<Q", length) + data[record.start + 9 :])
            got, stream = read(path)
            assert got == ARRIVAL, (record, length, stream.damage)


@pytest.mark.parametrize("length", [*LENGTHS, 240])
@pytest.mark.parametrize("variant", ["loose", "loose-bare"])
def test_after_a_damaged_length_outside_chunks_what_follows_is_found_again(
    tmp_path: Path, variant: str, length: int
) -> None:
    """The content of that one message is not believed: nothing says where it ends."""
    data, path = LOGS[variant], tmp_path / "log.mcap"
    at = [record for record in records(data) if record.opcode == MESSAGE][60].start
    put(path, data[: at + 1] + struct.pack("<Q", length) + data[at + 9 :])
    got, stream = read(path)
    assert Counter(got) == Counter(MESSAGES[:60] + MESSAGES[61:])
    assert +stream.account.corrupt == {MESSAGES[60].topic: 1}
    assert total(stream) == len(MESSAGES)
    assert [damage.bytes > 0 for damage in stream.damage if "record is damaged" in damage.reason] == [True]


def test_a_damaged_length_inside_a_chunk_without_crc_keeps_the_messages_before_it(tmp_path: Path) -> None:
    path = tmp_path / "log.mcap"
    plain = write_log(MESSAGES, compression=VARIANTS["plain"]["compression"], enable_crcs=False)
    record, messages = chunks(plain)[3]
    inner = [r for r in records(plain[: record.end], record.start + 49) if r.opcode == MESSAGE][4]
    put(path, plain[: inner.start + 1] + b"\xff" * 8 + plain[inner.start + 9 :])
    got, stream = read(path)
    assert got == [m for m in ARRIVAL if m not in messages[4:]]
    assert total(stream) == len(MESSAGES)
    assert sum(damage.messages or 0 for damage in stream.damage) == len(messages) - 5  # one is torn: corrupt


# --- lies and absurdities --------------------------------------------------------------------------


def rewritten_summary(data: bytes, edit: bytes, at: int) -> bytes:
    """Change bytes of the summary and give it the CRC that fits: a writer that lies."""
    changed = bytearray(data)
    changed[at : at + len(edit)] = edit
    footer = len(data) - 8 - 29
    start = struct.unpack_from("<Q", changed, footer + 9)[0]
    struct.pack_into("<I", changed, footer + 25, zlib.crc32(changed[start : footer + 25]))
    return bytes(changed)


def summary_records(data: bytes, opcode: int) -> list[Record]:
    return [record for record in records(data) if record.opcode == opcode]


def test_chunks_that_the_index_leaves_out_are_found(tmp_path: Path) -> None:
    data, path = LOGS["plain"], tmp_path / "log.mcap"
    for record in summary_records(data, 8)[::4]:  # a chunk index becomes an unknown record
        put(path, rewritten_summary(data, b"\x77", record.start))
        got, stream = read(path)
        assert got == ARRIVAL
        assert stream.damage == []


def test_statistics_that_lie_are_named_and_nothing_counts_as_lost(tmp_path: Path) -> None:
    data, path = LOGS["zstd"], tmp_path / "log.mcap"
    (statistics,) = summary_records(data, 11)
    count_at = statistics.start + 9 + 46 + 2
    (count,) = struct.unpack_from("<Q", data, count_at)
    put(path, rewritten_summary(data, struct.pack("<Q", count + 7), count_at))
    got, stream = read(path)
    assert got == ARRIVAL
    assert not +stream.account.lost
    assert ["7 messages more" in damage.reason for damage in stream.damage] == [True]
    with open_log(path) as log:
        assert log.survey.counts == by_topic(MESSAGES)


def test_message_indexes_that_lie_do_not_change_what_is_counted(tmp_path: Path) -> None:
    data, path = LOGS["zstd"], tmp_path / "log.mcap"
    index = [record for record in records(data) if record.opcode == 7][4]
    shorter = bytearray(data)  # claims no entries: the record is filled up with an unknown one
    struct.pack_into("<QHI", shorter, index.start + 1, 6, 1, 0)
    filler = index.end - index.start - 15
    shorter[index.start + 15 : index.end] = struct.pack("<BQ", 0x99, filler - 9) + bytes(filler - 9)
    put(path, shorter)
    with open_log(path) as log:
        assert log.survey.counts == by_topic(MESSAGES)
    for query in (
        Query(),
        Query(frozenset({"/scan"})),
        Query(None, ARRIVAL[0].log_time_ns, ARRIVAL[90].log_time_ns),
    ):
        _, stream = read(path, query)
        assert total(stream) == len(MESSAGES)
        assert stream.damage == []


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_a_decompression_bomb_is_refused_without_unpacking_it(
    tmp_path: Path, compression: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    big = [Original(i, 0, i, "/scan", bytes(1 << 20)) for i in range(64)]
    data = bytearray(write_log(big, chunk_size=1 << 27, **VARIANTS[compression]))
    path = tmp_path / "log.mcap"
    (record,) = [r for r in records(bytes(data)) if r.opcode == CHUNK]
    struct.pack_into("<Q", data, record.start + 25, 1 << 16)  # claims 64 KiB, holds 64 MiB
    put(path, data[: len(data) - 8])  # and no summary to say otherwise
    tracemalloc.start()
    got, stream = read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert got == []
    assert "more than it claims" in stream.damage[0].reason
    assert peak < 8 << 20

    monkeypatch.setattr(limits, "CHUNK_BYTES", 1 << 20)
    put(path, write_log(big, chunk_size=1 << 27, **VARIANTS[compression]))
    got, stream = read(path)
    assert got == []
    assert "at most" in stream.damage[0].reason
    assert stream.account.lost == {"/scan": 64}


@pytest.mark.parametrize("claim", [1, 1 << 31, 1 << 50, (1 << 64) - 1])
@pytest.mark.parametrize("variant", ["no-summary", "no-chunk-index"])
def test_a_chunk_that_claims_an_absurd_size_is_read_as_its_crc_holds(
    tmp_path: Path, variant: str, claim: int
) -> None:
    data, path = bytearray(LOGS[variant]), tmp_path / "log.mcap"
    record, _ = chunks(LOGS[variant])[4]
    struct.pack_into("<Q", data, record.start + 25, claim)
    put(path, data)
    tracemalloc.start()
    got, stream = read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert got == ARRIVAL
    assert stream.damage == []
    assert peak < 4 << 20


@pytest.mark.parametrize("claim", [1 << 31, 1 << 50, (1 << 64) - 1])
def test_a_chunk_of_absurd_size_is_refused_and_the_others_are_read(tmp_path: Path, claim: int) -> None:
    data, path = bytearray(LOGS["no-summary"]), tmp_path / "log.mcap"
    record, messages = chunks(LOGS["no-summary"])[4]
    struct.pack_into("<Q", data, record.start + 25, claim)
    data[record.end - 5] ^= 0xFF  # nor does its CRC hold
    put(path, data)
    tracemalloc.start()
    got, stream = read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert got == [m for m in ARRIVAL if m not in messages]
    assert "at most" in stream.damage[0].reason
    assert peak < 4 << 20


def test_an_unknown_compression_is_named(tmp_path: Path) -> None:
    data, path = LOGS["zstd"], tmp_path / "log.mcap"
    put(path, data.replace(b"\4\0\0\0zstd", b"\4\0\0\0lzma"))
    got, stream = read(path)
    assert got == []
    assert stream.damage
    assert all("'lzma'" in damage.reason for damage in stream.damage)
    assert sum(stream.account.lost.values()) == len(MESSAGES)


def test_messages_on_a_channel_that_nothing_declares_are_counted_and_named(tmp_path: Path) -> None:
    data, path = bytearray(LOGS["loose-bare"]), tmp_path / "log.mcap"
    span = [record for record in records(bytes(data)) if record.opcode == MESSAGE][50]
    struct.pack_into("<H", data, span.start + 9, 777)
    put(path, data)
    got, stream = read(path)
    assert len(got) == len(MESSAGES) - 1
    assert +stream.account.corrupt == {"(channel 777)": 1}
    assert ["777" in damage.reason for damage in stream.damage] == [True]


def test_a_wrong_closing_magic_loses_nothing(tmp_path: Path) -> None:
    for variant, data in LOGS.items():
        path = tmp_path / f"{variant}.mcap"
        put(path, data[:-8] + b"\0" * 8)
        got, stream = read(path)
        assert got == ARRIVAL
        assert stream.damage == []


def test_a_tail_of_zeros_as_a_power_cut_leaves_it_is_named(tmp_path: Path) -> None:
    data, path = LOGS["no-index"], tmp_path / "log.mcap"
    held = chunks(data)
    put(path, data[: held[9].record.end] + bytes(5000))
    got, stream = read(path)
    assert Counter(got) == Counter(m for chunk in held[:10] for m in chunk.messages)
    assert stream.damage[0].bytes == 5000
    assert "zeros" in stream.damage[0].reason


def test_a_hole_of_zeros_in_a_log_without_index_costs_the_chunks_it_covers(tmp_path: Path) -> None:
    data, path = bytearray(LOGS["no-summary"]), tmp_path / "log.mcap"
    held = chunks(LOGS["no-summary"])
    start, end = held[4].record.start, held[7].record.start + 60
    data[start:end] = bytes(end - start)
    put(path, data)
    got, stream = read(path)
    assert Counter(got) == Counter(m for c in held[:4] + held[8:] for m in c.messages)
    (damage,) = stream.damage
    assert damage.bytes == held[8].record.start - start
    assert damage.t0_ns == max(m.log_time_ns for c in held[:4] for m in c.messages)


@pytest.mark.parametrize("variant", sorted(LOGS))
@pytest.mark.parametrize("other", sorted({"plain", "zstd"}))
def test_of_two_joined_logs_what_is_not_read_is_named(variant: str, other: str, tmp_path: Path) -> None:
    """Never less than one of the two, and the bytes of the rest are told."""
    path = tmp_path / "joined.mcap"
    put(path, LOGS[variant] + LOGS[other])
    found, stream = read(path)
    assert by_topic(found) == by_topic(MESSAGES)
    (damage,) = stream.damage
    assert "another log begins" in damage.reason
    assert damage.bytes == len(LOGS[other])


def test_bytes_behind_the_end_are_named(tmp_path: Path) -> None:
    path = tmp_path / "padded.mcap"
    put(path, LOGS["zstd"] + b"\0" * 100)
    found, stream = read(path)
    assert by_topic(found) == by_topic(MESSAGES)
    (damage,) = stream.damage
    assert damage.bytes == 100
