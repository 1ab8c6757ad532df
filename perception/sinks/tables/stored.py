"""The frames of a recording as its tables hold them: outputs and truth of each camera, tick by tick."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception.config import Config, parse_config
from perception.config.safe_yaml import parse_yaml
from perception.errors import LogError
from perception.geometry import TransformTree
from perception.sinks.run_info import RunInfo
from perception.sinks.tables.cursor import ColumnCursor, TableCursor, box_items, detection_items
from perception.sinks.tables.folder import TablesFolder
from perception.sinks.tables.schema import RUNS, VERSION, table_specs
from perception.types import (
    CameraInfo,
    Control,
    ControlChannel,
    Detection,
    Detections,
    Float64,
    Output,
    Rig,
    RigIssue,
    Tick,
    TruthBox,
    TruthFrame,
    extra_specs,
)

Row = dict[str, Any]


class StoredFrame(NamedTuple):
    """The output and truth of one camera at a tick.

    `timing_ms` is that of the tick, with its first camera; `of_reference`: it is the reference camera's.
    """

    output: Output
    truth: TruthFrame
    timing_ms: Mapping[str, float]
    of_reference: bool


@dataclass(frozen=True, slots=True)
class StoredRecording:
    """A recording of a folder of tables, of a run that was finished.

    Attributes:
        folder, name: Where it is.
        row: Its row of `runs`.
    """

    folder: TablesFolder
    name: str
    row: Mapping[str, Any]

    @property
    def run(self) -> RunInfo:
        """Return what made the outputs, with the configuration."""
        return RunInfo.from_metadata(json.loads(self.row["run"]))

    @property
    def config(self) -> Config:
        """Return the configuration of the run."""
        return parse_config(parse_yaml(self.row["config"]))

    @property
    def summary(self) -> dict[str, Any]:
        """Return the summary of the run, as `Summary.to_json` gave it."""
        summary: dict[str, Any] = json.loads(self.row["summary"])
        return summary

    def frames(self) -> Iterator[StoredFrame]:
        """Yield the frames in order; of several cameras one by one."""
        heads, control, timing = (self._cursor(name) for name in ("heads", "control", "timing"))
        detections = TableCursor(self.folder.open("detections", self.name), detection_items)
        truth = TableCursor(self.folder.open("truth", self.name), box_items)
        extra = {name: self._cursor(name) for name in self._extra_heads()}
        for ticks in self._cursor("ticks").groups():
            last = ticks[-1]["tick"]
            of_heads, of_detections, of_truth = (cursor.until(last) for cursor in (heads, detections, truth))
            of_control, of_timing = control.until(last), timing.until(last)
            of_extra = {name: cursor.until(last) for name, cursor in extra.items()}
            for row in ticks:
                number = row["tick"]
                timing_ms = {stage["stage"]: stage["ms"] for stage in of_timing.get(number, ())}
                parts = _Parts(
                    row,
                    of_heads.get(number, []),
                    of_detections.get(number, []),
                    of_truth.get(number, []),
                    of_control.get(number, []),
                    {name: rows.get(number, []) for name, rows in of_extra.items()},
                )
                for camera, output, known in parts.frames():
                    yield StoredFrame(output, known, timing_ms, camera == row["camera"])
                    timing_ms = {}

    def columns(self, table: str, *names: str) -> ColumnCursor:
        """Return the columns of a table, to read them group by group."""
        return ColumnCursor(self.folder.open(table, self.name), names)

    def status_channels(self) -> list[str]:
        """Return the names of the status channels."""
        names: list[str] = self._column("status", "channel").unique().to_pylist()
        return names

    def status_at(self, stamps_ns: NDArray[np.int64]) -> dict[str, Float64]:
        """Return the value of each status channel at the stamps of ticks [F]; NaN where there is none."""
        table = self.folder.read("status", self.name, ["stamp_ns", "channel", "value"])
        stamps, names, values = (table.column(name).to_numpy() for name in table.column_names)
        fields = {}
        for name in dict.fromkeys(names.tolist()):
            own = names == name
            known, first = np.unique(stamps[own], return_index=True)
            place = np.minimum(np.searchsorted(known, stamps_ns), len(known) - 1)
            of_ticks = values[own].astype(np.float64)[first][place]
            fields[name] = np.where(known[place] == stamps_ns, of_ticks, np.nan)
        return fields

    def _extra_heads(self) -> list[str]:
        heads = self._column("heads", "head").unique().to_pylist()
        return [name for name in heads if name not in ("detections", "control")]

    def _column(self, table: str, column: str) -> Any:
        return self.folder.read(table, self.name, [column]).column(column)

    def _cursor(self, table: str) -> TableCursor:
        return TableCursor(self.folder.open(table, self.name))


def stored_recordings(folder: TablesFolder) -> tuple[list[StoredRecording], list[str]]:
    """Return the recordings that are whole, and why others are not taken.

    Raises:
        LogError: There is none, or the tables are of another version.
    """
    recordings, left_out = [], []
    there = {table: folder.recordings(table) for table in folder.tables()}
    names = set(there.get(RUNS, ()))
    further = {spec.name for spec in extra_specs()}
    needed = [table for table in table_specs() if table != RUNS and table not in further]
    for name in sorted(names):
        try:
            row = folder.read(RUNS, name).to_pylist()[0]
            if row["schema_version"] != VERSION:
                text = f"expected tables of version {VERSION}, found {row['schema_version']} in {name}"
                raise LogError(f"{text}; replay the logs again, into another folder: {folder}")
            tables = [table for table, own in there.items() if table != RUNS and name in own]
            mixed = [table for table in needed if table not in tables]
            mixed += [table for table in tables if folder.receipts(table, name) - {row["receipt"]}]
            if mixed:
                text = f"{', '.join(mixed)}: not there, or not of the run {row['receipt']}"
                left_out.append(f"{name}: {text}; replay it again")
                continue
            recordings.append(StoredRecording(folder, name, row))
        except (OSError, ValueError, KeyError, IndexError) as error:
            left_out.append(f"{name}: {error}; replay it again")
    recordings.sort(key=lambda one: (one.row["log_path"], one.row["start_ns"] or 0, one.name))
    for table, own in there.items():
        left_out += [
            f"{name}: {table} is there, but no finished run; replay it again"
            for name in own
            if name not in names and not any(text.startswith(f"{name}:") for text in left_out)
        ]
    if not recordings:
        why = f": {'; '.join(left_out[:3])}" if left_out else f", found no table '{RUNS}'"
        raise LogError(f"expected a folder that `replay --tables` made{why}: {folder}")
    return recordings, left_out


class _Parts(NamedTuple):
    """The rows of one tick."""

    tick: Row
    heads: list[Row]
    detections: list[tuple[str, Detection]]
    truth: list[tuple[str, TruthBox]]
    control: list[Row]
    extra: Mapping[str, list[Row]]

    def frames(self) -> Iterator[tuple[str, Output, TruthFrame]]:
        """Yield camera, output and truth of each camera."""
        row = self.tick
        tick = Tick(row["tick"], row["kind"], row["stamp_ns"], row["log_time_ns"])
        others = {head["head"]: head for head in self.heads if head["head"] != "detections"}
        warnings = json.loads(row["warnings"]) if row["warnings"] else {}
        for head in (head for head in self.heads if head["head"] == "detections"):
            camera = head["camera"]
            detections, boxes = self._detections(head, camera), self._boxes(head, camera)
            missing = _missing({"boxes": head})
            if camera != row["camera"]:
                known = TruthFrame(tick.stamp_ns, boxes, missing=missing, rig=_rig(head))
                yield camera, Output(tick, detections, None), known
                continue
            control = others["control"]
            output = Output(
                tick,
                detections,
                _control(control, self.control),
                warnings,
                {
                    name: values
                    for name, rows in self.extra.items()
                    if name in others and (values := _control(others[name], rows)) is not None
                },
            )
            true = _values(self.control, "true") if control["truth"] else None
            extra = {
                name: _values(rows, "true")
                for name, rows in self.extra.items()
                if name in others and others[name]["truth"]
            }
            measured = _values(self.control, "measured") or None
            missing |= _missing({"control": control})
            known = TruthFrame(tick.stamp_ns, boxes, true, measured, extra, missing, rig=_rig(head))
            yield camera, output, known

    def _detections(self, head: Row, camera: str) -> Detections | None:
        if head["valid"] is None:
            return None
        items = tuple(detection for name, detection in self.detections if name == camera)
        about = (head["valid"], tuple(head["based_on"]), head["error"])
        return Detections(*about, items, head["position_frame"] or "")

    def _boxes(self, head: Row, camera: str) -> tuple[TruthBox, ...] | None:
        if not head["truth"]:
            return None
        return tuple(box for name, box in self.truth if name == camera)


def _control(head: Row, rows: list[Row]) -> Control | None:
    if head["valid"] is None:
        return None
    said = sorted((row for row in rows if row["item"] is not None), key=lambda row: row["item"])
    channels = tuple(ControlChannel(row["channel"], row["unit"], row["value"], row["std"]) for row in said)
    return Control(head["valid"], tuple(head["based_on"]), head["error"], channels)


def _values(rows: list[Row], column: str) -> dict[str, float]:
    return {row["channel"]: row[column] for row in rows if row[column] is not None}


def _missing(heads: Mapping[str, Row]) -> dict[str, RigIssue]:
    return {
        name: RigIssue(head["truth_missing"], head["truth_missing_text"])
        for name, head in heads.items()
        if head["truth_missing"] is not None
    }


def _rig(head: Row) -> Rig | None:
    """Return a rig that leads from the picture to the frame of the positions as the one of the moment did."""
    matrix = head["frame_from_picture"]
    return None if matrix is None else _rig_of(tuple(matrix), head["position_frame"])


@lru_cache(maxsize=64)
def _rig_of(matrix: tuple[float, ...], frame_id: str) -> Rig:
    picture = CameraInfo("", 0, 0, f"picture of {frame_id}", 0, 0, np.eye(3), np.zeros(0))
    edge = (frame_id, np.array(matrix).reshape(4, 4))
    return Rig(picture, TransformTree({picture.frame_id: edge}))
