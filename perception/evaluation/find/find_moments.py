"""Moments of recordings for which a condition holds, from their tables, by DuckDB."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from perception.errors import ConfigError
from perception.evaluation.find.condition_sql import condition_sql, query_sql
from perception.evaluation.find.expression import Kind, Named, names_in, parse_condition, wrong_condition
from perception.evaluation.find.names import ITEMS, Names, TableValue
from perception.evaluation.find.table_database import TableDatabase
from perception.evaluation.worst_frames import Moment, replay_command
from perception.logs.joined_path import recorded_path
from perception.sinks.tables import RUNS, TablesFolder
from perception.types import Status

SCHEMA = "perception.find/1"
GAP_S = 1.0


@dataclass(frozen=True, slots=True)
class FoundMoment:
    """A stretch of ticks for which a condition holds.

    Attributes:
        recording, log: Where it is.
        tick, from_s, log_time_ns: Its first tick: number, seconds from the first sensor message, log time.
        to_s: Its last tick.
        ticks: How many ticks it has.
        values: The values that the condition names, at the first tick; of items, of one that fulfils it.
        command: The command that replays it, with a second before and after.
    """

    recording: str
    log: str
    tick: int
    log_time_ns: int
    from_s: float
    to_s: float
    ticks: int
    values: Mapping[str, Any]
    command: str


@dataclass(frozen=True, slots=True)
class FoundMoments:
    """The moments of a folder of tables, by recording and time.

    Attributes:
        moments: The moments.
        ticks, of_ticks: How many ticks fulfil the condition, and of how many.
        recordings: How many recordings were asked.
        left_out: Recordings that were not asked, with the reason.
    """

    condition: str
    moments: Sequence[FoundMoment]
    ticks: int
    of_ticks: int
    recordings: int
    left_out: Sequence[str] = field(default_factory=tuple)

    @property
    def status(self) -> Status:
        """Return `loss` where a recording could not be asked."""
        return "loss" if self.left_out else "clean"

    def to_json(self) -> dict[str, Any]:
        """Return the moments under the schema `perception.find/1`."""
        return {"schema": SCHEMA, "status": self.status, **asdict(self)}


def find_moments(place: str | Path, condition: str, *, gap_s: float = GAP_S) -> FoundMoments:
    """Return the moments for which a condition holds.

    >>> find_moments("tables", "speed > 5 and abs(control.curvature.error) > 0.02")  # doctest: +SKIP

    Args:
        place: The folder of tables, or its URL.
        condition: As `perception.evaluation.find.expression` describes it. A comparison with a value that is
            not known does not hold.
        gap_s: Ticks of a recording at most this far apart are one moment; 0: each is its own.

    Raises:
        ConfigError: The condition is none, or names what the tables do not have; names the nearest.
        LogError: The folder has no tables.
        MissingExtraError: DuckDB is not installed.
    """
    if not 0 <= gap_s < float("inf"):
        raise wrong_condition([f"--gap: expected seconds from 0, found {gap_s:g}"])
    tree = parse_condition(condition)
    with TableDatabase(TablesFolder(place)) as database:
        values = _resolved(names_in(tree), _names(database))
        left_out = database.left_out({value.table for value in values.values()} - {RUNS})
        sql = query_sql(values, condition_sql(tree, values), database.source)
        rows = database.rows(sql)
        runs = {row["recording"]: row for row in database.runs}
        of_ticks = sum(row["frames"] for row in database.runs)
    shown = {f"v{place}": name for place, name in enumerate(values)}
    moments = [_moment(group, runs, shown) for group in _grouped(rows, gap_s)]
    return FoundMoments(condition, moments, len(rows), of_ticks, len(runs), left_out)


def names_of_tables(place: str | Path) -> dict[str, Kind]:
    """Return the names that conditions on a folder of tables may use, and what each is."""
    with TableDatabase(TablesFolder(place)) as database:
        return _names(database).known()


def _names(database: TableDatabase) -> Names:
    sensors, stages = database.texts("inputs", "sensor"), database.texts("timing", "stage")
    return Names(database.channels(), sensors, stages)


def _resolved(names: Iterable[Named], known: Names) -> dict[str, TableValue]:
    """Return the values that a condition names, by name.

    Raises:
        ConfigError: A name is unknown, or items of two tables are asked for at once.
    """
    values: dict[str, TableValue] = {}
    errors: list[str] = []
    for name in names:
        try:
            values[str(name)] = known[name]
        except ConfigError as error:
            errors += error.errors
    if errors:
        raise wrong_condition(list(dict.fromkeys(errors)))
    items = dict.fromkeys(v.table for v in values.values() if v.table in ITEMS and v.column != "count")
    if len(items) > 1:
        text = f"expected items of one table, found {' and '.join(items)}; counts of others can be used"
        raise wrong_condition([text])
    return values


def _grouped(rows: Sequence[Mapping[str, Any]], gap_s: float) -> Iterator[list[Mapping[str, Any]]]:
    """Yield the ticks that follow each other, recording by recording."""
    for _, own in groupby(rows, key=lambda row: row["recording"]):
        group: list[Mapping[str, Any]] = []
        for row in own:
            if group and (gap_s == 0 or row["at_s"] - group[-1]["at_s"] > gap_s):
                yield group
                group = []
            group.append(row)
        yield group


def _moment(
    group: Sequence[Mapping[str, Any]], runs: Mapping[str, Mapping[str, Any]], shown: Mapping[str, str]
) -> FoundMoment:
    first, last = group[0], group[-1]
    run = runs[first["recording"]]
    log = run["log"]
    if not recorded_path(log).exists() and recorded_path(run["log_path"]).exists():
        log = run["log_path"]
    end_s = last["at_s"] - first["at_s"]
    moment = Moment(log, first["at_s"], first["log_time_ns"], 0, 0.0, "")
    command = replay_command(moment, shlex.split(run["replay_options"] or ""), end_s)
    values = {name: first[column] for column, name in shown.items()}
    return FoundMoment(
        first["recording"],
        log,
        first["tick"],
        first["log_time_ns"],
        first["at_s"],
        last["at_s"],
        len(group),
        values,
        command,
    )
