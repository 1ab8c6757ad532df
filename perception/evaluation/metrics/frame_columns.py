"""Outputs and truth of many frames as columns: what metrics count, wherever it was read from.

Dimension letters: F frames (of several cameras one for each), D detections and G truth boxes of scored
frames, R control channels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from perception.plugin import frame_from_picture
from perception.types import Control, Detection, Float64, Output, TruthBox, TruthFrame
from perception.types.times import bounded_ns

State = Literal["scored", "invalid", "no_truth", "no_head"]
STATES: tuple[State, ...] = ("scored", "invalid", "no_truth", "no_head")
"""The states of a head in a frame; arrays hold their places."""

ANY_CLASS = -1
DETAILS = 18
"""The columns of `details`: four deviations, distance, its deviation, position (3) and covariance (9)."""
TRUE = 10
"""The columns of `table`: box (4), distance, visible, centre (3), ignore."""

_UNKNOWN = (None, None, None, None)
_NO_POINT = (None, None, None)

Places = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class DetectionColumns:
    """The detections of the scored frames, in the order of frames and of outputs.

    Attributes:
        frame, label, item: [D] frame, place of the label among `names`, and place in the output.
        score, box: [D] and [D, 4].
        details: Returns `DETAILS` columns of some rows, NaN where unknown.
    """

    frame: Places
    label: Places
    item: Places
    score: Float64
    box: Float64
    details: Callable[[Places], Float64]


@dataclass(frozen=True, slots=True)
class TruthColumns:
    """The truth boxes of the scored frames, in order.

    Attributes:
        frame, label, item: [G]; the label of a region for every class is `ANY_CLASS`.
        table: [G, `TRUE`], NaN where unknown.
    """

    frame: Places
    label: Places
    item: Places
    table: Float64


@dataclass(frozen=True, slots=True)
class ControlColumns:
    """The channels of truth in the frames where the control head is scored, in the order of truth.

    Attributes:
        state: [F] places in `STATES`.
        frame, channel: [R] frame, and place of the name among `names`.
        item: [R] place in the output; -1: the output does not have it.
        value, std, true, measured: [R]; NaN where unknown.
        unit: Of each row.
    """

    state: NDArray[np.uint8]
    names: tuple[str, ...]
    frame: Places
    channel: Places
    item: Places
    value: Float64
    std: Float64
    true: Float64
    measured: Float64
    unit: Sequence[str]

    def by_output(self) -> Places:
        """Return the rows that the output has, in the order of frames and of outputs."""
        rows = np.flatnonzero(self.item >= 0)
        return rows[np.lexsort((self.item[rows], self.frame[rows]))]


@dataclass(frozen=True, slots=True)
class FrameColumns:
    """Many frames.

    Attributes:
        stamp_ns, log_time_ns: [F].
        state: [F] of the detections: places in `STATES`.
        names: The labels of scored frames in the order in which they occur: those of the detections of a
            frame, then those of its truth.
        placement: [F, 4, 4] `frame_from_picture` of the positions; NaN: unknown. None: of no frame.
    """

    stamp_ns: NDArray[np.int64]
    log_time_ns: NDArray[np.uint64]
    state: NDArray[np.uint8]
    names: tuple[str, ...]
    detections: DetectionColumns
    truth: TruthColumns
    control: ControlColumns
    placement: Float64 | None


def columns_of(pairs: Sequence[tuple[Output, TruthFrame]]) -> FrameColumns:
    """Return outputs and their truth as columns."""
    states = [_state(output, truth) for output, truth in pairs]
    scored = [number for number, state in enumerate(states) if state == "scored"]
    items = [(number, at, item) for number in scored for at, item in enumerate(_items(pairs[number][0]))]
    boxes = [(number, at, box) for number in scored for at, box in enumerate(pairs[number][1].boxes or ())]
    names: dict[str, int] = {}
    for number in scored:
        output, truth = pairs[number]
        for item in _items(output):
            names.setdefault(item.label, len(names))
        for box in truth.boxes or ():
            if not _is_for_all(box):
                names.setdefault(box.label, len(names))
    return FrameColumns(
        np.array([bounded_ns(truth.stamp_ns) for _, truth in pairs], np.int64),
        np.array([output.tick.log_time_ns for output, _ in pairs], np.uint64),
        np.array([STATES.index(state) for state in states], np.uint8),
        tuple(names),
        _detection_columns(items, names),
        _truth_columns(boxes, names),
        control_columns(pairs),
        _placements(pairs, scored),
    )


def _state(output: Output, truth: TruthFrame) -> State:
    if output.detections is None:
        return "no_head"
    if truth.boxes is None:
        return "no_truth"
    return "scored" if output.detections.valid else "invalid"


def _items(output: Output) -> tuple[Detection, ...]:
    return output.detections.items if output.detections is not None else ()


def _places(values: Sequence[int]) -> Places:
    return np.array(values, dtype=np.intp)


def _detection_columns(rows: list[tuple[int, int, Detection]], names: dict[str, int]) -> DetectionColumns:
    table = np.array([(d.score, *d.xyxy) for _, _, d in rows], dtype=np.float64).reshape(-1, 5)

    def details(places: Places) -> Float64:
        # An unknown value, None, becomes NaN.
        values = [_details(rows[place][2]) for place in places.tolist()]
        return np.array(values, dtype=np.float64).reshape(-1, DETAILS)

    return DetectionColumns(
        _places([frame for frame, _, _ in rows]),
        _places([names[d.label] for _, _, d in rows]),
        _places([at for _, at, _ in rows]),
        table[:, 0],
        table[:, 1:],
        details,
    )


def _truth_columns(rows: list[tuple[int, int, TruthBox]], names: dict[str, int]) -> TruthColumns:
    values = [(*b.xyxy, b.distance_m, b.visible, *(b.centre_m or _NO_POINT), b.ignore) for _, _, b in rows]
    return TruthColumns(
        _places([frame for frame, _, _ in rows]),
        _places([ANY_CLASS if _is_for_all(b) else names[b.label] for _, _, b in rows]),
        _places([at for _, at, _ in rows]),
        np.array(values, dtype=np.float64).reshape(-1, TRUE),
    )


def _is_for_all(box: TruthBox) -> bool:
    """Return whether a box is an ignore region for every class."""
    return box.ignore and not box.label


def _details(item: Detection) -> tuple[float | None, ...]:
    cov = item.position_cov_m2 or (_NO_POINT,) * 3
    return (
        *(item.box_std or _UNKNOWN),
        item.distance_m,
        item.distance_std_m,
        *(item.position_m or _NO_POINT),
        *(number for row in cov for number in row),
    )


def _placements(pairs: Sequence[tuple[Output, TruthFrame]], scored: Sequence[int]) -> Float64 | None:
    placed = {}
    for number in scored:
        output, truth = pairs[number]
        if output.detections is not None and output.detections.position_frame and truth.rig is not None:
            matrix = frame_from_picture(truth.rig, output.detections.position_frame)
            if matrix is not None:
                placed[number] = matrix
    if not placed:
        return None
    placement = np.full((len(pairs), 4, 4), np.nan)
    placement[list(placed)] = list(placed.values())
    return placement


def control_columns(pairs: Sequence[tuple[Output, TruthFrame]]) -> ControlColumns:
    """Return the control head of outputs and its truth as columns."""
    names: dict[str, int] = {}
    states: list[int] = []
    places: list[tuple[int, int, int]] = []
    values: list[tuple[float | None, ...]] = []
    units: list[str] = []
    for number, (output, truth) in enumerate(pairs):
        state = _control_state(output.control, truth)
        states.append(STATES.index(state))
        if output.control is None or truth.control is None or state != "scored":
            continue
        channels = {channel.name: (at, channel) for at, channel in enumerate(output.control.channels)}
        measured = truth.measured or {}
        for name, true in truth.control.items():
            at, channel = channels.get(name, (-1, None))
            places.append((number, names.setdefault(name, len(names)), at))
            predicted = (np.nan, np.nan) if channel is None else (channel.value, channel.std)
            values.append((*predicted, true, measured.get(name, np.nan)))
            units.append("" if channel is None else channel.unit)
    frame, channel_at, item = np.array(places, dtype=np.intp).reshape(-1, 3).T
    value, std, true_value, before = np.array(values, dtype=np.float64).reshape(-1, 4).T
    state_column = np.array(states, np.uint8)
    return ControlColumns(
        state_column, tuple(names), frame, channel_at, item, value, std, true_value, before, units
    )


def _control_state(control: Control | None, truth: TruthFrame) -> State:
    if control is None:
        return "no_head"
    if truth.control is None:
        return "no_truth"
    return "scored" if control.valid else "invalid"
