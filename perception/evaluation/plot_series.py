"""The series of the report's charts: recall and error by distance, and commands over time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from perception.evaluation.log_record import LogRecord
from perception.evaluation.metrics import ControlErrors, Suite
from perception.evaluation.report.drawing_schema import (
    ControlTraceReport,
    DistanceBinReport,
    DistanceErrorReport,
    FiguresReport,
)
from perception.types import Float64
from perception.types.times import bounded_ns

EDGES_M = (0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 35, 40, 45, 50, 60, 70, 80, 90, 100, 120, 150, 200)
LEAST = 5
"""The minimum number of objects in a bin; smaller bins merge with the next farther one."""
MOST_POINTS = 400
"""The maximum number of points of one trace, about the width of a screen."""


def figures(suite: Suite, records: Sequence[LogRecord], cut: float) -> FiguresReport:
    """Return the series of an evaluation.

    Args:
        cut: Detections of this score or more count as found.
        records: The records of the logs, in the order in which the suite scored them.
    """
    control = next((metric for metric in suite.metrics if isinstance(metric, ControlErrors)), None)
    return FiguresReport(
        cut=cut,
        recall=list(_recall(records, cut)),
        distance=list(_distance_errors(records, cut)),
        control=list(_traces(control, records)) if control is not None else [],
    )


def _recall(records: Sequence[LogRecord], cut: float) -> Iterator[DistanceBinReport]:
    for name in dict.fromkeys(label for record in records for label in record.labels):
        own = [record.objects["label"] == record.labels.get(name, -1) for record in records]
        distance = _joined([r.objects["distance"][o] for r, o in zip(records, own, strict=True)])
        detected = _joined([r.objects["score"][o] for r, o in zip(records, own, strict=True)]) >= cut
        for low, high, inside in bins(distance):
            yield DistanceBinReport(
                label=name,
                from_m=low,
                to_m=high,
                objects=int(np.count_nonzero(inside)),
                found=int(np.count_nonzero(detected[inside])),
            )


def _distance_errors(records: Sequence[LogRecord], cut: float) -> Iterator[DistanceErrorReport]:
    score, off, distance = (
        _joined([record.objects[column] for record in records]) for column in ("score", "off", "distance")
    )
    known = (score >= cut) & np.isfinite(off)
    off, distance = off[known], distance[known]
    for low, high, inside in bins(distance):
        own = off[inside]
        yield DistanceErrorReport(
            from_m=low,
            to_m=high,
            matches=len(own),
            mean_abs_m=float(np.abs(own).mean()),
            p90_abs_m=float(np.percentile(np.abs(own), 90)),
            bias_m=float(own.mean()),
        )


def bins(distance: Float64) -> Iterator[tuple[float, float, NDArray[np.bool_]]]:
    """Yield bins over distances [N] with their members [N].

    A bin with too few members merges with the next farther one; too few in the farthest bin are left out.
    """
    start = float(EDGES_M[0])
    for _, high in pairwise(EDGES_M):
        inside = (distance >= start) & (distance < high)
        if np.count_nonzero(inside) >= LEAST:
            yield start, float(high), inside
            start = float(high)
        elif not inside.any():
            start = float(high)


def _traces(control: ControlErrors, records: Sequence[LogRecord]) -> Iterator[ControlTraceReport]:
    ends = np.cumsum([len(record.frames) for record in records])
    for channel, rows in control.channels.items():
        log = np.searchsorted(ends, rows["frame"], side="right")
        for number, record in enumerate(records):
            own = np.flatnonzero(log == number)
            if not len(own):
                continue
            order = own[np.argsort(rows["stamp_ns"][own], kind="stable")]
            shown = order[np.unique(np.linspace(0, len(order) - 1, MOST_POINTS).round().astype(np.intp))]
            yield ControlTraceReport(
                log=record.log,
                channel=channel,
                unit=control.units.get(channel, ""),
                at_s=[
                    round(float(at), 3)
                    for at in (rows["stamp_ns"][shown] - bounded_ns(record.start_ns)) / 1e9
                ],
                said=[float(f"{value:.5g}") for value in rows["predicted"][shown]],
                true=[float(f"{value:.5g}") for value in rows["true"][shown]],
            )


def _joined(parts: Sequence[NDArray[np.floating]]) -> Float64:
    return np.concatenate([np.empty(0), *parts]).astype(np.float64)
