"""The moments in which two sides differ most."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from perception.evaluation.comparison.comparison_report import ApartReport
from perception.evaluation.log_record import LogRecord, frames_of_both
from perception.evaluation.worst_frames import Moment, mean_around, separate_peaks


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
    of_a, of_b = frames_of_both(a, b)
    if not len(of_a):
        return
    stamps = a.stamps_ns[of_a]
    difference = mean_around(stamps, b.head_errors(a)[of_b] - a.head_errors(b)[of_a])
    times = a.frames["log_time_ns"][of_a]
    for place in separate_peaks(times, np.abs(difference), count):
        at_ns = int(times[place])
        text = _words(a, b, int(of_a[place]), int(of_b[place]), float(difference[place]))
        moment = Moment(a.log, (at_ns - a.start_ns) / 1e9, at_ns, int(stamps[place]), 0.0, text)
        yield moment, float(difference[place])


def _words(a: LogRecord, b: LogRecord, mine: int, theirs: int, difference: float) -> str:
    """Return a text of the errors of each side at a frame."""
    parts = [f"{'A' if difference > 0 else 'B'} is better"]
    errors = [float(record.frames["error"][place]) for record, place in ((a, mine), (b, theirs))]
    if all(np.isfinite(errors)):
        parts.append(f"box error A {errors[0]:.2f}, B {errors[1]:.2f}")
    for name in a.control:
        of_a, of_b = a.control_error(name, mine), b.control_error(name, theirs)
        if of_a is not None and of_b is not None:
            parts.append(f"{name} off A {of_a:+.3g}, B {of_b:+.3g}")
    return "; ".join(parts)
