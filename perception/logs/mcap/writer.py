"""Writing of logs: MCAP with chunks, CRCs, index and statistics.

Every chunk that is closed is handed to the operating system at once, so a killed program leaves a
file that is readable up to its last chunk. The bytes of the file depend on the calls alone, except
where chunks are closed by the wall clock, which moves chunk borders and nothing else.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Literal

from mcap.writer import CompressionType, Writer

from perception.errors import OutputError
from perception.logs.mcap.records import MAGIC
from perception.output_file import OutputFile
from perception.path_guard import marked
from perception.types import Channel, Message, Schema

_NEVER = 1 << 62  # chunks are closed here, not by the mcap library, so that each reaches the file
_LATEST_NS = (1 << 64) - 1
_LARGEST = (1 << 32) - 1

ChannelKey = tuple[str, str, Schema | None, tuple[tuple[str, str], ...]]


class LogWriter:
    """Writes one log file. A context manager; without `close` the file has no index, but is readable.

    Args:
        path: The file; an existing one is replaced. Its folder must exist.
        chunk_bytes: A chunk is closed when it holds more than this.
        flush_s: ... and when it has been open this long,
        flush_by: on the wall clock (`wall`), looked at when something is written, or in log time
            (`log`), which makes the bytes of the file a function of the calls.
        compression: `none`, or `zstd`, which saves 3 % on logs of JPEG frames and costs 4 times.
        metadata: Metadata records at the head of the file, by name.

    Raises:
        OutputError: The file cannot be made or written (also from every method); names the path.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        chunk_bytes: int = 1 << 20,
        flush_s: float = 1.0,
        flush_by: Literal["wall", "log"] = "wall",
        compression: Literal["none", "zstd"] = "none",
        metadata: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self.path = Path(path)
        self._chunk_bytes = chunk_bytes
        self._flush_s = flush_s
        self._by_log_time = flush_by == "log"
        self._file = OutputFile(self.path, "log")
        self._writer = Writer(
            self._file,  # type: ignore[arg-type]
            chunk_size=_NEVER,
            compression=CompressionType.ZSTD if compression == "zstd" else CompressionType.NONE,
        )
        self._schemas: dict[Schema, int] = {}
        self._channels: dict[ChannelKey, int] = {}
        self._copied: dict[int, tuple[Channel, int]] = {}  # by identity of the source's channel
        self._sequences: dict[int, int] = {}
        self._bytes_in_chunk = 0
        self._opened_at: float | None = None  # s on the chosen clock, of the open chunk's first message
        self._closed = False
        try:
            self._writer.start(profile="", library=_library())
            for name, record in (metadata or {}).items():
                self.add_metadata(name, record)
        except OutputError:
            self._file.close()
            raise

    def write(
        self,
        topic: str,
        payload: bytes,
        *,
        schema: Schema | None,
        encoding: str,
        log_time_ns: int,
        publish_time_ns: int | None = None,
    ) -> None:
        """Append a message; its schema and channel are registered on first use.

        `publish_time_ns` is `log_time_ns` where it is not given. Messages of a channel are numbered from 0.
        """
        channel = self._channel(topic, encoding, schema, {})
        sequence = self._sequences.get(channel, 0)
        self._sequences[channel] = sequence + 1
        publish_time_ns = log_time_ns if publish_time_ns is None else publish_time_ns
        self._add(channel, sequence & _LARGEST, log_time_ns, publish_time_ns, payload)

    def copy(self, message: Message) -> None:
        """Append a message of another log as it was: payload, times, sequence, schema, channel metadata."""
        known = self._copied.get(id(message.channel))
        if known is None:
            source = message.channel
            channel = self._channel(source.topic, source.encoding, source.schema, source.metadata)
            self._copied[id(source)] = known = (source, channel)  # held, so that the identity stays its own
        self._add(known[1], message.sequence, message.log_time_ns, message.publish_time_ns, message.data)

    def add_metadata(self, name: str, mapping: Mapping[str, str]) -> None:
        """Append a metadata record."""
        self._check_open()
        self._writer.add_metadata(name, {str(k): str(v) for k, v in mapping.items()})

    def flush(self) -> None:
        """Close the open chunk and hand it to the operating system. For hosts that pause."""
        self._check_open()
        self._writer.flush()  # type: ignore[no-untyped-call]
        self._bytes_in_chunk = 0
        self._opened_at = None

    def close(self) -> None:
        """Write the open chunk, index and statistics, and close the file. May be called twice."""
        if self._closed:
            return
        self._closed = True
        try:
            if not self._file.broken:
                self._writer.finish()  # type: ignore[no-untyped-call]
        finally:
            self._file.close()

    def __enter__(self) -> LogWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:  # the first error matters more than a second one
            with suppress(OutputError):
                self.close()

    def _add(
        self, channel: int, sequence: int, log_time_ns: int, publish_time_ns: int, payload: bytes
    ) -> None:
        self._check_open()
        # Checked before the library sees them: it would leave half a record in the chunk.
        if not (0 <= log_time_ns <= _LATEST_NS and 0 <= publish_time_ns <= _LATEST_NS):
            times = f"log time {log_time_ns} and publish time {publish_time_ns}"
            raise OutputError(f"a log holds times from 0 to 2**64 - 1 ns, found {times}: {self.path}")
        if len(payload) > _LARGEST - 1024:
            raise OutputError(f"a message holds at most 4 GiB, found {len(payload)} bytes: {self.path}")
        now = log_time_ns * 1e-9 if self._by_log_time else time.monotonic()
        if self._opened_at is None:
            self._opened_at = now
        elif now - self._opened_at >= self._flush_s:
            self.flush()
            self._opened_at = now
        self._writer.add_message(channel, log_time_ns, payload, publish_time_ns, sequence)
        self._bytes_in_chunk += len(payload) + 31
        if self._bytes_in_chunk > self._chunk_bytes:
            self.flush()

    def _channel(self, topic: str, encoding: str, schema: Schema | None, metadata: Mapping[str, str]) -> int:
        self._check_open()
        key = (topic, encoding, schema, tuple(sorted(metadata.items())))
        channel = self._channels.get(key)
        if channel is None:
            schema_id = 0 if schema is None else self._schema(schema)
            channel = self._writer.register_channel(topic, encoding, schema_id, dict(metadata))
            self._channels[key] = channel
        return channel

    def _schema(self, schema: Schema) -> int:
        number = self._schemas.get(schema)
        if number is None:
            number = self._writer.register_schema(schema.name, schema.encoding, schema.data)
            self._schemas[schema] = number
        return number

    def _check_open(self) -> None:
        if self._file.broken:
            raise OutputError(self._file.failure)
        if self._closed:
            raise OutputError(f"this log is closed: {self.path}")


def marked_log(metadata: str, without: Sequence[str] = ()) -> Callable[[Path], bool]:
    """Return a function that recognises logs with a metadata record of a name, finished or not.

    `without`: the names of records that they do not have.
    """

    def holds(name: str) -> Callable[[Path], bool]:
        return marked(MAGIC, struct.pack("<I", len(name.encode())) + name.encode())

    wanted, others = holds(metadata), [holds(name) for name in without]
    return lambda path: wanted(path) and not any(other(path) for other in others)


def _library() -> str:
    try:
        return f"perception {version('perception-fusion')}"
    except PackageNotFoundError:
        return "perception"
