"""The errors of one frame, for a viewer's timeline, and moments: peaks of errors over time.

A frame's error is a number from 0 to 1 for each head, so that frames can be sorted: it is not a metric.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception.evaluation.metrics import Result, ScoredFrame, ScoredFrames
from perception.evaluation.metrics.frame_columns import STATES
from perception.logs.joined_path import named_log, parts_of, recorded_path
from perception.types import Float64, Output, TruthFrame

INVALID = "invalid"
CUT = 0.3
"""The minimum score of the detections that count towards the error of a frame."""

Row = tuple[str, str, float]
"""Name, unit and value, as in a status message."""

AROUND_S = 1.0
"""The seconds before and after a moment that its command replays."""
_AROUND_NS = 500_000_000
_APART_NS = 2_000_000_000


class BoxFrameErrors(NamedTuple):
    """The box errors of frames, each [F].

    Attributes:
        missed, false_alarms: Counts at score 0.3 or more and overlap 0.5.
        iou, distance_abs: Means over the hits; NaN without any.
        error: 1 - 2 hits / (predicted + true); 1 where the head is invalid, NaN where it is not scored.
    """

    missed: NDArray[np.intp]
    false_alarms: NDArray[np.intp]
    iou: Float64
    distance_abs: Float64
    error: Float64


def box_frame_errors(frames: ScoredFrames) -> BoxFrameErrors:
    """Return the box errors of each frame."""
    kept = (frames.score >= CUT) & ~frames.dropped50
    hit = np.flatnonzero(frames.hit50 & kept)
    took, at = frames.matches50[hit], frames.frame[hit]

    def count(places: NDArray[np.intp]) -> NDArray[np.intp]:
        return np.bincount(places, minlength=len(frames))

    hits, detected, true = count(at), count(frames.frame[kept]), count(frames.truth_frame[~frames.ignored])
    off = np.abs(frames.distance[hit] - frames.truth_distance[took])
    known, boxes = np.isfinite(off), detected + true
    error = 1.0 - 2.0 * hits / np.maximum(boxes, 1)
    error[boxes == 0] = 0.0
    error[frames.states != STATES.index("scored")] = np.nan
    error[frames.states == STATES.index("invalid")] = 1.0
    return BoxFrameErrors(
        true - hits,
        detected - hits,
        _means(frames.overlap50[hit], at, len(frames)),
        _means(off[known], at[known], len(frames)),
        error,
    )


def _means(values: Float64, frame: NDArray[np.intp], frames: int) -> Float64:
    """Return the mean of the values [N] of each frame, [F]; NaN where there are none."""
    count = np.bincount(frame, minlength=frames)
    means = np.bincount(frame, values, frames) / np.maximum(count, 1)
    return np.where(count > 0, means, np.nan)


def box_rows(frame: ScoredFrame) -> list[Row]:
    """Return the box errors of a frame; empty without truth or without the head."""
    if frame.state == "invalid":
        return [(INVALID, "", 1.0), ("error", "", 1.0)]
    if frame.state != "scored":
        return []
    missed, false_alarms, iou, distance, error = (float(column[0]) for column in box_frame_errors(frame))
    rows: list[Row] = [("missed", "", missed), ("false_alarms", "", false_alarms)]
    rows += [("IoU", "", iou)] if np.isfinite(iou) else []
    rows += [("distance_abs", "m", distance)] if np.isfinite(distance) else []
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


def replay_command(moment: Moment, options: Sequence[str] = (), length_s: float = 0.0) -> str:
    """Return the shell command of a replay from `AROUND_S` before a moment to `AROUND_S` after it.

    Args:
        moment: The moment, or the first of several.
        options: Further options of the replay.
        length_s: How much later the last one is.
    """
    start, end = max(moment.at_s - AROUND_S, 0.0), moment.at_s + length_s + AROUND_S
    span = ["--start", f"{start:.3f}", "--end", f"{end:.3f}"]
    logs = [named_log(part) for part in parts_of(recorded_path(moment.log))]
    joined = ["--as-one"] if len(logs) > 1 else []
    return shlex.join(["perception", "replay", *logs, *joined, *options, *span])


def mean_around(times_ns: NDArray[np.integer], values: Float64) -> Float64:
    """Return the mean of the values within half a second of each time; all [F]."""
    order = np.argsort(times_ns, kind="stable")
    since = times_ns[order] - times_ns[order[0]] if len(order) else times_ns
    times = np.minimum(since, since.dtype.type(1 << 62)).astype(
        np.int64
    )  # 146 years: half a second can be added
    total = np.concatenate([[0.0], np.cumsum(values[order])])
    first = np.searchsorted(times, times - _AROUND_NS, side="left")
    last = np.searchsorted(times, times + _AROUND_NS, side="right")
    means = np.empty_like(values)
    means[order] = (total[last] - total[first]) / (last - first)
    return means


def separate_peaks(times_ns: NDArray[np.integer], values: Float64, count: int) -> list[int]:
    """Return the indices of the greatest positive values, greatest first, at least 2 s apart."""
    places: list[int] = []
    for place in np.argsort(-values, kind="stable"):
        if len(places) == count or not values[place] > 0:
            break
        if all(abs(int(times_ns[place]) - int(times_ns[other])) >= _APART_NS for other in places):
            places.append(int(place))
    return places


def best_cut(results: Sequence[Result]) -> float:
    """Return the score threshold of the best F1."""
    best = next((r.values["F1_score"].value for r in results if "F1_score" in r.values), None)
    return CUT if best is None else best
