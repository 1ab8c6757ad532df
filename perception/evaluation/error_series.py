"""The series of errors of each log; their autocorrelation determines the block length.

Of two plugins it is the difference of their errors, which is what is resampled.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from perception.evaluation.log_record import LogRecord, frames_of_both
from perception.types import Float64


def box_series(records: Sequence[Sequence[LogRecord]]) -> list[list[Float64]]:
    """Return, for each kind of box error, a series for each log.

    Args:
        records: The records of one plugin or of two, for the same logs in the same order.
    """
    names = ("error", "IoU", "distance_abs")
    if len(records) == 1:
        return [[record.box_errors()[name] for record in records[0]] for name in names]
    by_kind = []
    for name in names:
        pairs = [frames_of_both(*pair) for pair in zip(*records, strict=True)]
        logs = zip(*records, pairs, strict=True)
        by_kind.append([b.frames[name][at_b] - a.frames[name][at_a] for a, b, (at_a, at_b) in logs])
    return [[values[np.isfinite(values)].astype(np.float64) for values in series] for series in by_kind]


def control_series(records: Sequence[Sequence[LogRecord]]) -> list[list[Float64]]:
    """Return, for each control channel, a series for each log; of two plugins the differences of their sizes.

    Args:
        records: The records of one plugin or of two, for the same logs in the same order.
    """
    names = dict.fromkeys(name for side in records for record in side for name in record.control)
    if len(records) == 1:
        return [[r.control[name]["error"] for r in records[0] if name in r.control] for name in names]
    by_channel = []
    for name in names:
        pairs = [pair for pair in zip(*records, strict=True) if all(name in r.control for r in pair)]
        series = []
        for a, b in pairs:
            stamps = [r.stamps_ns[r.control[name]["frame"]] for r in (a, b)]
            _, at_a, at_b = np.intersect1d(*stamps, return_indices=True)
            series.append(np.abs(b.control[name]["error"][at_b]) - np.abs(a.control[name]["error"][at_a]))
        by_channel.append(series)
    return by_channel
