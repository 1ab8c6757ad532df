"""The places of many messages at once: those of single records, whatever is damaged."""

from __future__ import annotations

import random
import struct

import numpy as np

from perception.logs.ros1_records import MESSAGE, number, read_record, time_ns
from perception.logs.ros1_spans import holds_these_alone, message_spans


def record(fields: dict[bytes, bytes], data: bytes) -> bytes:
    header = b"".join(struct.pack("<I", len(k) + 1 + len(v)) + k + b"=" + v for k, v in fields.items())
    return struct.pack("<I", len(header)) + header + struct.pack("<I", len(data)) + data


def chunk(count: int, rng: random.Random) -> tuple[bytes, list[int], list[int], list[int]]:
    """A connection record and messages; offsets, connections and times of the messages."""
    data = record({b"op": b"\x07", b"conn": bytes(4), b"topic": b"/x"}, b"type")
    offsets, connections, times = [], [], []
    for _ in range(count):
        connection, sec, nsec = rng.randrange(3), rng.randrange(1 << 31), rng.randrange(10**9)
        offsets.append(len(data))
        connections.append(connection)
        times.append(sec * 10**9 + nsec)
        fields = {
            b"op": b"\x02",
            b"conn": struct.pack("<I", connection),
            b"time": struct.pack("<II", sec, nsec),
        }
        data += record(fields, rng.randbytes(rng.randrange(40)))
    return data, offsets, connections, times


def test_spans_are_those_of_single_records_and_a_damaged_one_has_none() -> None:
    for seed in range(60):
        rng = random.Random(seed)
        data, offsets, connections, times = chunk(rng.randrange(1, 30), rng)
        sound = rng.choice((len(data), len(data) - rng.randrange(20)))
        broken = bytearray(data)
        if seed % 2:
            broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
        arrays = (np.array(values, np.int64) for values in (offsets, connections, times))
        spans = message_spans(bytes(broken), sound, *arrays)
        for place, offset in enumerate(offsets):
            if not spans.ends[place]:
                continue
            view = memoryview(bytes(broken))[:sound]
            single = read_record(lambda at, size, view=view: bytes(view[at : at + size]), offset)
            assert single is not None
            assert single.op == MESSAGE
            assert (single.data_at, single.end) == (spans.starts[place], spans.ends[place])
            assert number(single.fields, b"conn") == connections[place]
            assert time_ns(single.fields, b"time") == times[place]
        if not seed % 2 and sound == len(data):
            assert all(spans.ends)


def test_a_message_that_the_index_leaves_out_is_noticed() -> None:
    data, offsets, connections, times = chunk(8, random.Random(1))
    for left_out in (None, 0, 4, 7):
        kept = [place for place in range(8) if place != left_out]
        arrays = [np.array([values[k] for k in kept], np.int64) for values in (offsets, connections, times)]
        spans = message_spans(data, len(data), *arrays)
        assert holds_these_alone(data, len(data), arrays[0], spans) == (left_out is None)


def test_bytes_that_are_no_record_give_no_spans() -> None:
    noise = random.Random(2).randbytes(400)
    offsets = np.array([0, 100], np.int64)
    assert message_spans(noise, 400, offsets, offsets, offsets).ends == [0, 0]
