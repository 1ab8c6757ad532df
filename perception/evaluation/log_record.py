"""The compact record of a log: its frames, objects, false alarms and control errors.

From it come blocks and autocorrelation for intervals, and slices: metrics alone do not know which frame had
no truth, nor how far away the missed box was.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from perception.evaluation.metrics import ScoredFrame
from perception.evaluation.metrics.rows import Rows
from perception.evaluation.worst_frames import INVALID, Row
from perception.geometry.boxes import areas
from perception.types import Output, TruthFrame

NONE, SCORED, WRONG = 0, 1, 2
"""The state of a head in a frame: without truth, scored, invalid where there was truth."""


LEAST_SCORE = 0.05
"""The score below which false alarms are not kept."""


class LogRecord:
    """The record of one log.

    `frames`: a row for each output, in order, with the errors of `moments.box_rows`; NaN: there are none.
    `control`: for each channel the frames and signed errors. `objects`: each truth box that counts, with the
    score of the detection that took it (NaN: missed). `alarms`: each detection that took nothing.

    Args:
        log: The name of the log.
        start_ns: The first log time.
    """

    def __init__(self, log: str, start_ns: int = 0) -> None:
        self.log = log
        self.start_ns = start_ns
        self.labels: dict[str, int] = {}
        self.frames = Rows(
            [
                *(("stamp_ns", "i8"), ("log_time_ns", "i8"), ("boxes", "u1"), ("control", "u1")),
                *(("error", "f4"), ("IoU", "f4"), ("distance_abs", "f4")),
            ]
        )
        self.control: dict[str, Rows] = {}
        self.objects = Rows(
            [
                *(("frame", "i4"), ("label", "i2"), ("score", "f8"), ("iou", "f4"), ("distance", "f4")),
                *(("area", "f4"), ("visible", "f4"), ("off", "f4")),
            ]
        )
        self.alarms = Rows([("frame", "i4"), ("label", "i2"), ("score", "f8")])

    def add(
        self,
        output: Output,
        truth: TruthFrame,
        frame: ScoredFrame,
        boxes: Iterable[Row],
        control: Iterable[Row],
    ) -> None:
        """Add one scored frame with its errors."""
        number = len(self.frames)
        row = self.frames.grow(1)
        row["stamp_ns"], row["log_time_ns"] = truth.stamp_ns, output.tick.log_time_ns
        row["boxes"] = {"scored": SCORED, "invalid": WRONG}.get(frame.state, NONE)
        row["control"] = NONE
        if output.control is not None and truth.control is not None:
            row["control"] = SCORED if output.control.valid else WRONG
        by_name = {name: value for name, _, value in boxes}
        for name in ("error", "IoU", "distance_abs"):
            row[name] = by_name.get(name, np.nan)
        for name, _, value in control:
            if name != INVALID:
                new = self.control.setdefault(name, Rows([("frame", "i4"), ("error", "f8")])).grow(1)
                new["frame"], new["error"] = number, value
        if frame.state == "scored":
            self._add_objects(number, frame)

    def _add_objects(self, number: int, frame: ScoredFrame) -> None:
        numbers = np.array([self.labels.setdefault(n, len(self.labels)) for n in frame.names], dtype=np.intp)
        hit = np.flatnonzero(frame.hit50)
        took = frame.matches50[hit]
        truths = len(frame.truth_label)
        score, iou, off = np.full(truths, np.nan), np.full(truths, np.nan), np.full(truths, np.nan)
        if truths:
            score[took], iou[took] = frame.score[hit], frame.overlaps[hit, took]
            off[took] = frame.distance[hit] - frame.truth_distance[took]
        counts = ~frame.ignored
        new = self.objects.grow(int(np.count_nonzero(counts)))
        new["frame"], new["label"] = number, numbers[frame.truth_label[counts]]
        new["score"], new["iou"], new["off"] = score[counts], iou[counts], off[counts]
        new["distance"] = frame.truth_distance[counts]
        new["area"] = areas(frame.truth_box)[counts]
        new["visible"] = frame.truth_visible[counts]
        false = ~frame.hit50 & ~frame.dropped50 & (frame.score >= LEAST_SCORE)
        new = self.alarms.grow(int(np.count_nonzero(false)))
        new["frame"], new["label"], new["score"] = number, numbers[frame.label[false]], frame.score[false]

    @property
    def stamps_ns(self) -> NDArray[np.int64]:
        """Return the stamps of the frames in nanoseconds, [F]."""
        return self.frames["stamp_ns"]

    @property
    def period_s(self) -> float | None:
        """Return the median time between frames; None with fewer than two."""
        steps = np.diff(self.stamps_ns)
        return float(np.median(steps)) / 1e9 if len(steps) else None

    def box_errors(self) -> dict[str, NDArray[np.float64]]:
        """Return the box errors of the frames that have them, by name."""
        by_name = {}
        for name in ("error", "IoU", "distance_abs"):
            values = self.frames[name].astype(np.float64)
            by_name[name] = values[np.isfinite(values)]
        return by_name
