"""The moments in which two sides differ most."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from perception.evaluation.comparison.comparison_report import ApartReport
from perception.evaluation.log_record import LogRecord
from perception.evaluation.worst_frames import Moment, mean_around, separate_peaks
from perception.types import Float64


def most_apart(
    a: Sequence[LogRecord], b: Sequence[LogRecord], count: int, command: Callable[[Moment, int], str]
) -> list[ApartReport]:
    """Return the moments of all logs in which two sides differ most, largest difference first.

    Args:
        a, b: The records of each side, of the same logs in the same order.
        count: The number of moments.
        command: Returns the command that replays a moment for A (0) or B (1).
    """
    moments = [moment for pair in zip(a, b, strict=True) for moment in _differences(*pair, count)]
    moments.sort(key=lambda pair: -abs(pair[1]))
    return [
        ApartReport(
            log=moment.log,
            at_s=moment.at_s,
            log_time_ns=moment.log_time_ns,
            stamp_ns=moment.stamp_ns,
            difference=difference,
            what=moment.what,
            commands=[command(moment, side) for side in (0, 1)],
        )
        for moment, difference in moments[:count]
    ]


def _differences(a: LogRecord, b: LogRecord, count: int) -> Iterator[tuple[Moment, float]]:
    """Yield the moments of a log in which the errors, averaged over one second, differ most."""
    stamps, of_a, of_b = np.intersect1d(a.stamps_ns, b.stamps_ns, return_indices=True)
    if not len(stamps):
        return
    difference = mean_around(stamps, _errors(b, a)[of_b] - _errors(a, b)[of_a])
    times = a.frames["log_time_ns"][of_a]
    for place in separate_peaks(times, np.abs(difference), count):
        at_ns = int(times[place])
        text = _words(a, b, int(of_a[place]), int(of_b[place]), float(difference[place]))
        moment = Moment(a.log, (at_ns - a.start_ns) / 1e9, at_ns, int(stamps[place]), 0.0, text)
        yield moment, float(difference[place])


def _errors(record: LogRecord, other: LogRecord) -> Float64:
    """Return the mean error of the heads of each frame, [F], from 0 to 1.

    A control error e counts as e / (e + usual), usual being its mean over both sides.
    """
    columns = [record.frames["error"].astype(np.float64)]
    for name, rows in record.control.items():
        both = [np.abs(r.control[name]["error"]) for r in (record, other) if name in r.control]
        usual = float(np.concatenate(both).mean()) if both else 0.0
        column, off = np.full(len(record.frames), np.nan), np.abs(rows["error"])
        column[rows["frame"]] = off / (off + usual) if usual > 0 else 0.0
        columns.append(column)
    table = np.stack(columns)
    known = np.isfinite(table)
    mean: Float64 = np.where(known, table, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return mean


def _words(a: LogRecord, b: LogRecord, mine: int, theirs: int, difference: float) -> str:
    """Return a text of the errors of each side at a frame."""
    parts = [f"{'A' if difference > 0 else 'B'} is better"]
    errors = [float(record.frames["error"][place]) for record, place in ((a, mine), (b, theirs))]
    if all(np.isfinite(errors)):
        parts.append(f"box error A {errors[0]:.2f}, B {errors[1]:.2f}")
    for name in a.control:
        pair = []
        for record, place in ((a, mine), (b, theirs)):
            rows = record.control.get(name)
            if rows is not None:
                here = np.flatnonzero(rows["frame"] == place)[:1]
                pair += [float(error) for error in rows["error"][here]]
        if len(pair) == 2:
            parts.append(f"{name} off A {pair[0]:+.3g}, B {pair[1]:+.3g}")
    return "; ".join(parts)
