"""The values of moments by name: what the tables of a folder have, and where it stands.

=============================  ============================================================================
speed, status.speed            a status channel: its last value by then
control.curvature              a channel of control or of a further head; also `.std`, `.true`, `.error`
                               (value less truth, signed), `.measured`
control.valid                  a head; also `.error` (its text)
camera.present                 a sensor; also `.age_ms`, `.absence` (the code of the reason), `.topic`
timing.infer, timing.total     milliseconds of a stage, and of all
detections.count, truth.count  how many there are; `hits`, `missed`, `false_alarms`: of each outcome
detections.score, .label, ...  of one detection (of `truth`, of `matches`) for which the condition holds
tick, at_s, kind, recording    of the tick; `plugin`, `light`, `log`: of its run
=============================  ============================================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from perception.evaluation.find.expression import Kind, Named, wrong_condition
from perception.sinks.tables import RUNS, table_specs

ITEMS = ("detections", "truth", "matches")
"""Tables of whose rows one is asked for: there is one for which the condition holds."""

_OUTCOMES = {"hits": "hit", "missed": "missed", "false_alarms": "false_alarm"}
_OF_CHANNEL = ("value", "std", "true", "error", "measured")
_OF_HEAD: Mapping[str, Kind] = {"valid": "flag", "error": "text"}
_OF_INPUT: Mapping[str, Kind] = {"present": "flag", "age_ms": "number", "absence": "text", "topic": "text"}
_OF_TICK: Mapping[str, Kind] = {
    "tick": "number",
    "at_s": "number",
    "kind": "text",
    "stamp_ns": "number",
    "log_time_ns": "number",
    "recording": "text",
}
_OF_RUN: Mapping[str, Kind] = {"plugin": "text", "light": "text", "log": "text", "backend": "text"}
_KEYS = ("receipt", "tick", "stamp_ns")


@dataclass(frozen=True, slots=True)
class TableValue:
    """Name the table and the column that hold a value.

    Attributes:
        name: Its name, for people.
        kind: What it is.
        table: The table.
        column: Its column, or `count` for the number of rows, or `sum` for the sum of `ms`.
        where: Column -> the value that selects its rows.
    """

    name: str
    kind: Kind
    table: str
    column: str
    where: tuple[tuple[str, str], ...] = ()


class Names:
    """The values that a folder of tables has.

    Args:
        channels: Table -> the channels in it: `status`, `control`, further heads.
        sensors: The sensors of `inputs`.
        stages: The stages of `timing`.
    """

    def __init__(
        self, channels: Mapping[str, Iterable[str]], sensors: Iterable[str], stages: Iterable[str]
    ) -> None:
        self._values: dict[str, TableValue] = {}
        for name, kind in _OF_TICK.items():
            self._add(name, kind, "ticks", name)
        for name, kind in _OF_RUN.items():
            self._add(name, kind, RUNS, name)
        for table in ITEMS:
            self._add_items(table)
        for name, outcome in _OUTCOMES.items():
            self._add(name, "number", "matches", "count", ("outcome", outcome))
        for head in ("detections", *(table for table in channels if table != "status")):
            for column, kind in _OF_HEAD.items():
                self._add(f"{head}.{column}", kind, "heads", column, ("head", head))
        for table, names in channels.items():
            self._add_channels(table, names)
        for sensor in sensors:
            for column, kind in _OF_INPUT.items():
                self._add(f"{sensor}.{column}", kind, "inputs", column, ("sensor", sensor))
        for stage in stages:
            self._add(f"timing.{stage}", "number", "timing", "ms", ("stage", stage))
        self._add("timing.total", "number", "timing", "sum")

    def __getitem__(self, name: Named) -> TableValue:
        """Return where a value stands.

        Raises:
            ConfigError: There is no such value; names the nearest.
        """
        text = str(name)
        if text in self._values:
            return self._values[text]
        near = get_close_matches(text, self._values, n=4, cutoff=0.5)
        last = [known for known in self._values if known.rpartition(".")[2] == name.parts[-1]]
        near += [known for known in last if known not in near][: 4 - len(near)]
        meant = f"did you mean {', '.join(near)}?" if near else f"there are {', '.join(self.known())}"
        raise wrong_condition([f"no value is called '{text}'; {meant}"])

    def known(self) -> dict[str, Kind]:
        """Return all names, and what each is."""
        return {name: value.kind for name, value in self._values.items()}

    def _add(self, name: str, kind: Kind, table: str, column: str, *where: tuple[str, str]) -> None:
        self._values.setdefault(name, TableValue(name, kind, table, column, where))

    def _add_items(self, table: str) -> None:
        self._add(f"{table}.count", "number", table, "count")
        for column, of in table_specs()[table].columns:
            if column not in _KEYS:
                kind: Kind = {"string": "text", "bool": "flag"}.get(of, "number")  # type: ignore[assignment]
                self._add(f"{table}.{column}", kind, table, column)

    def _add_channels(self, table: str, names: Iterable[str]) -> None:
        for name in names:
            where = ("channel", name)
            self._add(f"{table}.{name}", "number", table, "value", where)
            if table == "status":
                self._add(name, "number", table, "value", where)
                continue
            for column in _OF_CHANNEL:
                self._add(f"{table}.{name}.{column}", "number", table, column, where)
