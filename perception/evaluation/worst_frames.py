"""The errors of each frame, for a viewer's timeline, and the worst moments of logs.

A frame's error is a number from 0 to 1 for each head, so that frames can be sorted: it is not a metric.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perception.evaluation.metrics import ScoredFrame
from perception.evaluation.metrics.rows import Rows
from perception.types import Output, TruthFrame

INVALID = "invalid"
CUT = 0.3
"""The minimum score of the detections that count towards the error of a frame."""

Row = tuple[str, str, float]
"""Name, unit and value, as in a status message."""

AROUND_S = 1.0
"""The seconds before and after a moment that its command replays."""
_AROUND_NS = 500_000_000
_APART_NS = 2_000_000_000


def box_rows(frame: ScoredFrame) -> list[Row]:
    """Return the box errors of a frame; empty without truth or without the head.

    `missed` and `false_alarms` are counts at score 0.3 or more and overlap 0.5; `IoU` and `distance_abs` are
    means over the hits; `error` is 1 - 2 hits / (said + true). An invalid head is error 1.
    """
    if frame.state == "invalid":
        return [(INVALID, "", 1.0), ("error", "", 1.0)]
    if frame.state != "scored":
        return []
    kept = (frame.score >= CUT) & ~frame.dropped50
    hit = np.flatnonzero(frame.hit50 & kept)
    took = frame.matches50[hit]
    detected, true = int(np.count_nonzero(kept)), int(np.count_nonzero(~frame.ignored))
    rows: list[Row] = [
        ("missed", "", float(true - len(hit))),
        ("false_alarms", "", float(detected - len(hit))),
    ]
    if len(hit):
        rows.append(("IoU", "", float(frame.overlaps[hit, took].mean())))
        off = np.abs(frame.distance[hit] - frame.truth_distance[took])
        off = off[np.isfinite(off)]
        if len(off):
            rows.append(("distance_abs", "m", float(off.mean())))
    error = 1.0 - 2.0 * len(hit) / (detected + true) if detected + true else 0.0
    return [*rows, ("error", "", error)]


def control_rows(output: Output, truth: TruthFrame) -> list[Row]:
    """Return output minus truth for each channel that both have, or `invalid` if the head is invalid."""
    control = output.control
    if control is None or truth.control is None:
        return []
    if not control.valid:
        return [(INVALID, "", 1.0)]
    return [
        (channel.name, channel.unit, channel.value - truth.control[channel.name])
        for channel in control.channels
        if np.isfinite(channel.value - truth.control.get(channel.name, np.nan))
    ]


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment of a log: its time on the arrival clock, its error from 0 to 1, and the errors in words.

    `at_s` counts seconds from the log's first message.
    """

    log: str
    at_s: float
    log_time_ns: int
    stamp_ns: int
    error: float
    what: str


class FrameErrors:
    """The errors of the frames of one log.

    Args:
        log: The name of the log.
        start_ns: Its first log time.
    """

    def __init__(self, log: str, start_ns: int = 0) -> None:
        self.log = log
        self._start_ns = start_ns
        self._boxes = Rows(
            [("log_time_ns", "i8"), ("stamp_ns", "i8"), ("error", "f4"), ("missed", "i2"), ("false", "i2")]
        )
        self._control: dict[str, Rows] = {}

    def add(self, output: Output, boxes: Iterable[Row], control: Iterable[Row]) -> None:
        """Add the errors of one frame."""
        values = {name: value for name, _, value in boxes}
        row = self._boxes.grow(1)
        row["log_time_ns"], row["stamp_ns"] = output.tick.log_time_ns, output.tick.stamp_ns
        row["error"] = values.get("error", np.nan)
        row["missed"], row["false"] = values.get("missed", 0), values.get("false_alarms", 0)
        for name, _, value in control:
            channel = self._control.setdefault(name, Rows([("frame", "i4"), ("error", "f8")])).grow(1)
            channel["frame"], channel["error"] = len(self._boxes) - 1, value

    def worst(self, count: int = 10) -> list[Moment]:
        """Return the worst moments, worst first, at least 2 s apart.

        A moment's error is the mean over the frames within half a second; a frame's, over its heads. A
        control error e counts as e / (e + mean error of its channel over the log): one half where it is
        as usual.
        """
        frames = len(self._boxes)
        if not frames:
            return []
        heads = [self._boxes["error"].astype(np.float64), *self._control_errors(frames)]
        table = np.stack(heads)
        known = ~np.isnan(table)
        error = np.where(known, table, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        times = self._boxes["log_time_ns"]
        smooth = mean_around(times, error)
        return [self._moment(place, float(smooth[place])) for place in separate_peaks(times, smooth, count)]

    def _control_errors(self, frames: int) -> list[NDArray[np.float64]]:
        """Return the error of each frame for each channel, [F], from 0 to 1."""
        columns = []
        for name, rows in self._control.items():
            column = np.full(frames, np.nan)
            off = np.abs(rows["error"])
            usual = 0.0 if name == INVALID else float(off.mean())
            column[rows["frame"]] = off / (off + usual) if usual > 0 else off > 0
            columns.append(column)
        return columns

    def _moment(self, place: int, error: float) -> Moment:
        row = {name: self._boxes[name][place] for name in ("log_time_ns", "stamp_ns", "missed", "false")}
        parts = [
            f"{row[key]} {words}"
            for key, words in (("missed", "missed"), ("false", "false alarms"))
            if row[key]
        ]
        for name, rows in self._control.items():
            here = np.flatnonzero(rows["frame"] == place)
            if len(here):
                parts.append(f"{name} {float(rows['error'][here[0]]):+.3g}")
        arrival_ns = int(row["log_time_ns"])
        at_s = (arrival_ns - self._start_ns) / 1e9
        return Moment(self.log, at_s, arrival_ns, int(row["stamp_ns"]), error, ", ".join(parts))


def replay_command(moment: Moment, options: Sequence[str] = ()) -> str:
    """Return the shell command of a replay from `AROUND_S` before a moment to `AROUND_S` after it."""
    start, end = max(moment.at_s - AROUND_S, 0.0), moment.at_s + AROUND_S
    span = ["--start", f"{start:.3f}", "--end", f"{end:.3f}"]
    return shlex.join(["perception", "replay", moment.log, *options, *span])


def worst_of(logs: Sequence[FrameErrors], count: int) -> list[tuple[Moment, int]]:
    """Return the worst moments of several logs, worst first, each with the index of its log."""
    worst = [(moment, number) for number, log in enumerate(logs) for moment in log.worst(count)]
    return sorted(worst, key=lambda pair: -pair[0].error)[:count]


def mean_around(times_ns: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of the values within half a second of each time; all [F]."""
    order = np.argsort(times_ns, kind="stable")
    times = times_ns[order]
    total = np.concatenate([[0.0], np.cumsum(values[order])])
    first = np.searchsorted(times, times - _AROUND_NS, side="left")
    last = np.searchsorted(times, times + _AROUND_NS, side="right")
    means = np.empty_like(values)
    means[order] = (total[last] - total[first]) / (last - first)
    return means


def separate_peaks(times_ns: NDArray[np.int64], values: NDArray[np.float64], count: int) -> list[int]:
    """Return the indices of the greatest positive values, greatest first, at least 2 s apart."""
    places: list[int] = []
    for place in np.argsort(-values, kind="stable"):
        if len(places) == count or not values[place] > 0:
            break
        if all(abs(int(times_ns[place]) - int(times_ns[other])) >= _APART_NS for other in places):
            places.append(int(place))
    return places
