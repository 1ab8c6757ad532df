"""The rows of the table `matches`: what truth has for each detection, and detections for each true box."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception.evaluation.metrics import Rules, ScoredFrame
from perception.sinks.tables.rows import CameraFrameRow
from perception.types import Detection, TruthBox

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

    def __call__(self, row: CameraFrameRow) -> list[Row]:
        """Return the rows of one camera at a tick, with the columns `MATCH_COLUMNS`; none without truth."""
        detections, boxes = row.output.detections, row.truth.boxes
        if detections is None or boxes is None:
            return []
        frame = ScoredFrame(row.output, row.truth, self._rules)
        if frame.state != "scored":
            return [_missed(row.camera, place, box) for place, box in enumerate(boxes)]
        took, rows, taken = frame.matches_once(), [], set()
        places, ignored = frame.truth_item.tolist(), frame.ignored
        matched = np.flatnonzero(took >= 0)
        overlaps = dict(zip(matched.tolist(), frame.overlap(matched, took[matched]).tolist(), strict=True))
        for at, (item, truth) in enumerate(zip(frame.item.tolist(), took.tolist(), strict=True)):
            detection = detections.items[item]
            if truth < 0:
                outcome = "ignored" if frame.low[at] else "false_alarm"
                rows.append(_row(row.camera, outcome, item, detection))
                continue
            taken.add(truth)
            outcome = "ignored" if ignored[truth] else "hit"
            place = places[truth]
            rows.append(_row(row.camera, outcome, item, detection, place, boxes[place], overlaps[at]))
        return rows + self._left(row.camera, boxes, places, ignored, taken)

    def _left(
        self,
        camera: str,
        boxes: tuple[TruthBox, ...],
        places: list[int],
        ignored: NDArray[np.bool_],
        taken: set[int],
    ) -> list[Row]:
        """Return the rows of the true boxes that no detection took."""
        return [
            _missed(camera, place, boxes[place], "ignored" if ignored[truth] else "missed")
            for truth, place in enumerate(places)
            if truth not in taken
        ]


def _missed(camera: str, place: int, box: TruthBox, outcome: str = "missed") -> Row:
    true = _number(box.distance_m)
    return (camera, outcome, None, place, None, box.label, None, None, None, true, None)


def _row(
    camera: str,
    outcome: str,
    item: int,
    detection: Detection,
    place: int | None = None,
    box: TruthBox | None = None,
    overlap: float | None = None,
) -> Row:
    said, true = detection.distance_m, None if box is None else _number(box.distance_m)
    error = said - true if said is not None and true is not None else None
    label = None if box is None else box.label
    about = (detection.label, label, detection.score, overlap)
    return (camera, outcome, item, place, *about, said, true, error)


def _number(value: float) -> float | None:
    return value if value == value else None
