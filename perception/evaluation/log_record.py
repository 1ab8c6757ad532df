"""The compact record of a log: its frames, objects, false alarms and control errors.

From it come blocks and autocorrelation for intervals, and slices: metrics alone do not know which frame had
no truth, nor how far away the missed box was.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perception.evaluation.metrics import ScoredFrames
from perception.evaluation.metrics.frame_columns import STATES
from perception.evaluation.metrics.rows import Rows
from perception.evaluation.worst_frames import BoxFrameErrors, Moment, mean_around, separate_peaks
from perception.geometry.boxes import areas
from perception.types import Float64

NONE, SCORED, WRONG = 0, 1, 2
"""The state of a head in a frame: without truth, scored, invalid where there was truth."""

_RECORDED = np.array([{"scored": SCORED, "invalid": WRONG}.get(state, NONE) for state in STATES], np.uint8)

LEAST_SCORE = 0.05
"""The score below which false alarms are not kept."""


class LogRecord:
    """The record of one log.

    `frames`: a row for each output, in order, with the errors of `BoxFrameErrors`; NaN: none.
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
                *(("stamp_ns", "i8"), ("log_time_ns", "u8"), ("boxes", "u1"), ("control", "u1")),
                *(("error", "f4"), ("IoU", "f4"), ("distance_abs", "f4")),
                *(("missed", "i4"), ("false_alarms", "i4")),
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

    def add(self, frames: ScoredFrames, errors: BoxFrameErrors) -> None:
        """Add scored frames with their box errors."""
        start, control = len(self.frames), frames.columns.control
        rows = self.frames.grow(len(frames))
        rows["stamp_ns"], rows["log_time_ns"] = frames.stamp_ns, frames.columns.log_time_ns
        rows["boxes"], rows["control"] = _RECORDED[frames.states], _RECORDED[control.state]
        for name, column in (
            ("error", errors.error),
            ("IoU", errors.iou),
            ("distance_abs", errors.distance_abs),
        ):
            rows[name] = column
        rows["missed"], rows["false_alarms"] = errors.missed, errors.false_alarms
        order = control.by_output()
        off = control.value[order] - control.true[order]
        order, off = order[np.isfinite(off)], off[np.isfinite(off)]
        for channel in dict.fromkeys(control.channel[order].tolist()):
            own = control.channel[order] == channel
            kept = self.control.setdefault(control.names[channel], Rows([("frame", "i4"), ("error", "f8")]))
            new = kept.grow(int(np.count_nonzero(own)))
            new["frame"], new["error"] = start + control.frame[order[own]], off[own]
        if frames.any_scored:
            self._add_objects(start, frames)

    def _add_objects(self, start: int, frames: ScoredFrames) -> None:
        numbers = np.array([self.labels.setdefault(n, len(self.labels)) for n in frames.names], dtype=np.intp)
        hit = np.flatnonzero(frames.hit50)
        took = frames.matches50[hit]
        truths = len(frames.truth_label)
        score, iou, off = np.full(truths, np.nan), np.full(truths, np.nan), np.full(truths, np.nan)
        score[took], iou[took] = frames.score[hit], frames.overlap50[hit]
        off[took] = frames.distance[hit] - frames.truth_distance[took]
        counts = ~frames.ignored
        new = self.objects.grow(int(np.count_nonzero(counts)))
        new["frame"], new["label"] = start + frames.truth_frame[counts], numbers[frames.truth_label[counts]]
        new["score"], new["iou"], new["off"] = score[counts], iou[counts], off[counts]
        new["distance"] = frames.truth_distance[counts]
        new["area"] = areas(frames.truth_box)[counts]
        new["visible"] = frames.truth_visible[counts]
        false = ~frames.hit50 & ~frames.dropped50 & (frames.score >= LEAST_SCORE)
        new = self.alarms.grow(int(np.count_nonzero(false)))
        new["frame"], new["label"] = start + frames.frame[false], numbers[frames.label[false]]
        new["score"] = frames.score[false]

    def repeats(self, other: LogRecord) -> bool:
        """Return whether the frames and their scores are those of another log: one is a copy of the other."""
        scored = (self.frames["boxes"] == SCORED) | (self.frames["control"] == SCORED)
        tables = ((getattr(self, name), getattr(other, name)) for name in ("frames", "objects", "alarms"))
        return bool(scored.any()) and all(mine.same_as(theirs) for mine, theirs in tables)

    @property
    def stamps_ns(self) -> NDArray[np.int64]:
        """Return the stamps of the frames in nanoseconds, [F]."""
        return self.frames["stamp_ns"]

    @property
    def period_s(self) -> float | None:
        """Return the median time between frames; None with fewer than two.

        The frames of several cameras at one time share it.
        """
        steps = np.diff(self.stamps_ns)
        apart = steps[steps > 0]
        return float(np.median(apart)) / 1e9 * (len(apart) / len(steps)) if len(apart) else None

    def head_errors(self, beside: LogRecord | None = None) -> Float64:
        """Return the mean error of the heads of each frame, [F], from 0 to 1.

        A control error e counts as e / (e + mean error of its channel over the log): one half where it is as
        usual. An invalid head is error 1.

        Args:
            beside: The record of the other side of a comparison: what is usual is then the mean over both.
        """
        frames, sides = len(self.frames), [self] if beside is None else [self, beside]
        columns = [self.frames["error"].astype(np.float64)]
        for name, rows in self.control.items():
            both = [np.abs(side.control[name]["error"]) for side in sides if name in side.control]
            usual, off = float(np.concatenate(both).mean()), np.abs(rows["error"])
            columns.append(np.full(frames, np.nan))
            columns[-1][rows["frame"]] = off / (off + usual) if usual > 0 else 0.0
        columns.append(np.where(self.frames["control"] == WRONG, 1.0, np.nan))
        table = np.stack(columns)
        known = np.isfinite(table)
        mean: Float64 = np.where(known, table, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        return mean

    def worst(self, count: int = 10) -> list[Moment]:
        """Return the worst moments, worst first, at least 2 s apart.

        A moment's error is the mean over the frames within half a second; a frame's, over its heads.
        """
        times = self.frames["log_time_ns"]
        error = mean_around(times, self.head_errors())
        return [self._moment(frame, float(error[frame])) for frame in separate_peaks(times, error, count)]

    def control_error(self, name: str, frame: int) -> float | None:
        """Return the signed error of a channel in a frame; None if it has none there."""
        rows = self.control.get(name)
        errors = [] if rows is None else rows["error"][rows["frame"] == frame]
        return float(errors[0]) if len(errors) else None

    def _moment(self, frame: int, error: float) -> Moment:
        row = {name: self.frames[name][frame] for name in ("missed", "false_alarms", "control")}
        counts = (("missed", "missed"), ("false_alarms", "false alarms"))
        parts = [f"{row[key]} {words}" for key, words in counts if row[key]]
        for name in self.control:
            off = self.control_error(name, frame)
            parts += [] if off is None else [f"{name} {off:+.3g}"]
        parts += ["control invalid"] if row["control"] == WRONG else []
        arrival_ns, stamp_ns = (int(self.frames[name][frame]) for name in ("log_time_ns", "stamp_ns"))
        at_s = (arrival_ns - self.start_ns) / 1e9
        return Moment(self.log, at_s, arrival_ns, stamp_ns, error, ", ".join(parts))

    def box_errors(self) -> dict[str, NDArray[np.float64]]:
        """Return the box errors of the frames that have them, by name."""
        by_name = {}
        for name in ("error", "IoU", "distance_abs"):
            values = self.frames[name].astype(np.float64)
            by_name[name] = values[np.isfinite(values)]
        return by_name


def frames_of_both(a: LogRecord, b: LogRecord) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the places of the frames that both records have, in order of time: those of a rig, whose cameras
    share a stamp, one by one."""
    _, at_a, at_b = np.intersect1d(_keys(a.stamps_ns), _keys(b.stamps_ns), return_indices=True)
    return at_a, at_b


def _keys(stamps_ns: NDArray[np.int64]) -> NDArray[np.void]:
    """Return each stamp with how many frames of the same stamp came before it, [F]."""
    order = np.argsort(stamps_ns, kind="stable")
    ordered = stamps_ns[order]
    keys = np.empty(len(ordered), [("stamp_ns", "i8"), ("before", "i8")])
    keys["stamp_ns"] = stamps_ns
    keys["before"][order] = np.arange(len(ordered)) - np.searchsorted(ordered, ordered)
    return keys
