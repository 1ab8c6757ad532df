"""The places of many messages in the data of a ROS 1 chunk at once.

Recorders write the headers of all messages of a chunk alike: the same fields at the same places. One header
is parsed, and the others are compared with it; what differs is left to the reader of single records.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception.logs.mcap.records import Malformed
from perception.logs.ros1_records import CONNECTION, MESSAGE, read_record

_MOST_HEADER = 1 << 10


class MessageSpans(NamedTuple):
    """Where the content of messages begins and ends in a chunk's data; an end of 0: not known."""

    starts: list[int]
    ends: list[int]


def message_spans(
    data: bytes,
    sound: int,
    offsets: NDArray[np.int64],
    connections: NDArray[np.int64],
    times_ns: NDArray[np.int64],
) -> MessageSpans:
    """Return the places of messages whose records are as the index says.

    Args:
        data: The data of the chunk, of which `sound` bytes can be used.
        offsets: [N] where the records begin.
        connections, times_ns: [N] what the index says of them.
    """
    starts, ends = np.zeros(len(offsets), np.int64), np.zeros(len(offsets), np.int64)
    layout = _layout(data, sound, offsets)
    if layout is not None:
        size, places = layout
        fits = (offsets >= 0) & (offsets + size <= sound)
        window = np.lib.stride_tricks.sliding_window_view(np.frombuffer(data, np.uint8), size)
        heads = window[np.where(fits, offsets, 0)]
        varying = np.zeros(size, bool)
        for place, length in places.values():
            varying[place : place + length] = True
        fits &= (heads[:, ~varying] == heads[np.argmax(fits), ~varying]).all(axis=1)
        fits &= _number(heads, *places["conn"]) == connections
        seconds, fraction = _number(heads, places["time"][0], 4), _number(heads, places["time"][0] + 4, 4)
        fits &= seconds * 10**9 + fraction == times_ns
        begin = offsets + size
        end = begin + _number(heads, *places["size"])
        fits &= end <= sound
        starts[fits], ends[fits] = begin[fits], end[fits]
    return MessageSpans(starts.tolist(), ends.tolist())


def holds_these_alone(data: bytes, sound: int, offsets: NDArray[np.int64], spans: MessageSpans) -> bool:
    """Return whether a chunk holds these messages and connections, and surely no other message."""
    ends = np.array(spans.ends, np.int64)
    if not len(ends) or not ends.all():
        return False
    order = np.argsort(offsets)
    begins, ends = np.append(offsets[order], sound), np.concatenate([[0], ends[order]])
    view = memoryview(data)[:sound]
    for place in np.flatnonzero(begins != ends).tolist():
        at, until = int(ends[place]), int(begins[place])
        while at < until:
            try:
                record = read_record(lambda offset, size: bytes(view[offset : offset + size]), at)
            except Malformed:
                return False
            if record is None or record.op != CONNECTION:
                return False
            at = record.end
        if at != until:
            return False
    return True


def _layout(
    data: bytes, sound: int, offsets: NDArray[np.int64]
) -> tuple[int, dict[str, tuple[int, int]]] | None:
    """Return the size of a record's head, and the place and length of what differs between messages in it."""
    inside = offsets[offsets >= 0]
    if not len(inside):
        return None
    first = int(inside[0])
    view = memoryview(data)[:sound]
    try:
        record = read_record(lambda at, size: bytes(view[at : at + size]), first)
    except Malformed:
        return None
    if record is None or record.op != MESSAGE or not 0 < record.data_at - first <= _MOST_HEADER:
        return None
    head = bytes(view[first : record.data_at])
    places = {"size": (len(head) - 4, 4)}
    for name, length in (("conn", 4), ("time", 8)):
        field = (length + len(name) + 1).to_bytes(4, "little") + name.encode() + b"="
        if len(record.fields.get(name.encode(), b"")) != length or head.count(field) != 1:
            return None
        places[name] = (head.index(field) + len(field), length)
    return len(head), places


def _number(heads: NDArray[np.uint8], place: int, length: int) -> NDArray[np.int64]:
    """Return little-endian numbers of 4 bytes in every head."""
    field = np.ascontiguousarray(heads[:, place : place + 4])
    return field.view("<u4")[:, 0].astype(np.int64)
