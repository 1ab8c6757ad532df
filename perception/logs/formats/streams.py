"""A log as a set of streams: what every reader of a format that is no container makes.

Nothing of it proves that a message is missing or changed, so its accounting is empty; a reader says what it
made or guessed (`notes`) and what it could not read (`damage`, `lost`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception.errors import LogError
from perception.logs.damage import Damage
from perception.logs.decoding.checks import DecodeError
from perception.logs.decoding.image_header import read_header
from perception.logs.formats import encoding
from perception.logs.formats.folder_files import read_file
from perception.logs.message_table import MessageTable, TableLog, Unreadable
from perception.logs.readers import Accounting
from perception.types import Channel, Float32, Schema

Times = NDArray[np.int64]
"""[N] nanoseconds, none below zero."""

PICTURE_BYTES = 64 << 20
"""The largest picture that is read."""

LATEST_NS = (1 << 62) - 1


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """The messages of one topic.

    Attributes:
        topic: Its name in the log.
        schema: Of the content, from `encoding`.
        stamps_ns: [N], when each was measured.
        content: Returns the message of an index. Raises Unreadable, or OSError or ValueError.
        arrivals_ns: [N], when each was recorded; None: at its stamp, where a format knows one time alone.
    """

    topic: str
    schema: Schema
    stamps_ns: Times
    content: Callable[[int], bytes]
    arrivals_ns: Times | None = None


@dataclass(slots=True)
class Findings:
    """The damage, losses and notes of a log that a reader collects.

    Attributes:
        notes: What is made, guessed or left out, as lines for the user.
        damage: What could not be read.
        lost: Messages that are missing, by topic.
        size_bytes: Of all files.
        proof: What proves the number of messages; empty: nothing.
    """

    notes: list[str] = field(default_factory=list)
    damage: list[Damage] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)
    size_bytes: int = 0
    proof: str = ""

    def lose(self, topic: str, count: int, reason: str, times_ns: Times | None = None) -> None:
        """Count messages of a topic that are missing, with the reason; nothing where there are none.

        Args:
            times_ns: When they were measured, as far as it is known.
        """
        if count > 0:
            first = last = None
            if times_ns is not None and len(times_ns):
                first, last = int(times_ns.min()), int(times_ns.max())
            self.lost[topic] += count
            self.damage.append(Damage(first, last, 0, count, f"{topic}: {reason}"))

    def miss(self, reason: str, size: int = 0) -> None:
        """Name a part that could not be read, where nothing says how many messages it held."""
        self.damage.append(Damage(None, None, size, None, reason))


def streams_log(
    path: Path, streams: Iterable[Stream], findings: Findings, metadata: Mapping[str, str] | None = None
) -> TableLog:
    """Return the open log of some streams. Equal arrival times keep the order of the streams.

    Raises:
        LogError: There is no message, and nothing that was lost.
    """
    held = [stream for stream in streams if len(stream.stamps_ns)]
    if not held:
        reasons = "; ".join([damage.reason for damage in findings.damage][:3]) or "no message in it"
        raise LogError(f"nothing can be read ({reasons}); record or copy it again: {path}")
    channels = [
        Channel(
            i + 1,
            stream.topic,
            "json" if stream.schema.encoding == "jsonschema" else "protobuf",
            stream.schema,
        )
        for i, stream in enumerate(held)
    ]
    counts = [len(stream.stamps_ns) for stream in held]
    arrivals = [stream.stamps_ns if stream.arrivals_ns is None else stream.arrivals_ns for stream in held]
    table = MessageTable(
        channels,
        np.repeat(np.arange(len(held), dtype=np.int32), counts),
        np.concatenate(arrivals),
        damage=findings.damage,
        lost=findings.lost,
        metadata=(("reader", dict(metadata)),) if metadata else (),
        notes=tuple(findings.notes),
        size_bytes=findings.size_bytes,
    )
    return TableLog(
        path, table, Accounting(findings.proof, ""), lambda: _StreamReading(held, counts), lambda: None
    )


class _StreamReading:
    """One pass over the rows of all streams."""

    def __init__(self, streams: Sequence[Stream], counts: Sequence[int]) -> None:
        self.damage: list[Damage] = []
        self._streams = streams
        self._ends = np.cumsum(counts).tolist()

    def fetch(self, row: int) -> bytes:
        index = bisect_right(self._ends, row)
        stream = self._streams[index]
        try:
            return stream.content(row - self._ends[index] + len(stream.stamps_ns))
        except (OSError, ValueError, EOFError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise Unreadable(f"{stream.topic}: {reason}") from None


# --- streams of common kinds ---------------------------------------------------------------------


def image_stream(
    topic: str, stamps_ns: Times, frame_id: str, load: Callable[[int], bytes], **times: Any
) -> Stream:
    """Return a stream of JPEG, PNG or WebP pictures; `load` returns the file of an index."""

    def content(index: int) -> bytes:
        data = load(index)
        return encoding.image(int(stamps_ns[index]), frame_id, data, image_format(data))

    return Stream(topic, encoding.IMAGE, stamps_ns, content, **times)


def image_files(topic: str, stamps_ns: Times, frame_id: str, files: Sequence[Path]) -> Stream:
    """Return a stream of pictures, a file each."""
    return image_stream(topic, stamps_ns, frame_id, lambda i: read_file(files[i], PICTURE_BYTES))


def image_format(data: bytes) -> str:
    """Return the format of an encoded picture. Raises ValueError where it is none that is read."""
    for magic, name in ((b"\xff\xd8\xff", "jpeg"), (b"\x89PNG", "png"), (b"RIFF", "webp")):
        if data.startswith(magic):
            return name
    raise ValueError(f"expected a JPEG, PNG or WebP picture, found bytes {data[:4].hex(' ') or 'none'}")


def picture_size(data: bytes) -> tuple[int, int]:
    """Return width and height of an encoded picture. Raises ValueError where it is none that is read."""
    try:
        header = read_header(data)
    except DecodeError as error:
        raise ValueError(str(error)) from None
    return header.width, header.height


def points_stream(
    topic: str,
    stamps_ns: Times,
    frame_id: str,
    fields: Sequence[str],
    load: Callable[[int], Float32],
    **times: Any,
) -> Stream:
    """Return a stream of point clouds; `load` returns [N, F], a column for each of `fields`."""

    def content(index: int) -> bytes:
        return encoding.points(int(stamps_ns[index]), frame_id, load(index), fields)

    return Stream(topic, encoding.POINTS, stamps_ns, content, **times)


def number_stream(
    topic: str,
    schema: str,
    stamps_ns: Times,
    columns: Mapping[str, Sequence[Any] | NDArray[Any]],
    **times: Any,
) -> Stream:
    """Return a stream of numbers; `columns` has N values by dotted path."""

    def content(index: int) -> bytes:
        row = {path: _plain(column[index]) for path, column in columns.items()}
        return encoding.numbers(int(stamps_ns[index]), row)

    return Stream(topic, encoding.json_schema(schema), stamps_ns, content, **times)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def fixed_stream(topic: str, schema: Schema, stamp_ns: int, message: bytes) -> Stream:
    """Return a stream of one message, as a rig that does not move has."""
    return Stream(topic, schema, np.array([stamp_ns], np.int64), lambda index: message)


# --- times ---------------------------------------------------------------------------------------


def times_of_seconds(seconds: NDArray[Any]) -> tuple[Times, NDArray[np.bool_]]:
    """Return nanoseconds of times in float seconds, to the nearest, and which of them are times."""
    values = np.asarray(seconds, np.float64)
    usable = (values >= 0) & (values <= LATEST_NS / 1e9)  # false for NaN
    whole = np.floor(np.where(usable, values, 0.0))
    rest = np.where(usable, values, 0.0) - whole
    return whole.astype(np.int64) * 1_000_000_000 + np.rint(rest * 1e9).astype(np.int64), usable


def time_of_text(text: str, unit_ns: int = 1_000_000_000) -> int | None:
    """Return nanoseconds of a decimal number of units, exactly; None where it is no time from 0 on."""
    try:
        value = Decimal(text) if len(text) < 64 else None
    except InvalidOperation:
        return None
    if value is None or not value.is_finite() or not 0 <= value <= LATEST_NS // unit_ns:
        return None
    return int((value * unit_ns).to_integral_value())


def made_stamps(count: int, rate_hz: float) -> Times:
    """Return stamps at a rate, from one period on: a stamp of 0 means that there is none."""
    stamps: Times = np.rint((np.arange(count) + 1) * (1e9 / rate_hz)).astype(np.int64)
    return stamps
