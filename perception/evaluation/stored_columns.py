"""The frames of a recording as its tables hold them, many at a time, as columns for the metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception.errors import LogError
from perception.evaluation.metrics.frame_columns import (
    ANY_CLASS,
    STATES,
    ControlColumns,
    DetectionColumns,
    FrameColumns,
    TruthColumns,
)
from perception.evaluation.metrics.latency import TOTAL
from perception.evaluation.table_columns import (
    Places,
    number_table,
    numbered_names,
    numbers,
    renumbered,
    text_codes,
)
from perception.pipeline.log_source import Span
from perception.sinks.tables.schema import COVARIANCE, SIDES
from perception.sinks.tables.stored import StoredRecording
from perception.types import Float64, RigIssue, RigIssueCode

TICKS = 512
"""Ticks that are scored at a time."""

_DETAILS = (
    *(f"{side}_std" for side in SIDES),
    "distance_m",
    "distance_std_m",
    "x_m",
    "y_m",
    "z_m",
    *COVARIANCE,
)
_TRUE = (*SIDES, "distance_m", "visible", "picture_x_m", "picture_y_m", "picture_z_m", "ignore")
_VALUES = ("value", "std", "true", "measured")
_TABLES = {
    "ticks": ("tick", "log_time_ns", "camera"),
    "heads": (
        *("tick", "stamp_ns", "head", "camera", "valid", "truth"),
        *("truth_missing", "truth_missing_text", "position_frame", "frame_from_picture"),
    ),
    "detections": ("tick", "camera", "item", "label", "score", *SIDES, *_DETAILS),
    "truth": ("tick", "camera", "item", "label", *_TRUE),
    "control": ("tick", "channel", "item", "unit", *_VALUES),
    "timing": ("tick", "stage", "ms"),
}
_SCORED, _INVALID, _NO_TRUTH, _NO_HEAD = (
    STATES.index(s) for s in ("scored", "invalid", "no_truth", "no_head")
)


class StoredPart(NamedTuple):
    """Some frames of a recording, with what an evaluation counts beside the metrics.

    Attributes:
        ticks: How many ticks they are of.
        stages_ms: Stage -> the durations in the ticks that have it, with their sum as `TOTAL`.
        box_frames, boxes: Frames in which boxes are known, and how many they are.
        true_labels: The labels of all true boxes.
        missing: Head, why its truth is not known, and in how many frames.
        of_reference: Of each frame whether it is the reference camera's.
    """

    columns: FrameColumns
    ticks: int
    stages_ms: Mapping[str, Float64]
    box_frames: int
    boxes: int
    true_labels: frozenset[str]
    missing: Sequence[tuple[str, RigIssue, int]]
    of_reference: Sequence[bool]


def stored_parts(recording: StoredRecording, span: Span) -> Iterator[StoredPart]:
    """Yield the frames of a part of a recording, in order.

    Raises:
        LogError: A table cannot be read.
    """
    cursors = {table: recording.columns(table, *names) for table, names in _TABLES.items()}
    while len(ticks := cursors["ticks"].next_rows(TICKS)):
        last = ticks.column("tick")[-1].as_py()
        tables = {name: cursor.until(last) for name, cursor in cursors.items() if name != "ticks"}
        kept = [span.holds(time_ns) for time_ns in ticks.column("log_time_ns").to_pylist()]
        if any(kept):
            yield _TickRows(ticks.filter(kept), tables, recording.name).part()


class _TickRows:
    """The rows of some ticks.

    Args:
        ticks: Those that are scored.
        tables: The rows of these ticks and of others between them.
        name: Of the recording.
    """

    def __init__(self, ticks: Any, tables: Mapping[str, Any], name: str) -> None:
        self._tables = tables
        self._ticks = numbers(ticks, "tick")
        self._cameras: dict[str, int] = {}
        heads = self._kept("heads")
        self._heads = heads
        names = np.array(heads.column("head").to_pylist(), dtype=object)
        self._of_boxes, of_control = np.flatnonzero(names == "detections"), np.flatnonzero(names == "control")
        self._keys = self._key(heads)[self._of_boxes]
        self._order = np.argsort(self._keys, kind="stable")
        self._reference = self._frames_at(self._key(ticks))
        if len(of_control) != len(self._ticks) or (self._reference < 0).any():
            raise LogError(f"{name}: the tables 'ticks' and 'heads' do not fit each other; replay it again")
        states = _states(heads)
        self._state = states[self._of_boxes]
        self._control_state = np.full(len(self._of_boxes), _NO_HEAD, np.uint8)
        self._control_state[self._reference] = states[of_control]
        places = np.searchsorted(self._ticks, numbers(ticks, "tick")[self._tick_of(heads)[self._of_boxes]])
        self._log_times = numbers(ticks, "log_time_ns")[places]

    def part(self) -> StoredPart:
        """Return the frames."""
        truth, known = self._kept("truth"), numbers(self._heads, "truth")[self._of_boxes]
        labels = frozenset(label for label in truth.column("label").unique().to_pylist() if label)
        return StoredPart(
            self._columns(truth),
            len(self._ticks),
            self._stages_ms(),
            int(np.count_nonzero(known)),
            len(truth),
            labels,
            self._missing(),
            np.isin(np.arange(len(self._of_boxes)), self._reference).tolist(),
        )

    def _columns(self, truth: Any) -> FrameColumns:
        detections = self._kept("detections")
        rows, frame = self._scored_rows(detections)
        true_rows, true_frame = self._scored_rows(truth)
        codes, labels = text_codes(detections, "label")
        true_codes, true_labels = text_codes(truth, "label")
        codes, true_codes = codes[rows], true_codes[true_rows]
        table = number_table(truth, _TRUE)[true_rows]
        for_all = (table[:, 9] > 0) & np.array([not label for label in (*true_labels, "-")])[true_codes]
        names = numbered_names(
            (codes, labels, frame), (true_codes[~for_all], true_labels, true_frame[~for_all])
        )
        true_label = renumbered(true_codes, true_labels, names)
        true_label[for_all] = ANY_CLASS
        details = number_table(detections, _DETAILS)[rows]
        return FrameColumns(
            numbers(self._heads, "stamp_ns")[self._of_boxes],
            self._log_times.astype(np.uint64),
            self._state,
            tuple(names),
            DetectionColumns(
                frame,
                renumbered(codes, labels, names),
                numbers(detections, "item")[rows].astype(np.intp),
                numbers(detections, "score")[rows],
                number_table(detections, SIDES)[rows],
                lambda places: details[places],
            ),
            TruthColumns(true_frame, true_label, numbers(truth, "item")[true_rows].astype(np.intp), table),
            self._control(),
            self._placement(),
        )

    def _control(self) -> ControlColumns:
        table = self._kept("control")
        frame = self._reference[self._tick_of(table)]
        of_truth = table.column("true").is_valid().to_numpy()
        rows = np.flatnonzero(of_truth & (self._control_state[frame] == _SCORED))
        rows = rows[np.argsort(frame[rows], kind="stable")]
        codes, texts = text_codes(table, "channel")
        names = numbered_names((codes[rows], texts, frame[rows]))
        units, unit_names = text_codes(table, "unit")
        item = table.column("item").fill_null(-1).to_numpy()[rows].astype(np.intp)
        values = {name: numbers(table, name)[rows] for name in _VALUES}
        unit_names = [*unit_names, ""]
        unit = [unit_names[code] for code in units[rows].tolist()]
        return ControlColumns(
            self._control_state,
            tuple(names),
            frame[rows],
            renumbered(codes[rows], texts, names),
            item,
            **values,
            unit=unit,
        )

    def _placement(self) -> Float64 | None:
        heads = self._heads.take(self._of_boxes)
        matrices, known = (
            heads.column("frame_from_picture"),
            heads.column("position_frame").is_valid().to_numpy(),
        )
        rows = np.flatnonzero(matrices.is_valid().to_numpy() & known & (self._state == _SCORED))
        if not len(rows):
            return None
        placement = np.full((len(heads), 4, 4), np.nan)
        placement[rows] = np.array(matrices.take(rows).to_pylist(), np.float64).reshape(-1, 4, 4)
        return placement

    def _stages_ms(self) -> dict[str, Float64]:
        """Return the stages without `sink`, which is measured while it runs, and their sum."""
        table = self._kept("timing")
        codes, names = text_codes(table, "stage")
        ms, tick = numbers(table, "ms"), self._tick_of(table)
        wanted = np.array([name not in ("sink", TOTAL) for name in (*names, TOTAL)])[codes]
        stages = {name: ms[codes == code] for code, name in enumerate(names) if name not in ("sink", TOTAL)}
        timed = np.bincount(tick, minlength=len(self._ticks)) > 0
        total = np.bincount(tick[wanted], ms[wanted], len(self._ticks))[timed].astype(np.float64)
        return {**stages, TOTAL: total} if len(total) else {}

    def _missing(self) -> list[tuple[str, RigIssue, int]]:
        rows = self._heads.filter(self._heads.column("truth_missing").is_valid())
        counts: dict[tuple[str, RigIssueCode], int] = {}
        texts: dict[tuple[str, RigIssueCode], str] = {}
        for row in rows.select(["head", "truth_missing", "truth_missing_text"]).to_pylist():
            head = {"detections": "boxes", "control": "control"}.get(row["head"])
            if head is not None:
                key = (head, row["truth_missing"])
                counts[key] = counts.get(key, 0) + 1
                texts.setdefault(key, row["truth_missing_text"])
        return [(key[0], RigIssue(key[1], texts[key]), count) for key, count in counts.items()]

    def _kept(self, table: str) -> Any:
        """Return the rows of the ticks that are scored."""
        rows = self._tables[table]
        return rows.filter(np.isin(numbers(rows, "tick"), self._ticks))

    def _tick_of(self, table: Any) -> Places:
        return np.searchsorted(self._ticks, numbers(table, "tick"))

    def _key(self, table: Any) -> Places:
        """Return a number for tick and camera of each row."""
        codes, names = text_codes(table, "camera")
        own = np.array([self._cameras.setdefault(name, len(self._cameras)) for name in (*names, "")], np.intp)
        return self._tick_of(table) * _MOST_CAMERAS + own[codes]

    def _frames_at(self, keys: Places) -> Places:
        """Return the frame of each key; -1: none."""
        if not len(self._keys):
            return np.full(len(keys), -1, np.intp)
        ordered = self._keys[self._order]
        place = np.minimum(np.searchsorted(ordered, keys), len(ordered) - 1)
        return np.where(ordered[place] == keys, self._order[place], -1)

    def _scored_rows(self, table: Any) -> tuple[Places, Places]:
        """Return the rows of scored frames, in the order of frames, and their frames."""
        frame = self._frames_at(self._key(table))
        rows = np.flatnonzero((frame >= 0) & (self._state[frame] == _SCORED))
        rows = rows[np.argsort(frame[rows], kind="stable")]
        return rows, frame[rows]


_MOST_CAMERAS = 1 << 20


def _states(heads: Any) -> NDArray[np.uint8]:
    """Return the state of each head."""
    said = heads.column("valid").is_valid().to_numpy()
    valid = heads.column("valid").fill_null(False).to_numpy()
    known = numbers(heads, "truth")
    states = np.where(valid, _SCORED, _INVALID)
    return np.where(said, np.where(known, states, _NO_TRUTH), _NO_HEAD).astype(np.uint8)
