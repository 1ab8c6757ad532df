"""The writer: what it wrote is there, survives a kill, and fails in one clear line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.exceptions import EndOfFile
from mcap.reader import make_reader
from mcap.records import Chunk
from mcap.records import Message as Record
from mcap.stream_reader import StreamReader

from perception.errors import OutputError
from perception.logs.mcap.writer import LogWriter
from perception.types import Channel, Message, Schema
from tests.forked_python import ForkedPython

SCHEMA = Schema("test.Thing", "jsonschema", b"{}")


def put(log: LogWriter, log_time_ns: int, payload: bytes = b"x", topic: str = "/a") -> None:
    log.write(topic, payload, schema=SCHEMA, encoding="json", log_time_ns=log_time_ns)


def messages_until_end(path: Path) -> list[Record]:
    """The messages of a file that may lack its end."""
    found: list[Record] = []
    with path.open("rb") as stream:
        records = iter(StreamReader(stream, validate_crcs=True).records)
        while True:
            try:
                record = next(records)
            except (StopIteration, EndOfFile):
                return found
            if isinstance(record, Record):
                found.append(record)


def chunks(path: Path) -> list[Chunk]:
    with path.open("rb") as stream:
        return [r for r in StreamReader(stream, emit_chunks=True).records if isinstance(r, Chunk)]


record = st.tuples(
    st.sampled_from(["/a", "/b", "/c"]),
    st.binary(max_size=40),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**64 - 1),
)


@settings(max_examples=25)
@given(rows=st.lists(record, max_size=30), chunk_bytes=st.sampled_from([1, 100, 1 << 20]))
def test_what_was_written_is_read_by_another_reader(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, bytes, int, int]], chunk_bytes: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "a.mcap"
    with LogWriter(path, chunk_bytes=chunk_bytes, metadata={"run": {"seed": "3"}}) as log:
        for topic, payload, log_time, publish_time in rows:
            log.write(
                topic,
                payload,
                schema=SCHEMA,
                encoding="json",
                log_time_ns=log_time,
                publish_time_ns=publish_time,
            )
    with path.open("rb") as stream:
        reader = make_reader(stream, validate_crcs=True)
        found = list(reader.iter_messages(log_time_order=False))
        summary = reader.get_summary()
        assert [(c.topic, m.data, m.log_time, m.publish_time) for _, c, m in found] == rows
        assert [(m.name, m.metadata) for m in reader.iter_metadata()] == [("run", {"seed": "3"})]
    assert summary is not None
    assert summary.statistics is not None
    assert summary.statistics.message_count == len(rows)
    for topic in {row[0] for row in rows}:
        assert [m.sequence for _, c, m in found if c.topic == topic] == list(
            range(sum(row[0] == topic for row in rows))
        )
    assert all(
        s.name == "test.Thing" and s.encoding == "jsonschema" and s.data == b"{}" for s, _, _ in found if s
    )


def test_one_schema_and_one_channel_are_registered_once(tmp_path: Path) -> None:
    with LogWriter(tmp_path / "a.mcap") as log:
        for i in range(5):
            put(log, i, topic="/a")
            log.write(
                "/b", b"", schema=Schema("test.Thing", "jsonschema", b"{}"), encoding="json", log_time_ns=i
            )
            log.write("/raw", b"", schema=None, encoding="", log_time_ns=i)
    with (tmp_path / "a.mcap").open("rb") as stream:
        summary = make_reader(stream).get_summary()
    assert summary is not None
    assert [s.name for s in summary.schemas.values()] == ["test.Thing"]
    assert {c.topic: c.schema_id for c in summary.channels.values()} == {"/a": 1, "/b": 1, "/raw": 0}


def test_a_copied_message_keeps_everything(tmp_path: Path) -> None:
    channel = Channel(17, "/a", "json", SCHEMA, {"frame": "camera"})
    with LogWriter(tmp_path / "a.mcap") as log:
        log.copy(Message(channel, 5, 3, 99, b"payload"))
        log.copy(Message(channel, 4, 2, 100, b"earlier"))
        put(log, 6)
    with (tmp_path / "a.mcap").open("rb") as stream:
        found = list(make_reader(stream).iter_messages(log_time_order=False))
    schema, first, message = found[0]
    assert schema is not None
    assert (schema.name, schema.encoding, schema.data) == ("test.Thing", "jsonschema", b"{}")
    assert (first.topic, first.message_encoding, first.metadata) == ("/a", "json", {"frame": "camera"})
    assert (message.log_time, message.publish_time, message.sequence, message.data) == (5, 3, 99, b"payload")
    assert found[1][2].data == b"earlier"
    assert found[2][1].metadata == {}  # another channel of the topic: the metadata differ


def write_walk(path: Path, **options: object) -> bytes:
    with LogWriter(path, **options) as log:  # type: ignore[arg-type]
        for i in range(200):
            put(log, i * 20_000_000, bytes([i]) * 50, topic="/ab"[: 1 + i % 3])
    return path.read_bytes()


@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_the_same_calls_make_the_same_bytes(tmp_path: Path, compression: str) -> None:
    first = write_walk(tmp_path / "1.mcap", flush_by="log", compression=compression)
    assert first == write_walk(tmp_path / "2.mcap", flush_by="log", compression=compression)
    with (tmp_path / "1.mcap").open("rb") as stream:
        assert len(list(make_reader(stream, validate_crcs=True).iter_messages())) == 200


def test_chunks_are_closed_by_log_time(tmp_path: Path) -> None:
    write_walk(tmp_path / "a.mcap", flush_by="log", flush_s=1.0)
    spans = [(c.message_start_time, c.message_end_time) for c in chunks(tmp_path / "a.mcap")]
    assert spans == [(t * 10**9, t * 10**9 + 980_000_000) for t in range(4)]


def test_chunks_are_closed_by_size_and_carry_crcs(tmp_path: Path) -> None:
    write_walk(tmp_path / "a.mcap", chunk_bytes=1000, flush_s=1e9)
    found = chunks(tmp_path / "a.mcap")
    assert len(found) > 10
    assert all(c.uncompressed_size < 1600 and c.uncompressed_crc for c in found)


def test_a_zstd_log_is_smaller(tmp_path: Path) -> None:
    assert len(write_walk(tmp_path / "z.mcap", compression="zstd")) < len(write_walk(tmp_path / "n.mcap"))


WRITE_AND_WAIT = """
import sys, time
from perception.logs.mcap.writer import LogWriter
from perception.types import Schema
log = LogWriter(sys.argv[1], flush_s=0.05)
for i in range(40):
    log.write("/a", b"x" * 1000, schema=Schema("s", "jsonschema", b"{}"), encoding="json", log_time_ns=i)
    if i == 19:
        time.sleep(0.06)
print("ready", flush=True)
time.sleep(60)
"""


def test_what_was_flushed_survives_a_kill(tmp_path: Path, forked_python: ForkedPython) -> None:
    path = tmp_path / "killed.mcap"
    process = forked_python.start(path, program=WRITE_AND_WAIT)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.kill()
    found = messages_until_end(path)
    assert len(found) >= 20  # everything older than flush_s; the open chunk is lost
    assert [m.log_time for m in found] == list(range(len(found)))
    assert all(m.data == b"x" * 1000 for m in found)


def test_a_host_that_falls_silent_can_flush(tmp_path: Path) -> None:
    log = LogWriter(tmp_path / "a.mcap")
    put(log, 1)
    assert messages_until_end(tmp_path / "a.mcap") == []
    log.flush()
    assert len(messages_until_end(tmp_path / "a.mcap")) == 1
    log.close()


def test_an_error_inside_the_block_still_closes_the_file(tmp_path: Path) -> None:
    def work() -> None:
        with LogWriter(tmp_path / "a.mcap") as log:
            put(log, 1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    with (tmp_path / "a.mcap").open("rb") as stream:
        assert make_reader(stream).get_summary() is not None


def test_a_closed_log_takes_nothing_more(tmp_path: Path) -> None:
    log = LogWriter(tmp_path / "a.mcap")
    log.close()
    log.close()
    with pytest.raises(OutputError, match="closed"):
        put(log, 1)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"folder .*/nowhere does not exist, make it first"):
        LogWriter(tmp_path / "nowhere" / "a.mcap")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="it is a folder"):
        LogWriter(tmp_path)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    with pytest.raises(OutputError, match="is a file, not a folder"):
        LogWriter(tmp_path / "f" / "a.mcap")


def test_a_place_without_permission_is_named() -> None:
    with pytest.raises(OutputError, match=r"cannot make a log here: .*: /proc/a\.mcap"):
        LogWriter("/proc/a.mcap")  # refuses even root


def test_a_full_disk_is_one_clear_error(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match=r"no space left on device.*: /dev/full"),
        LogWriter("/dev/full") as log,
    ):
        put(log, 1)


def test_a_disk_that_fills_up_later_is_one_clear_error(tmp_path: Path, forked_python: ForkedPython) -> None:
    """A file size limit stands for the full disk: the first chunks fit, a later one does not."""
    program = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n"
        "from perception.logs.mcap.writer import LogWriter\n"
        "from perception.errors import OutputError\n"
        "try:\n"
        "    with LogWriter(sys.argv[1], chunk_bytes=10_000) as log:\n"
        "        for i in range(100): log.write('/a', b'x' * 1000, schema=None, encoding='', log_time_ns=i)\n"
        "except OutputError as error: print(error)\n"
    )
    path = tmp_path / "a.mcap"
    done = forked_python.run(path, program=program)
    assert done.stderr == ""
    assert done.stdout.startswith("writing stopped after ")
    assert "file too large" in done.stdout
    assert len(messages_until_end(path)) >= 30


@pytest.mark.parametrize("log_time_ns", [-1, 2**64])
def test_a_time_that_no_log_holds_is_refused_and_the_log_stays_good(tmp_path: Path, log_time_ns: int) -> None:
    with LogWriter(tmp_path / "a.mcap") as log:
        put(log, 1)
        with pytest.raises(OutputError, match="times from 0"):
            put(log, log_time_ns)
        put(log, 2)
    assert [m.log_time for m in messages_until_end(tmp_path / "a.mcap")] == [1, 2]
