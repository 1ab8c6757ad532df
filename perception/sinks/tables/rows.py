"""From outputs to rows: the columns of each table for a group of frames, value by value.

Frames are kept as they come and turned into columns many at a time, since a list of ten thousand numbers
costs a fiftieth of as many calls.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from math import isfinite
from typing import Any, NamedTuple

import numpy as np

from perception.plugin import frame_from_picture
from perception.types import Control, Detection, Detections, Output, Sample, Tick, TruthBox, TruthFrame
from perception.types.times import bounded_ns
from perception.types.views import output_views

Columns = Mapping[str, Sequence[Any]]
Values = Mapping[str, float]

_NO_FOUR, _NO_POINT = (None,) * 4, (None,) * 3
_NO_COVARIANCE = (_NO_POINT,) * 3


class CameraFrameRow(NamedTuple):
    """The output and truth of one camera at a tick."""

    camera: str
    output: Output
    truth: TruthFrame


class FrameRows(NamedTuple):
    """The values of one tick that the tables hold.

    Attributes:
        cameras: The rows of the cameras; control and further heads are in that of the reference camera.
        reference: The name of that camera.
        inputs: A row for each sensor, in the order of the columns of `inputs`.
        timing_ms: Stage -> milliseconds.
    """

    tick: Tick
    reference: str
    warnings: Mapping[str, str]
    cameras: tuple[CameraFrameRow, ...]
    inputs: tuple[tuple[Any, ...], ...]
    timing_ms: Values


def frame_rows(
    sample: Sample, output: Output, truth: TruthFrame | None, timing_ms: Values | None
) -> FrameRows:
    """Return the values of a tick that the tables hold; the result holds no picture and no returns."""
    nothing = TruthFrame(output.tick.stamp_ns)
    views = tuple(
        CameraFrameRow(camera, own, nothing if known is None else known)
        for camera, own, known in output_views(sample, output, truth)
    )
    inputs = tuple(
        (
            source.name,
            source.kind,
            source.topic,
            source.value is not None,
            None if source.stamp_ns is None else bounded_ns(source.stamp_ns),
            source.age_ms,
            source.absence.code if source.absence is not None else None,
            source.absence.text if source.absence is not None else None,
        )
        for source in sample.sensors
    )
    return FrameRows(output.tick, sample.camera.name, output.warnings, views, inputs, dict(timing_ms or {}))


def columns_of(
    names: Sequence[str], frames: Sequence[FrameRows], counts: Sequence[int], rows: Sequence[Sequence[Any]]
) -> dict[str, Sequence[Any]]:
    """Return rows as columns, with the tick of each.

    Args:
        names: The names of the values of a row.
        frames: The ticks.
        counts: How many of the rows are of each of them.
        rows: The values of each row.
    """
    ticks = np.array([frame.tick.index for frame in frames], np.int64)
    stamps = np.array([bounded_ns(frame.tick.stamp_ns) for frame in frames], np.int64)
    values = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    columns: dict[str, Any] = {"tick": np.repeat(ticks, counts), "stamp_ns": np.repeat(stamps, counts)}
    return columns | dict(zip(names, values, strict=True))


def tick_rows(frames: Sequence[FrameRows], start_ns: int) -> list[tuple[Any, ...]]:
    """Return a row of `ticks` for each frame: log time, seconds since `start_ns`, kind, camera, warnings."""
    return [
        (
            bounded_ns(frame.tick.log_time_ns),
            (frame.tick.log_time_ns - start_ns) / 1e9,
            frame.tick.kind,
            frame.reference,
            json.dumps(dict(sorted(frame.warnings.items()))) if frame.warnings else None,
        )
        for frame in frames
    ]


HEAD_COLUMNS = (
    *("head", "camera", "valid", "based_on", "error", "position_frame"),
    *("truth", "truth_missing", "truth_missing_text", "frame_from_picture"),
)


def head_rows(row: CameraFrameRow, reference: str) -> list[tuple[Any, ...]]:
    """Return the rows of `heads` of one camera at a tick."""
    output, truth = row.output, row.truth
    rows = [_head_row("detections", row, output.detections, truth.boxes is not None, "boxes")]
    if row.camera == reference:
        rows.append(_head_row("control", row, output.control, truth.control is not None, "control"))
        names = dict.fromkeys((*output.extra, *truth.extra))
        rows += [_head_row(name, row, output.extra.get(name), name in truth.extra, name) for name in names]
    return rows


def _head_row(
    name: str, row: CameraFrameRow, head: Detections | Control | None, known: bool, truth: str
) -> tuple[Any, ...]:
    issue = row.truth.missing.get(truth)
    frame = head.position_frame if isinstance(head, Detections) else ""
    matrix = frame_from_picture(row.truth.rig, frame) if frame and row.truth.rig is not None else None
    return (
        name,
        row.camera,
        None if head is None else head.valid,
        None if head is None else list(head.based_on),
        None if head is None else head.error,
        frame or None,
        known,
        None if issue is None else issue.code,
        None if issue is None else issue.text,
        None if matrix is None else matrix.ravel().tolist(),
    )


DETECTION_COLUMNS = (
    *("camera", "item", "label", "score", "x1", "y1", "x2", "y2", "x1_std", "y1_std", "x2_std", "y2_std"),
    *("distance_m", "distance_std_m", "visible", "track_id", "x_m", "y_m", "z_m"),
    *(f"cov_{a}{b}_m2" for a in "xyz" for b in "xyz"),
    *("position_frame", "position_unknown"),
)


def detection_row(camera: str, item: int, frame: str, detection: Detection) -> tuple[Any, ...]:
    """Return a row of `detections`."""
    return (
        camera,
        item,
        detection.label,
        detection.score,
        *detection.xyxy,
        *(detection.box_std or _NO_FOUR),
        detection.distance_m,
        detection.distance_std_m,
        detection.visible,
        detection.track_id,
        *(detection.position_m or _NO_POINT),
        *chain.from_iterable(detection.position_cov_m2 or _NO_COVARIANCE),
        frame or None,
        detection.position_unknown,
    )


TRUTH_COLUMNS = (
    *("camera", "item", "label", "x1", "y1", "x2", "y2", "distance_m", "visible", "track_id"),
    *("picture_x_m", "picture_y_m", "picture_z_m", "ignore"),
)


def truth_row(camera: str, item: int, box: TruthBox) -> tuple[Any, ...]:
    """Return a row of `truth`; a distance that truth does not say is null."""
    distance = box.distance_m
    return (
        camera,
        item,
        box.label,
        *box.xyxy,
        distance if distance == distance else None,
        box.visible,
        box.track_id,
        *(box.centre_m or _NO_POINT),
        box.ignore,
    )


VALUE_COLUMNS = ("channel", "item", "unit", "value", "std", "true", "measured", "error")


def value_rows(
    head: Control | None, truth: Values | None, measured: Values | None = None
) -> list[tuple[Any, ...]]:
    """Return a row for each channel of truth, in its order, and then for the others of the output."""
    rows: list[tuple[Any, ...]] = []
    true, before = truth or {}, measured or {}
    said = {channel.name: channel for channel in head.channels} if head is not None else {}
    places = {name: place for place, name in enumerate(said)}
    for name in dict.fromkeys((*true, *said, *before)):
        channel, goal = said.get(name), true.get(name)
        value = None if channel is None else channel.value
        error = value - goal if value is not None and goal is not None else None
        rows.append(
            (
                name,
                places.get(name),
                None if channel is None else channel.unit,
                value,
                None if channel is None else channel.std,
                goal,
                before.get(name),
                error if error is not None and isfinite(error) else None,
            )
        )
    return rows


Spread = Callable[[FrameRows], Iterable[tuple[Any, ...]]]
"""Returns the rows that a tick has in a table."""


def spread(frames: Sequence[FrameRows], rows_of: Spread) -> tuple[list[int], list[tuple[Any, ...]]]:
    """Return how many rows each of several ticks has, and the rows."""
    counts: list[int] = []
    rows: list[tuple[Any, ...]] = []
    for frame in frames:
        before = len(rows)
        rows += rows_of(frame)
        counts.append(len(rows) - before)
    return counts, rows
