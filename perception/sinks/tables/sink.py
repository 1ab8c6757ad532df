"""The sink that writes outputs as tables."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from perception.align.status_readings import StatusReadings
from perception.errors import OutputError
from perception.sinks.run_info import RunInfo
from perception.sinks.tables import rows
from perception.sinks.tables.folder import TablesFolder
from perception.sinks.tables.ledger_rows import LedgerRows
from perception.sinks.tables.recording import Recording
from perception.sinks.tables.rows import CameraFrameRow, FrameRows, columns_of, spread
from perception.sinks.tables.schema import RUNS, VERSION, table_specs
from perception.sinks.tables.writer import TableWriter
from perception.types import Message, Output, Sample, TruthFrame, extra_specs
from perception.types.times import bounded_ns

FRAMES = 256
"""Frames that become columns at a time."""

MatchRows = Callable[[Sequence[CameraFrameRow]], Iterable[Iterable[tuple[Any, ...]]]]
"""Returns the rows of `matches` of each camera at each of several ticks, with `MATCH_COLUMNS`."""

MATCH_COLUMNS = (
    *("camera", "outcome", "detection", "truth", "label", "true_label"),
    *("score", "overlap", "distance_m", "true_distance_m", "distance_error_m"),
)


class TablesSink:
    """Writes the outputs of one run as Parquet tables, which `commit` puts in their place at once.

    A context manager: what was written and not committed is removed at its end.

    Args:
        folder: Where the tables are.
        recording: The recording that the run is of.
        readings: Collects the status readings.
        matches: Makes the rows of `matches`.
        receipt: The identity of the run; empty: `receipt_id`.
    """

    def __init__(
        self,
        folder: TablesFolder,
        recording: Recording,
        readings: StatusReadings,
        matches: MatchRows,
        receipt: str = "",
    ) -> None:
        self.folder, self.recording, self._given_receipt = folder, recording, receipt
        self._readings, self._matches = readings, matches
        self._stack = ExitStack()
        self._writers: dict[str, TableWriter] = {}
        self._frames: list[FrameRows] = []
        self._ticks, self._stamps, self._arrivals = array("q"), array("q"), array("q")
        self._ledger = LedgerRows()
        self._run = RunInfo()
        self.receipt = ""

    def __enter__(self) -> TablesSink:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def open(self, run: RunInfo) -> None:
        self._run, place = run, self._stack.enter_context(self.folder.staging())
        self.receipt = self._given_receipt or receipt_id(run, self.recording)
        self._writers = {
            name: TableWriter(spec, place / f"{name}.part", self.receipt)
            for name, spec in table_specs().items()
        }

    def write(
        self,
        sample: Sample,
        output: Output,
        truth: TruthFrame | None = None,
        timing_ms: Mapping[str, float] | None = None,
    ) -> None:
        tick = output.tick
        self._frames.append(rows.frame_rows(sample, output, truth, timing_ms))
        self._ticks.append(tick.index)
        self._stamps.append(bounded_ns(tick.stamp_ns))
        self._arrivals.append(bounded_ns(tick.log_time_ns))
        if len(self._frames) >= FRAMES:
            self._flush()

    def close(self) -> None:
        if self._writers:
            self._flush()

    def on_message(self, message: Message) -> None:
        """Add an input message: of the status topics, the values are kept."""
        self._readings.add(message)

    def count_message(self, topic: str, log_time_ns: int, stamp_ns: int, row: str, note: str) -> None:
        """Add a message with its row of the ledger (a `Listener` of the ledger)."""
        self._ledger.add(topic, log_time_ns, stamp_ns, row, note)

    def commit(self, summary: Mapping[str, Any], workers: int = 0) -> None:
        """Put the tables in the place of those of earlier runs of the recording.

        Args:
            summary: The summary of the run, as `Summary.to_json` returns it.
            workers: How many frames were computed at a time; 0: as they came.

        Raises:
            OutputError: A table cannot be written or put in its place.
        """
        if not self._writers:
            raise OutputError(f"--tables: nothing was written: {self.folder}")
        self._add_status()
        arrivals = np.array(self._arrivals, np.int64)
        self._writers["ledger"].add(self._ledger.columns(summary["ledger"], arrivals, self._ticks))
        self._add_run(summary, workers)
        for writer in self._writers.values():
            writer.close()
        self.folder.put(self.recording.name, {name: writer.path for name, writer in self._writers.items()})

    def _flush(self) -> None:
        """Turn the frames that wait into columns."""
        frames, self._frames = self._frames, []
        if not frames:
            return
        start_ns = self.recording.sensor_start_ns
        self._add("ticks", _TICK_COLUMNS, frames, lambda f: rows.tick_rows([f], start_ns))
        self._add("heads", rows.HEAD_COLUMNS, frames, _each_camera(_head_rows))
        self._add("detections", rows.DETECTION_COLUMNS, frames, _each_camera(_detection_rows))
        self._add("truth", rows.TRUTH_COLUMNS, frames, _each_camera(_truth_rows))
        self._add("control", rows.VALUE_COLUMNS, frames, _each_camera(_control_rows))
        for name in (head.name for head in extra_specs()):
            self._add(name, rows.VALUE_COLUMNS, frames, _each_camera(_extra_rows(name)))
        matches = iter(self._matches([row for frame in frames for row in frame.cameras]))
        self._add("matches", MATCH_COLUMNS, frames, _each_camera(lambda row, frame: next(matches)))
        self._add("inputs", _INPUT_COLUMNS, frames, lambda frame: frame.inputs)
        self._add("timing", ("stage", "ms"), frames, lambda frame: frame.timing_ms.items())

    def _add(
        self, table: str, names: Sequence[str], frames: Sequence[FrameRows], rows_of: rows.Spread
    ) -> None:
        counts, values = spread(frames, rows_of)
        self._writers[table].add(columns_of(names, frames, counts, values))

    def _add_status(self) -> None:
        """Write the last value of each status channel by each tick."""
        stamps = np.array(self._stamps, np.int64)
        values = self._readings.at(stamps)
        if not values or not len(stamps):
            return
        table = np.stack(list(values.values()), axis=1)
        names, (ticks, channels) = list(values), table.shape
        self._writers["status"].add(
            {
                "tick": np.repeat(np.array(self._ticks, np.int64), channels).tolist(),
                "stamp_ns": np.repeat(stamps, channels).tolist(),
                "channel": names * ticks,
                "value": [None if value != value else value for value in table.ravel().tolist()],
            }
        )

    def _add_run(self, summary: Mapping[str, Any], workers: int) -> None:
        run, recording, record = self._run, self.recording, summary["run"]
        values = {
            "schema_version": VERSION,
            "log": recording.log,
            "log_path": recording.log_path,
            "log_bytes": recording.log_bytes,
            "log_start_ns": recording.log_start_ns,
            "log_end_ns": recording.log_end_ns,
            "sensor_start_ns": recording.sensor_start_ns,
            "start_ns": run.start_ns,
            "end_ns": run.end_ns,
            **{name: summary[name] for name in ("status", "frames", "errors")},
            **{name: getattr(run, name) for name in ("plugin", "backend", "precision", "device")},
            "weights_sha256": run.weights_sha256,
            "outputs_sha256": record.get("outputs_sha256", ""),
            "messages_sha256": record.get("messages_sha256", ""),
            "workers": workers,
            "replay_options": recording.replay_options,
            "light": recording.light,
            "config": run.config,
            "run": json.dumps(run.to_metadata()),
            "summary": json.dumps(summary),
        }
        self._writers[RUNS].add({name: [value] for name, value in values.items()})


def receipt_id(run: RunInfo, recording: Recording) -> str:
    """Return what tells the run of a row: 16 digits of a hash over all that decides its outputs."""
    decisive = {**run.to_metadata(), "digest": recording.log_digest, "settings": recording.settings}
    decisive |= {"bytes": str(recording.log_bytes), "log": recording.log_path}
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]


_TICK_COLUMNS = ("log_time_ns", "at_s", "kind", "camera", "warnings")
_INPUT_COLUMNS = ("sensor", "kind", "topic", "present", "input_stamp_ns", "age_ms", "absence", "reason")

OfCamera = Callable[[CameraFrameRow, FrameRows], Iterable[tuple[Any, ...]]]


def _each_camera(rows_of: OfCamera) -> rows.Spread:
    return lambda frame: [row for camera in frame.cameras for row in rows_of(camera, frame)]


def _head_rows(row: CameraFrameRow, frame: FrameRows) -> Iterable[tuple[Any, ...]]:
    return rows.head_rows(row, frame.reference)


def _detection_rows(row: CameraFrameRow, frame: FrameRows) -> Iterable[tuple[Any, ...]]:
    head = row.output.detections
    if head is None:
        return ()
    return [rows.detection_row(row.camera, k, head.position_frame, item) for k, item in enumerate(head.items)]


def _truth_rows(row: CameraFrameRow, frame: FrameRows) -> Iterable[tuple[Any, ...]]:
    return [rows.truth_row(row.camera, k, box) for k, box in enumerate(row.truth.boxes or ())]


def _control_rows(row: CameraFrameRow, frame: FrameRows) -> Iterable[tuple[Any, ...]]:
    if row.camera != frame.reference:
        return ()
    return rows.value_rows(row.output.control, row.truth.control, row.truth.measured)


def _extra_rows(name: str) -> OfCamera:
    def rows_of(row: CameraFrameRow, frame: FrameRows) -> Iterable[tuple[Any, ...]]:
        if row.camera != frame.reference:
            return ()
        return rows.value_rows(row.output.extra.get(name), row.truth.extra.get(name))

    return rows_of
