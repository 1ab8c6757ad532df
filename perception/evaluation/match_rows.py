"""The rows of the table `matches`: what truth has for each detection, and detections for each true box."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from perception.evaluation.metrics import Rules, ScoredFrames
from perception.evaluation.metrics.frame_columns import columns_of
from perception.sinks.tables.rows import CameraFrameRow
from perception.types import Detections, Output

Row = tuple[Any, ...]


class MatchRows:
    """Matches the detections of frames with truth at overlap 0.5, as the metrics do.

    The outcome of a detection is `hit`, `false_alarm`, or `ignored` where it is in an ignore region or lower
    than truth must be and matches nothing; that of a true box that nothing took is `missed` or `ignored`.

    Args:
        rules: What counts as truth.
    """

    def __init__(self, rules: Rules | None = None) -> None:
        self._rules = rules if rules is not None else Rules()

    def __call__(self, rows: Sequence[CameraFrameRow]) -> list[list[Row]]:
        """Return the rows of each camera at each tick, with `MATCH_COLUMNS`; none without truth."""
        frames = ScoredFrames(columns_of([(_answered(row.output), row.truth) for row in rows]), self._rules)
        took = frames.matches_once()
        matched = np.flatnonzero(took >= 0)
        overlaps = np.full(len(took), np.nan)
        overlaps[matched] = frames.overlap(matched, took[matched])
        taken = np.zeros(len(frames.truth_label), dtype=np.bool_)
        taken[took[matched]] = True
        places, ignored = frames.truth_item.tolist(), frames.ignored.tolist()
        of_rows: list[list[Row]] = [[] for _ in rows]
        columns = (frames.frame, frames.item, took, frames.low, overlaps)
        for frame, item, truth, low, overlap in zip(*(column.tolist() for column in columns), strict=True):
            of_rows[frame].append(
                _false(rows[frame], item, "ignored" if low else "false_alarm")
                if truth < 0
                else _hit(rows[frame], item, "ignored" if ignored[truth] else "hit", places[truth], overlap)
            )
        truth_frame = frames.truth_frame.tolist()
        for truth in np.flatnonzero(~taken).tolist():
            row, outcome = rows[truth_frame[truth]], "ignored" if ignored[truth] else "missed"
            of_rows[truth_frame[truth]].append(_missed(row, places[truth], outcome))
        return of_rows


def _answered(output: Output) -> Output:
    """Return the output with no detections for invalid ones: what they had to find is missed."""
    head = output.detections
    if head is None or head.valid:
        return output
    return replace(output, detections=Detections(True))


def _missed(row: CameraFrameRow, place: int, outcome: str) -> Row:
    assert row.truth.boxes is not None
    box = row.truth.boxes[place]
    return (
        row.camera,
        outcome,
        None,
        place,
        None,
        box.label,
        None,
        None,
        None,
        _number(box.distance_m),
        None,
    )


def _false(row: CameraFrameRow, item: int, outcome: str) -> Row:
    assert row.output.detections is not None
    detection = row.output.detections.items[item]
    about = (detection.label, None, detection.score, None)
    return (row.camera, outcome, item, None, *about, detection.distance_m, None, None)


def _hit(row: CameraFrameRow, item: int, outcome: str, place: int, overlap: float) -> Row:
    assert row.output.detections is not None
    assert row.truth.boxes is not None
    detection, box = row.output.detections.items[item], row.truth.boxes[place]
    predicted, true = detection.distance_m, _number(box.distance_m)
    error = predicted - true if predicted is not None and true is not None else None
    about = (detection.label, box.label, detection.score, overlap)
    return (row.camera, outcome, item, place, *about, predicted, true, error)


def _number(value: float) -> float | None:
    return value if value == value else None
