"""The tables of a replay: the sink, what it needs of the log, and the check of the folder."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from perception.align.status_readings import OLDEST_NS, StatusReadings
from perception.autoconfig.log_times import sensor_start_ns
from perception.config import Config
from perception.errors import OutputError
from perception.logs import Log, Query
from perception.logs.joined_path import named_log, recorded_place
from perception.logs.stated_light import stated_light
from perception.path_guard import Read
from perception.pipeline.log_source import Span
from perception.pipeline.replay_options import ReplayOptions
from perception.pipeline.replay_summary import Summary, Warned, add_warnings
from perception.pipeline.run_record import recorded_sha256
from perception.pipeline.workers import default_workers
from perception.remote import RemotePath, is_remote
from perception.sinks.tables import RUNS, VERSION, Recording, TablesFolder, TablesSink, free_name
from perception.sinks.tables.recording import names_of
from perception.sinks.tables.schema import load_pyarrow
from perception.sinks.tables.sink import MatchRows
from perception.types import Message

_LATE_NS = OLDEST_NS
"""A status may arrive so long after its stamp, and count so long after that."""


@dataclass(frozen=True, slots=True)
class TablesPlace:
    """Where the tables of a replay go.

    Attributes:
        place: A folder, or a URL that fsspec knows.
        recording: The name of the recording; empty: that of the log, a longer one where another has it.
        receipt: The identity of the run, which each row has; empty: made of what decides its outputs.
        matches: Makes what returns the rows of the table `matches`. It must pickle if the replay is to run in
            another process.
    """

    place: Path
    recording: str = ""
    receipt: str = ""
    matches: Callable[[], MatchRows] = lambda: lambda rows: [()] * len(rows)


def tables_sink(
    where: TablesPlace, log: Log, config: Config, options: ReplayOptions, words: Sequence[str] = ()
) -> TablesSink:
    """Return the sink that writes the tables of a replay, a context manager; `committed` puts them in place.

    Args:
        words: The options of the command that replays the log likewise.

    Raises:
        MissingExtraError: pyarrow is not installed.
        OutputError: The URL is of a kind that is not known here.
        ConfigError: Every name of the log is that of another recording.
    """
    load_pyarrow("--tables")
    folder, survey, path = TablesFolder(where.place), log.survey, log.path
    settings = {"on_error": options.on_error, "rate": options.rate, "live_drop": options.live_drop}
    digest = path.file.tag if isinstance(path, RemotePath) else recorded_sha256(path)
    recording = Recording(
        where.recording,
        named_log(path),
        recorded_place(path),
        path.stat().st_size,
        survey.start_ns or 0,
        survey.end_ns or 0,
        digest,
        sensor_start_ns(log, config),
        stated_light(log),
        json.dumps(settings | {"seed": config.engine.seed}),
        shlex.join(words),
    )
    name = free_name(folder, recording, [where.recording] if where.recording else names_of(path))
    readings = StatusReadings(config)
    _read_around(log, readings, options.span)
    return TablesSink(folder, replace(recording, name=name), readings, where.matches(), where.receipt)


def with_tables(options: ReplayOptions, tables: TablesSink) -> ReplayOptions:
    """Return options by which a replay also gives the tables its messages and their rows of the ledger."""
    also, listener = options.on_message, options.ledger_listener

    def on_message(message: Message) -> None:
        tables.on_message(message)
        if also is not None:
            also(message)

    def count(topic: str, log_time_ns: int, stamp_ns: int, row: str, note: str) -> None:
        tables.count_message(topic, log_time_ns, stamp_ns, row, note)
        if listener is not None:
            listener(topic, log_time_ns, stamp_ns, row, note)

    return replace(options, on_message=on_message, ledger_listener=count)


def committed(tables: TablesSink, summary: Summary, config: Config, rate: float | None) -> Summary:
    """Put the tables of a finished run in their place; return the summary, with what was not put there.

    Args:
        config: The configuration of the run.
        rate: Its pace; None: as soon as possible.

    Raises:
        OutputError: A table cannot be written or put in its place.
    """
    if summary.status in ("clean", "loss"):
        backend, device = (summary.run.get(key, "") for key in ("backend", "device"))
        workers = config.engine.workers or default_workers(device, config.engine.threads, backend)
        tables.commit(summary.to_json(), workers if rate is None else 0)
        return summary
    text = f"no tables were written: the run was {summary.status}; those of earlier runs are as they were"
    return add_warnings(summary, [Warned("no_tables", text)])


def check_tables(place: Path | None, reads: Iterable[Read]) -> None:
    """Check the folder of tables before anything is written there.

    Raises:
        OutputError: It is a file, is or is in a folder that is read, or holds tables of another version.
    """
    if place is None:
        return
    if not is_remote(place):
        if place.exists() and not place.is_dir():
            raise OutputError(f"--tables: expected a folder, found a file: {place}")
        for read in reads:
            if not is_remote(read.path) and read.path.is_dir() and _is_within(place, read.path):
                raise OutputError(f"--tables would write into {read.role}, name another folder: {place}")
    folder = TablesFolder(place)
    for name in folder.recordings()[:1]:
        versions = folder.read(RUNS, name, ["schema_version"]).column(0).to_pylist()
        if versions != [VERSION]:
            text = f"expected tables of version {VERSION}, found {versions}; name another folder"
            raise OutputError(f"--tables: {text}: {place}")


def _read_around(log: Log, readings: StatusReadings, span: Span) -> None:
    """Read the statuses that arrived shortly before and after a part of a log: they may count in it."""
    parts: Sequence[tuple[int, int]] = [
        *([(span.start_ns - 2 * _LATE_NS, span.start_ns)] if span.start_ns is not None else []),
        *([(span.end_ns, span.end_ns + _LATE_NS)] if span.end_ns is not None else []),
    ]
    if readings.topics:
        for start_ns, end_ns in parts:
            for message in log.messages(Query(readings.topics, max(start_ns, 0), end_ns)):
                readings.add(message)


def _is_within(place: Path, folder: Path) -> bool:
    return place.resolve().is_relative_to(folder.resolve())
